import assert from "node:assert/strict";
import net from "node:net";
import tls from "node:tls";
import { readBody } from "./body.ts";
import { readClientAuthorities } from "./credentials/client_certificate.ts";
import { systemClock } from "./clock.ts";
import {
  type HandshakenClient,
  isAuthenticated,
  type Listener,
  type ListenerOptions,
  openListener,
  servesLoopbackOnly,
} from "./listener.ts";
import { ManualClock } from "../tests/fakes/clock.ts";
import { issue, memoryLog, type TestPki, testPki, until } from "./fixture_test.ts";

/** More than any server that minds its memory reads of one head, in bytes. */
const ENDLESS_HEAD_BYTES = 2 * 1024 * 1024;

type Handle = ListenerOptions["handle"];

interface Running {
  listener: Listener;
  log: ReturnType<typeof memoryLog>;
  pki: TestPki;
  port: number;
}

/** Runs a listener while a test runs. */
async function listening(
  over: { handle?: Handle; plain?: boolean; anyClient?: boolean } & Partial<ListenerOptions>,
  test: (running: Running) => Promise<void>,
): Promise<void> {
  const { handle, plain, anyClient, ...options } = over;
  const pki = await testPki();
  const folder = await Deno.makeTempDir();
  const log = memoryLog();
  const listener = await openListener({
    address: { hostname: "127.0.0.1", port: 0 },
    ...(plain === true ? {} : {
      tls: {
        certificate: pki.server.certificate,
        key: pki.server.key,
        ...(anyClient === true ? {} : { clientCa: pki.authority.certificate }),
      },
    }),
    socketPath: `${folder}/http.sock`,
    handle: handle ??
      ((request) => Promise.resolve(new Response(`${request.method} ${new URL(request.url).protocol}`))),
    log,
    clock: systemClock,
    ...options,
  });
  try {
    await test({ listener, log, pki, port: listener.address.port });
  } finally {
    await listener.close(2_000);
    await Deno.remove(folder, { recursive: true });
  }
}

/** One request by the runtime's fetch, with a certificate or none. */
async function ask(
  { port, pki }: Running,
  path: string,
  { http2 = false, as = "node", ...init }: RequestInit & {
    http2?: boolean;
    as?: "node" | "stranger" | "nobody";
  } = {},
): Promise<string> {
  const identity = as === "nobody" ? {} : { cert: pki[as].certificate, key: pki[as].key };
  using client = Deno.createHttpClient({
    caCerts: [pki.authority.certificate],
    http2,
    http1: !http2,
    ...identity,
  });
  const response = await fetch(`https://127.0.0.1:${port}${path}`, { ...init, client });
  return await response.text();
}

/** A TLS connection that speaks bytes. */
async function connect({ port, pki }: Running, ALPNProtocols: string[]): Promise<tls.TLSSocket> {
  const socket = tls.connect({
    host: "127.0.0.1",
    port,
    ca: pki.authority.certificate,
    cert: pki.node.certificate,
    key: pki.node.key,
    ALPNProtocols,
  });
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("secureConnect", resolve));
  return socket;
}

Deno.test("HTTP/1.1, also for clients that would like HTTP/2, bodies both ways", async () => {
  await listening({
    handle: async (request) => new Response(new Uint8Array(await readBody(request.body, 100))),
  }, async (running) => {
    assert.equal(await ask(running, "/a", { method: "POST", body: "body" }), "body");
    const socket = await connect(running, ["h2", "http/1.1"]);
    assert.equal(socket.alpnProtocol, "http/1.1");
    socket.destroy();
  });
});

Deno.test("refuses clients of HTTP/2 alone", async () => {
  await listening({}, async (running) => {
    await assert.rejects(ask(running, "/a", { http2: true }));
    assert.equal(await ask(running, "/a"), "GET http:");
  });
});

