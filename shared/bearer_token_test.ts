import assert from "node:assert/strict";
import { isBearerToken } from "./bearer_token.ts";

Deno.test("tokens of every kind in use are tokens", () => {
  for (
    const text of [
      "0123456789abcdef",
      "abcdef.0123456789abcdef",
      "eyJhbGciOiJSUzI1NiJ9.e30.c2ln-_",
      "YQ==",
      "a~+/",
    ]
  ) {
    assert.ok(isBearerToken(text), text);
  }
});

Deno.test("refuses as a token what would end the header, or begin another", () => {
  for (const text of ["", "=", "a b", "a\n", "\na", "a\r\nX-Evil: 1", "a=b", "a,b", "tökén", 'a"', "a\0"]) {
    assert.ok(!isBearerToken(text), JSON.stringify(text));
  }
});
