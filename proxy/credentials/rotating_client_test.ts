import assert from "node:assert/strict";
import { ManualClock } from "../../tests/fakes/clock.ts";
import { createHttpClient } from "../http_client/http_client.ts";
import { createRotatingClient } from "./rotating_client.ts";

const REQUEST = { method: "GET", headers: [] };

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
  const waiting = [rotating.fetch("http://x/", REQUEST), rotating.fetch("http://x/", REQUEST)];
  rotating.rotate(second);
  waiting.push(rotating.fetch("http://x/", REQUEST));
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
  const failing = rotating.fetch("http://x/", REQUEST);
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
  const connect = ({ hostname, port }: URL) => Deno.connect({ hostname, port: Number(port) });
  const makeClient = () =>
    createHttpClient({ connect, clock: new ManualClock(), maxIdle: 1, idleTimeoutMs: 1_000 });
  const rotating = createRotatingClient(makeClient(), (url, request, client) => client.fetch(url, request));
  const response = await rotating.fetch(`http://127.0.0.1:${server.addr.port}/`, REQUEST);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  assert.equal((await reader?.read())?.value, "begun");
  rotating.rotate(makeClient());
  write("after");
  assert.equal((await reader?.read())?.value, "after");
  await reader?.cancel();
  rotating.close();
  await server.shutdown();
});
