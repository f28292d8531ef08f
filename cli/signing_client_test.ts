import assert from "node:assert/strict";
import { InputError } from "./input_error.ts";
import {
  createSigningClient,
  isSentInTheClear,
  MAX_ANSWER_BYTES,
  MAX_RETRIES,
  MAX_RETRY_AFTER_SECONDS,
  type Token,
} from "./signing_client.ts";

function clientOf(respond: (url: string, init: RequestInit) => Response | Promise<Response>, token?: Token) {
  return createSigningClient(
    "http://localhost:8080/",
    { token },
    async (url, init) => await respond(url, init),
    () => assert.fail("nobody asked to wait"),
  );
}

Deno.test("the client asks for a signature with the token, and follows no redirect", async () => {
  const client = clientOf((url, init) => {
    assert.equal(url, "http://localhost:8080/sign");
    assert.equal(init.method, "POST");
    assert.equal(init.redirect, "manual");
    assert.equal(new Headers(init.headers).get("authorization"), "Bearer secret");
    assert.equal(new Headers(init.headers).get("content-type"), "application/json");
    assert.equal(init.body, '{"payload":"ä\\n"}');
    return Response.json({ signature: "AQID" });
  }, { value: "secret", file: "t" });
  assert.deepEqual([...await client.sign("ä\n")], [1, 2, 3]);
});

Deno.test("without a token none is sent", async () => {
  const client = clientOf((_, init) => {
    assert.equal(new Headers(init.headers).get("authorization"), null);
    return Response.json({ signature: "AQID" });
  });
  await client.sign("x");
});

Deno.test("a server may be below a path", async () => {
  const client = createSigningClient("https://example.com/signer/", {}, (url) => {
    assert.equal(url, "https://example.com/signer/signingcert");
    return Promise.resolve(new Response("PEM"));
  }, () => assert.fail("nobody asked to wait"));
  assert.equal(await client.certificate(), "PEM");
});

Deno.test("refuses URLs that are none of a server", () => {
  const urls = [
    "",
    "localhost:8080",
    "ftp://x",
    "http://a@x",
    "http://x?a=b",
    "http://x#a",
    "file:///x",
    "http://",
  ];
  for (const url of urls) {
    assert.throws(
      () => createSigningClient(url, {}, () => Promise.reject(), () => Promise.reject()),
      InputError,
      url,
    );
  }
});

Deno.test("refuses answers that are not a signing server's", async () => {
  const answers: (() => Response)[] = [
    () => new Response("<html>", { status: 200 }),
    () => Response.json({}),
    () => Response.json([]),
    () => Response.json({ signature: 1 }),
    () => Response.json({ signature: "not base64!" }),
    () => new Response("x".repeat(70_000)),
    () => new Response(null, { status: 302, headers: { location: "http://elsewhere/" } }),
    () => new Response("oops", { status: 500 }),
    () => new Response(null, { status: 204 }),
    () => Response.json({ error: "text" }, { status: 400 }),
  ];
  for (const answer of answers) await assert.rejects(clientOf(answer).sign("x"), InputError);
  await assert.rejects(clientOf(() => new Response(new Uint8Array([0xff]))).certificate(), InputError);
});

Deno.test("refuses with the server's own words, made safe to print", async () => {
  const error = { code: "body-too-large", message: "Too\u001b[31m large" };
  await assert.rejects(
    clientOf(() => Response.json({ error }, { status: 413 })).sign("x"),
    (error) =>
      error instanceof InputError && error.message.includes("body-too-large") &&
      !error.message.includes("\u001b"),
  );
});

Deno.test("refuses with a hint where a token is missing", async () => {
  const error = { code: "unauthorized", message: "no" };
  await assert.rejects(
    clientOf(() => Response.json({ error }, { status: 401 })).sign("x"),
    (error) => error instanceof InputError && error.lines.length === 2,
  );
});

Deno.test("refuses with the token's file where the server does not take the token", async () => {
  const error = { code: "unauthorized", message: "no" };
  const client = clientOf(() => Response.json({ error }, { status: 401 }), { value: "secret", file: "t" });
  await assert.rejects(
    client.sign("x"),
    (error) =>
      error instanceof InputError && error.message.includes('does not take the token in "t"') &&
      !error.message.includes("secret"),
  );
});

