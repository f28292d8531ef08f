/**
 * What people read about a refusal: podsign verify-spec and the proxy name the path, what was signed and what was found,
 * for every kind of difference, and never a value that may be secret.
 */
import assert from "node:assert/strict";
import type { JsonObject, JsonValue } from "@signed-pods/shared/json";
import { makeKey, NOW, runPodsign } from "../../cli/fake_effects_test.ts";
import { REJECTION_PREFIX } from "../../proxy/pods/rejection.ts";
import { FakeApiServer } from "../fakes/api_server.ts";
import { ManualClock } from "../fakes/clock.ts";
import { makeGate } from "../fakes/gate.ts";
import { FakeKubelet } from "../fakes/kubelet.ts";
import { makePod, objectOf, Owner, withSpec } from "../fakes/owner.ts";

const CANARY = "canary-secret";

const { key, certificate } = await makeKey();
const owner = await Owner.create(key);

const SPEC: JsonObject = {
  automountServiceAccountToken: false,
  containers: [{
    name: "app",
    image: "app:1",
    args: ["--port", "8080"],
    env: [{ name: "MODE", value: CANARY }, { name: "LEVEL", value: CANARY }],
    resources: { requests: { memory: "1Gi" } },
    livenessProbe: { httpGet: { port: 80, httpHeaders: [{ name: "Authorization", value: CANARY }] } },
    securityContext: { runAsUser: 1000 },
  }, { name: "second", image: "second:1" }],
  volumes: [
    { name: "data" },
    { name: "csi", csi: { driver: "csi.example", volumeAttributes: { password: CANARY } } },
    { name: "flex", flexVolume: { driver: "flex.example", options: { password: CANARY } } },
  ],
};
const signed = await owner.sign(withSpec(makePod(), SPEC));

/** The object at a path of keys and indices, to be changed in place. */
function at(spec: JsonObject, ...path: (string | number)[]): JsonObject {
  let found: JsonValue | undefined = spec;
  for (const part of path) {
    found = typeof part === "number" && Array.isArray(found) ? found[part] : objectOf(found)[String(part)];
  }
  if (typeof found !== "object" || found === null || Array.isArray(found)) {
    throw new TypeError(path.join("."));
  }
  return found;
}

function list(object: JsonObject, key: string): JsonValue[] {
  const value = object[key];
  if (!Array.isArray(value)) throw new TypeError(key);
  return value;
}

const app = (spec: JsonObject) => at(spec, "containers", 0);

interface Case {
  name: string;
  change: (spec: JsonObject) => void;
  /** Each difference as it is told. */
  told: string[];
  code?: string;
  message?: string;
}