Deno.test("refuses clients without a certificate, or with one of somebody else", async () => {
  let asked = 0;
  await listening({ handle: () => Promise.resolve(new Response(String(asked++))) }, async (running) => {
    for (const as of ["nobody", "stranger"] as const) {
      await assert.rejects(ask(running, "/a", { as }));
    }
    assert.equal(asked, 0);
    await until(() => running.log.events.some(({ event }) => event === "handshake-failed"));
    assert.equal(await ask(running, "/a"), "0");
  });
});

Deno.test("without a client CA, loopback peers need no certificate", async () => {
  await listening({ anyClient: true }, async (running) => {
    assert.equal(await ask(running, "/a", { as: "nobody" }), "GET http:");
  });
});

Deno.test("plain HTTP for loopback peers", async () => {
  await listening({ plain: true }, async ({ port }) => {
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/a`)).text(), "GET http:");
  });
});

Deno.test("refuses peers beyond loopback unless clients show certificates", async () => {
  assert.equal(servesLoopbackOnly(undefined), true);
  assert.equal(servesLoopbackOnly({ certificate: "", key: "" }), true);
  assert.equal(servesLoopbackOnly({ certificate: "", key: "", clientCa: "" }), false);
  const own = Deno.networkInterfaces().find(({ family, address }) =>
    family === "IPv4" && !address.startsWith("127.")
  );
  if (own === undefined) {
    console.log("peers beyond loopback are not tested: this machine has none");
    return;
  }
  await listening({ plain: true, address: { hostname: "0.0.0.0", port: 0 } }, async ({ port, log }) => {
    await assert.rejects(fetch(`http://${own.address}:${port}/a`));
    assert.equal(log.events[0]?.event, "connection-refused");
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/a`)).text(), "GET http:");
  });
});

Deno.test("refuses plain HTTP and old TLS where TLS is served", async () => {
  await listening({}, async (running) => {
    await assert.rejects(fetch(`http://127.0.0.1:${running.port}/a`));
    const old = tls.connect({
      host: "127.0.0.1",
      port: running.port,
      maxVersion: "TLSv1.1",
      rejectUnauthorized: false,
    });
    await new Promise((resolve) => old.once("error", resolve));
    assert.equal(await ask(running, "/a"), "GET http:");
  });
});

Deno.test("refuses connections over the bound, and serves again when there is room", async () => {
  await listening({ maxConnections: 1 }, async (running) => {
    const first = await connect(running, ["http/1.1"]);
    await assert.rejects(ask(running, "/a"));
    assert.equal(running.log.events[0]?.event, "connection-refused");
    first.destroy();
    await until(() => running.listener.connections() === 0);
    assert.equal(await ask(running, "/a"), "GET http:");
  });
});

Deno.test("refuses to let connections without a handshake keep out those with one", async () => {
  const bound = 3;
  // It stands still, so that all lines are of one second.
  const clock = new ManualClock(new Date());
  await listening({ maxConnections: 1, maxHandshakes: bound, clock }, async (running) => {
    const { listener, log, port } = running;
    const silent: { closed: boolean }[] = [];
    const sockets: net.Socket[] = [];
    const beSilent = async () => {
      const socket = net.connect(port, "127.0.0.1");
      const state = { closed: false };
      socket.on("error", () => {});
      socket.on("close", () => state.closed = true);
      sockets.push(socket);
      silent.push(state);
      await new Promise((resolve) => socket.once("connect", resolve));
      await until(() => listener.connections() === Math.min(silent.length, bound));
    };
    for (let count = 0; count < bound; count++) await beSilent();
    const served = await connect(running, ["http/1.1"]);
    served.write("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    const [answer] = await new Promise<Uint8Array[]>((resolve) =>
      served.once("data", (bytes) => resolve([bytes]))
    );
    assert.match(String(answer), /^HTTP\/1\.1 200/);
    await until(() => silent[0]?.closed === true);
    assert.deepEqual(silent.map(({ closed }) => closed), [true, false, false], "the oldest made room");
    // However many more come: the newest stay, and the one that is served, too.
    for (let count = 0; count < 2 * bound; count++) {
      sockets.push(net.connect(port, "127.0.0.1").on("error", () => {}));
    }
    await until(() => silent.every(({ closed }) => closed) && listener.connections() === bound + 1);
    assert.equal(served.destroyed, false);
    assert.equal(log.events.filter(({ event }) => event === "handshake-ended").length, 1);
    assert.ok(!log.events.some(({ event }) => event === "connection-refused"));
    sockets.forEach((socket) => socket.destroy());
    served.destroy();
    await until(() => listener.connections() === 0);
  });
});

