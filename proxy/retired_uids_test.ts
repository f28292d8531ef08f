import assert from "node:assert/strict";
import { createRetiredUids, type RetiredUid } from "./retired_uids.ts";

function uid(number: number): RetiredUid {
  return {
    uid: `uid-${number}`,
    namespace: "default",
    name: `web-${number}`,
    signedHash: "aa",
    stopped: false,
  };
}

Deno.test("retired UIDs are known until they are dropped or taken up again", () => {
  const retired = createRetiredUids();
  retired.add(uid(1), 1);
  assert.deepEqual(retired.get("uid-1"), uid(1));
  assert.deepEqual([...retired.values()], [uid(1)]);
  retired.delete("uid-1");
  assert.equal(retired.get("uid-1"), undefined);
  assert.equal(retired.size, 0);
});

Deno.test("for lack of room the oldest go that the kubelet has surely let go of", () => {
  const retired = createRetiredUids(2);
  for (const number of [1, 2]) retired.add(uid(number), number);
  retired.settle(1);
  retired.add(uid(3), 3);
  assert.deepEqual([...retired.values()].map((pod) => pod.uid), ["uid-2", "uid-3"]);
});

Deno.test("refuses more rather than forget what the kubelet may still have", () => {
  const retired = createRetiredUids(2);
  for (const number of [1, 2, 3]) retired.add(uid(number), number);
  assert.equal(retired.size, 3);
  assert.equal(retired.full, true);
  retired.settle(0);
  assert.equal(retired.full, true);
  retired.settle(2);
  retired.settle(1);
  assert.equal(retired.full, false, "settling never goes back");
});