const CASES: Case[] = [
  {
    name: "a changed text",
    change: (spec) => app(spec).image = "evil:1",
    told: ['spec.containers[app].image: signed "app:1", found "evil:1"'],
  },
  {
    name: "a changed number",
    change: (spec) => at(spec, "containers", 0, "securityContext").runAsUser = 0,
    told: ["spec.containers[app].securityContext.runAsUser: signed 1000, found 0"],
  },
  {
    name: "a changed quantity",
    change: (spec) => at(spec, "containers", 0, "resources", "requests").memory = "2Gi",
    told: ['spec.containers[app].resources.requests[memory]: signed "1Gi", found "2Gi"'],
  },
  {
    name: "a changed default",
    change: (spec) => spec.dnsPolicy = "Default",
    told: ['spec.dnsPolicy: signed "ClusterFirst", found "Default"'],
  },
  {
    name: "a changed item of a list",
    change: (spec) => app(spec).args = ["--port", "22"],
    told: ['spec.containers[app].args[1]: signed "8080", found "22"'],
  },
  {
    name: "a missing field",
    change: (spec) => delete app(spec).args,
    told: ['spec.containers[app].args: signed ["--port","8080"], found nothing'],
  },
  {
    name: "a missing item of a list",
    change: (spec) => app(spec).args = ["--port"],
    told: ['spec.containers[app].args[1]: signed "8080", found nothing'],
  },
  {
    name: "a missing container",
    change: (spec) => list(spec, "containers").pop(),
    told: ['spec.containers[second]: signed {"name":"second","image":"second:1"}, found nothing'],
  },
  {
    name: "an unexpected field",
    change: (spec) => spec.hostPID = true,
    told: ["spec.hostPID: not signed, found true"],
  },
  {
    name: "an unexpected container, without its arguments",
    change: (spec) => list(spec, "containers").push({ name: "evil", image: "evil:1", args: [CANARY] }),
    told: ['spec.containers[evil]: not signed, found {"name":"evil","image":"evil:1"}'],
  },
  {
    name: "an unexpected volume",
    change: (spec) => list(spec, "volumes").push({ name: "root", hostPath: { path: "/" } }),
    told: ['spec.volumes[root]: not signed, found {"name":"root","hostPath":{"path":"/","type":""}}'],
  },
  {
    name: "another order",
    change: (spec) => list(spec, "containers").reverse(),
    told: ['spec.containers: signed the order ["app","second"], found ["second","app"]'],
  },
  {
    name: "another order of variables",
    change: (spec) => list(app(spec), "env").reverse(),
    told: ['spec.containers[app].env: signed the order ["MODE","LEVEL"], found ["LEVEL","MODE"]'],
  },
  {
    name: "several differences, in the order of the pod",
    change: (spec) => {
      spec.hostPID = true;
      app(spec).image = "evil:1";
    },
    told: [
      'spec.containers[app].image: signed "app:1", found "evil:1"',
      "spec.hostPID: not signed, found true",
    ],
  },
  {
    name: "a variable's value",
    change: (spec) => at(spec, "containers", 0, "env", 0).value = `${CANARY}-2`,
    told: ["spec.containers[app].env[MODE].value: signed (not shown), found (not shown)"],
  },
  {
    name: "a variable's value that is gone",
    change: (spec) => delete at(spec, "containers", 0, "env", 0).value,
    told: ["spec.containers[app].env[MODE].value: signed (not shown), found nothing"],
  },
  {
    name: "an unexpected variable",
    change: (spec) => list(app(spec), "env").push({ name: "LD_PRELOAD", value: CANARY }),
    told: [
      'spec.containers[app].env[LD_PRELOAD]: not signed, found {"name":"LD_PRELOAD","value":"(not shown)"}',
    ],
  },
  {
    name: "missing variables",
    change: (spec) => delete app(spec).env,
    told: ["MODE", "LEVEL"].map((name) =>
      `spec.containers[app].env[${name}]: signed {"name":"${name}","value":"(not shown)"}, found nothing`
    ),
  },
  {
    name: "a probe's header",
    change: (spec) =>
      at(spec, "containers", 0, "livenessProbe", "httpGet", "httpHeaders", 0).value = `${CANARY}-2`,
    told: [
      "spec.containers[app].livenessProbe.httpGet.httpHeaders[Authorization].value: signed (not shown), found (not shown)",
    ],
  },
  {
    name: "a CSI volume's attributes",
    change: (spec) => at(spec, "volumes", 1, "csi", "volumeAttributes").password = `${CANARY}-2`,
    told: ["spec.volumes[csi].csi.volumeAttributes[password]: signed (not shown), found (not shown)"],
  },
  {
    name: "a flex volume's options",
    change: (spec) => at(spec, "volumes", 2, "flexVolume", "options").more = CANARY,
    told: ["spec.volumes[flex].flexVolume.options[more]: not signed, found (not shown)"],
  },
  {
    name: "what a terminal would obey, escaped",
    change: (spec) => {
      app(spec).image = "a\u202eb\u009b31m";
      list(app(spec), "env").push({ name: "\u2066x", value: CANARY });
    },
    told: [
      'spec.containers[app].image: signed "app:1", found "a\\u202eb\\u009b31m"',
      'spec.containers[app].env[2]: not signed, found {"name":"\\u2066x","value":"(not shown)"}',
    ],
  },
  {
    name: "a field that no version has",
    change: (spec) => at(spec, "containers", 0, "env", 0).evil = CANARY,
    code: "pod-malformed",
    message: "the pod's spec does not fit the schema",
    told: ["spec.containers[app].env[MODE].evil: unknown to this version of podsign"],
  },
  {
    name: "a value of another type",
    change: (spec) => at(spec, "containers", 0, "env", 0).value = [CANARY],
    code: "pod-malformed",
    message: "the pod's spec does not fit the schema",
    told: ["spec.containers[app].env[MODE].value: a string is expected here, not a list"],
  },
  {
    name: "a quantity that is none",
    change: (spec) => at(spec, "containers", 0, "resources", "requests").memory = "lots",
    code: "pod-malformed",
    message: "the pod's spec does not fit the schema",
    told: [
      'spec.containers[app].resources.requests[memory]: "lots" is not a quantity: write a number and a suffix such as ' +
      "m, k, M, G, Ki, Mi or Gi",
    ],
  },
];

function altered(change: (spec: JsonObject) => void): JsonObject {
  const pod = structuredClone(signed);
  change(at(pod, "spec"));
  return pod;
}

for (
  const { name, change, told, code = "spec-differs", message = "the pod is not what was signed" } of CASES
) {
  Deno.test(`verify-spec tells ${name}`, async () => {
    const world = { stdin: JSON.stringify(altered(change)), files: { cert: certificate } };
    const text = await runPodsign(["verify-spec", "-", "--cert=cert"], world);
    assert.equal(text.code, 1);
    const [head, ...lines] = text.out.split("\n");
    assert.ok(head?.startsWith(`FAIL pod default/web  ${code}: ${message}`), head);
    assert.deepEqual(lines.slice(0, -2), told.map((line) => `       ${line}`));
    const json = await runPodsign(["verify-spec", "-", "--cert=cert", "-o", "json"], world);
    assert.match(text.out + json.out, /^[ -~\n]*$/);
    assert.equal(`${text.out}${text.errors}${json.out}${json.errors}`.includes(CANARY), false);
  });

  Deno.test(`the proxy tells ${name}`, async () => {
    const api = new FakeApiServer();
    const { fetch, gate, log } = await makeGate({
      upstream: api.upstream,
      owner,
      clock: new ManualClock(NOW),
    });
    const kubelet = new FakeKubelet({ fetch });
    kubelet.run();
    try {
      api.put(altered(change));
      const status = () => objectOf(api.pod("default", "web")?.status);
      await kubelet.until("the pod has failed", () => status().phase === "Failed");
      assert.equal(status().message, `${REJECTION_PREFIX}${message}: ${told.join("; ")}`);
      await kubelet.until("there is an Event", () => api.events.length === 1);
      assert.equal(api.events[0]?.message, status().message);
      assert.equal(kubelet.pod("web"), undefined);
    } finally {
      await kubelet.stop();
      await gate.close(0);
    }
    const written = JSON.stringify([log.lines, api.events, api.requests.map(({ body }) => body)]);
    assert.equal(written.includes(CANARY), false, written);
  });
}
