import assert from "node:assert/strict";
import { ManualClock } from "../../tests/fakes/clock.ts";
import { done, notYet, until } from "../../tests/cluster/wait.ts";
import { issue, memoryLog, testPki } from "../fixture_test.ts";
import { proxyPermissions } from "../permissions.ts";
import { createNotifier, notifySocket, readServiceManager } from "./sd_notify.ts";

const MAIN = new URL("../main.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

function read(variables: Record<string, string>) {
  return readServiceManager((name) => variables[name], 7);
}

function notifier(
  settings: { intervalMs?: number; healthy?: () => Promise<boolean>; failing?: boolean } = {},
) {
  const { intervalMs, healthy = () => Promise.resolve(true), failing = false } = settings;
  const sent: string[] = [];
  const clock = new ManualClock();
  const log = memoryLog();
  const send = (message: string) => {
    if (failing) return Promise.reject(new Error("no such socket"));
    sent.push(message);
    return Promise.resolve();
  };
  return { sent, clock, log, notifier: createNotifier({ send, intervalMs, healthy, clock, log }) };
}

Deno.test("a service manager is known by its socket; its watchdog is answered twice in its time", () => {
  assert.equal(read({}), undefined);
  assert.equal(read({ NOTIFY_SOCKET: "" }), undefined);
  assert.deepEqual(read({ NOTIFY_SOCKET: "/run/n" }), { socket: "/run/n", intervalMs: undefined });
  const timed = { NOTIFY_SOCKET: "/run/n", WATCHDOG_USEC: "30000000" };
  assert.deepEqual(read(timed), { socket: "/run/n", intervalMs: 15_000 });
  assert.deepEqual(read({ ...timed, WATCHDOG_PID: "7" }), { socket: "/run/n", intervalMs: 15_000 });
  assert.deepEqual(read({ ...timed, WATCHDOG_PID: "8" }), { socket: "/run/n", intervalMs: undefined });
  assert.deepEqual(read({ ...timed, WATCHDOG_USEC: "9000000000000000000" }), {
    socket: "/run/n",
    intervalMs: 3_600_000,
  });
  assert.deepEqual(read({ ...timed, WATCHDOG_USEC: "1" }), { socket: "/run/n", intervalMs: 1 });
});

Deno.test("refuses sockets that no permission can name, and times that are none", () => {
  for (const socket of ["@abstract", "relative", "/line\nbreak", "vsock:2:1", "/nul\0"]) {
    assert.equal(typeof read({ NOTIFY_SOCKET: socket }), "string", socket);
    assert.equal(notifySocket(socket), undefined);
  }
  for (const time of ["0", "-1", "1.5", "soon", "12345678901234567890"]) {
    assert.equal(typeof read({ NOTIFY_SOCKET: "/n", WATCHDOG_USEC: time }), "string", time);
  }
});

Deno.test("the manager hears READY, then signs of life, then STOPPING and no more", async () => {
  const { sent, clock, notifier: it } = notifier({ intervalMs: 10 });
  await it.ready("two\nlines");
  assert.deepEqual(sent, ["READY=1\nSTATUS=two lines"]);
  await clock.advance(35);
  assert.deepEqual(sent.slice(1), ["WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
  await it.stopping();
  await clock.advance(100);
  assert.deepEqual(sent.slice(4), ["STOPPING=1"]);
  assert.equal(clock.timers, 0);
});

Deno.test("there are no signs of life without a watchdog", async () => {
  const { sent, clock, notifier: it } = notifier();
  await it.ready("x");
  await clock.advance(1e6);
  assert.equal(sent.length, 1);
});

Deno.test("refuses to give a sign of life while the proxy is not well, fails to tell, or does not say", async () => {
  let answer: () => Promise<boolean> = () => Promise.resolve(false);
  const { sent, clock, log, notifier: it } = notifier({ intervalMs: 10, healthy: () => answer() });
  await it.ready("x");
  await clock.advance(10);
  answer = () => Promise.reject(new Error("refused"));
  await clock.advance(10);
  assert.deepEqual(log.events.map(({ event }) => event), ["unhealthy", "unhealthy"]);
  answer = () => Promise.resolve(true);
  await clock.advance(10);
  assert.deepEqual(sent.slice(1), ["WATCHDOG=1"]);
  answer = () => new Promise(() => {});
  await clock.advance(100);
  assert.equal(sent.length, 2);
});

Deno.test("a sign that is still being asked for when the program stops is not given", async () => {
  const asked = Promise.withResolvers<boolean>();
  const { sent, clock, notifier: it } = notifier({ intervalMs: 10, healthy: () => asked.promise });
  await it.ready("x");
  await clock.advance(10);
  await it.stopping();
  asked.resolve(true);
  await clock.advance(10);
  assert.deepEqual(sent.slice(1), ["STOPPING=1"]);
});

Deno.test("a manager that cannot be told ends nothing", async () => {
  const { log, notifier: it } = notifier({ failing: true });
  await it.ready("x");
  await it.stopping();
  assert.deepEqual(log.events.map(({ event }) => event), ["notify-failed", "notify-failed"]);
});

/** Prints each datagram that reaches a socket, its line breaks as spaces, with the process that sent it. */
const RECEIVER = `
import socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
s.bind(sys.argv[1])
print("bound", flush=True)
while True:
    message, control, _, _ = s.recvmsg(4096, 64)
    print(struct.unpack("3i", control[0][2])[0], message.decode().replace("\\n", " "), flush=True)
`;

Deno.test({
  name: "the program with a launcher's permissions tells a real datagram socket, by its main process",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const { authority, server } = await testPki();
    const folder = await Deno.makeTempDir();
    const kubeconfig = {
      "current-context": "x",
      contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
      // Nothing listens there: the proxy is alive without the control plane.
      clusters: [{
        name: "x",
        cluster: { server: "https://127.0.0.1:9", "certificate-authority": "ca.pem" },
      }],
      users: [{ name: "x", user: { token: "t" } }],
    };
    await Deno.writeTextFile(`${folder}/kubeconfig`, JSON.stringify(kubeconfig));
    await Deno.writeTextFile(`${folder}/ca.pem`, authority.certificate);
    await Deno.writeTextFile(`${folder}/server.pem`, server.certificate);
    await Deno.writeTextFile(`${folder}/server.key`, server.key);
    await Deno.writeTextFile(`${folder}/key.pem`, (await issue({ commonName: "owner" })).certificate);
    const socket = `${folder}/notify`;
    const receiver = new Deno.Command("python3", {
      args: ["-c", RECEIVER, socket],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const heard: string[] = [];
    const reading = (async () => {
      let rest = "";
      for await (const text of receiver.stdout.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        heard.push(...lines);
      }
    })();
    // A program takes its time to start on a machine that is busy.
    const hears = (message: string, times = 1) =>
      until(`the manager hears ${message}`, () => {
        const count = heard.filter((line) => line.endsWith(message)).length;
        return count >= times ? done(undefined) : notYet(heard.join("\n"));
      });
    try {
      await hears("bound");
      const args = [
        `--kubeconfig=${folder}/kubeconfig`,
        "--node-name=worker",
        "--listen-addr=127.0.0.1:0",
        `--tls-cert=${folder}/server.pem`,
        `--tls-key=${folder}/server.key`,
        `--signature-verification-cert=${folder}/key.pem`,
        `--runtime-dir=${folder}/run`,
      ];
      const permissions = await proxyPermissions(args, (path) => Deno.readTextFile(path), socket);
      const proxy = new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "--quiet", "--no-prompt", "--config", CONFIG, "--ignore-env", "--unstable-net"],
          "--allow-env=NOTIFY_SOCKET,WATCHDOG_USEC,WATCHDOG_PID",
          ...permissions,
          MAIN,
          ...args,
        ],
        env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: "400000" },
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).spawn();
      const log = new Response(proxy.stderr).text();
      try {
        await hears(" WATCHDOG=1", 3);
      } finally {
        proxy.kill("SIGTERM");
      }
      assert.equal((await proxy.status).code, 0, await log);
      await hears(" STOPPING=1");
      const from = `${proxy.pid} `;
      assert.equal(heard[1], `${from}READY=1 STATUS=serves node "worker", mode enforce`);
      assert.ok(heard.slice(1).every((line) => line.startsWith(from)), heard.join("\n"));
      assert.equal(heard.at(-1), `${from}STOPPING=1`);
      assert.doesNotMatch(await log, /notify-|unhealthy|request/);
    } finally {
      receiver.kill("SIGTERM");
      await receiver.status;
      await reading;
      await Deno.remove(folder, { recursive: true });
    }
  },
});
