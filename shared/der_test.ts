import assert from "node:assert/strict";
import { AlgorithmIdentifier } from "@peculiar/asn1-x509";
import { MAX_DER_BYTES, readDer, writeDer } from "./der.ts";

const OID = "1.2.840.10045.4.3.2";
const REFUSED = { code: "key-malformed" };

Deno.test("DER is written and read again", () => {
  const der = writeDer(new AlgorithmIdentifier({ algorithm: OID }));
  assert.equal(der.toHex(), "300a06082a8648ce3d040302");
  assert.equal(readDer(der, AlgorithmIdentifier, "key-malformed", "thing").algorithm, OID);
});

Deno.test("lengths of one, two and three bytes are read", () => {
  for (const size of [100, 200, 1000, 100_000]) {
    const parameters = writeDer(new AlgorithmIdentifier({ algorithm: OID, parameters: octets(size) })).buffer;
    const read = readDer(new Uint8Array(parameters), AlgorithmIdentifier, "key-malformed", "thing");
    assert.deepEqual(read.parameters, octets(size));
  }
});

Deno.test("refuses bytes that are not one DER value", () => {
  const good = [...Uint8Array.fromHex("300a06082a8648ce3d040302")];
  const cases = [
    [],
    [0x30],
    [0x30, 0x81],
    [...good, 0],
    good.slice(0, -1),
    [0x30, 0x80, ...good.slice(2), 0, 0],
    [0x30, 0x84, 0, 0, 0, 10, ...good.slice(2)],
    [0x30, 0x03, 0x06, 0x05, 0x2a],
    [0x30, 0x00],
    [0x02, 0x01, 0x05],
  ];
  for (const bytes of cases) {
    assert.throws(
      () => readDer(new Uint8Array(bytes), AlgorithmIdentifier, "key-malformed", "thing"),
      REFUSED,
    );
  }
});

Deno.test("refuses more than a megabyte", () => {
  const size = MAX_DER_BYTES + 1;
  const bytes = new Uint8Array(size);
  bytes.set([0x30, 0x83, (size - 5) >> 16, ((size - 5) >> 8) & 0xff, (size - 5) & 0xff]);
  assert.throws(() => readDer(bytes, AlgorithmIdentifier, "key-malformed", "thing"), REFUSED);
});

/** An octet string of `size` bytes, its length in the shortest form. */
function octets(size: number): ArrayBuffer {
  const lengthBytes = [size >> 16, (size >> 8) & 0xff, size & 0xff];
  while (lengthBytes[0] === 0) lengthBytes.shift();
  const length = size < 0x80 ? [size] : [0x80 + lengthBytes.length, ...lengthBytes];
  return new Uint8Array([0x04, ...length, ...new Uint8Array(size)]).buffer;
}
