/**
 * The program as a process, with the permissions that a launcher gives it.
 *
 * @module
 */
import assert from "node:assert/strict";
import https from "node:https";
import { type TestPki, testPki, until } from "./fixture_test.ts";

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const CONFIG = new URL("../deno.json", import.meta.url).pathname;

interface Seen {
  method: string;
  url: string;
  headers: Record<string, unknown>;
}

/** An API server that has no pods, and a folder with all files of a node. */
async function node(
  test: (setting: { folder: string; pki: TestPki; seen: Seen[]; open: () => number }) => Promise<void>,
): Promise<void> {
  const pki = await testPki();
  const folder = await Deno.makeTempDir();
  const seen: Seen[] = [];
  let open = 0;
  const server = https.createServer({
    cert: pki.server.certificate,
    key: pki.server.key,
    ca: pki.authority.certificate,
    requestCert: true,
    rejectUnauthorized: true,
  }, (request, response) => {
    const url = request.url ?? "";
    seen.push({ method: request.method ?? "", url, headers: request.headers });
    response.writeHead(200, { "content-type": "application/json" });
    if (url.includes("watch=true")) {
      open++;
      response.on("close", () => open--);
      response.flushHeaders();
    } else if (url.startsWith("/api/v1/pods")) {
      response.end('{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[]}');
    } else {
      response.end('{"answer":true}');
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === "object");
  const write = (name: string, text: string) => Deno.writeTextFile(`${folder}/${name}`, text);
  const kubeconfig = (cluster: Record<string, unknown>) =>
    JSON.stringify({
      "current-context": "x",
      contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
      clusters: [{ name: "x", cluster: { server: `https://127.0.0.1:${bound.port}`, ...cluster } }],
      users: [{ name: "x", user: { "client-certificate": "node.pem", "client-key": "node.pem" } }],
    });
  await write("kubeconfig", kubeconfig({ "certificate-authority": "ca.pem" }));
  await write("insecure", kubeconfig({ "insecure-skip-tls-verify": true }));
  await write("ca.pem", pki.authority.certificate);
  await write("node.pem", pki.node.certificate + pki.node.key);
  await write("server.pem", pki.server.certificate);
  await write("server.key", pki.server.key);
  try {
    await test({ folder, pki, seen, open: () => open });
  } finally {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    await Deno.remove(folder, { recursive: true });
  }
}

/** Starts the program. */
function start(
  folder: string,
  args: string[],
  env: Record<string, string> = {},
  hosts: readonly string[] = [],
) {
  const variables = "HTTP_PROXY,HTTPS_PROXY,ALL_PROXY,http_proxy,https_proxy,all_proxy";
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--unstable-no-legacy-abort",
      `--config=${CONFIG}`,
      Object.keys(env).length === 0 ? "--ignore-env" : `--allow-env=${variables}`,
      ...(Object.keys(env).length === 0 ? [] : ["--ignore-env=LOG_TOKENS,LOG_STREAM"]),
      `--allow-read=${folder}`,
      `--allow-write=${folder}/run`,
      `--allow-net=${hosts.map((host) => `${host},`).join("")}127.0.0.1,[::],0.0.0.0,${
        ["http.sock", "upstream.sock", "other/http.sock"].map((name) => `unix:${folder}/run/${name}`).join(
          ",",
        )
      }`,
      MAIN,
      "--log-format=json",
      ...[`--runtime-dir=${folder}/run`, "--listen-addr=127.0.0.1:0"].filter((standard) =>
        !args.some((arg) => arg.split("=")[0] === standard.split("=")[0])
      ),
      ...args,
    ],
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = { lines: [] as string[], stdout: "" };
  const reading = Promise.all([
    (async () => {
      let rest = "";
      for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        output.lines.push(...lines);
      }
    })(),
    (async () => {
      output.stdout = await new Response(child.stdout).text();
    })(),
  ]);
  return {
    output,
    kill: (signal: Deno.Signal) => child.kill(signal),
    async status(): Promise<number> {
      const { code } = await child.status;
      await reading;
      return code;
    },
    /** Where it listens. */
    async address(): Promise<string> {
      const find = () => output.lines.map(parse).find((line) => line["event"] === "listening")?.["address"];
      await until(() => typeof find() === "string" || output.lines.some((line) => line.startsWith("error")));
      return String(find());
    },
  };
}

function parse(line: string): Record<string, unknown> {
  const value: unknown = line.startsWith("{") ? JSON.parse(line) : {};
  return Object.fromEntries(Object.entries(value ?? {}));
}

const GOOD = (folder: string) => [
  `--kubeconfig=${folder}/kubeconfig`,
  `--tls-cert=${folder}/server.pem`,
  `--tls-key=${folder}/server.key`,
  `--client-ca=${folder}/ca.pem`,
  `--signature-verification-cert=${folder}/server.pem`,
];

function client({ authority, node: { certificate, key } }: TestPki): Deno.HttpClient {
  return Deno.createHttpClient({ caCerts: [authority.certificate], cert: certificate, key });
}

Deno.test("--version and --help", async () => {
  await node(async ({ folder }) => {
    const version = start(folder, ["--version"]);
    assert.equal(await version.status(), 0);
    assert.equal(version.output.stdout, "kubelet-proxy 0.1.0\n");
    assert.deepEqual(version.output.lines, []);
  });
});

Deno.test("refuses to start with anything wrong, and says all of it", async () => {
  await node(async ({ folder }) => {
    const program = start(folder, [
      "--nope",
      "--kubeconfig=/gone",
      "--mode=x",
      `--tls-cert=${folder}/ca.pem`,
      `--tls-key=${folder}/server.key`,
    ]);
    assert.equal(await program.status(), 2);
    assert.deepEqual(
      program.output.lines.map((line) => line.split(" ")[1]),
      ["unknown", "--mode:", "--signature-verification-cert:", "--kubeconfig:", "--tls-cert:"],
    );
    assert.equal(program.output.stdout, "");
  });
});

