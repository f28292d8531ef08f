import assert from "node:assert/strict";
import { fingerprint } from "@signed-pods/shared/certificate";
import { readPemBlocks, writePem } from "@signed-pods/shared/pem";
import { fakeServer, makeKey, runPodsign } from "../fake_effects_test.ts";

const { key, certificate } = await makeKey();
const [block] = readPemBlocks(certificate);
assert.ok(block !== undefined);
const FINGERPRINT = await fingerprint(block.bytes);

Deno.test("the certificate is printed, its fingerprint beside it", async () => {
  const { code, out, errors } = await runPodsign(["get-cert"], { fetch: fakeServer(key, certificate) });
  assert.equal(code, 0);
  assert.equal(out, certificate);
  assert.ok(errors.includes(FINGERPRINT));
});

Deno.test("as JSON everything is on standard output", async () => {
  const { out } = await runPodsign(["get-cert", "-o", "json"], { fetch: fakeServer(key, certificate) });
  const answer: unknown = JSON.parse(out);
  assert.deepEqual(answer, {
    server: "http://localhost:8080",
    certificates: [{
      certificate,
      fingerprint: FINGERPRINT,
      keyId: key.id,
      notBefore: "2024-01-01T00:00:00.000Z",
      notAfter: "2034-01-01T00:00:00.000Z",
    }],
  });
});

Deno.test("what stands beside the certificate is not printed", async () => {
  const { out } = await runPodsign(["get-cert"], { fetch: fakeServer(key, `\u001b[2J\n${certificate}`) });
  assert.equal(out, certificate);
});

Deno.test("refuses what is no certificate", async () => {
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", key.publicKey));
  for (const answer of ["", "text", writePem("PUBLIC KEY", spki), writePem("CERTIFICATE", spki)]) {
    const { code, out } = await runPodsign(["get-cert"], { fetch: fakeServer(key, answer) });
    assert.equal(code, 2);
    assert.equal(out, "");
  }
});

Deno.test("warns of a server beyond this machine without https", async () => {
  const world = { fetch: fakeServer(key, certificate), files: { t: "token" } };
  const { errors } = await runPodsign(["get-cert", "--server=http://signer:8080", "--token-file=t"], world);
  assert.ok(errors.includes("the token can be read"));
});

Deno.test("--all prints the certificates of all keys, as the server orders them", async () => {
  const other = await makeKey();
  const fetch = (url: string) => {
    const all = new URL(url).search === "?all=1";
    return Promise.resolve(new Response(all ? other.certificate + certificate : other.certificate));
  };
  const { code, out, errors } = await runPodsign(["get-cert", "--all"], { fetch });
  assert.equal(code, 0);
  assert.equal(out, other.certificate + certificate);
  assert.equal(errors.match(/^SHA-256 fingerprint /gm)?.length, 2);
  assert.equal((await runPodsign(["get-cert"], { fetch })).out, other.certificate);
});

Deno.test("who waits for a busy server sees it on a terminal", async () => {
  let requests = 0;
  const slept: number[] = [];
  const world = {
    terminal: true,
    sleep: (ms: number) => {
      slept.push(ms);
      return Promise.resolve();
    },
    fetch: () =>
      Promise.resolve(
        requests++ === 0
          ? new Response(null, { status: 503, headers: { "retry-after": "2" } })
          : new Response(certificate),
      ),
  };
  const { out, errors } = await runPodsign(["get-cert"], world);
  assert.equal(out, certificate);
  assert.deepEqual(slept, [2000]);
  assert.ok(errors.includes("busy; asking again in 2 s"));
  requests = 0;
  assert.ok(!(await runPodsign(["get-cert"], { ...world, terminal: false })).errors.includes("busy"));
});
