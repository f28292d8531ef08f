/**
 * What changes under a running node: credentials, certificates and keys are renewed, an API server stops answering, the
 * proxy is killed or restarted. All of it happens while pods come and go, and none of it may cost the node's readiness or
 * a container.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { type Cluster, NODE_NAME, PROXY_PORT, SECOND_API_SERVER_PORT } from "./cluster.ts";
import { objectAt, parseObject, textAt } from "./json.ts";
import type { SignOptions } from "./owner.ts";
import { createAuthority, createLeaf } from "./pki.ts";
import { run } from "./programs.ts";
import { done, notYet } from "./wait.ts";
import { pod, serviceSpec } from "./workloads.ts";

/** How often the proxy is killed, and how often it is restarted while the gap is measured. */
const KILLS = 20;
const RESTARTS = 10;

/** How long the proxy runs between two kills, in milliseconds: with a start of about a second, twenty kills take a minute. */
const UPTIME_MS = 2_000;

/**
 * How long a pod may take to start or to be refused, in milliseconds. client-go waits longer before each list that follows
 * others within two minutes, up to a minute (`tools/cache/reflector.go`, NewExponentialBackoffManager): a proxy that was killed
 * twenty times is told of new pods that late.
 */
const POD_TIMEOUT_MS = 180_000;

/** What the tests need of their suite. */
export interface RotationSuite {
  namespace: string;
  /** Declares a test that needs the proxy. */
  test: (name: string, body: (cluster: Cluster) => Promise<void>) => void;
  sign: (manifest: JsonObject, options?: SignOptions) => Promise<JsonObject>;
  isReady: (pod: JsonObject) => boolean;
}