Deno.test("serves, goes round a proxy in the environment, and stops cleanly with watches open", async () => {
  await node(async ({ folder, pki, seen, open }) => {
    const program = start(folder, GOOD(folder), { HTTPS_PROXY: "http://127.0.0.1:1" });
    const address = await program.address();
    using kubelet = client(pki);
    const pods = `${address}/api/v1/pods?fieldSelector=spec.nodeName%3Dworker`;
    const list = await fetch(pods, { client: kubelet });
    assert.deepEqual([list.status, (await list.json()).kind], [200, "PodList"]);
    const relayed = await fetch(`${address}/api/v1/nodes/worker`, {
      client: kubelet,
      headers: { authorization: "Bearer canary" },
    });
    assert.equal(await relayed.text(), '{"answer":true}');
    assert.equal((await fetch(`${address}/version`, { client: kubelet })).status, 403);
    const watches = await Promise.all([
      fetch(`${address}/apis/node.k8s.io/v1/runtimeclasses?watch=true`, { client: kubelet }),
      fetch(`${pods}&watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan`, {
        client: kubelet,
      }),
    ]);
    assert.equal(open(), 2);
    program.kill("SIGTERM");
    assert.deepEqual(await Promise.all(watches.map((watch) => watch.text())), ["", ""]);
    assert.equal(await program.status(), 0);
    await until(() => open() === 0);
    assert.doesNotMatch(JSON.stringify(seen), /canary/);
    assert.doesNotMatch(program.output.lines.join("\n"), /canary/);
    const events = program.output.lines.map((line) => parse(line)["event"]);
    for (
      const event of [
        "proxy-variable-ignored",
        "verification-key",
        "listening",
        "request",
        "stopping",
        "stopped",
      ]
    ) {
      assert.ok(events.includes(event), event);
    }
    assert.equal(
      program.output.lines.every((line) => line.startsWith("{")),
      true,
      program.output.lines.join("\n"),
    );
  });
});

Deno.test("refuses a folder or an address that another one uses; takes over from one that was killed", async () => {
  await node(async ({ folder, pki }) => {
    const first = start(folder, GOOD(folder));
    const address = await first.address();
    const second = start(folder, [...GOOD(folder).slice(0, -1), "--mode=audit"]);
    assert.equal(await second.status(), 2);
    assert.match(second.output.lines.join("\n"), /--runtime-dir: .* in use/);
    const busy = start(folder, [
      ...GOOD(folder),
      `--runtime-dir=${folder}/run/other`,
      `--listen-addr=${new URL(address).host}`,
    ]);
    assert.equal(await busy.status(), 2);
    assert.deepEqual(busy.output.lines.map((line) => line.split(" ")[1]), ["--listen-addr:"]);
    first.kill("SIGKILL");
    await first.status();
    const third = start(folder, [...GOOD(folder), "--listen-addr=:0"]);
    const { port } = new URL(await third.address());
    using kubelet = client(pki);
    const response = await fetch(`https://127.0.0.1:${port}/api/v1/nodes/worker`, { client: kubelet });
    assert.deepEqual([response.status, await response.json()], [200, { answer: true }]);
    third.kill("SIGINT");
    assert.equal(await third.status(), 0);
  });
});

Deno.test("insecure-skip-tls-verify is obeyed with a warning", async () => {
  await node(async ({ folder, pki }) => {
    const program = start(folder, [
      ...GOOD(folder).slice(1),
      `--kubeconfig=${folder}/insecure`,
      "--log-pod-payloads",
    ]);
    using kubelet = client(pki);
    const response = await fetch(`${await program.address()}/api/v1/nodes/worker`, { client: kubelet });
    assert.deepEqual([response.status, await response.json()], [200, { answer: true }]);
    program.kill("SIGTERM");
    assert.equal(await program.status(), 0);
    const warnings = program.output.lines.map(parse).filter(({ event }) => event === "insecure-setting");
    assert.match(String(warnings[0]?.["message"]), /insecure-skip-tls-verify/);
  });
});

Deno.test("refuses to start on an address that it may not, or cannot, listen on", async () => {
  await node(async ({ folder }) => {
    // Not among the permissions, and not of this machine (RFC 5737).
    const forbidden = start(folder, [...GOOD(folder), "--listen-addr=192.0.2.1:1"]);
    assert.equal(await forbidden.status(), 2);
    assert.match(forbidden.output.lines.join("\n"), /--listen-addr: .*permission to listen/);
    const absent = start(folder, [...GOOD(folder), "--listen-addr=192.0.2.1:1"], {}, ["192.0.2.1:1"]);
    assert.equal(await absent.status(), 2);
    assert.match(absent.output.lines.join("\n"), /--listen-addr: .*cannot be listened on/);
  });
});

Deno.test("refuses to start over a socket that is none, or a ledger that cannot be read", async () => {
  await node(async ({ folder }) => {
    await Deno.mkdir(`${folder}/run/http.sock/full`, { recursive: true });
    const blocked = start(folder, GOOD(folder));
    assert.equal(await blocked.status(), 2);
    assert.match(blocked.output.lines.join("\n"), /--runtime-dir: .*http\.sock/);
    await Deno.remove(`${folder}/run/http.sock`, { recursive: true });
    await Deno.mkdir(`${folder}/run/ledger.jsonl`);
    const failed = start(folder, GOOD(folder));
    assert.equal(await failed.status(), 1);
    assert.deepEqual(failed.output.lines.map((line) => parse(line)["event"]), ["start-failed"]);
  });
});
