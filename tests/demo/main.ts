/**
 * The whole story on one machine in under a minute, without Kubernetes: `make demo`.
 *
 * signing-server, podsign and kubelet-proxy are the real programs, as processes of their own. The API server and the
 * kubelet are the stand-ins of tests/fakes; so are the controllers. Each step says what the owner, the attacker and the
 * node see, and fails if they see anything else.
 */
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { FakeApiServer } from "../fakes/api_server.ts";
import { podsOf } from "../fakes/controllers.ts";
import { FakeKubelet } from "../fakes/kubelet.ts";

const NODE_NAME = "demo-node";
const NAMESPACE = "shop";
const DEADLINE_MS = 20_000;
const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
const EXAMPLES = ["deployment", "statefulset", "indexed-job"];

/** What the owner leaves to the cluster: the database's password and volume. */
const PERMISSIONS: Readonly<Record<string, readonly string[]>> = {
  statefulset: ["--allow", "mutable-secret=db", "--allow", "claim=data"],
};

const colour = Deno.stdout.isTerminal() && Deno.env.get("NO_COLOR") === undefined;
const paint = (code: number, text: string) => colour ? `\x1b[${code}m${text}\x1b[0m` : text;

function title(text: string): void {
  console.log(`\n${paint(1, text)}`);
}

type Who = "owner" | "attacker" | "node";

function say(who: Who, text: string): void {
  const code = { owner: 32, attacker: 31, node: 36 }[who];
  for (const line of text.trimEnd().split("\n")) console.log(`  ${paint(code, who.padEnd(9))} ${line}`);
}

/** Ends the demonstration as failed if something is not as it should be. */
function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(`The demonstration went wrong: ${what}`);
}

function objectAt(object: JsonObject, ...path: string[]): JsonObject {
  let value: JsonValue | undefined = object;
  for (const key of path) value = isJsonObject(value) ? value[key] : undefined;
  return isJsonObject(value) ? value : {};
}

function nameOf(pod: JsonObject): string {
  return String(objectAt(pod, "metadata").name);
}

function namespaceOf(pod: JsonObject): string {
  return String(objectAt(pod, "metadata").namespace);
}

function firstContainer(pod: JsonObject): JsonObject {
  const { containers } = objectAt(pod, "spec");
  const first = Array.isArray(containers) ? containers[0] : undefined;
  return isJsonObject(first) ? first : {};
}

