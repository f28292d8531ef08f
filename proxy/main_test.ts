/**
 * The program as a process, with the permissions that a launcher gives it.
 *
 * @module
 */
import assert from "node:assert/strict";
import https from "node:https";
import tls from "node:tls";
import { ACCESS_REVIEWS_PATH } from "./node_api/review_request.ts";
import { issue, type TestPki, testPki, until } from "./fixture_test.ts";
import { MAX_WAITING_LOG_CHARACTERS } from "./operability/line_writer.ts";

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const CONFIG = new URL("../deno.json", import.meta.url).pathname;

interface Seen {
  /** DER of the client certificate, hexadecimal. */
  client: string;
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
    const client = request.socket instanceof tls.TLSSocket
      ? new Uint8Array(request.socket.getPeerCertificate().raw).toHex()
      : "";
    seen.push({ client, method: request.method ?? "", url, headers: request.headers });
    response.writeHead(200, { "content-type": "application/json" });
    if (url.includes("watch=true")) {
      open++;
      response.on("close", () => open--);
      response.flushHeaders();
    } else if (url.startsWith("/api/v1/pods")) {
      response.end('{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[]}');
    } else if (url === ACCESS_REVIEWS_PATH) {
      response.end(
        '{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":true}}',
      );
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

/** A request that is relayed, whatever its answer. */
const LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/worker";

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
      `--allow-run=${folder}/plugin`,
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
  const output = { lines: [] as string[], stdout: "", readOn: Promise.resolve() };
  const reading = Promise.all([
    (async () => {
      let rest = "";
      for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        output.lines.push(...lines);
        await output.readOn;
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

/** Puts a file in the place of another, as renewals do. */
async function replaceFile(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${path}.new`, text);
  await Deno.rename(`${path}.new`, path);
}

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
    await assert.rejects(Deno.stat(`${folder}/run`), Deno.errors.NotFound, "it leaves nothing behind");
    await Deno.mkdir(`${folder}/run`, { mode: 0o700 });
    assert.equal(await start(folder, ["--kubeconfig=/gone", "--mode=audit"]).status(), 2);
    assert.ok((await Deno.stat(`${folder}/run`)).isDirectory, "what was there stays");
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
    const relayed = await fetch(`${address}${LEASE}`, {
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

Deno.test("a log that nobody reads stops nothing; what finds no room is counted and told when it is read again", async () => {
  await node(async ({ folder, pki }) => {
    const program = start(folder, [...GOOD(folder), "--metrics-addr=127.0.0.1:0"]);
    const address = await program.address();
    const metrics = program.output.lines.map(parse).find(({ event }) => event === "operability-listening");
    using kubelet = client(pki);
    const reading = Promise.withResolvers<void>();
    program.output.readOn = reading.promise;
    // A pipe holds 64 KiB, the proxy a MiB. A refused request has two lines, each as long as the path.
    const path = `/${"x".repeat(2_000)}`;
    const requests = Math.ceil(MAX_WAITING_LOG_CHARACTERS / path.length);
    for (let count = 0; count < requests; count++) {
      const { status, body } = await fetch(address + path, { client: kubelet });
      assert.equal(status, 403);
      await body?.cancel();
    }
    const text = await (await fetch(`${metrics?.["address"]}/metrics`)).text();
    const lost = Number(/^kubelet_proxy_log_lines_lost_total (\d+)$/m.exec(text)?.[1]);
    assert.ok(lost > 0, `${lost} lines of ${requests} requests were lost`);
    reading.resolve();
    const told = () => program.output.lines.map(parse).find(({ event }) => event === "log-lines-lost");
    await until(() => told() !== undefined);
    assert.equal(told()?.["lost"], lost);
    program.kill("SIGTERM");
    assert.equal(await program.status(), 0);
    const { lines } = program.output;
    assert.equal(parse(lines.at(-1) ?? "")["event"], "stopped");
    assert.equal(lines.filter((line) => line.includes(path)).length + lost, 2 * requests);
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
    const watched = start(folder, [
      ...GOOD(folder),
      `--runtime-dir=${folder}/run/other`,
      `--metrics-addr=${new URL(address).host}`,
    ]);
    assert.equal(await watched.status(), 2);
    assert.deepEqual(watched.output.lines.map((line) => line.split(" ")[1]), ["--metrics-addr:"]);
    await assert.rejects(Deno.stat(`${folder}/run/other`), Deno.errors.NotFound);
    first.kill("SIGKILL");
    await first.status();
    const third = start(folder, [...GOOD(folder), "--listen-addr=:0"]);
    const { port } = new URL(await third.address());
    using kubelet = client(pki);
    const response = await fetch(`https://127.0.0.1:${port}${LEASE}`, { client: kubelet });
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
    const response = await fetch(`${await program.address()}${LEASE}`, { client: kubelet });
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

Deno.test("stands before the kubelet's own API, and refuses to start with one that can be gone round", async () => {
  await node(async ({ folder, pki, seen }) => {
    const nodeAuthority = await issue({ commonName: "node authority", authority: true });
    const kubeletServer = await issue({ commonName: "kubelet", issuer: nodeAuthority, names: ["worker"] });
    const front = await issue({ commonName: "front", issuer: nodeAuthority });
    const kubelet = https.createServer({
      cert: kubeletServer.certificate,
      key: kubeletServer.key,
      ca: nodeAuthority.certificate,
      requestCert: true,
      rejectUnauthorized: true,
    }, (_request, response) => void response.end("metrics of the kubelet"));
    await new Promise<void>((resolve) => kubelet.listen(0, "127.0.0.1", () => resolve()));
    const bound = kubelet.address();
    assert.ok(bound !== null && typeof bound === "object");
    const write = (name: string, text: string) => Deno.writeTextFile(`${folder}/${name}`, text);
    await write("node-ca.pem", nodeAuthority.certificate);
    await write("front.pem", front.certificate + front.key);
    const config = (address: string) =>
      `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: ${address}
port: ${bound.port}
authentication:
  x509:
    clientCAFile: node-ca.pem
`;
    await write("kubelet.yaml", config("127.0.0.1"));
    const args = [
      ...GOOD(folder),
      "--kubelet-api-listen=127.0.0.1:0",
      `--kubelet-api-tls-cert=${folder}/server.pem`,
      `--kubelet-api-tls-key=${folder}/server.key`,
      `--kubelet-api-client-ca=${folder}/ca.pem`,
      `--kubelet-api-server=https://127.0.0.1:${bound.port}`,
      `--kubelet-certificate-authority=${folder}/node-ca.pem`,
      `--kubelet-client-certificate=${folder}/front.pem`,
      `--kubelet-client-key=${folder}/front.pem`,
      `--kubelet-config=${folder}/kubelet.yaml`,
    ];
    try {
      const program = start(folder, args);
      await program.address();
      const lines = program.output.lines.map(parse);
      const address = String(lines.find(({ event }) => event === "node-api-listening")?.["address"]);
      using cluster = client(pki);
      const metrics = await fetch(`${address}/metrics`, { client: cluster });
      assert.deepEqual([metrics.status, await metrics.text()], [200, "metrics of the kubelet"]);
      const exec = await fetch(`${address}/exec/a/b/c?command=canary`, { client: cluster });
      assert.equal(exec.status, 403);
      assert.match(await exec.text(), /node "worker" does not open exec .*--node-api-access=exec/);
      assert.equal(seen.filter(({ url }) => url === ACCESS_REVIEWS_PATH).length, 1);
      // The kubelet asks whether the front may; nobody above is asked about that.
      const review = await fetch(`${await program.address()}${ACCESS_REVIEWS_PATH}`, {
        client: cluster,
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          apiVersion: "authorization.k8s.io/v1",
          kind: "SubjectAccessReview",
          spec: {
            user: "front",
            resourceAttributes: { verb: "create", resource: "nodes", subresource: "proxy" },
          },
        }),
      });
      assert.deepEqual((await review.json()).status, { allowed: true });
      assert.equal(seen.filter(({ url }) => url === ACCESS_REVIEWS_PATH).length, 1);
      program.kill("SIGTERM");
      assert.equal(await program.status(), 0);
      assert.doesNotMatch(program.output.lines.join("\n"), /canary/);

      await write("kubelet.yaml", config("0.0.0.0"));
      const refused = start(folder, args);
      assert.equal(await refused.status(), 2);
      assert.match(refused.output.lines.join("\n"), /^kubelet-proxy: --kubelet-config: .*address: /);
    } finally {
      kubelet.closeAllConnections();
      await new Promise<void>((resolve) => kubelet.close(() => resolve()));
    }
  });
});

Deno.test("every certificate and key is renewed under load and under a watch, without a failed request", async () => {
  await node(async ({ folder, pki, seen, open }) => {
    // The kubelet's way: the kubeconfig names a symbolic link that is turned.
    await Deno.rename(`${folder}/node.pem`, `${folder}/node-1.pem`);
    await Deno.symlink("node-1.pem", `${folder}/node.pem`);
    await Deno.mkdir(`${folder}/trust`);
    await Deno.writeTextFile(`${folder}/trust/1.pem`, pki.node.certificate);
    const program = start(folder, [
      ...GOOD(folder).slice(0, -1),
      `--signature-verification-cert=${folder}/trust`,
    ]);
    const address = await program.address();
    const logged = (event: string, files?: string) =>
      program.output.lines.map(parse).filter((line) =>
        line["event"] === event && (files === undefined || line["files"] === files)
      );
    const authority = await issue({ commonName: "next authority", authority: true });
    using kubelet = Deno.createHttpClient({
      caCerts: [pki.authority.certificate, authority.certificate],
      cert: pki.node.certificate,
      key: pki.node.key,
    });
    const watch = await fetch(`${address}/apis/node.k8s.io/v1/runtimeclasses?watch=true`, {
      client: kubelet,
    });
    let ended = false;
    const end = () => void (ended = true);
    const watching = watch.text().then(end, end);
    const failures: unknown[] = [];
    let requests = 0;
    let loading = true;
    const load = Promise.all([0, 1, 2].map(async () => {
      while (loading) {
        try {
          const response = await fetch(`${address}${LEASE}`, { client: kubelet });
          if (!response.ok || await response.text() !== '{"answer":true}') failures.push(response.status);
        } catch (error) {
          failures.push(error);
        }
        requests++;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }));

    const renewed = await issue({ commonName: "system:node:worker", issuer: pki.authority });
    await Deno.writeTextFile(`${folder}/node-2.pem`, renewed.certificate + renewed.key);
    await Deno.symlink("node-2.pem", `${folder}/node.pem.new`);
    await Deno.rename(`${folder}/node.pem.new`, `${folder}/node.pem`);
    const server = await issue({ commonName: "next", issuer: authority, addresses: [[127, 0, 0, 1]] });
    await replaceFile(`${folder}/server.key`, server.key);
    await replaceFile(`${folder}/server.pem`, server.certificate);
    await replaceFile(`${folder}/ca.pem`, pki.authority.certificate + authority.certificate);
    await Deno.mkdir(`${folder}/trust/revoked`);
    await replaceFile(`${folder}/trust/2.pem`, pki.server.certificate);
    await Deno.rename(`${folder}/trust/1.pem`, `${folder}/trust/revoked/1.pem`);
    for (const files of ["credentials", "serving-certificate", "verification-keys"]) {
      await until(() => logged("files-reloaded", files).length === 1);
    }
    assert.equal(logged("verification-key-revoked").length, 1);

    // Written in place, and cut off: what is in force stays.
    await Deno.writeTextFile(`${folder}/server.pem`, server.certificate.slice(0, 200));
    await Deno.writeTextFile(`${folder}/node-2.pem`, "");
    await Deno.writeTextFile(`${folder}/trust/2.pem`, "");
    for (const files of ["credentials", "serving-certificate", "verification-keys"]) {
      await until(() => logged("files-refused", files).length === 1);
    }
    const before = seen.length;
    await until(() => seen.length > before + 20);
    loading = false;
    await load;
    assert.deepEqual(failures, []);
    assert.ok(requests > 100, `${requests} requests`);
    assert.deepEqual([ended, open()], [false, 1], "the watch goes on");
    const client = renewed.der.toHex();
    assert.ok(seen.some(({ client: shown }) => shown === client), "new requests show the new certificate");
    assert.doesNotMatch(program.output.lines.join("\n"), /PRIVATE KEY/);
    program.kill("SIGTERM");
    assert.equal(await program.status(), 0);
    await watching;
  });
});

Deno.test("a dead API server of two is left, and taken back; watches on the other go on", async () => {
  await node(async ({ folder, pki, open }) => {
    const first = https.createServer(
      { cert: pki.server.certificate, key: pki.server.key },
      (_request, response) => {
        response.end('{"first":true}');
      },
    );
    const listen = (port: number) =>
      new Promise<number>((resolve) => {
        first.listen(port, "127.0.0.1", () => {
          const bound = first.address();
          resolve(bound !== null && typeof bound === "object" ? bound.port : 0);
        });
      });
    const stop = () =>
      new Promise<void>((resolve) => {
        first.close(() => resolve());
        first.closeAllConnections();
      });
    const port = await listen(0);
    const text = await Deno.readTextFile(`${folder}/kubeconfig`);
    const [second = ""] = /https:\/\/127\.0\.0\.1:\d+/.exec(text) ?? [];
    await Deno.writeTextFile(`${folder}/kubeconfig`, text.replace(second, `https://127.0.0.1:${port}`));
    const program = start(folder, [...GOOD(folder), `--server=${second}`]);
    const address = await program.address();
    using kubelet = client(pki);
    const ask = async () => await (await fetch(`${address}${LEASE}`, { client: kubelet })).text();
    assert.equal(await ask(), '{"first":true}');
    const logged = (event: string) =>
      program.output.lines.filter((line) => parse(line)["event"] === event).length;

    await stop();
    assert.equal(await ask(), '{"answer":true}', "a request that only reads is not lost");
    await until(() => logged("server-active") === 1);
    const watch = await fetch(`${address}/apis/node.k8s.io/v1/runtimeclasses?watch=true`, {
      client: kubelet,
    });
    assert.equal(open(), 1);

    await listen(port);
    await until(() => logged("server-active") === 2);
    assert.equal(await ask(), '{"first":true}');
    assert.equal(open(), 1, "the watch goes on where it is");
    program.kill("SIGTERM");
    assert.equal(await watch.text(), "");
    assert.equal(await program.status(), 0);
    await stop();
  });
});

Deno.test("a credential plugin gives the node's certificate; garbage leaves the node without one", async () => {
  await node(async ({ folder, pki, seen }) => {
    const text = await Deno.readTextFile(`${folder}/kubeconfig`);
    const exec = {
      apiVersion: "client.authentication.k8s.io/v1",
      command: "plugin",
      args: ["node"],
      env: [{ name: "ANSWER", value: `${folder}/answer` }],
      interactiveMode: "Never",
      provideClusterInfo: true,
    };
    const config = text.replace(
      /"user":\{"client[^}]*\}/,
      `"user":${JSON.stringify({ exec: { ...exec, command: "./plugin" } })}`,
    );
    await Deno.writeTextFile(`${folder}/kubeconfig`, config);
    await Deno.writeTextFile(
      `${folder}/plugin`,
      `#!/bin/sh\necho "args=$*" >&2\necho "home=\${HOME-none}" >&2\nread_all=$(cat "$ANSWER")\n` +
        `case $KUBERNETES_EXEC_INFO in *certificate-authority-data*) printf %s "$read_all";; esac\n`,
      { mode: 0o755 },
    );
    await Deno.writeTextFile(`${folder}/answer`, "garbage canary");
    const flags = [...GOOD(folder), "--node-name=worker"];
    const bad = start(folder, flags);
    using kubelet = client(pki);
    const refused = await fetch(`${await bad.address()}${LEASE}`, { client: kubelet });
    assert.equal(refused.status, 503);
    assert.doesNotMatch(await refused.text() + bad.output.lines.join(), /canary/);
    assert.equal(seen.length, 0);
    bad.kill("SIGTERM");
    assert.equal(await bad.status(), 0);

    await Deno.writeTextFile(
      `${folder}/answer`,
      JSON.stringify({
        kind: "ExecCredential",
        apiVersion: exec.apiVersion,
        status: {
          token: "canary-token",
          clientCertificateData: pki.node.certificate,
          clientKeyData: pki.node.key,
        },
      }),
    );
    const program = start(folder, flags);
    const response = await fetch(`${await program.address()}${LEASE}`, { client: kubelet });
    assert.deepEqual([response.status, await response.json()], [200, { answer: true }]);
    assert.equal(seen[0]?.client, pki.node.der.toHex());
    assert.equal(seen[0]?.headers["authorization"], "Bearer canary-token");
    program.kill("SIGTERM");
    assert.equal(await program.status(), 0);
    const output = program.output.lines.join("\n");
    assert.match(output, /args=node/);
    assert.match(output, /home=none/);
    assert.doesNotMatch(output, /canary|PRIVATE KEY/);
  });
});

Deno.test("a token that the API server does not take any more is read again, and the request repeated", async () => {
  await node(async ({ folder, pki }) => {
    let accepted = "first";
    const asked: (string | null)[] = [];
    const api = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
      const sent = request.headers.get("authorization");
      asked.push(sent);
      return sent === `Bearer ${accepted}`
        ? Response.json({ answer: true })
        : new Response("", { status: 401 });
    });
    await Deno.writeTextFile(`${folder}/token`, "first\n");
    await Deno.writeTextFile(
      `${folder}/kubeconfig`,
      JSON.stringify({
        "current-context": "x",
        contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
        clusters: [{ name: "x", cluster: { server: `http://127.0.0.1:${api.addr.port}` } }],
        users: [{ name: "x", user: { tokenFile: "token" } }],
      }),
    );
    const program = start(folder, [...GOOD(folder), "--node-name=worker"]);
    const address = await program.address();
    using kubelet = client(pki);
    const ask = async () => {
      const response = await fetch(`${address}${LEASE}`, { client: kubelet });
      await response.body?.cancel();
      return response.status;
    };
    assert.equal(await ask(), 200);
    accepted = "second";
    assert.equal(await ask(), 401, "there is no other token yet");
    await replaceFile(`${folder}/token`, "second\n");
    // Whether the timer or this request sees the new file first, no request is answered with 401 after it has settled.
    await until(() => program.output.lines.some((line) => parse(line)["event"] === "files-reloaded"));
    assert.equal(await ask(), 200);
    accepted = "third";
    await replaceFile(`${folder}/token`, "third\n");
    assert.equal(await ask(), 200, "renewed because of the 401");
    assert.deepEqual(asked.slice(-2), ["Bearer second", "Bearer third"]);
    program.kill("SIGTERM");
    assert.equal(await program.status(), 0);
    assert.doesNotMatch(program.output.lines.join("\n"), /Bearer (first|second|third)/);
    await api.shutdown();
  });
});

Deno.test("init makes a folder with permission for it alone, and says no to another's file", async () => {
  const above = await Deno.makeTempDir();
  try {
    const folder = `${above}/pki`;
    const init = async () => {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "--no-prompt", `--config=${CONFIG}`, "--ignore-env"],
          ...[`--allow-read=${folder}`, `--allow-write=${folder}`],
          ...[MAIN, "init", "--node-name=worker", `--dir=${folder}`],
        ],
      }).output();
      return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
    };
    const made = await init();
    assert.equal(made.code, 0, made.text);
    assert.equal(made.text.match(/^wrote /gm)?.length, 6, made.text);
    assert.deepEqual(await init(), { code: 0, text: `${folder} is complete; nothing to do\n` });
    await Deno.writeTextFile(`${folder}/ca.crt`, "somebody's");
    const refused = await init();
    assert.equal(refused.code, 1);
    assert.match(refused.text, /ca\.crt: is not a file of kubelet-proxy init/);
  } finally {
    await Deno.remove(above, { recursive: true });
  }
});