Deno.test("refuses with the certificate's file where the server takes no name from it", async () => {
  const error = { code: "unauthorized", message: "no" };
  const client = createSigningClient(
    "https://localhost",
    { identity: { certificateFile: "alice.pem" } },
    () => Promise.resolve(Response.json({ error }, { status: 401 })),
    () => assert.fail("nobody asked to wait"),
  );
  await assert.rejects(
    client.sign("x"),
    (error) => error instanceof InputError && error.message.includes('the certificate in "alice.pem"'),
  );
});

Deno.test("refuses with what to do when the server cannot be reached", async () => {
  const client = clientOf(() => Promise.reject(new TypeError("connection refused")));
  await assert.rejects(
    client.certificate(),
    (error) => error instanceof InputError && error.lines.length === 2,
  );
});

Deno.test("refuses an answer without end", async () => {
  const client = clientOf(() => new Response("x".repeat(MAX_ANSWER_BYTES + 1)));
  await assert.rejects(
    client.certificate(),
    (error) => error instanceof InputError && error.message.includes(`more than ${MAX_ANSWER_BYTES} bytes`),
  );
});

Deno.test("http beyond this machine is sent in the clear", () => {
  for (const url of ["http://10.0.0.1", "http://signer:8080", "http://localhost.example"]) {
    assert.ok(isSentInTheClear(url), url);
  }
  for (const url of ["https://signer", "http://localhost:1", "http://127.0.0.1:8080", "http://[::1]:1"]) {
    assert.ok(!isSentInTheClear(url), url);
  }
});

/** A server that is busy a number of times, and the seconds that were waited for it. */
function busy(times: number, status: number, retryAfter: string | undefined) {
  const waited: number[] = [];
  let requests = 0;
  const client = createSigningClient("http://localhost:8080", {}, () => {
    requests++;
    if (requests > times) return Promise.resolve(Response.json({ signature: "AQID" }));
    const error = { code: status === 429 ? "rate-limited" : "overloaded", message: "wait" };
    const headers = retryAfter === undefined ? {} : { "retry-after": retryAfter };
    return Promise.resolve(Response.json({ error }, { status, headers }));
  }, (seconds) => {
    waited.push(seconds);
    return Promise.resolve();
  });
  return { client, waited, requests: () => requests };
}

Deno.test("a server that is busy is asked again when it says", async () => {
  for (const status of [429, 503]) {
    const { client, waited } = busy(MAX_RETRIES, status, String(MAX_RETRY_AFTER_SECONDS));
    assert.deepEqual([...await client.sign("x")], [1, 2, 3]);
    assert.deepEqual(waited, Array(MAX_RETRIES).fill(MAX_RETRY_AFTER_SECONDS));
  }
});

Deno.test("refuses with the server's words when it stays busy", async () => {
  const { client, requests } = busy(Infinity, 429, "1");
  await assert.rejects(
    client.sign("x"),
    (error) => error instanceof InputError && /rate-limited/.test(error.message),
  );
  assert.equal(requests(), MAX_RETRIES + 1);
});

Deno.test("refuses at once to wait for a server that does not say when, or too long, or has failed", async () => {
  const cases: [number, string | undefined][] = [
    [503, undefined],
    [429, "soon"],
    [429, "-1"],
    [503, String(MAX_RETRY_AFTER_SECONDS + 1)],
    [503, "Wed, 21 Oct 2015 07:28:00 GMT"],
    [500, "1"],
    [401, "1"],
  ];
  for (const [status, retryAfter] of cases) {
    const { client, requests } = busy(1, status, retryAfter);
    await assert.rejects(client.sign("x"), InputError);
    assert.equal(requests(), 1, `${status} ${retryAfter}`);
  }
});

Deno.test("all certificates are asked for by name", async () => {
  const client = clientOf((url) => {
    assert.equal(url, "http://localhost:8080/signingcert?all=1");
    return new Response("PEM");
  });
  assert.equal(await client.certificates(), "PEM");
});