async function podsign(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(`${ROOT}/bin/podsign`, {
    args,
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`podsign ${args.join(" ")} failed:\n${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** A program in the background, and what it has said on both its outputs. */
class Program {
  output = "";
  readonly #child: Deno.ChildProcess;
  readonly #read: Promise<void>[];
  #ended = false;

  constructor(readonly name: string, args: string[]) {
    this.#child = new Deno.Command(`${ROOT}/bin/${name}`, { args, stdout: "piped", stderr: "piped" }).spawn();
    this.#read = [this.#child.stdout, this.#child.stderr].map(async (stream) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) this.output += text;
    });
    this.#child.status.then(() => this.#ended = true);
  }

  /** Waits until the program has said something, and returns the pattern's first group. */
  async said(pattern: RegExp): Promise<string> {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
      const match = pattern.exec(this.output);
      if (match !== null) return match[1] ?? match[0];
      if (this.#ended || Date.now() > deadline) {
        throw new Error(`${this.name} did not say ${pattern}; it said:\n${this.output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async stop(): Promise<void> {
    if (!this.#ended) this.#child.kill("SIGTERM");
    await this.#child.status;
    await Promise.all(this.#read);
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!condition()) {
    if (Date.now() > deadline) {
      throw new Error(`The demonstration went wrong: it never came to be that ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function messageOf(server: FakeApiServer, name: string): string {
  const { reason, message } = objectAt(server.pod(NAMESPACE, name) ?? {}, "status");
  return reason === "NodeAdmissionRejected" ? String(message) : "";
}

async function demonstrate(folder: string, programs: Program[]): Promise<void> {
  title("1. The owner has a key, on their own machine");
  const signer = new Program("signing-server", ["--listen-addr=127.0.0.1:0"]);
  programs.push(signer);
  const signingServer = await signer.said(/(http:\/\/127\.0\.0\.1:\d+)/);
  say("owner", `signing-server keeps it: ${signingServer}`);
  await Deno.writeTextFile(`${folder}/signing.pem`, await podsign("get-cert", "--server", signingServer));
  say("owner", "podsign get-cert > signing.pem");

  title("2. The node trusts that key, and not the API server");
  const server = new FakeApiServer();
  await using http = server.serve();
  const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: demo, cluster: {server: "http://127.0.0.1:${http.addr.port}"}}]
users: [{name: node, user: {}}]
contexts: [{name: demo, context: {cluster: demo, user: node}}]
current-context: demo
`;
  await Deno.writeTextFile(`${folder}/kubeconfig`, kubeconfig);
  const proxy = new Program("kubelet-proxy", [
    `--kubeconfig=${folder}/kubeconfig`,
    `--node-name=${NODE_NAME}`,
    "--listen-addr=127.0.0.1:0",
    `--signature-verification-cert=${folder}/signing.pem`,
    `--runtime-dir=${folder}/run`,
    "--log-requests=false",
  ]);
  programs.push(proxy);
  const proxyUrl = await proxy.said(/(http:\/\/127\.0\.0\.1:\d+)/);
  say("node", `kubelet-proxy verifies with signing.pem; the kubelet talks to ${proxyUrl} only`);
  const kubelet = new FakeKubelet({
    nodeName: NODE_NAME,
    fetch: (path, init) => fetch(proxyUrl + path, init),
  });
  kubelet.run();
  try {
    await until("the kubelet has its first list", () => kubelet.syncs > 0);
    await tellTheStory(server, kubelet, signingServer);
  } finally {
    await kubelet.stop();
  }
}

async function tellTheStory(
  server: FakeApiServer,
  kubelet: FakeKubelet,
  signingServer: string,
): Promise<void> {
  title("3. The owner signs three workloads; the cluster makes pods of them; the node runs them");
  const signed = new Map<string, JsonObject>();
  for (const example of EXAMPLES) {
    const file = `${ROOT}/examples/${example}.yaml`;
    const text = await podsign(
      "sign-spec",
      "--server",
      signingServer,
      ...(PERMISSIONS[example] ?? []),
      "-o",
      "json",
      file,
    );
    const workload = workloadIn(JSON.parse(text));
    signed.set(example, workload);
    say("owner", `podsign sign-spec examples/${example}.yaml: ${workload.kind} ${nameOf(workload)}`);
    for (const pod of podsOf(workload, { nodeName: NODE_NAME, namespace: NAMESPACE })) {
      server.put(pod);
      await until(
        `the kubelet has ${nameOf(pod)}`,
        () => kubelet.pod(nameOf(pod), namespaceOf(pod)) !== undefined,
      );
      say("node", `runs ${nameOf(pod)} with the image ${String(firstContainer(pod).image)}`);
    }
  }

  title("4. Whoever controls the API server tries to run something else");
  const makePod = (): JsonObject => {
    const [pod] = podsOf(signed.get("deployment") ?? {}, { nodeName: NODE_NAME, namespace: NAMESPACE });
    if (pod === undefined) throw new Error("The Deployment made no pod");
    return pod;
  };
  const attacks: [string, (pod: JsonObject) => void][] = [
    ["takes the signature off", (pod) => {
      objectAt(pod, "metadata").annotations = {};
    }],
    ["puts another image in", (pod) => {
      firstContainer(pod).image = "evil.example/miner:1";
    }],
    ["adds an argument", (pod) => {
      firstContainer(pod).args = ["--send-keys-to=evil.example"];
    }],
    ["mounts the node's disk", (pod) => {
      const spec = objectAt(pod, "spec");
      spec.volumes = [...(Array.isArray(spec.volumes) ? spec.volumes : []), {
        name: "disk",
        hostPath: { path: "/" },
      }];
    }],
    ["adds a container", (pod) => {
      const spec = objectAt(pod, "spec");
      const containers = Array.isArray(spec.containers) ? spec.containers : [];
      spec.containers = [...containers, { name: "spy", image: "evil.example/spy:1" }];
    }],
    ["moves it to another namespace", (pod) => {
      objectAt(pod, "metadata").namespace = "elsewhere";
    }],
  ];
  for (const [what, alter] of attacks) {
    const pod = makePod();
    alter(pod);
    // Bare pods are refused at once; a controller's are spaced out.
    delete objectAt(pod, "metadata").ownerReferences;
    const namespace = namespaceOf(pod);
    const name = nameOf(pod);
    server.put(pod);
    const status = () => objectAt(server.pod(namespace, name) ?? {}, "status");
    await until(`${name} is refused`, () => status().phase === "Failed");
    say("attacker", what);
    say("node", String(status().message));
    expect(status().reason === "NodeAdmissionRejected", `${name} has the reason ${String(status().reason)}`);
    expect(kubelet.pod(name, namespace) === undefined, `the kubelet has ${name}`);
    expect(!kubelet.told.some(({ object }) => nameOf(object) === name), `the kubelet was told of ${name}`);
  }

  title("5. A pod that runs is altered: it is stopped, and the new image never runs");
  const victim = makePod();
  const name = nameOf(victim);
  const uid = String(objectAt(victim, "metadata").uid);
  server.put(victim);
  await until(`the kubelet has ${name}`, () => kubelet.pod(name, NAMESPACE) !== undefined);
  server.change(NAMESPACE, name, (pod) => {
    const altered = structuredClone(pod);
    firstContainer(altered).image = "evil.example/miner:1";
    return altered;
  });
  say("attacker", `kubectl set image pod/${name} …=evil.example/miner:1`);
  await until(
    `the kubelet is told to stop ${name}`,
    () => objectAt(kubelet.pod(name, NAMESPACE) ?? {}, "metadata").deletionTimestamp !== undefined,
  );
  say("node", `ends the containers of ${name}, with the spec that was signed`);
  await (await kubelet.report(name, { phase: "Failed" }, NAMESPACE)).body?.cancel();
  await until(`the API server knows why ${name} ended`, () => messageOf(server, name) !== "");
  say("node", messageOf(server, name));
  await until(`the kubelet has forgotten ${name}`, () => kubelet.pod(name, NAMESPACE) === undefined);
  const images = [...kubelet.images.get(uid) ?? []];
  expect(!images.includes("evil.example/miner:1"), "the kubelet was shown the new image");

  title("6. What the kubelet was ever told of");
  const seen = new Set([...kubelet.images.values()].flatMap((found) => [...found]));
  for (const image of seen) say("node", image);
  expect([...seen].every((image) => !image.includes("evil")), "an image that nobody signed was shown");
  console.log(
    `\n${
      paint(1, "Nothing ran that its owner did not sign.")
    } The same on a real Kubernetes: make demo-cluster`,
  );
}

/** The document that is a workload: examples may hold Services beside it. */
function workloadIn(value: JsonValue): JsonObject {
  const documents = isJsonObject(value) && Array.isArray(value.items) ? value.items : [value];
  for (const document of documents) {
    if (isJsonObject(document) && isJsonObject(document.spec) && document.kind !== "Service") return document;
  }
  throw new Error("podsign printed no workload");
}

const folder = await Deno.makeTempDir({ prefix: "signed-pods-demo-" });
const programs: Program[] = [];
try {
  await demonstrate(folder, programs);
} catch (error) {
  for (const program of programs) console.error(`\n--- ${program.name} said:\n${program.output}`);
  console.error(error instanceof Error ? error.message : error);
  Deno.exitCode = 1;
} finally {
  for (const program of programs.reverse()) await program.stop();
  await Deno.remove(folder, { recursive: true });
}
