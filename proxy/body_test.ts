import assert from "node:assert/strict";
import { BodyTooLargeError, readBody } from "./body.ts";
import { chunked } from "../tests/fakes/upstream.ts";

const BYTES = new TextEncoder().encode("0123456789");

Deno.test("a body is the same at every chunk size", async () => {
  for (let size = 1; size <= BYTES.length; size++) {
    assert.deepEqual(await readBody(chunked(BYTES, size), BYTES.length), BYTES);
  }
  assert.deepEqual(await readBody(null, 1), new Uint8Array(0));
});

Deno.test("refuses a body over the bound, and stops to read it", async () => {
  let cancelled = false;
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(BYTES),
    cancel() {
      cancelled = true;
    },
  });
  await assert.rejects(readBody(endless, 25), BodyTooLargeError);
  assert.equal(cancelled, true);
});

Deno.test("a body that does not go on is left when the signal says so", async () => {
  const silent = () => {
    const state = { cancelled: false };
    return { state, body: new ReadableStream<Uint8Array>({ cancel: () => void (state.cancelled = true) }) };
  };
  const timeout = new AbortController();
  const { state, body } = silent();
  const read = readBody(body, 10, timeout.signal);
  timeout.abort(new Error("too late"));
  await assert.rejects(read, /too late/);
  assert.equal(state.cancelled, true);
  await assert.rejects(readBody(silent().body, 10, timeout.signal), /too late/);
});