Deno.test("refuses heads without end", async () => {
  let asked = 0;
  await listening({ handle: () => Promise.resolve(new Response(String(asked++))) }, async (running) => {
    const socket = await connect(running, ["http/1.1"]);
    let text = "";
    socket.on("data", (data) => text += data);
    const ended = new Promise((resolve) => socket.once("close", resolve));
    socket.write(`GET / HTTP/1.1\r\nHost: a\r\nA: ${"a".repeat(ENDLESS_HEAD_BYTES)}`);
    await ended;
    assert.match(text, /^HTTP\/1\.1 431 /);
    assert.equal(asked, 0);
    assert.equal(await ask(running, "/a"), "0", "others are served");
  });
});

Deno.test("refuses to wait for a handshake that does not come", async () => {
  await listening({ handshakeTimeoutMs: 50 }, async (running) => {
    const silent = net.connect(running.port, "127.0.0.1");
    silent.on("error", () => {});
    await new Promise((resolve) => silent.once("close", resolve));
    assert.equal(running.log.events[0]?.event, "handshake-failed");
    await until(() => running.listener.connections() === 0);
  });
});

/** A handler that answers when its client has left. */
function answersWhenLeft(): { handle: Handle; asked: Promise<void>; left: Promise<void> } {
  const asked = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  const handle: Handle = async (request) => {
    asked.resolve();
    request.signal.addEventListener("abort", () => left.resolve());
    await left.promise;
    return new Response("late");
  };
  return { handle, asked: asked.promise, left: left.promise };
}

Deno.test("a client that leaves before the headers aborts the request", async () => {
  const { handle, asked, left } = answersWhenLeft();
  await listening({ handle }, async (running) => {
    const client = new AbortController();
    const answer = ask(running, "/a", { signal: client.signal });
    await asked;
    client.abort();
    await assert.rejects(answer);
    await left;
  });
});

Deno.test("headers come at once, and a client that leaves ends the stream", async () => {
  const cancelled = Promise.withResolvers<void>();
  const handle: Handle = () =>
    Promise.resolve(new Response(new ReadableStream({ cancel: () => cancelled.resolve() })));
  await listening({ handle }, async ({ port, pki }) => {
    using client = Deno.createHttpClient({
      caCerts: [pki.authority.certificate],
      cert: pki.node.certificate,
      key: pki.node.key,
      http2: false,
    });
    const response = await fetch(`https://127.0.0.1:${port}/watch`, { client });
    assert.equal(response.status, 200);
    await response.body?.cancel();
    await cancelled.promise;
  });
});

Deno.test("a connection that is cut ends its requests", async () => {
  const { handle, asked, left } = answersWhenLeft();
  await listening({ handle }, async (running) => {
    const socket = await connect(running, ["http/1.1"]);
    socket.write("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    await asked;
    socket.destroy();
    await left;
    await until(() => running.listener.connections() === 0);
  });
});

Deno.test("a body that breaks off is not taken for a whole one", async () => {
  const handle: Handle = () =>
    Promise.resolve(
      new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(new TextEncoder().encode("half"));
          },
          pull(controller) {
            controller.error(new Error("upstream was cut"));
          },
        }),
      ),
    );
  await listening({ handle }, async (running) => {
    await assert.rejects(ask(running, "/a"));
  });
});

