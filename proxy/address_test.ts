import assert from "node:assert/strict";
import { collide, isLoopbackAddress, parseListenAddress } from "./address.ts";

Deno.test("addresses to listen on", () => {
  assert.deepEqual(parseListenAddress("127.0.0.1:6443"), { hostname: "127.0.0.1", port: 6443 });
  assert.deepEqual(parseListenAddress(":6443"), { hostname: undefined, port: 6443 });
  assert.deepEqual(parseListenAddress("[::1]:0"), { hostname: "::1", port: 0 });
  assert.deepEqual(parseListenAddress("localhost:65535"), { hostname: "localhost", port: 65535 });
});

Deno.test("refuses what is no address", () => {
  for (
    const text of [
      "",
      "6443",
      "127.0.0.1",
      "127.0.0.1:",
      "::1:6443",
      "[127.0.0.1]:1",
      "a:65536",
      "a b:1",
      "http://a:1",
    ]
  ) {
    assert.equal(parseListenAddress(text), undefined, text);
  }
});

Deno.test("loopback is 127/8 and ::1, mapped or not, and nothing else", () => {
  for (const address of ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"]) {
    assert.equal(isLoopbackAddress(address), true, address);
  }
  for (
    const address of [
      undefined,
      "",
      "10.0.0.1",
      "::",
      "::ffff:10.0.0.1",
      "1127.0.0.1",
      "127.0.0.1.evil",
      "fe80::1",
    ]
  ) {
    assert.equal(isLoopbackAddress(address), false, String(address));
  }
});

Deno.test("two listeners need a port each, or an address each", () => {
  const at = (text: string) => {
    const address = parseListenAddress(text);
    assert.ok(address !== undefined);
    return address;
  };
  for (
    const [one, other] of [["10.0.0.1:1", "10.0.0.1:1"], [":1", "10.0.0.1:1"], ["[::1]:1", ":1"]] as const
  ) {
    assert.ok(collide(at(one), at(other)), `${one} ${other}`);
  }
  for (
    const [one, other] of [["10.0.0.1:1", "10.0.0.1:2"], ["10.0.0.1:1", "127.0.0.1:1"], [":0", ":0"]] as const
  ) {
    assert.ok(!collide(at(one), at(other)), `${one} ${other}`);
  }
});
