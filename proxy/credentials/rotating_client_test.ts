import assert from "node:assert/strict";
import { createRotatingClient } from "./rotating_client.ts";

class FakeClient {
  closed = 0;
  close() {
    this.closed++;
  }
}

Deno.test("new requests go by the new client; the old one is closed after its last answer", async () => {
  const answers: (() => void)[] = [];
  const used: FakeClient[] = [];
  const [first, second] = [new FakeClient(), new FakeClient()];
  const rotating = createRotatingClient(first, (_url, _init, client) => {
    used.push(client);
    return new Promise<Response>((resolve) => answers.push(() => resolve(new Response(""))));
  });
  const waiting = [rotating.fetch("http://x", {}), rotating.fetch("http://x", {})];
  rotating.rotate(second);
  waiting.push(rotating.fetch("http://x", {}));
  assert.deepEqual(used, [first, first, second]);
  answers[0]?.();
  await waiting[0];
  assert.equal(first.closed, 0);
  answers[1]?.();
  await waiting[1];
  assert.deepEqual([first.closed, second.closed], [1, 0]);
  answers[2]?.();
  await waiting[2];
  assert.equal(second.closed, 0);
  rotating.rotate(new FakeClient());
  assert.equal(second.closed, 1, "nothing waited");
  const last = new FakeClient();
  rotating.rotate(last);
  rotating.close();
  assert.equal(last.closed, 1);
});

Deno.test("a request that fails is over, too", async () => {
  const first = new FakeClient();
  let fail = () => {};
  const rotating = createRotatingClient(
    first,
    () => new Promise<Response>((_, reject) => fail = () => reject(new TypeError("no"))),
  );
  const failing = rotating.fetch("http://x", {});
  rotating.rotate(new FakeClient());
  fail();
  await assert.rejects(failing);
  assert.equal(first.closed, 1);
});

Deno.test("a watch outlives the client that it began with", async () => {
  let write = (_text: string) => {};
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () =>
    new Response(
      new ReadableStream({
        start(controller) {
          write = (text) => controller.enqueue(new TextEncoder().encode(text));
          write("begun");
        },
      }),
    ));
  const rotating = createRotatingClient(
    Deno.createHttpClient({}),
    (url, init, client) => fetch(url, { ...init, client }),
  );
  const response = await rotating.fetch(`http://127.0.0.1:${server.addr.port}`, {});
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  assert.equal((await reader?.read())?.value, "begun");
  rotating.rotate(Deno.createHttpClient({}));
  write("after");
  assert.equal((await reader?.read())?.value, "after");
  await reader?.cancel();
  rotating.close();
  await server.shutdown();
});
