import assert from "node:assert/strict";
import { createServedVersions, isResourceVersion, MAX_SERVED_VERSIONS } from "./served_versions.ts";

Deno.test("versions that were served are known", () => {
  const served = createServedVersions();
  served.add("12", 7);
  assert.equal(served.momentOf("12"), 7);
  assert.equal(served.momentOf("13"), undefined);
});

Deno.test("the latest are remembered, and the oldest forgotten", () => {
  const served = createServedVersions(2);
  for (let version = 1; version <= 5; version++) served.add(String(version), version);
  assert.deepEqual(["1", "2", "3", "4", "5"].map((version) => served.momentOf(version)), [
    undefined,
    undefined,
    3,
    4,
    5,
  ]);
});

Deno.test("as many are remembered as are promised, and no more than twice as many", () => {
  const served = createServedVersions();
  const latest = 5 * MAX_SERVED_VERSIONS + 1;
  for (let version = 1; version <= latest; version++) served.add(String(version), version);
  assert.equal(served.momentOf(String(latest - MAX_SERVED_VERSIONS + 1)), latest - MAX_SERVED_VERSIONS + 1);
  assert.equal(served.momentOf(String(latest - 2 * MAX_SERVED_VERSIONS)), undefined);
});

Deno.test("serving a version again makes it one of the latest, with its first moment", () => {
  const served = createServedVersions(2);
  for (const [moment, version] of ["1", "2", "1", "3", "1", "4", "5"].entries()) served.add(version, moment);
  assert.deepEqual(["1", "2", "3", "4", "5"].map((version) => served.momentOf(version)), [
    0,
    undefined,
    3,
    5,
    6,
  ]);
});

Deno.test("refuses to know what was judged before everything had to be judged again", () => {
  const served = createServedVersions();
  served.add("1", 3);
  served.forgetUntil(5);
  served.add("2", 4);
  served.add("3", 5);
  assert.deepEqual(["1", "2", "3"].map((version) => served.momentOf(version)), [undefined, undefined, 5]);
});

Deno.test("refuses as a resourceVersion what is not digits", () => {
  for (const text of ["", "-1", "1.0", "0x1", "1\n", "１", "1".repeat(21), 1, null]) {
    assert.equal(isResourceVersion(text), false);
  }
  assert.equal(isResourceVersion("0"), true);
  assert.equal(isResourceVersion("18446744073709551615"), true);
});
