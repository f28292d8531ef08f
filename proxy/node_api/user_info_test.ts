import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import {
  MAX_EXTRA_KEYS,
  MAX_EXTRA_VALUE_LENGTH,
  MAX_EXTRA_VALUES,
  MAX_GROUPS,
  MAX_NAME_LENGTH,
  readUser,
  writeUser,
} from "./user_info.ts";

const JANE: JsonObject = {
  user: "jane",
  uid: "1",
  groups: ["a", "b"],
  extra: { __proto_: ["x"], k: ["v", ""] },
};

Deno.test("a user is read and written again", () => {
  const read = readUser(JANE, "user");
  assert.ok(read.ok);
  assert.deepEqual(writeUser(read.value, "user"), JANE);
  assert.deepEqual(writeUser(read.value, "username"), {
    username: "jane",
    uid: "1",
    groups: ["a", "b"],
    extra: JANE["extra"],
  });
  const nobody = readUser({}, "username");
  assert.ok(nobody.ok);
  assert.deepEqual(writeUser(nobody.value, "username"), {});
});

Deno.test("a user of every greatest size is read", () => {
  const name = "n".repeat(MAX_NAME_LENGTH);
  const values = Array(MAX_EXTRA_VALUES).fill("v".repeat(MAX_EXTRA_VALUE_LENGTH));
  const extra = Object.fromEntries(
    Array.from({ length: MAX_EXTRA_KEYS }, (_, index) => [`${index}`.padEnd(MAX_NAME_LENGTH, "k"), values]),
  );
  assert.ok(readUser({ user: name, uid: name, groups: Array(MAX_GROUPS).fill(name), extra }, "user").ok);
});

Deno.test("refuses users that are malformed or beyond a bound", () => {
  const long = "n".repeat(MAX_NAME_LENGTH + 1);
  const others: JsonObject[] = [
    { user: 1 },
    { user: long },
    { uid: true },
    { uid: long },
    { groups: "a" },
    { groups: [1] },
    { groups: [long] },
    { groups: Array(MAX_GROUPS + 1).fill("a") },
    { extra: [] },
    { extra: { k: "v" } },
    { extra: { k: [null] } },
    { extra: { [long]: [] } },
    { extra: { k: Array(MAX_EXTRA_VALUES + 1).fill("v") } },
    { extra: { k: ["v".repeat(MAX_EXTRA_VALUE_LENGTH + 1)] } },
    { extra: Object.fromEntries(Array.from({ length: MAX_EXTRA_KEYS + 1 }, (_, index) => [`${index}`, []])) },
  ];
  for (const other of others) {
    assert.equal(readUser({ ...JANE, ...other }, "user").ok, false, JSON.stringify(other).slice(0, 60));
  }
});
