import assert from "node:assert/strict";
import { CertificationRequest } from "@peculiar/asn1-csr";
import { AsnConvert } from "@peculiar/asn1-schema";
import { readPemBlocks } from "@signed-pods/shared/pem";
import { ManualClock } from "../../tests/fakes/clock.ts";
import { MemoryLog } from "../../tests/fakes/log.ts";
import { jsonAnswer, upstreamOf } from "../../tests/fakes/upstream.ts";
import { until } from "../fixture_test.ts";
import { ReloadCounts } from "../credentials/reload_counts.ts";
import { readTlsIdentity } from "../credentials/tls_identity.ts";
import {
  CERTIFICATE_REQUESTS_PATH,
  createNodeCertificateClient,
  MAX_CERTIFICATE_ANSWER_BYTES,
} from "./node_certificate_client.ts";
import {
  ISSUE_TIMEOUT_MS,
  NODE_CERTIFICATE_INTERVAL_MS,
  renewNodeCertificate,
} from "./node_certificate_renewal.ts";
import {
  issueCertificate,
  type LeafUse,
  makeOwnKey,
  MAX_NODE_USER_LENGTH,
  readCertificatesOf,
  type Validity,
} from "./own_leg_certificates.ts";
import { MAX_REFUSED_RETRY_MS } from "./renewal_pace.ts";
import { makeNodeCertificateRequest } from "./certificate_request.ts";

const HOUR_MS = 3_600_000;
const cluster = { key: await makeOwnKey(), name: { commonName: "cluster" } };

const nodeUse = (name: string): LeafUse => ({
  kind: "client",
  subject: { organization: "system:nodes", commonName: `system:node:${name}` },
});

/** What the API server makes of a request: the status of the object, or another answer. */
interface Setting {
  /** Age and rest of the node's certificate at the start, in hours. */
  life?: [age: number, rest: number];
  /** PEM of what is issued. */
  issue?: (spki: Uint8Array, now: Date) => Promise<string>;
  /** Given instead of a certificate. */
  status?: Record<string, unknown>;
  /** Instead of taking the request; undefined takes it. */
  answerPost?: () => Response | undefined;
  answerGet?: () => Response;
}

async function issueFor(name: string, spki: Uint8Array, validity: Validity): Promise<string> {
  return await issueCertificate(cluster, nodeUse(name), spki, validity);
}

async function start(setting: Setting = {}) {
  const clock = new ManualClock();
  const log = new MemoryLog();
  const counts = new ReloadCounts();
  const now = clock.now().getTime();
  const [age, rest] = setting.life ?? [3, 1];
  const key = await makeOwnKey();
  const first = await issueFor("worker", key.spki, {
    notBefore: new Date(now - age * HOUR_MS),
    notAfter: new Date(now + rest * HOUR_MS),
  }) + key.pem;
  const files = new Map([["node.pem", first]]);
  const posted: Record<string, unknown>[] = [];
  const asked: string[] = [];
  let spki = new Uint8Array();
  const upstream = upstreamOf(async (request) => {
    const { pathname } = new URL(request.url);
    asked.push(`${request.method} ${pathname}`);
    if (request.method === "POST") {
      const body = await request.json();
      posted.push(body);
      const [block] = readPemBlocks(atob(body.spec.request));
      assert.ok(block);
      assert.equal(block.label, "CERTIFICATE REQUEST");
      const csr = AsnConvert.parse(block.bytes, CertificationRequest);
      spki = new Uint8Array(AsnConvert.serialize(csr.certificationRequestInfo.subjectPKInfo));
      return setting.answerPost?.() ?? jsonAnswer(body, { status: 201 });
    }
    if (setting.answerGet !== undefined) return setting.answerGet();
    const issue = setting.issue ??
      ((spki, now) =>
        issueFor("worker", spki, { notBefore: now, notAfter: new Date(now.getTime() + 9 * HOUR_MS) }));
    const status = setting.status ?? { certificate: btoa(await issue(spki, clock.now())) };
    return jsonAnswer({ status });
  });
  const renewal = renewNodeCertificate({
    nodeName: "worker",
    file: "node.pem",
    folder: {
      read: () => Promise.resolve(new Map(files)),
      write(name, text) {
        files.set(name, text);
        return Promise.resolve();
      },
    },
    client: createNodeCertificateClient(upstream, log),
    clock,
    log,
    counts,
    random: () => 1 - Number.EPSILON,
  });
  const rested = () => until(() => clock.timers === 1);
  await rested();
  return { clock, log, counts, files, first, posted, asked, renewal, rested };
}

