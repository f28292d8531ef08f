import assert from "node:assert/strict";
import { MAX_SIGNED_TEMPLATE_BYTES } from "@signed-pods/shared/bounds";
import {
  COMPACTION_FACTOR,
  type LedgerEntry,
  LedgerFullError,
  MAX_LEDGER_CHARACTERS,
  MIN_LINES_BEFORE_COMPACTION,
  openLedger,
} from "./ledger.ts";
import { MemoryLedgerStore } from "../../tests/fakes/ledger.ts";
import type { RetiredUid } from "./retired_uids.ts";
import { MemoryLog } from "../../tests/fakes/log.ts";

function entry(number: number, changes: Partial<LedgerEntry> = {}): LedgerEntry {
  return {
    uid: `uid-${number}`,
    namespace: "default",
    name: `web-${number}`,
    signedHash: "ab",
    admittedAt: "2026-01-01T00:00:00.000Z",
    state: "admitted",
    pod: `{"kind":"Pod","metadata":{"name":"web-${number}","labels":{"é":"\\n"}}}`,
    ...changes,
  };
}

function retired(number: number): RetiredUid {
  return {
    uid: `uid-${number}`,
    namespace: "default",
    name: `web-${number}`,
    signedHash: "aa",
    stopped: false,
  };
}

Deno.test("entries outlive the process, with what was changed and forgotten", async () => {
  const store = new MemoryLedgerStore();
  const first = await openLedger(store, new MemoryLog());
  first.put(entry(1, { keyId: "cd" }));
  first.put(entry(2));
  first.put(entry(3));
  await first.flush();
  const stopping = entry(2, {
    state: "stopping",
    stoppingSince: "2026-01-01T00:00:01Z",
    refusal: "image differs",
  });
  first.put(stopping);
  first.retire(retired(3), 1);
  first.retire({ uid: "uid-4", namespace: "kube-system", name: "mirror", stopped: false }, 2);
  await first.flush();
  assert.equal(store.appends, 2, "one append for each flush");

  const second = await openLedger(store, new MemoryLog());
  assert.deepEqual([...second.entries()], [entry(1, { keyId: "cd" }), stopping]);
  assert.deepEqual(second.get("uid-2"), stopping);
  assert.deepEqual(second.retired("uid-3"), retired(3));
  assert.equal(second.retired("uid-4")?.name, "mirror");
  assert.equal(second.retired("uid-1"), undefined);
  assert.equal(second.size, 2);
});

Deno.test("a name leads to the entry that has it", async () => {
  const ledger = await openLedger(new MemoryLedgerStore(), new MemoryLog());
  ledger.put(entry(1));
  assert.equal(ledger.holder("default/web-1")?.uid, "uid-1");
  ledger.put(entry(1, { name: "other" }));
  assert.equal(ledger.holder("default/web-1"), undefined);
  ledger.put(entry(2, { name: "other" }));
  ledger.retire(retired(1), 1);
  assert.equal(ledger.holder("default/other")?.uid, "uid-2");
});

Deno.test("what need not be durable is not written", async () => {
  const store = new MemoryLedgerStore();
  const ledger = await openLedger(store, new MemoryLog());
  ledger.put(entry(1));
  await ledger.flush();
  ledger.put(entry(1, { pod: "{}" }), false);
  await ledger.flush();
  assert.equal(store.appends, 1);
  assert.equal(ledger.get("uid-1")?.pod, "{}");
});

Deno.test("a last line that was cut off is dropped, wherever it was cut", async () => {
  const store = new MemoryLedgerStore();
  const ledger = await openLedger(store, new MemoryLog());
  ledger.put(entry(1));
  ledger.put(entry(2));
  await ledger.flush();
  const whole = new TextEncoder().encode(store.text);
  const firstLine = whole.indexOf(0x0a) + 1;
  for (let length = firstLine + 1; length < whole.length; length++) {
    const log = new MemoryLog();
    const torn = new MemoryLedgerStore("");
    torn.read = () => Promise.resolve(whole.slice(0, length));
    const reopened = await openLedger(torn, log);
    assert.deepEqual([...reopened.entries()], [entry(1)]);
    assert.deepEqual(log.events(), ["ledger-torn"]);
    assert.equal(torn.text?.endsWith("\n"), true, "the torn line is gone from the journal");
  }
});

