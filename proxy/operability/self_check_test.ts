import assert from "node:assert/strict";
import { createSelfCheck } from "./self_check.ts";

const PATH = "/3c2f";

function check(listener: (request: Request) => Promise<Response>) {
  return createSelfCheck(PATH, (path) => listener(new Request(`http://127.0.0.1${path}`)));
}

Deno.test("the proxy is well if its listener answers, and the handler sees nothing of it", async () => {
  const handled: string[] = [];
  const it = check((request) => answer(request, Promise.resolve()));
  const answer = it.answer((request) => {
    handled.push(request.url);
    return Promise.resolve(new Response("pods"));
  });
  assert.equal(await it.healthy(), true);
  assert.deepEqual(handled, []);
  const other = await answer(new Request("http://127.0.0.1/api/v1/pods"), Promise.resolve());
  assert.equal(await other.text(), "pods");
});

Deno.test("refuses to call itself well when somebody else answers, or nobody", async () => {
  assert.equal(await check(() => Promise.resolve(new Response("hello"))).healthy(), false);
  await assert.rejects(check(() => Promise.reject(new Error("refused"))).healthy());
});