const namesOf = (posted: readonly Record<string, unknown>[]) =>
  posted.map(({ metadata }) => {
    assert.ok(typeof metadata === "object" && metadata !== null && "name" in metadata);
    return String(metadata.name);
  });

Deno.test("a certificate that is due is asked for as a kubelet does, and replaced with its key", async () => {
  const { log, counts, files, first, posted, asked, renewal, clock } = await start();
  const text = files.get("node.pem") ?? "";
  assert.notEqual(text, first);
  readTlsIdentity(text, text);
  const [own] = readCertificatesOf(text);
  assert.equal(own?.subject, "O=system:nodes\nCN=system:node:worker");
  assert.deepEqual(log.events(), ["node-certificate-requested", "node-certificate-renewed"]);
  assert.deepEqual(counts.of("node-certificate"), { taken: 1, refused: 0, stale: false });
  const [name] = namesOf(posted);
  assert.match(name ?? "", /^node-csr-[0-9a-f]{64}$/);
  assert.deepEqual(asked, [`POST ${CERTIFICATE_REQUESTS_PATH}`, `GET ${CERTIFICATE_REQUESTS_PATH}/${name}`]);
  const [{ spec, ...rest } = {}] = posted;
  assert.deepEqual(rest, {
    apiVersion: "certificates.k8s.io/v1",
    kind: "CertificateSigningRequest",
    metadata: { name },
  });
  assert.ok(typeof spec === "object" && spec !== null && "signerName" in spec && "usages" in spec);
  assert.equal(spec.signerName, "kubernetes.io/kube-apiserver-client-kubelet");
  assert.deepEqual(spec.usages, ["digital signature", "client auth"]);
  // It is not due again.
  await clock.advance(NODE_CERTIFICATE_INTERVAL_MS);
  assert.equal(asked.length, 2);
  renewal.close();
});

Deno.test("a certificate that is not due, or has not begun, is left alone", async () => {
  for (const life of [[1, 3], [-1, 3]] as const) {
    const { asked, log, renewal } = await start({ life: [...life] });
    assert.deepEqual([asked, log.events()], [[], []]);
    renewal.close();
  }
});

Deno.test("a request that waits for its approval is asked for until it is issued", async () => {
  const setting: Setting = { status: { conditions: [{ type: "Approved" }] } };
  const { clock, log, files, first, rested, renewal } = await start(setting);
  await clock.advance(60_000);
  assert.equal(files.get("node.pem"), first);
  delete setting.status;
  await until(() => {
    void clock.advance(1_000);
    return log.events().includes("node-certificate-renewed");
  });
  await rested();
  assert.notEqual(files.get("node.pem"), first);
  renewal.close();
});

Deno.test("a request that nobody answers is told once and asked for every minute; no second one is made", async () => {
  const setting: Setting = { status: {} };
  const { clock, log, files, first, posted, asked, rested, renewal } = await start(setting);
  await clock.advance(ISSUE_TIMEOUT_MS);
  await until(() => log.events().includes("node-certificate-not-renewed"));
  await rested();
  const before = asked.length;
  for (let count = 1; count <= 10; count++) {
    await clock.advance(NODE_CERTIFICATE_INTERVAL_MS);
    await until(() => asked.length === before + count);
    await rested();
  }
  assert.equal(log.of("node-certificate-not-renewed").length, 1);
  delete setting.status;
  await clock.advance(NODE_CERTIFICATE_INTERVAL_MS);
  await until(() => log.events().includes("node-certificate-renewed"));
  assert.notEqual(files.get("node.pem"), first);
  assert.equal(posted.length, 1);
  renewal.close();
});

Deno.test("refused requests are made anew, with another key, ever more seldom", async () => {
  const denied = { conditions: [{ type: "Denied", message: "no" }] };
  const year = (now: Date) => ({ notBefore: now, notAfter: new Date(now.getTime() + 365 * 24 * HOUR_MS) });
  const setting: Setting = {
    life: [24 * 300, 24 * 65],
    status: denied,
    issue: (spki, now) => issueFor("worker", spki, year(now)),
  };
  const { clock, log, posted, asked, rested, renewal } = await start(setting);
  for (const [index, minutes] of [1, 2, 4, 8, 16, 32, 60, 60].entries()) {
    await rested();
    assert.equal(asked.length, 2 * (index + 1), "each is made once and asked for once");
    await clock.advance(minutes * 60_000 - 1);
    assert.equal(clock.timers, 1, `it waits for ${minutes} minutes`);
    await clock.advance(1);
    await until(() => posted.length === index + 2);
  }
  await rested();
  assert.equal(new Set(namesOf(posted)).size, posted.length);
  // The problem is the same each time.
  assert.equal(log.of("node-certificate-not-renewed").length, 1);
  delete setting.status;
  await clock.advance(MAX_REFUSED_RETRY_MS);
  await until(() => log.events().includes("node-certificate-renewed"));
  renewal.close();
});

