/**
 * The kubelet's own API, port 10250: what the cluster may do there, asked with kubectl and by clients that talk to the port
 * themselves with the API server's own certificate.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { type Cluster, NODE_NAME } from "./cluster.ts";
import { textAt } from "./json.ts";
import { NODE_ADDRESS } from "./network.ts";
import { type CommandResult, run } from "./programs.ts";
import { done, notYet, until } from "./wait.ts";
import { pod, serviceSpec } from "./workloads.ts";

/** Says something new five times a second, and repeats what it is told. */
const TALKER_SCRIPT = `trap 'exit 0' TERM
n=0
while :; do echo "line $n"; n=$((n+1)); sleep 0.2; done`;

/** Answers on port 8080, one connection after the other, with what it gets. */
const ECHO_SCRIPT = `trap 'exit 0' TERM
while :; do busybox nc -l -p 8080 -e /bin/busybox cat & wait $!; done`;

const TALKER = "talker";
const ECHO = "echo";
const PORT = 10250;

/** What the tests need of their suite. */
export interface NodeApiSuite {
  namespace: string;
  /** Declares a test that needs the proxy. */
  test: (name: string, body: (cluster: Cluster) => Promise<void>) => void;
  /** Signs and creates a manifest. */
  create: (manifest: JsonObject) => Promise<JsonObject>;
  isReady: (pod: JsonObject) => boolean;
}