for (
  const [what, line] of [
    ["that is not JSON", "{"],
    ["that is no object", "[]"],
    ["without a UID", JSON.stringify({ name: "x" })],
    ["with an unknown state", JSON.stringify({ ...entry(1), pod: {}, state: "running" })],
    ["whose pod is text", JSON.stringify(entry(1))],
    ["with a stoppingSince that is no text", JSON.stringify({ ...entry(1), pod: {}, stoppingSince: 1 })],
    ["with a keyId that is no text", JSON.stringify({ ...entry(1), pod: {}, keyId: 1 })],
    ["with a refusal that is no text", JSON.stringify({ ...entry(1), pod: {}, refusal: 1 })],
    ["with a key twice", '{"forget":"a","forget":"b"}'],
  ] as const
) {
  Deno.test(`refuses a journal with a line ${what}: set aside, logged, empty`, async () => {
    const store = new MemoryLedgerStore(`{"forget":"a"}\n${line}\n`);
    const log = new MemoryLog();
    const ledger = await openLedger(store, log);
    assert.equal(ledger.size, 0);
    assert.deepEqual(log.events(), ["ledger-damaged"]);
    assert.equal(store.damaged, `{"forget":"a"}\n${line}\n`);
    ledger.put(entry(1));
    await ledger.flush();
    assert.equal((await openLedger(store, new MemoryLog())).size, 1);
  });
}

Deno.test("refuses a journal that is not UTF-8", async () => {
  const store = new MemoryLedgerStore("x");
  store.read = () => Promise.resolve(new Uint8Array([0xff, 0x0a]));
  const log = new MemoryLog();
  await openLedger(store, log);
  assert.deepEqual(log.events(), ["ledger-damaged"]);
});

Deno.test("the journal is written anew when most of it is history", async () => {
  const store = new MemoryLedgerStore();
  const ledger = await openLedger(store, new MemoryLog());
  for (let round = 0; round < MIN_LINES_BEFORE_COMPACTION * COMPACTION_FACTOR; round++) {
    ledger.put(entry(1, { signedHash: String(round) }));
    await ledger.flush();
  }
  assert.ok(store.replaces >= COMPACTION_FACTOR - 1);
  assert.ok((store.text ?? "").split("\n").length <= MIN_LINES_BEFORE_COMPACTION + 1);
  const reopened = await openLedger(store, new MemoryLog());
  assert.deepEqual([...reopened.entries()], [...ledger.entries()]);
});

Deno.test("a write that fails is made up for", async () => {
  const store = new MemoryLedgerStore();
  const ledger = await openLedger(store, new MemoryLog());
  store.failure = new Error("no space left on device");
  assert.equal(ledger.flushed, true);
  ledger.put(entry(1));
  assert.equal(ledger.flushed, false);
  await assert.rejects(ledger.flush(), /no space/);
  await assert.rejects(ledger.flush(), /no space/);
  assert.equal(ledger.flushed, false);
  store.failure = undefined;
  ledger.put(entry(2));
  const flushing = ledger.flush();
  assert.equal(ledger.flushed, false);
  await flushing;
  assert.equal(ledger.flushed, true);
  assert.equal(store.replaces, 1, "the journal may end in a torn line, so it is written anew");
  assert.equal((await openLedger(store, new MemoryLog())).size, 2);
});

Deno.test("refuses one entry too many, but not a change", async () => {
  const ledger = await openLedger(new MemoryLedgerStore(), new MemoryLog(), 1);
  ledger.put(entry(1));
  ledger.put(entry(1, { signedHash: "cd" }));
  assert.throws(() => ledger.put(entry(2)), LedgerFullError);
});

Deno.test("refuses more characters than the bound, in a new pod or a grown one, until another is gone", async () => {
  const size = entry(1).pod.length;
  const open = (room: number) =>
    openLedger(new MemoryLedgerStore(), new MemoryLog(), undefined, undefined, room);
  const ledger = await open(2 * size);
  ledger.put(entry(1));
  ledger.put(entry(2));
  assert.throws(() => ledger.put(entry(3)), LedgerFullError);
  assert.throws(() => ledger.put(entry(2, { pod: entry(2).pod + " " })), LedgerFullError);
  ledger.put(entry(2, { signedHash: "cd" }));
  ledger.retire(retired(1), 1);
  ledger.put(entry(2, { pod: entry(2).pod + " " }));
  assert.throws(() => ledger.put(entry(3)), LedgerFullError);
  ledger.put(entry(2));
  ledger.put(entry(3));
  assert.ok(MAX_LEDGER_CHARACTERS >= 500 * MAX_SIGNED_TEMPLATE_BYTES);
});