Deno.test("a request that may have come through is sent again as it was, and one that is there is not made twice", async () => {
  const outcomes = [
    () => jsonAnswer({}, { status: 503 }),
    () => assert.fail("the connection was lost"),
    () => jsonAnswer({}, { status: 429 }),
    () => jsonAnswer("<html>", { status: 200, headers: { "content-type": "text/html" } }),
    // What was lost had come through.
    () => jsonAnswer({}, { status: 409 }),
  ];
  const setting: Setting = { answerPost: () => outcomes.shift()?.() };
  const { clock, log, posted, asked, rested, renewal } = await start(setting);
  for (const waitMs of [1_000, 2_000, 4_000, 8_000]) {
    const before = posted.length;
    await clock.advance(waitMs - 1);
    assert.equal(clock.timers, 1, `it waits for ${waitMs} ms`);
    await clock.advance(1);
    await until(() => posted.length === before + 1);
    await rested();
  }
  await until(() => log.events().includes("node-certificate-renewed"));
  assert.equal(posted.length, 5);
  assert.equal(new Set(namesOf(posted)).size, 1);
  assert.equal(asked.filter((line) => line.startsWith("GET")).length, 1);
  renewal.close();
});

Deno.test("an API server that is away while a request waits is asked for that request again", async () => {
  const setting: Setting = { answerGet: () => jsonAnswer({}, { status: 500 }) };
  const { clock, log, posted, rested, renewal } = await start(setting);
  await clock.advance(20 * 60_000);
  await rested();
  setting.answerGet = () => jsonAnswer({}, { status: 403 });
  await clock.advance(20 * 60_000);
  await rested();
  delete setting.answerGet;
  await clock.advance(60_000);
  await until(() => log.events().includes("node-certificate-renewed"));
  assert.equal(posted.length, 1);
  renewal.close();
});

Deno.test("refuses certificates that are no renewal of this node's, and keeps the old one", async () => {
  const hours = (now: Date, from: number, to: number): Validity => ({
    notBefore: new Date(now.getTime() + from * HOUR_MS),
    notAfter: new Date(now.getTime() + to * HOUR_MS),
  });
  const cases: [what: string, setting: Setting][] = [
    ["another key's", {
      issue: async (_, now) => await issueFor("worker", (await makeOwnKey()).spki, hours(now, 0, 9)),
    }],
    ["another node's", { issue: (spki, now) => issueFor("other", spki, hours(now, 0, 9)) }],
    ["no longer than the old one", { issue: (spki, now) => issueFor("worker", spki, hours(now, 0, 1)) }],
    ["not yet valid", { issue: (spki, now) => issueFor("worker", spki, hours(now, 1, 9)) }],
    ["over", { life: [9, -2], issue: (spki, now) => issueFor("worker", spki, hours(now, -3, -1)) }],
    ["no certificate", { issue: () => Promise.resolve("x") }],
    ["no base64", { status: { certificate: "?" } }],
    ["denied", { status: { conditions: [{ type: "Denied", message: "no" }], certificate: btoa("x") } }],
    ["failed", { status: { conditions: [{ type: "Failed" }] } }],
    ["forbidden", { answerPost: () => jsonAnswer({}, { status: 403 }) }],
    ["too long", { answerGet: () => jsonAnswer(`{"a":"${"x".repeat(MAX_CERTIFICATE_ANSWER_BYTES)}"}`) }],
    ["gone", { answerGet: () => jsonAnswer({}, { status: 404 }) }],
  ];
  for (const [what, setting] of cases) {
    const { log, counts, files, first, renewal } = await start(setting);
    assert.equal(files.get("node.pem"), first, what);
    assert.equal(log.of("node-certificate-not-renewed").length, 1, what);
    assert.deepEqual(counts.of("node-certificate"), { taken: 0, refused: 1, stale: true }, what);
    renewal.close();
  }
});

Deno.test("refuses a request for a name that is too long", async () => {
  const key = await makeOwnKey();
  const prefix = "system:node:".length;
  await makeNodeCertificateRequest(key, "n".repeat(MAX_NODE_USER_LENGTH - prefix));
  await assert.rejects(makeNodeCertificateRequest(key, "n".repeat(MAX_NODE_USER_LENGTH - prefix + 1)), {
    code: "certificate-malformed",
  });
});

Deno.test("stopping ends the wait", async () => {
  const { clock, log, renewal } = await start({ status: {} });
  renewal.close();
  await until(() => clock.timers === 0);
  assert.deepEqual(log.events(), ["node-certificate-requested"]);
});
