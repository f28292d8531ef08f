import assert from "node:assert/strict";
import fc from "fast-check";
import { WholeResponse } from "./whole_response.ts";

/** What can be seen of an answer, each by a response of its own. */
async function looksOf(make: () => Response): Promise<unknown> {
  const { status, ok, statusText, type, url, redirected, bodyUsed } = make();
  const used = make();
  await used.text();
  return {
    ...{ status, ok, statusText, type, url, redirected, bodyUsed },
    usedAfterwards: used.bodyUsed,
    headers: [...make().headers],
    text: await make().text(),
    bytes: await make().bytes(),
    buffer: new Uint8Array(await make().arrayBuffer()),
    blob: await (await make().blob()).bytes(),
    clone: await make().clone().text(),
    json: await make().json().catch(() => "not JSON"),
    form: await make().formData().then(() => "a form", () => "no form"),
    hasBody: make().body !== null,
    body: await Array.fromAsync(make().body ?? []).then((pieces) => Buffer.concat(pieces).toString("latin1")),
  };
}

Deno.test("whoever looks at it sees the Response that would have been made", async () => {
  const bodies = ["", "text", '{"a":[1]}', "x".repeat(100_000)].map((text) => new TextEncoder().encode(text));
  await fc.assert(fc.asyncProperty(
    fc.constantFrom(200, 201, 404, 503, 599),
    fc.constantFrom(...bodies, null),
    fc.array(
      fc.tuple(fc.constantFrom("content-type", "warning", "set-cookie"), fc.constantFrom("", "a", "b, c")),
    ),
    async (status, body, headers) => {
      assert.deepEqual(
        await looksOf(() => new WholeResponse(body, { status, headers })),
        await looksOf(() => new Response(body, { status, headers })),
      );
    },
  ));
});

Deno.test("what is passed on is there without looking", () => {
  const whole = new Uint8Array([1, 2]);
  const headers: [string, string][] = [["etag", "a"]];
  const response = new WholeResponse(whole, { status: 200, headers });
  assert.equal(response.whole, whole);
  assert.equal(response.fields, headers);
  assert.equal(response.fieldsByName.get("etag"), "a");
});

Deno.test("refuses statuses that no answer with a body has", () => {
  for (const status of [0, 101, 199, 600, 200.5, NaN]) {
    assert.throws(() => new WholeResponse(null, { status, headers: [] }), RangeError);
  }
});