/** Declares the tests. They leave the cluster as they found it, with the front and its default words. */
export function nodeApiTests({ namespace, test, create, isReady }: NodeApiSuite): void {
  /** The pods that are asked for logs and more. */
  async function startPods(cluster: Cluster): Promise<void> {
    const image = cluster.images.app;
    const scripts = [[TALKER, TALKER_SCRIPT], [ECHO, ECHO_SCRIPT]] as const;
    await Promise.all(scripts.map(async ([name, script]) => {
      await create(pod(namespace, name, serviceSpec(image, script)));
      await cluster.untilPod(namespace, name, "is Ready", isReady);
    }));
  }

  const inPod = (
    name: string,
    command: string,
    ...more: string[]
  ) => [command, "-n", namespace, name, ...more];

  /** What kubectl does to a pod beyond reading, and what is refused by that name. */
  const intrusions: [word: string, args: string[]][] = [
    ["exec", inPod(TALKER, "exec", "--", "echo", "intruder")],
    ["attach", inPod(TALKER, "attach")],
    ["port-forward", inPod(ECHO, "port-forward", ":8080")],
  ];

  /** Paths at the port itself: how the API server asks for the same, for debug's attach, and for run. */
  const streams: [word: string, path: string][] = [
    ["exec", `/exec/${namespace}/${TALKER}/app?command=id&output=1&error=1`],
    ["attach", `/attach/${namespace}/${TALKER}/app?output=1&error=1`],
    ["attach", `/attach/${namespace}/${TALKER}/debugger?input=1&output=1&tty=1`],
    ["port-forward", `/portForward/${namespace}/${ECHO}?port=8080`],
    ["all", `/run/${namespace}/${TALKER}/app?cmd=id`],
  ];

  /** Asks the port itself, with a certificate of the cluster or a token. */
  function curl(cluster: Cluster, path: string, args: string[] = [], who = "kube-apiserver-kubelet-client") {
    const pki = `${cluster.options.runDir}/pki`;
    const shown = who === "" ? [] : ["--cert", `${pki}/${who}.crt`, "--key", `${pki}/${who}.key`];
    return cluster.attemptInNetwork("curl", [
      "--silent",
      "--show-error",
      "--include",
      "--http1.1",
      "--max-time",
      "10",
      "--cacert",
      `${pki}/cluster-ca.crt`,
      ...shown,
      ...args,
      `https://${NODE_ADDRESS}:${PORT}${path}`,
    ]);
  }

  const WEBSOCKET = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: c2lnbmVkLXBvZHMtdGVzdA==",
    "Sec-WebSocket-Protocol: v5.channel.k8s.io",
  ].flatMap((header) => ["--header", header]);
  const SPDY = [
    ...["Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io"]
      .flatMap((header) => ["--header", header]),
    "--request",
    "POST",
  ];

  /** Asks the port for a stream in both ways that Kubernetes has. */
  async function askForStreams(
    cluster: Cluster,
    path: string,
  ): Promise<[way: string, answer: CommandResult][]> {
    return [
      ["GET WebSocket", await curl(cluster, path, WEBSOCKET)],
      ["POST SPDY", await curl(cluster, path, SPDY)],
    ];
  }

  function statusOf({ stdout }: CommandResult): number {
    return Number(/^HTTP\/1\.1 ([0-9]{3})/.exec(stdout)?.[1] ?? 0);
  }

  async function assertLogs(cluster: Cluster): Promise<void> {
    // A pod that has just started has said less, and a kubelet that has just started does not know its pods.
    await cluster.until("kubectl logs shows the last three lines", async () => {
      const { stdout, stderr } = await cluster.tryKubectl(inPod(TALKER, "logs", "--tail=3"));
      return /^(?:line [0-9]+\n){3}$/.test(stdout) ? done(undefined) : notYet(stdout + stderr);
    }, 20_000);
    // Each line arrives while the container goes on, not when the answer ends: it does not end.
    const [command, args] = cluster.kubectlCommand(inPod(TALKER, "logs", "--follow", "--tail=1"));
    const child = new Deno.Command(command, { args, stdin: "null", stdout: "piped", stderr: "null" }).spawn();
    let text = "";
    const reading = (async () => {
      for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) text += chunk;
    })();
    try {
      await until("five lines have come one by one", () => {
        return text.split("\n").length > 5 ? done(undefined) : notYet(text);
      }, { timeoutMs: 20_000, explain: () => cluster.logTails() });
    } finally {
      child.kill("SIGTERM");
      await child.status;
      await reading;
    }
  }

  /**
   * The node's summary. A kubelet can leave one unanswered for ever, if a container ends while its use is measured (cadvisor's
   * `OnDemandHousekeeping` in `manager/container.go` then waits for a loop that has ended); one that comes beside it may be
   * answered. It is asked again only if the kubelet's own count says that it is still at work on it, although nobody is
   * connected for it any more: so it was not what this project puts before the kubelet, or answers for it.
   */
  async function readSummary(cluster: Cluster, path: string, front: boolean): Promise<string> {
    const past = front ? ["--connect-to", `::127.0.0.1:${PORT}`] : [];
    const identity = front ? "kubelet-proxy-front" : undefined;
    const { code, stdout, stderr, metrics } = await cluster.until(
      "the node's summary is answered",
      async () => {
        const asked = await cluster.tryKubectl(["get", "--raw", path], { timeoutMs: 20_000 });
        if (asked.code === 0) return done({ ...asked, metrics: "" });
        const metrics = (await curl(cluster, "/metrics", past, identity)).stdout;
        if (!/^kubelet_http_inflight_requests\{[^}]*path="stats"[^}]*\} [1-9]/m.test(metrics)) {
          return done({ ...asked, metrics });
        }
        console.log(
          `The kubelet is still at work on /stats/summary (exit code ${asked.code}); asked again. ${asked.stderr}`,
        );
        return notYet(asked.stderr);
      },
      120_000,
    );
    assert.equal(
      code,
      0,
      `/stats/summary is not answered, and the kubelet is not at work on it: ${stderr}; ${
        metrics.match(/^(HTTP\/.*|kubelet_http_inflight_requests.*)$/gm)?.join("; ") ?? "without metrics"
      }`,
    );
    return stdout;
  }

  async function assertMetricsAndStats(cluster: Cluster, front: boolean): Promise<void> {
    const node = `/api/v1/nodes/${NODE_NAME}/proxy`;
    // The API server's own way to them is nodes/proxy towards itself, and metrics and stats towards the kubelet.
    assert.match(await cluster.kubectl(["get", "--raw", `${node}/metrics`]), /^kubelet_running_pods /m);
    assert.match(await cluster.kubectl(["get", "--raw", `${node}/metrics/cadvisor`]), /^container_/m);
    assert.match(
      await cluster.kubectl(["get", "--raw", `${node}/metrics/resource`]),
      /^node_cpu_usage_seconds_total/m,
    );
    const text = await readSummary(cluster, `${node}/stats/summary`, front);
    const summary = JSON.parse(text);
    assert.equal(summary.node.nodeName, NODE_NAME);
    assert.ok(summary.pods.length > 0);
    assert.equal((await cluster.kubectl(["get", "--raw", `${node}/healthz`])).trim(), "ok");
    for (const path of ["/metrics", "/stats/summary", "/healthz"]) {
      assert.equal(statusOf(await curl(cluster, path)), 200, path);
    }
  }

  /** The message of the front, as the API server passes it on. */
  const refusal = (word: string) =>
    new RegExp(`node "${NODE_NAME}" does not open .*--node-api-access=${word} there would`);

  async function restart(
    cluster: Cluster,
    args: string[],
    front: boolean,
  ): Promise<void> {
    await cluster.program("kubelet-proxy").stop();
    await cluster.program("kubelet").stop();
    await cluster.startProxy(args, { front });
    await cluster.startKubelet({ front });
    await cluster.untilNodeReady(new Date());
  }

  // ---- the front, with its default words

  test("kubectl logs and logs --follow work through the front", async (cluster) => {
    await startPods(cluster);
    await assertLogs(cluster);
  });

  test("metrics and stats work through the front", (cluster) => assertMetricsAndStats(cluster, true));

  test("refuses exec, attach and port-forward by kubectl, which shows what, where and which flag would allow it", async (cluster) => {
    for (const [word, args] of intrusions) {
      const { code, stdout, stderr } = await cluster.tryKubectl(args, { timeoutMs: 30_000 });
      assert.notEqual(code, 0, word);
      assert.match(stdout + stderr, refusal(word), word);
      assert.doesNotMatch(stdout, /intruder/);
    }
  });

  test("refuses exec, attach, debug's attach, port-forward and run to a client with the API server's own certificate, by WebSocket and SPDY", async (cluster) => {
    for (const [word, path] of streams) {
      for (const [way, answer] of await askForStreams(cluster, path)) {
        assert.equal(statusOf(answer), 403, `${way} ${path}: ${answer.stdout}${answer.stderr}`);
        assert.match(answer.stdout, refusal(word), `${way} ${path}`);
      }
    }
    for (const path of ["/pods", "/runningpods/", "/logs/", "/configz", "/debug/pprof/goroutine"]) {
      assert.equal(statusOf(await curl(cluster, path)), 403, path);
    }
    const checkpoint = await curl(cluster, `/checkpoint/${namespace}/${TALKER}/app`, ["--request", "POST"]);
    assert.equal(statusOf(checkpoint), 403);
  });

  test("refuses clients without a credential of the cluster, also with a session begun by a certificate of their own making", async (cluster) => {
    const { runDir } = cluster.options;
    assert.equal(statusOf(await curl(cluster, "/metrics", [], "")), 401);
    assert.equal(statusOf(await curl(cluster, "/metrics", [], "kubelet-proxy-front")), 401);
    const token = ["--header", "Authorization: Bearer eyJhbGciOiJub25lIn0.e30."];
    assert.equal(statusOf(await curl(cluster, "/metrics", token, "")), 401);

    const forged = `${runDir}/forged`;
    await run("openssl", [
      ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1".split(" "),
      ...["-subj", "/O=system:masters/CN=kube-apiserver-kubelet-client"],
      ...["-keyout", `${forged}.key`, "-out", `${forged}.crt`],
    ]);
    for (const version of ["-tls1_2", "-tls1_3"]) {
      // -ign_eof waits for the answer, which ends the connection.
      const common = `-connect ${NODE_ADDRESS}:${PORT} -ign_eof ${version}`.split(" ");
      const own = ["-cert", `${forged}.crt`, "-key", `${forged}.key`, "-sess_out", `${forged}.session`];
      const stdin = "GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
      const options = { stdin, timeoutMs: 20_000 };
      const first = await cluster.attemptInNetwork("openssl", ["s_client", ...common, ...own], options);
      assert.match(first.stdout, /HTTP\/1\.1 401/);
      const resumed = ["s_client", ...common, "-sess_in", `${forged}.session`];
      const second = await cluster.attemptInNetwork("openssl", resumed, options);
      assert.match(second.stdout, /^Reused, /m, "the session was resumed");
      assert.match(second.stdout, /HTTP\/1\.1 401/);
      assert.doesNotMatch(second.stdout, /HTTP\/1\.1 200/);
    }
  });

  test("refuses the API server's certificate at the kubelet behind the front", async (cluster) => {
    const pki = `${cluster.options.runDir}/pki`;
    const who = `${pki}/kube-apiserver-kubelet-client`;
    const args = [
      "--silent",
      "--insecure",
      "--include",
      "--http1.1",
      "--cert",
      `${who}.crt`,
      "--key",
      `${who}.key`,
    ];
    const behind = await cluster.attemptInNetwork("curl", [...args, `https://127.0.0.1:${PORT}/metrics`]);
    assert.doesNotMatch(behind.stdout, /HTTP\/1\.1 200/);
  });

  test("a service account's token reads what RBAC gives it, and no more", async (cluster) => {
    await cluster.kubectl(["create", "serviceaccount", "-n", namespace, "scraper"]);
    await cluster.kubectl(["create", "clusterrole", "scraper", "--verb=get", "--resource=nodes/metrics"]);
    await cluster.kubectl([
      "create",
      "clusterrolebinding",
      "scraper",
      "--clusterrole=scraper",
      `--serviceaccount=${namespace}:scraper`,
    ]);
    const token = (await cluster.kubectl(["create", "token", "-n", namespace, "scraper"])).trim();
    const header = ["--header", `Authorization: Bearer ${token}`];
    // The API server's own view of its roles may lag behind.
    await cluster.until("the token reads metrics", async () => {
      const answer = await curl(cluster, "/metrics/resource", header, "");
      return statusOf(answer) === 200 ? done(undefined) : notYet(answer.stdout.slice(0, 500));
    });
    const stats = await curl(cluster, "/stats/summary", header, "");
    assert.equal(statusOf(stats), 403);
    assert.match(stats.stdout, /Forbidden \(user=system:serviceaccount:/);
    const logs = await Deno.readTextFile(cluster.program("kubelet-proxy").logFile);
    assert.ok(logs.includes("node-api-denied"));
    assert.ok(!logs.includes(token.slice(0, 40)), "the token is in the log");
  });

  // ---- the front, with every word

  test("exec, attach and port-forward work through the front when the flag lists them, and metrics, stats and logs still do", async (cluster) => {
    await restart(cluster, ["--node-api-access=logs,metrics,stats,pods,exec,attach,port-forward"], true);
    await assertLogs(cluster);
    await assertMetricsAndStats(cluster, true);
    assert.equal(await cluster.kubectl(inPod(TALKER, "exec", "--", "echo", "owner")), "owner\n");
    // Two megabytes each way, as cp does.
    const bytes = crypto.getRandomValues(new Uint8Array(64 * 1024));
    const stdin = Array.from({ length: 16 }, () => bytes.toHex()).join("\n");
    assert.equal(
      await cluster.kubectl(inPod(TALKER, "exec", "--stdin", "--", "busybox", "cat"), { stdin }),
      stdin,
    );
    await assertAttach(cluster);
    await assertPortForward(cluster);
    for (
      const [word, path] of streams.filter(([, path]) => path.startsWith("/exec") || path.startsWith("/run"))
    ) {
      for (const [way, answer] of await askForStreams(cluster, path)) {
        assert.equal(statusOf(answer), word === "all" ? 403 : 101, `${way} ${path}: ${answer.stdout}`);
      }
    }
    assert.equal(statusOf(await curl(cluster, "/pods")), 200);
    assert.equal(statusOf(await curl(cluster, "/configz")), 403);
  });

  async function assertAttach(cluster: Cluster): Promise<void> {
    const [command, args] = cluster.kubectlCommand(inPod(TALKER, "attach"));
    const child = new Deno.Command(command, { args, stdin: "null", stdout: "piped", stderr: "null" }).spawn();
    let text = "";
    const reading = (async () => {
      for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) text += chunk;
    })();
    try {
      await until(
        "attach shows lines",
        () => /line [0-9]+\nline/.test(text) ? done(undefined) : notYet(text),
        {
          timeoutMs: 20_000,
          explain: () => cluster.logTails(),
        },
      );
    } finally {
      child.kill("SIGTERM");
      await child.status;
      await reading;
    }
  }

  async function assertPortForward(cluster: Cluster): Promise<void> {
    const [command, args] = cluster.kubectlCommand(inPod(ECHO, "port-forward", ":8080"));
    const child = new Deno.Command(command, { args, stdin: "null", stdout: "piped", stderr: "null" }).spawn();
    let text = "";
    const reading = (async () => {
      for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) text += chunk;
    })();
    try {
      const port = await until("port-forward listens", () => {
        const found = /127\.0\.0\.1:([0-9]+) -> 8080/.exec(text)?.[1];
        return found === undefined ? notYet(text) : done(found);
      }, { timeoutMs: 20_000, explain: () => cluster.logTails() });
      await until("what is sent comes back", async () => {
        const args = ["nc", "-w", "5", "127.0.0.1", port];
        const { stdout, stderr } = await cluster.attemptInNetwork(cluster.options.busybox, args, {
          stdin: "hello\n",
        });
        return stdout === "hello\n" ? done(undefined) : notYet(stdout + stderr);
      }, { timeoutMs: 30_000, explain: () => cluster.logTails() });
    } finally {
      child.kill("SIGTERM");
      await child.status;
      await reading;
    }
  }

  // ---- the reviews alone

  test("with the reviews alone, all of nodes/proxy is refused, and metrics and stats work", async (cluster) => {
    await restart(cluster, [], false);
    await assertMetricsAndStats(cluster, false);
    const denied =
      /Forbidden \(user=kube-apiserver-kubelet-client, verb=(?:get|create), resource=nodes, subresource\(s\)=\[proxy\]\)/;
    for (const [what, args] of [["logs", inPod(TALKER, "logs", "--tail=1")], ...intrusions] as const) {
      const { code, stdout, stderr } = await cluster.tryKubectl(args, { timeoutMs: 30_000 });
      assert.notEqual(code, 0, what);
      assert.match(stdout + stderr, denied, what);
    }
    for (const [, path] of streams) {
      for (const [way, answer] of await askForStreams(cluster, path)) {
        // GET is no method of run.
        const expected = path.startsWith("/run") && way.startsWith("GET") ? [403, 404, 405] : [403];
        assert.ok(expected.includes(statusOf(answer)), `${way} ${path}: ${answer.stdout}`);
      }
    }
    for (const path of ["/pods", "/logs/", "/configz"]) {
      assert.equal(statusOf(await curl(cluster, path)), 403, path);
    }
  });

  test("with the reviews alone, all opens everything that RBAC allows", async (cluster) => {
    await cluster.program("kubelet-proxy").stop();
    await cluster.startProxy(["--node-api-access=all"], { front: false });
    // The kubelet remembers refusals for half a minute.
    await cluster.until("logs are allowed", async () => {
      const { code, stderr } = await cluster.tryKubectl(inPod(TALKER, "logs", "--tail=1"));
      return code === 0 ? done(undefined) : notYet(stderr);
    });
    await assertLogs(cluster);
    await assertMetricsAndStats(cluster, false);
    assert.equal(await cluster.kubectl(inPod(TALKER, "exec", "--", "echo", "owner")), "owner\n");
    await assertAttach(cluster);
    await assertPortForward(cluster);
    assert.equal(statusOf(await curl(cluster, "/configz")), 200);
  });

  test("the front again, and nothing has come through meanwhile", async (cluster) => {
    await restart(cluster, [], true);
    await assertLogs(cluster);
    const [[word = "", args = []] = []] = intrusions;
    const { stdout, stderr } = await cluster.tryKubectl(args, { timeoutMs: 30_000 });
    assert.match(stdout + stderr, refusal(word));
    const talker = cluster.pods.find(namespace, TALKER);
    assert.equal(textAt(talker, "status", "phase"), "Running");
  });
}
