import assert from "node:assert/strict";
import { settle } from "../../tests/fakes/clock.ts";
import { MAX_WAITING_BODY_BYTES, RequestBody } from "./request_body.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** A body, and what it says to its connection. */
function setUp() {
  const said: string[] = [];
  const body = new RequestBody({ pause: () => said.push("pause"), resume: () => said.push("resume") });
  return { body, said };
}

Deno.test("pieces come in order, before and after somebody reads them", async () => {
  const { body, said } = setUp();
  body.push(bytesOf("a"));
  const text = new Response(body.stream).text();
  await settle();
  body.push(bytesOf("b"));
  await settle();
  body.push(bytesOf("c"));
  body.end();
  assert.equal(await text, "abc");
  assert.deepEqual(said, []);
});

Deno.test("no more is read from the connection than waits for its reader", async () => {
  const { body, said } = setUp();
  body.push(new Uint8Array(MAX_WAITING_BODY_BYTES));
  assert.deepEqual(said, []);
  body.push(bytesOf("x"));
  body.push(bytesOf("y"));
  assert.deepEqual(said, ["pause"]);
  const reader = body.stream.getReader();
  for (let piece = 0; piece < 3; piece++) await reader.read();
  assert.deepEqual(said, ["pause", "resume"]);
});

Deno.test("refuses to let a part pass for the whole", async () => {
  for (const fail of ["before", "while", "after"] as const) {
    const { body, said } = setUp();
    body.push(new Uint8Array(MAX_WAITING_BODY_BYTES + 1));
    if (fail === "before") body.fail(new Error("cut"));
    const text = new Response(body.stream).text();
    if (fail !== "before") await settle();
    if (fail === "after") {
      // It is whole, but was not read to its end.
      body.push(bytesOf("x"));
      body.end();
    }
    body.fail(new Error("cut"));
    await assert.rejects(text, /cut/, fail);
    assert.deepEqual(said, ["pause", "resume"]);
    body.push(bytesOf("more"));
    assert.deepEqual(said, ["pause", "resume"], "what comes is dropped");
  }
});

Deno.test("a body that was read to its end does not fail any more", async () => {
  const { body } = setUp();
  const reader = body.stream.getReader();
  body.push(bytesOf("a"));
  body.end();
  assert.deepEqual((await reader.read()).value, bytesOf("a"));
  body.fail(new Error("late"));
  assert.equal((await reader.read()).done, true);
});

Deno.test("a reader who leaves takes the rest along", async () => {
  const { body, said } = setUp();
  body.push(new Uint8Array(MAX_WAITING_BODY_BYTES + 1));
  await body.stream.cancel();
  assert.deepEqual(said, ["pause", "resume"]);
});
