/** Nothing that is secret comes out: not in the log, not in an Event, not in a status, whoever put it where. */
import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { createLog } from "../../proxy/telemetry.ts";
import { FakeApiServer } from "../fakes/api_server.ts";
import { assertNoCanary, CANARY } from "../fakes/canary.ts";
import { settle } from "../fakes/clock.ts";
import { makeGate } from "../fakes/gate.ts";
import { FakeKubelet } from "../fakes/kubelet.ts";
import { makePod, objectOf, Owner, uidOf, withMetadata, withSpec } from "../fakes/owner.ts";

const owner = await Owner.create();

/** Values that a pod may hold and that nobody else is to see. */
function withSecrets(pod: JsonObject, suffix = ""): JsonObject {
  const { containers } = objectOf(pod.spec);
  const [container] = Array.isArray(containers) ? containers : [];
  return withSpec(pod, {
    containers: [{
      ...objectOf(container),
      env: [{ name: "PASSWORD", value: `${CANARY}-password${suffix}` }],
      envFrom: [],
    }],
  });
}

Deno.test("refuses without a word about secrets: unsigned, altered, altered while it runs, and failures that quote them", async () => {
  const api = new FakeApiServer();
  const made = await makeGate({ upstream: api.upstream, owner });
  const kubelet = new FakeKubelet({ fetch: made.fetch });
  const phase = (name: string) => objectOf(api.pod("default", name)?.status ?? {}).phase;
  kubelet.run();
  try {
    await kubelet.until("the kubelet has listed", () => kubelet.syncs > 0);
    const signed = await owner.sign(withSecrets(makePod()));
    api.put(signed);
    api.put(withSecrets(makePod({ name: "unsigned", uid: uidOf(2) })));
    const other = await owner.sign(withSecrets(makePod({ name: "altered", uid: uidOf(3) })));
    api.put(withSecrets(other, "-altered"));
    api.put(
      withMetadata(makePod({ name: "malformed", uid: uidOf(4) }), {
        annotations: { "kubelet-proxy.io/signature": `${CANARY}-not-base64` },
      }),
    );
    await kubelet.until("the signed one is there", () => kubelet.pod("web") !== undefined);
    await kubelet.report("web", { phase: "Running" });
    api.put(withSecrets(signed, "-altered"));
    for (const name of ["unsigned", "altered", "malformed"]) {
      await kubelet.until(`${name} has failed`, () => phase(name) === "Failed");
    }
    await kubelet.until("all have an Event", () => api.events.length === 4);
    await kubelet.report("web", { phase: "Succeeded" });
    await kubelet.until("it is gone", () => kubelet.pod("web") === undefined);

    // An API server that quotes a secret in its failures and in what is no pod.
    api.intercept = (_request, { method, path }) =>
      method === "PATCH" && path.endsWith("/status")
        ? Response.json({ kind: "Status", apiVersion: "v1", code: 422, message: `Bearer ${CANARY}-token` }, {
          status: 422,
        })
        : undefined;
    api.put(makePod({ name: "quoted", uid: uidOf(5) }));
    await kubelet.until("it is given up", () => made.log.of("rejection-given-up").length === 1);
    api.inject("ADDED", { kind: "Secret", apiVersion: "v1", data: { key: `${CANARY}-data` } });
    await kubelet.until("that watch has ended", () => made.log.of("watch-malformed").length > 0);
  } finally {
    await kubelet.stop();
    await made.gate.close(0);
  }
  await settle();
  const statuses = api.pods().map((pod) => pod.status ?? null);
  assert.ok(made.log.lines.length > 5 && statuses.length === 5);
  assertNoCanary("the log", made.log.lines);
  assertNoCanary("Events", api.events);
  assertNoCanary("statuses", statuses);
});

for (const format of ["text", "json"] as const) {
  Deno.test(`refuses to write credentials into the log, wherever they stand (${format})`, () => {
    let text = "";
    const log = createLog({ format, write: (line) => text += line, now: () => new Date(0), debug: true });
    log.error("x", `sent Bearer ${CANARY}`, { header: `Basic ${CANARY}`, list: [`Bearer ${CANARY}`] });
    log.debug("x", `-----BEGIN EC PRIVATE KEY-----\n${CANARY}\n-----END EC PRIVATE KEY-----`);
    assert.match(text, /redacted/);
    assertNoCanary("the log", text);
  });
}
