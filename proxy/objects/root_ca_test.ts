/** What pods are told of the cluster's authority: no certificate that the node's operator did not name. */
import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { encodeBase64 } from "@signed-pods/shared/base64";
import { makeMetadata } from "../../tests/fakes/objects.ts";
import { issue } from "../fixture_test.ts";
import type { FileContents } from "../credentials/file_set.ts";
import { isRootCa, pinRootCa, type RootCa, rootCaFiles } from "./root_ca.ts";

const OLD = await issue({ commonName: "old", authority: true });
const NEW = await issue({ commonName: "new", authority: true });
const EVIL = await issue({ commonName: "evil", authority: true });

const PINNED: RootCa = new Set([OLD.certificate, NEW.certificate]);

function rootCa(text: unknown, more: JsonObject = {}): JsonObject {
  return {
    kind: "ConfigMap",
    apiVersion: "v1",
    metadata: makeMetadata("kube-root-ca.crt", { namespace: "default" }),
    data: { "ca.crt": JSON.parse(JSON.stringify(text)) },
    ...more,
  };
}

/** What the pods get, or what is wrong. */
function outcome(object: JsonObject): unknown {
  const pinned = pinRootCa(object, PINNED);
  return pinned.ok ? pinned.object["data"] : pinned.difference.detail;
}

Deno.test("any of the pinned certificates pass, alone or together, as during a rotation", () => {
  for (const text of [OLD.certificate, NEW.certificate, OLD.certificate + NEW.certificate]) {
    assert.deepEqual(outcome(rootCa(text)), { "ca.crt": text });
  }
});

Deno.test("certificates are written anew: no text around them, no other line ends, none twice, no other keys", () => {
  const odd = `Certificate:\n    Data: x\n${
    OLD.certificate.replaceAll("\n", "\r\n")
  }\n# old\n${OLD.certificate}`;
  const object = rootCa(odd, {
    data: { "ca.crt": odd, other: "x" },
    binaryData: { "ca.crt": "eA==" },
    immutable: true,
  });
  const pinned = pinRootCa(object, PINNED);
  assert.ok(pinned.ok);
  assert.deepEqual(pinned.object, { ...rootCa(OLD.certificate), immutable: true });
});

Deno.test("refuses a certificate that was not pinned, also beside one that was", () => {
  for (
    const text of [EVIL.certificate, OLD.certificate + EVIL.certificate, EVIL.certificate + OLD.certificate]
  ) {
    assert.match(String(outcome(rootCa(text))), /not in the file of --pin-root-ca/);
  }
});

Deno.test("refuses what other readers would take for a certificate", () => {
  for (const label of ["TRUSTED CERTIFICATE", "X509 CERTIFICATE", "PUBLIC KEY"]) {
    const other = EVIL.certificate.replaceAll("CERTIFICATE", label);
    assert.match(String(outcome(rootCa(OLD.certificate + other))), /something else than certificates/);
  }
});

Deno.test("refuses what is no PEM, empty, no text, or not there", () => {
  const cut = OLD.certificate.slice(0, -20);
  for (
    const text of ["", "x", cut, `${OLD.certificate}-----BEGIN`, encodeBase64(OLD.der), 1, null, [
      OLD.certificate,
    ]]
  ) {
    assert.match(String(outcome(rootCa(text))), /is not PEM|is missing/, String(text));
  }
  for (const object of [{ data: {} }, { data: null }, { binaryData: { "ca.crt": btoa(OLD.certificate) } }]) {
    assert.equal(pinRootCa({ ...rootCa(""), data: {}, ...object }, PINNED).ok, false);
  }
});

Deno.test("it is told by its name", () => {
  assert.ok(isRootCa(rootCa("")));
  assert.ok(!isRootCa({ metadata: { name: "kube-root-ca.crt2" } }));
  assert.ok(!isRootCa({}));
});

const READER = { readText: () => Promise.reject(new Error("gone")), describe: String };

async function read(text: string) {
  const set = rootCaFiles("/ca", { ...READER, readText: () => Promise.resolve(text) });
  return await set.parse(await set.read());
}

Deno.test("the file holds one certificate or more, with any text around them", async () => {
  assert.deepEqual(await read(`# old\n${OLD.certificate}\n# new\n${NEW.certificate}`), {
    ok: true,
    value: PINNED,
  });
});

Deno.test("refuses a file without certificates, one that cannot be read, or that cannot be parsed", async () => {
  for (const text of ["", "x", NEW.key, "-----BEGIN CERTIFICATE-----\neA==\n-----END CERTIFICATE-----\n"]) {
    const parsed = await read(text);
    assert.ok(!parsed.ok);
    assert.deepEqual(parsed.problems.map(({ path }) => path), ["--pin-root-ca"]);
  }
  const set = rootCaFiles("/ca", READER);
  const contents: FileContents = await set.read();
  const parsed = await set.parse(contents);
  assert.ok(!parsed.ok && parsed.problems[0]?.message.includes("gone"));
});
