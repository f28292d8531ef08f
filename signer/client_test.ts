import assert from "node:assert/strict";
import { authenticate, isOpen, networkOf } from "./client.ts";
import { RequestError } from "./request_error.ts";
import { parseTokens } from "./tokens.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";
const REQUEST = new Request("http://localhost/sign", { headers: { authorization: `Bearer ${TOKEN}` } });
const CONTEXT = { address: "192.0.2.1", port: 1 };
const tokens = () => parseTokens(`alice: ${TOKEN}`);

Deno.test("a client is who its token or certificate says, else its address", async () => {
  assert.deepEqual(await authenticate(REQUEST, CONTEXT, { tokens, certificates: true }), {
    name: "alice",
    authenticatedBy: "token",
    key: "token alice",
  });
  const certified = { ...CONTEXT, certificateName: "alice" };
  assert.deepEqual(await authenticate(REQUEST, certified, { certificates: true }), {
    name: "alice",
    authenticatedBy: "certificate",
    key: "certificate alice",
  });
  assert.deepEqual(await authenticate(REQUEST, CONTEXT, { certificates: false }), {
    authenticatedBy: "nothing",
    key: "address 192.0.2.1",
  });
  assert.ok(isOpen({ certificates: false }));
  assert.ok(!isOpen({ certificates: true }) && !isOpen({ tokens, certificates: false }));
});

Deno.test("refuses a token that the file no longer holds, as soon as it does not", async () => {
  let text = `alice: ${TOKEN}`;
  const authentication = { tokens: () => parseTokens(text), certificates: false };
  await authenticate(REQUEST, CONTEXT, authentication);
  text = `alice: ${TOKEN}2`;
  await assert.rejects(
    authenticate(REQUEST, CONTEXT, authentication),
    (error) =>
      error instanceof RequestError && error.code === "unauthorized" && !error.message.includes(TOKEN),
  );
});

Deno.test("addresses of one subscriber are one client", () => {
  const cases: [string, string][] = [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::6", "2001:db8:1:2::/64"],
    ["2001:0db8:0001:0002::", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
  ];
  for (const [address, network] of cases) assert.equal(networkOf(address), network);
});
