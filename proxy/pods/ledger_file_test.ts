import assert from "node:assert/strict";
import { ledgerFile } from "./ledger_file.ts";

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function textOf(bytes: Promise<Uint8Array | undefined>): Promise<string | undefined> {
  const read = await bytes;
  return read === undefined ? undefined : new TextDecoder().decode(read);
}

Deno.test("a journal is appended to, replaced and set aside", () =>
  inFolder(async (folder) => {
    const store = ledgerFile(folder);
    assert.equal(await store.read(), undefined);
    await store.append("one\n");
    await store.append("two\n");
    assert.equal(await textOf(store.read()), "one\ntwo\n");
    await store.replace("three\n");
    await store.append("four\n");
    assert.equal(await textOf(store.read()), "three\nfour\n");
    const { mode } = await Deno.stat(`${folder}/ledger.jsonl`);
    assert.equal((mode ?? 0) & 0o777, 0o600);
    await store.setAside();
    assert.equal(await store.read(), undefined);
    assert.equal(await Deno.readTextFile(`${folder}/ledger.jsonl.damaged`), "three\nfour\n");
  }));

Deno.test("refuses a journal that cannot be read", () =>
  inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/ledger.jsonl`);
    await assert.rejects(ledgerFile(folder).read());
  }));
