import assert from "node:assert/strict";
import { follow } from "./followed.ts";

function world(first: string) {
  const state = {
    text: first,
    reads: 0,
    changes: [] as string[],
    failures: [] as unknown[],
    unreadable: undefined as Error | undefined,
  };
  const followed = follow({
    readText: () => {
      state.reads++;
      return state.unreadable === undefined ? Promise.resolve(state.text) : Promise.reject(state.unreadable);
    },
    parse: (text) => {
      if (text.startsWith("bad")) throw new Error(text);
      return text.toUpperCase();
    },
    first: { text: first, value: first.toUpperCase() },
    onChange: (value) => void state.changes.push(value),
    onFailure: (error) => void state.failures.push(error),
  });
  return { state, followed };
}

Deno.test("the value is that of the files as they are when it is asked for", async () => {
  const { state, followed } = world("a");
  assert.equal(await followed.get(), "A");
  state.text = "b";
  assert.equal(await followed.get(), "B");
  assert.equal(await followed.get(), "B");
  assert.deepEqual(state.changes, ["B"]);
});

Deno.test("the last good value stays in use, and each failure is reported once", async () => {
  const { state, followed } = world("a");
  state.text = "bad 1";
  assert.deepEqual([await followed.get(), await followed.get()], ["A", "A"]);
  state.text = "bad 2";
  assert.equal(await followed.get(), "A");
  state.unreadable = new Error("gone");
  assert.deepEqual([await followed.get(), await followed.get()], ["A", "A"]);
  assert.deepEqual(state.failures.map(String), ["Error: bad 1", "Error: bad 2", "Error: gone"]);
  assert.deepEqual(state.changes, []);
  state.unreadable = undefined;
  state.text = "a";
  assert.equal(await followed.get(), "A");
  state.text = "bad 1";
  await followed.get();
  assert.equal(state.failures.length, 4, "a failure after a good reading is reported again");
  state.text = "c";
  assert.equal(await followed.get(), "C");
  assert.deepEqual(state.changes, ["C"]);
});

Deno.test("who asks while files are read gets what they hold afterwards", async () => {
  const { state, followed } = world("a");
  const first = followed.get();
  state.text = "b";
  assert.equal(await followed.get(), "B");
  await first;
  assert.equal(state.reads, 2);
});