Deno.test("refuses to show a defect of the handler", async () => {
  await listening({ handle: () => Promise.reject(new Error("canary")) }, async (running) => {
    assert.doesNotMatch(await ask(running, "/a"), /canary/);
    assert.equal(running.log.events[0]?.event, "request-failed");
  });
});

Deno.test("stopping: running requests end, no new connections", async () => {
  const go = Promise.withResolvers<void>();
  let asked = false;
  const handle: Handle = async () => {
    asked = true;
    await go.promise;
    return new Response("done");
  };
  await listening({ handle }, async (running) => {
    const answer = ask(running, "/a");
    await until(() => asked);
    const closed = running.listener.close(5_000);
    go.resolve();
    assert.equal(await answer, "done");
    await closed;
    await assert.rejects(ask(running, "/a"));
  });
});

Deno.test("stopping: what does not end is cut at the deadline", async () => {
  const handle: Handle = () => Promise.resolve(new Response(new ReadableStream()));
  await listening({ handle }, async (running) => {
    const socket = await connect(running, ["http/1.1"]);
    socket.write("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    await new Promise((resolve) => socket.once("data", resolve));
    const ended = new Promise((resolve) => socket.once("close", resolve));
    await running.listener.close(20);
    await ended;
    assert.equal(running.listener.connections(), 0);
  });
});

Deno.test("refuses an address that is in use", async () => {
  await listening({}, async ({ port }) => {
    await assert.rejects(listening({ address: { hostname: "127.0.0.1", port } }, () => Promise.resolve()));
  });
});

Deno.test("refuses a connection that came through a handshake unauthenticated", async () => {
  const { authority, node, stranger } = await testPki();
  const authorities = readClientAuthorities([authority.certificate]);
  const client = (authorized: boolean, raw?: Uint8Array): HandshakenClient => ({
    authorized,
    getPeerCertificate: (): tls.DetailedPeerCertificate => Object.assign(Object.create(null), { raw }),
  });
  const now = new Date();
  assert.equal(isAuthenticated(client(true, node.der), authorities, now), true);
  assert.equal(isAuthenticated(client(false, node.der), authorities, now), false);
  assert.equal(isAuthenticated(client(true, stranger.der), authorities, now), false);
  assert.equal(isAuthenticated(client(true), authorities, now), false);
  assert.equal(
    isAuthenticated(client(true, node.der), authorities, new Date(now.getTime() + 48 * 3_600_000)),
    false,
    "it has expired",
  );
  assert.equal(isAuthenticated(client(false), undefined, now), true, "loopback peers show none");
});

/** A TLS server that lets everybody in, as the front of the kubelet's API must. */
async function lenientServer({ server, authority }: TestPki): Promise<{ port: number; close: () => void }> {
  const lenient = tls.createServer({
    cert: server.certificate,
    key: server.key,
    ca: authority.certificate,
    requestCert: true,
    rejectUnauthorized: false,
  }, (socket) => socket.on("error", () => {}).end("HTTP/1.1 200 OK\r\n\r\n"));
  await new Promise<void>((resolve) => lenient.listen(0, "127.0.0.1", resolve));
  const address = lenient.address();
  assert.ok(address !== null && typeof address !== "string");
  return { port: address.port, close: () => lenient.close() };
}

/**
 * One request by OpenSSL, which unlike Deno's client chooses the session that it resumes.
 *
 * @returns whether the session was resumed, and whether the request was answered
 */
async function askWithOpenssl(
  port: number,
  options: string[],
): Promise<{ resumed: boolean; answered: boolean }> {
  const openssl = new Deno.Command("openssl", {
    args: ["s_client", "-connect", `127.0.0.1:${port}`, "-ign_eof", ...options],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const request = new Blob(["GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]);
  // A server that refuses may have closed before everything is written.
  await request.stream().pipeTo(openssl.stdin).catch(() => {});
  const { stdout } = await openssl.output();
  const said = new TextDecoder().decode(stdout);
  return { resumed: /^Reused, /m.test(said), answered: said.includes("HTTP/1.1 200") };
}

for (const version of ["-tls1_2", "-tls1_3"]) {
  Deno.test(`refuses to resume sessions that began with another certificate, none, or a replaced authority (${version})`, async () => {
    let asked = 0;
    const handle: Handle = () => Promise.resolve(new Response(String(asked++)));
    await listening({ handle }, async ({ port, pki, listener, log }) => {
      const folder = await Deno.makeTempDir();
      const lenient = await lenientServer(pki);
      try {
        const certificate = async (as: "node" | "stranger") => {
          await Deno.writeTextFile(`${folder}/${as}.crt`, pki[as].certificate);
          await Deno.writeTextFile(`${folder}/${as}.key`, pki[as].key);
          return ["-cert", `${folder}/${as}.crt`, "-key", `${folder}/${as}.key`];
        };
        const begin = async (at: number, name: string, identity: string[]) => {
          const file = `${folder}/${name}.session`;
          const { answered } = await askWithOpenssl(at, [version, ...identity, "-sess_out", file]);
          assert.equal(answered, true);
          return [version, "-sess_in", file];
        };
        const node = await begin(port, "node", await certificate("node"));
        const others = [
          await begin(lenient.port, "stranger", await certificate("stranger")),
          await begin(lenient.port, "nobody", []),
        ];
        assert.equal(asked, 1);
        for (const session of others) {
          const { answered } = await askWithOpenssl(port, session);
          assert.equal(answered, false);
        }
        assert.equal(asked, 1);
        assert.deepEqual(await askWithOpenssl(port, node), { resumed: true, answered: true });
        assert.equal(asked, 2);

        const next = await issue({ commonName: "next authority", authority: true });
        const { server: { certificate: serving, key } } = pki;
        listener.reload({ certificate: serving, key, clientCa: next.certificate });
        assert.equal((await askWithOpenssl(port, node)).answered, false);
        assert.equal(asked, 2);
        assert.ok(log.events.some(({ event }) => event === "connection-refused"));
      } finally {
        lenient.close();
        await Deno.remove(folder, { recursive: true });
      }
    });
  });
}

Deno.test("a new certificate and client CA are for new connections; open ones live on", async () => {
  await listening({}, async (running) => {
    const { pki, listener, log } = running;
    const authority = await issue({ commonName: "next authority", authority: true });
    const server = await issue({ commonName: "next", issuer: authority, addresses: [[127, 0, 0, 1]] });
    const node = await issue({ commonName: "system:node:worker", issuer: authority });
    const before = await connect(running, ["http/1.1"]);
    const askBefore = async () => {
      before.write("GET /open HTTP/1.1\r\nHost: x\r\n\r\n");
      const [answer] = await new Promise<string[]>((resolve) =>
        before.once("data", (data) => resolve([String(data)]))
      );
      assert.match(answer ?? "", /^HTTP\/1.1 200/);
    };
    // For the client, the handshake is done before it is for the server.
    await askBefore();
    listener.reload({
      certificate: server.certificate,
      key: server.key,
      clientCa: authority.certificate,
    });
    await askBefore();

    const next = { ...running, pki: { ...pki, authority, node } };
    assert.equal(await ask(next, "/a"), "GET http:");
    // The authority of before vouches for nobody any more.
    await assert.rejects(ask({ ...running, pki: { ...pki, authority } }, "/a"));
    await until(() => log.events.filter(({ event }) => event === "handshake-failed").length >= 1);
    before.destroy();
  });
});

Deno.test("refuses to change from certificates to none, or from HTTP to HTTPS", async () => {
  const { server: { certificate, key } } = await testPki();
  await listening({}, ({ listener }) => {
    assert.throws(() => listener.reload({ certificate, key }));
    return Promise.resolve();
  });
  await listening({ plain: true }, ({ listener }) => {
    assert.throws(() => listener.reload({ certificate, key }));
    return Promise.resolve();
  });
});
