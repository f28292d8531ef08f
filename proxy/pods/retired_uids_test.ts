import assert from "node:assert/strict";
import { createRetiredUids, MAX_SETTLED_UIDS, type RetiredUid } from "./retired_uids.ts";

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

Deno.test("of those that the kubelet has let go of, the latest are kept", () => {
  const retired = createRetiredUids();
  for (let number = 0; number < MAX_SETTLED_UIDS + 2; number++) retired.add(uid(number), number);
  assert.equal(retired.size, MAX_SETTLED_UIDS + 2, "nothing is settled");
  retired.settle(MAX_SETTLED_UIDS + 1);
  retired.add(uid(MAX_SETTLED_UIDS + 2), MAX_SETTLED_UIDS + 2);
  assert.equal(retired.size, MAX_SETTLED_UIDS);
  assert.equal(retired.get("uid-2"), undefined);
  assert.notEqual(retired.get("uid-3"), undefined);
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
