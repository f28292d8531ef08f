/**
 * Signed pods on a kind cluster: `make deploy-kind`, then `make test-kind`.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { JsonObject, JsonValue } from "../../shared/json.ts";
import { listAt, parseObject, textAt } from "../cluster/json.ts";
import { run } from "../cluster/programs.ts";
import { ADMISSION_CASES, type Place, podOn, runs } from "./admission.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const STATE = Deno.env.get("KIND_STATE") ?? `${ROOT}build/kind`;
const WORKER = "signed-pods-worker";
const CONTROL_PLANE = "signed-pods-control-plane";
const NAMESPACE = "test-kind";

const stranger = await Deno.makeTempFile({ suffix: ".key" });
let place: Place | undefined;

function thePlace(): Place {
  if (place === undefined) throw new Error("The cluster could not be asked; run make deploy-kind");
  return place;
}

function kubectl(args: string[], stdin?: string): Promise<string> {
  return run("kubectl", [`--kubeconfig=${STATE}/kubeconfig`, ...args], stdin === undefined ? {} : { stdin });
}

async function podsign(args: string[], manifest: JsonObject): Promise<JsonObject> {
  const common = ["sign-spec", "--output=json", `--namespace=${NAMESPACE}`];
  return parseObject(
    await run(`${ROOT}bin/podsign`, [...common, ...args, "-"], { stdin: JSON.stringify(manifest) }),
  );
}

async function list(args: string[]): Promise<JsonValue[]> {
  return listAt(parseObject(await kubectl(["get", ...args, "-o", "json"])), "items");
}

/** The image that every kind node has for its sandboxes: it stays, and nothing has to be pulled. */
async function pauseImage(): Promise<string> {
  const node = parseObject(await kubectl(["get", "node", WORKER, "-o", "json"]));
  const names = listAt(node, "status", "images").flatMap((image) => listAt(image, "names"));
  const found = names.find((name) => typeof name === "string" && /\/pause:[^@]+$/.test(name));
  assert.ok(typeof found === "string", `no pause image among ${names.join(" ")}`);
  return found;
}

Deno.test.beforeAll(async () => {
  const there = await Deno.stat(`${STATE}/kubeconfig`).then(() => true, () => false);
  assert.ok(there, `${STATE}/kubeconfig is missing: run make deploy-kind first`);
  await run("openssl", [
    "genpkey",
    "-algorithm",
    "EC",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-out",
    stranger,
  ]);
  await kubectl(["delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait"]);
  await kubectl(["create", "namespace", NAMESPACE]);
  await kubectl(["wait", "--for=create", "serviceaccount/default", "-n", NAMESPACE, "--timeout=60s"]);
  place = {
    kubectl,
    sign: (manifest) => podsign(["--server=http://127.0.0.1:8080", `--token-file=${STATE}/tokens`], manifest),
    signAsStranger: (manifest) => podsign([`--key=${stranger}`], manifest),
    node: WORKER,
    namespace: NAMESPACE,
    container: { image: await pauseImage() },
  };
});

Deno.test.afterAll(async () => {
  await Deno.remove(stranger);
  if (place !== undefined) await kubectl(["delete", "namespace", NAMESPACE, "--wait=false"]);
});

for (const [name, check] of Object.entries(ADMISSION_CASES)) {
  Deno.test(`on the worker: ${name}`, () => check(thePlace()));
}

Deno.test("on the control plane, without the proxy, an unsigned pod runs", async () => {
  await runs(thePlace(), podOn(CONTROL_PLANE, thePlace(), "kind-open"));
});

Deno.test("every pod of the system on the worker is signed and runs", async () => {
  const pods = await list(["pods", "-A", `--field-selector=spec.nodeName=${WORKER}`]);
  const system = pods.filter((pod) => textAt(pod, "metadata", "namespace") !== NAMESPACE);
  const names = system.map((pod) => textAt(pod, "metadata", "name") ?? "");
  for (const daemonSet of ["kindnet-", "kube-proxy-"]) {
    assert.ok(
      names.some((name) => name.startsWith(daemonSet)),
      `${daemonSet}… is not among ${names.join(" ")}`,
    );
  }
  for (const pod of system) {
    const name = textAt(pod, "metadata", "name");
    assert.ok(textAt(pod, "metadata", "annotations", "kubelet-proxy.io/signature"), `${name} is signed`);
    assert.equal(textAt(pod, "status", "phase"), "Running", name);
  }
});
