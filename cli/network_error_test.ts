import assert from "node:assert/strict";
import { networkReason } from "./network_error.ts";

function failed(detail: string): TypeError {
  const cause = new Error(
    `error sending request for url (http://s:1/sign): client error (Connect): ${detail}`,
  );
  return new TypeError("fetch failed", { cause });
}

Deno.test("each cause is said in plain words, with what to do", () => {
  const cases: [unknown, RegExp][] = [
    [failed("tcp connect error: Connection refused (os error 111)"), /^connection refused: /],
    [failed("dns error: failed to lookup address information: Name or service not known"), /^no such host; /],
    [failed("invalid peer certificate: UnknownIssuer"), /not trusted: .*DENO_CERT/],
    [failed('invalid peer certificate: certificate not valid for name "s"'), /not trusted: .*another name/],
    [failed("invalid peer certificate: certificate expired: verification time 1"), /not trusted: .*expired/],
    [failed("invalid peer certificate: NotValidYet"), /not trusted: .*clock/],
    [failed("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))"), /not trusted: .*authority/],
    [failed("invalid peer certificate: BadSignature"), /not trusted: BadSignature$/],
    [failed("received corrupt message of type InvalidContentType"), /http:\/\/ instead/],
    [failed("invalid HTTP version parsed"), /https:\/\/ instead/],
    [failed("connection closed before message completed"), /^it closed the connection/],
    [failed("tcp connect error: Network is unreachable (os error 101)"), /^the network has no way/],
    [new DOMException("Signal timed out.", "TimeoutError"), /^it does not answer in time/],
    [new TypeError("Fetch failed: Requests to port 1 are blocked"), /^that port belongs/],
    [new Deno.errors.NotCapable("run again with the --allow-net flag"), /permission .*--allow-net=s:1$/],
    [failed("something new (os error 7)"), /^something new$/],
  ];
  for (const [error, expected] of cases) {
    const text = networkReason("http://s:1", error);
    assert.match(text, expected);
    assert.ok(!/fetch failed|os error|run again|client error/i.test(text), text);
  }
});

Deno.test("an error that is its own cause is looked at once and a little", () => {
  const error = new Error("odd");
  error.cause = error;
  assert.equal(networkReason("http://s:1", error), "odd");
});

Deno.test("the words are those that Deno has for a connection refused", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const url = `http://127.0.0.1:${port}`;
  await assert.rejects(fetch(url), (error) => networkReason(url, error).startsWith("connection refused: "));
});
