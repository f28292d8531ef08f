import assert from "node:assert/strict";
import { tokenNotAfter } from "./token_expiry.ts";

const base64url = (text: string) =>
  new TextEncoder().encode(text).toBase64({ alphabet: "base64url", omitPadding: true });

const jwt = (claims: string) => `${base64url('{"alg":"RS256"}')}.${base64url(claims)}.c2ln`;

Deno.test("the end of a token is its claim exp, in seconds since 1970", () => {
  // The token of RFC 7519 section 3.1.
  const example = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9" +
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ" +
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
  assert.deepEqual(tokenNotAfter(example), new Date(1300819380_000));
  assert.deepEqual(tokenNotAfter(jwt('{"exp":1800000000.5,"sub":"ü"}')), new Date(1800000000_500));
  assert.deepEqual(tokenNotAfter(`${base64url("{}")}.${base64url('{"exp":0}')}.`), new Date(0));
});

Deno.test("refuses to tell an end of what has none, or is no token of this kind", () => {
  const tokens = [
    "",
    "abcdef.0123456789abcdef",
    "a.b.c",
    "a.b.c.d",
    jwt("{}"),
    jwt("[]"),
    jwt("null"),
    jwt("{exp:1}"),
    jwt('{"exp":"1800000000"}'),
    jwt('{"exp":1,"exp":2}'),
    jwt('{"exp":8.65e12}'),
    jwt('{"exp":-8.65e12}'),
    `${jwt('{"exp":1}')}.x`,
    `a.${base64url('{"exp":1}')}A.c`,
  ];
  for (const token of tokens) assert.equal(tokenNotAfter(token), undefined, token);
});
