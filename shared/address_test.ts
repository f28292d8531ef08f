import assert from "node:assert/strict";
import { formatAddress, formatHost, splitAddress } from "./address.ts";

Deno.test("addresses are cut into host and port", () => {
  assert.deepEqual(splitAddress("127.0.0.1:6443"), { host: "127.0.0.1", bracketed: false, port: 6443 });
  assert.deepEqual(splitAddress(":6443"), { host: "", bracketed: false, port: 6443 });
  assert.deepEqual(splitAddress("[::1]:0"), { host: "::1", bracketed: true, port: 0 });
  assert.deepEqual(splitAddress("localhost:65535"), { host: "localhost", bracketed: false, port: 65535 });
});

Deno.test("refuses what is no address with a port", () => {
  for (
    const text of [
      "",
      "6443",
      "127.0.0.1",
      "127.0.0.1:",
      "::1:6443",
      "[]:1",
      "[::1]",
      "[::1]1",
      "[::g]:1",
      "a:65536",
      "a:-1",
      "a:1 ",
      "a:１",
      "http://a:1",
    ]
  ) {
    assert.equal(splitAddress(text), undefined, text);
  }
});

Deno.test("addresses are written with their port", () => {
  assert.equal(formatAddress("127.0.0.1", 1), "127.0.0.1:1");
  assert.equal(formatAddress("::1", 1), "[::1]:1");
  assert.equal(formatHost("::"), "[::]");
  assert.equal(formatHost("localhost"), "localhost");
});