/** Declares the tests. They leave the cluster as they found it. */
export function rotationTests({ namespace, test, sign, isReady }: RotationSuite): void {
  let named = 0;
  const nameFor = (what: string) => `${what}-${++named}`;
  const uidOf = (object: JsonObject) => textAt(object, "metadata", "uid") ?? "";

  async function runPod(cluster: Cluster, name: string, options: SignOptions = {}): Promise<JsonObject> {
    await insist(cluster, await sign(pod(namespace, name, serviceSpec(cluster.images.app)), options));
    return await cluster.untilPod(namespace, name, "is Ready", isReady, POD_TIMEOUT_MS);
  }

  /** An unsigned pod, of which no container may ever be made; it comes back when it has been refused. */
  async function refuseUnsigned(cluster: Cluster): Promise<JsonObject> {
    const name = nameFor("rogue");
    await insist(cluster, pod(namespace, name, serviceSpec(cluster.images.intruder)));
    return await cluster.untilPod(namespace, name, "is Failed", isFailed, POD_TIMEOUT_MS);
  }

  const isFailed = (object: JsonObject) => textAt(object, "status", "phase") === "Failed";

  const remove = (cluster: Cluster, name: string) =>
    asked(cluster, ["delete", "pod", "-n", namespace, name, "--wait=false", "--ignore-not-found"]);

  /** Creates an object; an API server that was stopped meanwhile may have created it all the same. */
  async function insist(cluster: Cluster, manifest: JsonObject): Promise<void> {
    await asked(cluster, ["create", "-f", "-"], JSON.stringify(manifest), /AlreadyExists/);
  }

  /** Asks the API server until it answers: some of these tests restart it. */
  function asked(cluster: Cluster, args: string[], stdin?: string, fine?: RegExp): Promise<void> {
    return cluster.until(`kubectl ${args.join(" ")}`, async () => {
      const { code, stderr } = await cluster.tryKubectl(args, stdin === undefined ? {} : { stdin });
      return code === 0 || fine?.test(stderr) ? done(undefined) : notYet(stderr);
    });
  }

  /** Which containers run for a pod; a container that was restarted is another one. */
  async function runningOf(cluster: Cluster, uid: string): Promise<string[]> {
    const records = await cluster.containers.ofPod(uid);
    return records.filter(({ exitedAt }) => exitedAt === undefined).map(({ id }) => id).sort();
  }

  /** Makes a change while pods come and go and are asked for their logs, and looks at what it cost: nothing. */
  async function underLoad(cluster: Cluster, change: () => Promise<void>): Promise<void> {
    const steady = await runPod(cluster, nameFor("steady"));
    const containers = await runningOf(cluster, uidOf(steady));
    assert.equal(containers.length, 2, "a sandbox and a container");
    const since = new Date();
    const ending = new AbortController();
    const rogues: string[] = [];
    const come = async () => {
      const name = nameFor("coming");
      await runPod(cluster, name);
      assert.equal(await logsOf(cluster, name), "started\n");
      rogues.push(uidOf(await refuseUnsigned(cluster)));
      await remove(cluster, name);
    };
    const load = (async () => {
      while (!ending.signal.aborted) await come();
    })();
    // Until it is awaited, the change decides what is told first.
    load.catch(() => {});
    try {
      await change();
    } finally {
      ending.abort();
    }
    await load;
    // What comes now has gone through all that is new.
    await come();
    await cluster.untilNodeReady(new Date());
    assert.deepEqual(cluster.readinessSince(since).filter(({ status }) => status !== "True"), []);
    assert.deepEqual(await runningOf(cluster, uidOf(steady)), containers, "no container was restarted");
    for (const uid of rogues) {
      assert.deepEqual(await cluster.containers.ofPod(uid), [], "an unsigned pod had a container");
    }
    await remove(cluster, textAt(steady, "metadata", "name") ?? "");
  }

  /** Logs of a pod; while the API server or the proxy starts anew, they are asked for again. */
  function logsOf(cluster: Cluster, name: string): Promise<string> {
    return cluster.until(`${name} shows its log`, async () => {
      const { code, stdout, stderr } = await cluster.tryKubectl(["logs", "-n", namespace, name]);
      return code === 0 ? done(stdout) : notYet(stderr);
    });
  }

  /** Changes files, and waits until the proxy has taken them. */
  async function reloading(cluster: Cluster, files: string, change: () => Promise<unknown>): Promise<void> {
    const log = () => Deno.readTextFileSync(cluster.program("kubelet-proxy").logFile);
    const from = log().length;
    await change();
    await cluster.until(`the proxy has reloaded ${files}`, () => {
      const lines = log().slice(from).split("\n").filter((line) => line.includes(files));
      assert.ok(!lines.some((line) => line.includes("files-refused")), lines.join("\n"));
      return lines.some((line) => line.includes("files-reloaded"))
        ? done(undefined)
        : notYet(lines.join("\n"));
    });
  }

  /**
   * The controllers begin anew with it. After several restarts they wait for up to a minute before they list, for the reason above,
   * and then look at leases that are as old: they would take the node for lost.
   */
  async function restartApiServer(cluster: Cluster, args: string[]): Promise<void> {
    await cluster.program("kube-apiserver").stop();
    await cluster.startApiServer(args);
    for (const name of ["kube-controller-manager", "kube-scheduler"]) {
      await cluster.program(name).stop();
      cluster.program(name).start();
    }
  }

  async function restartProxy(cluster: Cluster, args: string[] = []): Promise<void> {
    await cluster.program("kubelet-proxy").stop();
    await cluster.startProxy(args);
  }

  const pkiOf = (cluster: Cluster) => `${cluster.options.runDir}/pki`;
  const kubeconfigOf = (cluster: Cluster) => `${cluster.options.runDir}/node.kubeconfig`;

  async function concatenate(target: string, ...sources: string[]): Promise<void> {
    const texts = await Promise.all(sources.map((source) => Deno.readTextFile(source)));
    await Deno.writeTextFile(target, texts.join(""), { mode: 0o600 });
  }

  /** Turns a symbolic link as the kubelet turns `kubelet-client-current.pem`. */
  async function turn(link: string, target: string): Promise<void> {
    await Deno.symlink(target, `${link}.new`);
    await Deno.rename(`${link}.new`, link);
  }

  /** By name, so that the API server can show the proxy another certificate than everybody else (SNI). */
  function upstreamKubeconfig(pki: string, user: JsonObject): string {
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{
        name: "cluster",
        cluster: { server: "https://localhost:6443", "certificate-authority": `${pki}/upstream-ca.crt` },
      }],
      users: [{ name: "node", user }],
      contexts: [{ name: "context", context: { cluster: "cluster", user: "node" } }],
      "current-context": "context",
    });
  }

  test("the node's credential, the API server's authority and the token move under load", async (cluster) => {
    const pki = pkiOf(cluster);
    const original = await Deno.readTextFile(kubeconfigOf(cluster));
    const link = `${pki}/kubelet-client-current.pem`;
    await createAuthority(pki, "next-ca");
    await createLeaf(pki, {
      name: "next-apiserver",
      authority: "next-ca",
      subject: "/CN=kube-apiserver",
      usage: "serverAuth",
      alternativeNames: "DNS:localhost",
    });
    await createLeaf(pki, {
      name: "former-node",
      authority: "next-ca",
      subject: `/O=system:nodes/CN=system:node:${NODE_NAME}`,
      usage: "clientAuth",
      alternativeNames: `DNS:${NODE_NAME}`,
    });
    await concatenate(`${pki}/both-clients-ca.crt`, `${pki}/cluster-ca.crt`, `${pki}/next-ca.crt`);
    await concatenate(`${pki}/upstream-ca.crt`, `${pki}/cluster-ca.crt`);
    await concatenate(`${pki}/client-1.pem`, `${pki}/former-node.crt`, `${pki}/former-node.key`);
    await concatenate(`${pki}/client-2.pem`, `${pki}/node.crt`, `${pki}/node.key`);
    await turn(link, `${pki}/client-1.pem`);
    await restartApiServer(cluster, [`--client-ca-file=${pki}/both-clients-ca.crt`]);
    await Deno.writeTextFile(
      kubeconfigOf(cluster),
      upstreamKubeconfig(pki, { "client-certificate": link, "client-key": link }),
    );
    await restartProxy(cluster);
    await cluster.untilNodeReady(new Date());

    console.log("the client certificate");
    await underLoad(cluster, async () => {
      await reloading(cluster, "credentials", () => turn(link, `${pki}/client-2.pem`));
      // From now on the former certificate opens nothing.
      await restartApiServer(cluster, []);
    });

    console.log("the API server's certificate and its authority");
    const sni = `--tls-sni-cert-key=${pki}/next-apiserver.crt,${pki}/next-apiserver.key:localhost`;
    const bundle = `${pki}/upstream-ca.crt`;
    await underLoad(cluster, async () => {
      await reloading(
        cluster,
        "credentials",
        () => concatenate(bundle, `${pki}/cluster-ca.crt`, `${pki}/next-ca.crt`),
      );
      await restartApiServer(cluster, [sni]);
      await reloading(cluster, "credentials", () => concatenate(bundle, `${pki}/next-ca.crt`));
    });

    console.log("the token");
    const tokens = [crypto.randomUUID(), crypto.randomUUID()];
    const known = async (count: number) => {
      const rows = tokens.slice(-count).map((token, row) =>
        `${token},system:node:${NODE_NAME},node-${row},"system:nodes"\n`
      );
      await Deno.writeTextFile(`${pki}/tokens.csv`, rows.join(""), { mode: 0o600 });
      await restartApiServer(cluster, [sni, `--token-auth-file=${pki}/tokens.csv`]);
    };
    const tokenFile = `${pki}/node-token`;
    await known(2);
    await Deno.writeTextFile(tokenFile, tokens[0] ?? "", { mode: 0o600 });
    await Deno.writeTextFile(kubeconfigOf(cluster), upstreamKubeconfig(pki, { tokenFile }));
    // The proxy may read the files that its kubeconfig named at the start, and no others.
    await restartProxy(cluster, [`--node-name=${NODE_NAME}`]);
    await underLoad(cluster, async () => {
      await reloading(cluster, "credentials", () => Deno.writeTextFile(tokenFile, tokens[1] ?? ""));
      await known(1);
    });

    await Deno.writeTextFile(kubeconfigOf(cluster), original);
    await restartApiServer(cluster, []);
    await restartProxy(cluster);
    await cluster.untilNodeReady(new Date());
  });

  test("the proxy's own certificate and the authority of its clients move under load", async (cluster) => {
    const pki = pkiOf(cluster);
    const authority = `${pki}/node-ca.crt`;
    const former = await Deno.readTextFile(authority);
    await createAuthority(pki, "next-node-ca");
    await createLeaf(pki, {
      name: "next-client",
      authority: "next-node-ca",
      subject: "/CN=kubelet",
      usage: "clientAuth",
      alternativeNames: "DNS:kubelet",
    });
    /** What the proxy answers a client of the next authority with; 000 if it does not take it. */
    const asNextClient = async () => {
      const { stdout } = await cluster.attemptInNetwork("curl", [
        ...["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "10"],
        ...["--cacert", authority, "--cert", `${pki}/next-client.crt`, "--key", `${pki}/next-client.key`],
        `https://127.0.0.1:${PROXY_PORT}/api/v1/nodes/${NODE_NAME}`,
      ]);
      return stdout;
    };
    const shownSerial = async () => {
      const connect = ["s_client", "-connect", `127.0.0.1:${PROXY_PORT}`, "-showcerts"];
      const { stdout } = await cluster.attemptInNetwork("openssl", connect, { stdin: "" });
      const [certificate] = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/.exec(stdout) ?? [];
      assert.ok(certificate, "the proxy shows a certificate");
      return (await run("openssl", ["x509", "-noout", "-serial"], { stdin: certificate })).trim();
    };
    const before = await shownSerial();
    await underLoad(cluster, async () => {
      await reloading(cluster, "serving-certificate", () =>
        createLeaf(pki, {
          name: "kubelet-proxy",
          authority: "node-ca",
          subject: "/CN=kubelet-proxy",
          usage: "serverAuth",
          alternativeNames: "IP:127.0.0.1,DNS:localhost",
        }));
      const own = await run("openssl", ["x509", "-noout", "-serial", "-in", `${pki}/kubelet-proxy.crt`]);
      assert.equal(await shownSerial(), own.trim());
      assert.notEqual(own.trim(), before);

      assert.equal(await asNextClient(), "000", "its authority is not trusted yet");
      await reloading(
        cluster,
        "serving-certificate",
        () => concatenate(authority, authority, `${pki}/next-node-ca.crt`),
      );
      assert.equal(await asNextClient(), "200");
      await reloading(cluster, "serving-certificate", () => Deno.writeTextFile(authority, former));
      assert.equal(await asNextClient(), "000", "its authority is trusted no more");
    });
  });

  test("a verification key is replaced under load, and its revocation stops what it signed", async (cluster) => {
    const pki = pkiOf(cluster);
    const trusted = `${cluster.options.runDir}/trusted`;
    await createAuthority(pki, "former-key");
    await createAuthority(pki, "next-key");
    const by = (name: string): SignOptions => ({ key: `${pki}/${name}.key` });
    const trust = (name: string) => Deno.copyFile(`${pki}/${name}.crt`, `${trusted}/${name}.crt`);
    await reloading(cluster, "verification-keys", () => trust("former-key"));
    const [signedAgain, left] = [nameFor("signed-again"), nameFor("left")];
    const again = await runPod(cluster, signedAgain, by("former-key"));
    const leftPod = await runPod(cluster, left, by("former-key"));
    const containers = async () => [
      await runningOf(cluster, uidOf(again)),
      await runningOf(cluster, uidOf(leftPod)),
    ];
    const before = await containers();

    await underLoad(cluster, async () => {
      await reloading(cluster, "verification-keys", () => trust("next-key"));
      const manifest = await sign(
        pod(namespace, signedAgain, serviceSpec(cluster.images.app)),
        by("next-key"),
      );
      const annotations = objectAt(manifest, "metadata", "annotations");
      const patch = JSON.stringify({ metadata: { annotations } });
      await cluster.kubectl(["patch", "pod", "-n", namespace, signedAgain, "--type=merge", "-p", patch]);
      await runPod(cluster, nameFor("next"), by("next-key"));
      await reloading(cluster, "verification-keys", () => Deno.remove(`${trusted}/former-key.crt`));
    });
    assert.deepEqual(await containers(), before, "no pod was lost to the overlap, nor to the removal");
    const late = nameFor("late");
    await insist(
      cluster,
      await sign(pod(namespace, late, serviceSpec(cluster.images.app)), by("former-key")),
    );
    const refused = await cluster.untilPod(namespace, late, "is Failed", isFailed, POD_TIMEOUT_MS);
    assert.deepEqual(await cluster.containers.ofPod(uidOf(refused)), []);

    await underLoad(cluster, async () => {
      await Deno.mkdir(`${trusted}/revoked`);
      await reloading(
        cluster,
        "verification-keys",
        () => Deno.copyFile(`${pki}/former-key.crt`, `${trusted}/revoked/former-key.crt`),
      );
      await cluster.until(`the containers of ${left} have ended`, async () => {
        const running = await runningOf(cluster, uidOf(leftPod));
        return running.length === 0 ? done(undefined) : notYet(running.join(", "));
      });
    });
    assert.deepEqual(await runningOf(cluster, uidOf(again)), before[0], "what the next key signed runs on");
    await Deno.remove(`${trusted}/revoked`, { recursive: true });
  });

  test("an API server that falls silent is left for the other, and taken back", async (cluster) => {
    const second = cluster.program("kube-apiserver-second");
    second.start();
    await second.listening(SECOND_API_SERVER_PORT);
    const atSecond = `--server=https://127.0.0.1:${SECOND_API_SERVER_PORT}`;
    await cluster.until("the second API server is ready", async () => {
      const { code, stderr } = await cluster.tryKubectl([atSecond, "get", "--raw", "/readyz"]);
      return code === 0 ? done(undefined) : notYet(stderr);
    });
    await restartProxy(cluster, [atSecond]);
    const steady = await runPod(cluster, nameFor("steady"));
    const containers = await runningOf(cluster, uidOf(steady));
    const since = new Date();
    const { pid } = cluster.program("kube-apiserver");
    const logged = (event: string) => eventsLogged(cluster, event);
    const moves = logged("server-active");

    Deno.kill(pid, "SIGSTOP");
    const stoppedAt = Date.now();
    try {
      await cluster.until(
        "the proxy has left the silent server",
        () => logged("server-active") > moves ? done(undefined) : notYet("no server-active in its log"),
      );
      console.log(`left after ${Date.now() - stoppedAt} ms`);
      await cluster.until("the node renews its lease through the second server", async () => {
        const lease = await cluster.kubectl(
          [atSecond, "get", "lease", "-n", "kube-node-lease", NODE_NAME, "-o", "json"],
        );
        const renewed = textAt(parseObject(lease), "spec", "renewTime") ?? "";
        return Date.parse(renewed) > stoppedAt + 5_000 ? done(undefined) : notYet(renewed);
      });
      console.log(`lease renewed after ${Date.now() - stoppedAt} ms`);
    } finally {
      Deno.kill(pid, "SIGCONT");
    }
    await cluster.until(
      "the proxy is back at the first server",
      () =>
        logged("server-active") > moves + 1 ? done(undefined) : notYet("no second server-active in its log"),
    );
    await runPod(cluster, nameFor("after-failover"));
    await cluster.untilNodeReady(new Date());
    assert.deepEqual(cluster.readinessSince(since).filter(({ status }) => status !== "True"), []);
    assert.deepEqual(await runningOf(cluster, uidOf(steady)), containers);
    await restartProxy(cluster);
    await second.stop();
  });

  function eventsLogged(cluster: Cluster, event: string): number {
    const text = Deno.readTextFileSync(cluster.program("kubelet-proxy").logFile);
    return text.split("\n").filter((line) => line.includes(event)).length;
  }

  test(`the proxy is killed ${KILLS} times in a row, and nothing is lost or let in`, async (cluster) => {
    await underLoad(cluster, async () => {
      const program = cluster.program("kubelet-proxy");
      const startedAt = Date.now();
      for (let kill = 0; kill < KILLS; kill++) {
        Deno.kill(program.pid, "SIGKILL");
        await program.stop();
        await cluster.startProxy();
        await new Promise((resolve) => setTimeout(resolve, UPTIME_MS));
      }
      console.log(`${KILLS} kills in ${Math.round((Date.now() - startedAt) / 1000)} s`);
    });
  });

  test(`${RESTARTS} restarts under load, and how long the kubelet finds nobody there`, async (cluster) => {
    const pki = pkiOf(cluster);
    // One line with the time for each answer.
    const script = `while [ ! -e "$0" ]; do
  if [ "$(curl --silent --output /dev/null --write-out '%{http_code}' --max-time 5 --cacert "$1" --cert "$2" --key "$3" "$4")" = 200 ]
  then echo "$EPOCHREALTIME"; fi
done`;
    const end = `${cluster.options.runDir}/measured`;
    const certificates = [`${pki}/node-ca.crt`, `${pki}/kubelet.crt`, `${pki}/kubelet.key`];
    const address = `https://127.0.0.1:${PROXY_PORT}/api/v1/nodes/${NODE_NAME}`;
    const measuring = cluster.attemptInNetwork("bash", ["-c", script, end, ...certificates, address], {
      timeoutMs: 300_000,
    });
    try {
      await underLoad(cluster, async () => {
        for (let restart = 0; restart < RESTARTS; restart++) {
          await restartProxy(cluster);
          await cluster.untilNodeReady(new Date());
        }
      });
    } finally {
      await Deno.writeTextFile(end, "");
    }
    const answers = (await measuring).stdout.trim().split("\n").map((line) => Number(line) * 1000);
    assert.ok(answers.length > RESTARTS, "it was answered");
    const gaps = answers.slice(1).map((time, index) => Math.round(time - (answers[index] ?? time)));
    console.log(
      `longest times between two answers: ${gaps.sort((a, b) => b - a).slice(0, RESTARTS).join(", ")} ms`,
    );
  });
}
