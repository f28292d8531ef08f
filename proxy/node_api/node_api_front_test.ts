/**
 * The front with a kubelet of node:https behind it, over loopback.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import https, { type RequestOptions } from "node:https";
import type { Socket } from "node:net";
import type { Duplex, Writable } from "node:stream";
import tls from "node:tls";
import { systemClock } from "../clock.ts";
import { issue, type Issued, memoryLog, testPki, until } from "../fixture_test.ts";
import { openKubeletConnection } from "./kubelet_connection.ts";
import type { Mode } from "../mode.ts";
import { isNodeApiWord } from "./node_api_access.ts";
import { createNodeApiAuthenticator } from "./node_api_authenticator.ts";
import type { Authorization } from "./node_api_authorizer.ts";
import { MAX_FRONT_HEADER_BYTES, type NodeApiFront, openNodeApiFront } from "./node_api_front.ts";
import type { NodeApiOutcome } from "./node_api_outcome.ts";
import { type ReadValve, readValve } from "./read_valve.ts";
import type { NoVerdict, TokenVerdict } from "./review_client.ts";
import { UpstreamError, type UpstreamFailure } from "../upstream.ts";

const kubeletAuthority = await issue({ commonName: "kubelet authority", authority: true });
const kubeletServer = await issue({ commonName: "kubelet", issuer: kubeletAuthority, names: ["worker"] });
const frontClient = await issue({ commonName: "front", issuer: kubeletAuthority });
const pki = await testPki();
const apiServer = await issue({
  commonName: "kube-apiserver-kubelet-client",
  organizations: ["system:masters"],
  issuer: pki.authority,
});

interface Seen {
  method: string;
  url: string;
  headers: Record<string, string[]>;
  body: string;
}

type Handle = (request: IncomingMessage, response: ServerResponse) => void;
type Upgrade = (request: IncomingMessage, socket: Duplex, head: Uint8Array) => void;

interface Setting {
  /** Where the front listens. Default: `127.0.0.1`. */
  hostname?: string;
  words?: string;
  mode?: Mode;
  handle?: Handle;
  upgrade?: Upgrade;
  /** Is told of each TCP connection of the kubelet. */
  onTcp?: (socket: Socket) => void;
  token?: TokenVerdict | NoVerdict;
  authorize?: (
    verb: string,
    subresources: readonly string[],
  ) => Authorization | UpstreamError | Promise<Authorization>;
  logRequests?: boolean;
  kubeletServer?: Issued;
  maxConnections?: number;
  handshakeTimeoutMs?: number;
  idleTimeoutMs?: number;
  streamIdleTimeoutMs?: number;
}

interface Stage {
  port: number;
  seen: Seen[];
  log: ReturnType<typeof memoryLog>;
  errors: Error[];
  asked: [user: string, verb: string, subresources: string][];
  /** What was told of each request. */
  decided: NodeApiOutcome[];
  /** Connections that the kubelet has open. */
  kubeletConnections: () => number;
  connections: () => number;
  close: (deadlineMs: number) => Promise<void>;
  reload: NodeApiFront["reload"];
}

function fields(message: IncomingMessage): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (let index = 0; index < message.rawHeaders.length; index += 2) {
    (headers[(message.rawHeaders[index] ?? "").toLowerCase()] ??= []).push(
      message.rawHeaders[index + 1] ?? "",
    );
  }
  return headers;
}

/** Runs a test with a front and a kubelet. */
async function front(setting: Setting, test: (stage: Stage) => Promise<void>): Promise<void> {
  const seen: Seen[] = [];
  const errors: Error[] = [];
  const asked: Stage["asked"] = [];
  const decided: Stage["decided"] = [];
  const log = memoryLog();
  const sockets = new Set<Duplex>();
  const { certificate, key } = setting.kubeletServer ?? kubeletServer;
  const kubelet = https.createServer({
    cert: certificate,
    key,
    ca: kubeletAuthority.certificate,
    requestCert: true,
    rejectUnauthorized: true,
  });
  if (setting.onTcp !== undefined) kubelet.on("connection", setting.onTcp);
  kubelet.on("secureConnection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  kubelet.on("request", (request: IncomingMessage, response: ServerResponse) => {
    let body = "";
    request.on("data", (chunk) => body += chunk);
    request.on("end", () => {
      seen.push({ method: request.method ?? "", url: request.url ?? "", headers: fields(request), body });
      (setting.handle ?? ((_, answer) => answer.end("kubelet")))(request, response);
    });
  });
  kubelet.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Uint8Array) => {
    seen.push({ method: request.method ?? "", url: request.url ?? "", headers: fields(request), body: "" });
    socket.on("error", () => {});
    (setting.upgrade ?? echo)(request, socket, head);
  });
  await new Promise<void>((resolve) => kubelet.listen(0, "127.0.0.1", () => resolve()));
  const address = kubelet.address();
  assert.ok(address !== null && typeof address === "object");
  const running = await openNodeApiFront({
    address: { hostname: setting.hostname ?? "127.0.0.1", port: 0 },
    tls: {
      certificate: pki.server.certificate,
      key: pki.server.key,
      clientAuthorities: [pki.authority.certificate],
    },
    nodeName: "worker",
    access: new Set((setting.words ?? "logs,metrics,stats").split(",").filter(isNodeApiWord)),
    mode: setting.mode ?? "enforce",
    authenticator: createNodeApiAuthenticator({
      access: () => assert.fail(),
      token: () => Promise.resolve(setting.token ?? { kind: "unknown", error: "" }),
    }, systemClock),
    authorizer: {
      authorize(user, verb, subresources) {
        asked.push([user.username, verb, subresources.join()]);
        const verdict = setting.authorize?.(verb, subresources) ?? { kind: "allowed" };
        return verdict instanceof UpstreamError ? Promise.reject(verdict) : Promise.resolve(verdict);
      },
    },
    kubelet: openKubeletConnection(
      {
        host: "127.0.0.1",
        port: address.port,
        serverName: "worker",
        certificateAuthorities: [kubeletAuthority.certificate],
        identity: frontClient,
      },
      (error) => void errors.push(error),
      setting.streamIdleTimeoutMs,
    ),
    log,
    logRequests: setting.logRequests ?? true,
    clock: systemClock,
    decided: (outcome) => void decided.push(outcome),
    ...(setting.maxConnections === undefined ? {} : { maxConnections: setting.maxConnections }),
    ...(setting.handshakeTimeoutMs === undefined ? {} : { handshakeTimeoutMs: setting.handshakeTimeoutMs }),
    ...(setting.idleTimeoutMs === undefined ? {} : { idleTimeoutMs: setting.idleTimeoutMs }),
  });
  try {
    await test({
      port: running.address.port,
      seen,
      log,
      errors,
      asked,
      decided,
      kubeletConnections: () => sockets.size,
      connections: running.connections,
      close: running.close,
      reload: running.reload,
    });
  } finally {
    await running.close(0);
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => kubelet.close(() => resolve()));
  }
}

/** Agrees to a stream and sends back what it gets, in capitals. */
const echo: Upgrade = (_request, socket, head) => {
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Other: canary\r\n\r\n",
  );
  const answer = (chunk: Uint8Array) => socket.write(new TextDecoder().decode(chunk).toUpperCase());
  if (head.length > 0) answer(head);
  socket.on("data", answer);
  socket.on("end", () => socket.end());
};

interface Answer {
  code: number;
  headers: Record<string, string[]>;
  body: string;
}

function ask(
  port: number,
  method: string,
  path: string,
  more: RequestOptions = {},
  body?: string,
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const request = https.request({
    host: "127.0.0.1",
    port,
    ca: pki.authority.certificate,
    cert: apiServer.certificate,
    key: apiServer.key,
    agent: false,
    method,
    path,
    ...more,
  }, (response) => {
    let text = "";
    response.on("data", (chunk) => text += chunk);
    response.on(
      "end",
      () => resolve({ code: response.statusCode ?? 0, headers: fields(response), body: text }),
    );
    response.on("error", reject);
  });
  request.on("error", reject);
  request.end(body);
  return promise;
}

const ANONYMOUS = { cert: undefined, key: undefined };
const LOGS = "/containerLogs/shop/web/app";
const EXEC = "/exec/shop/web/app?command=canary";

/** A TLS connection to the front, for bytes that no client library would send. */
async function connect(
  port: number,
): Promise<{ socket: tls.TLSSocket; text: () => string; closed: () => boolean }> {
  const socket = tls.connect({
    host: "127.0.0.1",
    port,
    ca: pki.authority.certificate,
    cert: apiServer.certificate,
    key: apiServer.key,
  });
  let text = "";
  let closed = false;
  socket.on("data", (chunk) => text += chunk);
  socket.on("error", () => {});
  socket.on("close", () => closed = true);
  await new Promise<void>((resolve) => socket.once("secureConnect", () => resolve()));
  return { socket, text: () => text, closed: () => closed };
}

const upgradeOf = (method: string, path: string, ...more: string[]) =>
  [`${method} ${path} HTTP/1.1`, "Host: x", "Connection: Upgrade", "Upgrade: SPDY/3.1", ...more, "", ""].join(
    "\r\n",
  );

// ---- what goes through

Deno.test("logs, metrics and stats go to the kubelet, with headers built again", async () => {
  const handle: Handle = (_request, response) => {
    response.writeHead(200, { "content-type": "text/plain", "x-other": "canary", "set-cookie": "a=b" });
    response.end("hello\n");
  };
  await front({ handle }, async ({ port, seen, asked, log }) => {
    const answer = await ask(port, "GET", `${LOGS}?follow=true&tailLines=5`, {
      headers: {
        "Accept": "x/y",
        "Authorization": "Bearer canary",
        "Impersonate-User": "canary",
        "X-Remote-User": "canary",
        "Cookie": "canary",
        "Connection": "X-Hop",
        "X-Hop": "canary",
        "Forwarded": "for=canary",
        "User-Agent": "kubectl",
      },
    });
    assert.deepEqual([answer.code, answer.body], [200, "hello\n"]);
    assert.equal(answer.headers["x-other"] ?? answer.headers["set-cookie"], undefined);
    const [first] = seen;
    assert.equal(first?.url, `${LOGS}?follow=true&tailLines=5`);
    assert.deepEqual(first?.headers["accept"], ["x/y"]);
    assert.deepEqual(first?.headers["user-agent"], ["kubectl"]);
    assert.doesNotMatch(JSON.stringify(first), /canary/);
    for (const path of ["/metrics", "/metrics/resource", "/stats/summary", "/healthz"]) {
      assert.equal((await ask(port, "GET", path)).code, 200, path);
    }
    assert.deepEqual(asked.map(([, verb, subresources]) => `${verb} ${subresources}`), [
      "get proxy",
      "get metrics",
      "get metrics",
      "get stats",
      "get healthz,proxy",
    ]);
    assert.ok(asked.every(([user]) => user === "kube-apiserver-kubelet-client"));
    await until(() => log.events.length === 5);
    assert.deepEqual(log.events[0], {
      level: "info",
      event: "node-api-request",
      message: "goes to the kubelet",
      fields: { method: "GET", path: LOGS, user: "kube-apiserver-kubelet-client", needed: "logs" },
    });
  });
});

Deno.test("a bearer token serves as well, and is not logged", async () => {
  const token: TokenVerdict = {
    kind: "known",
    user: { username: "metrics-server", uid: "", groups: [], extra: new Map() },
    audiences: [],
  };
  await front({ token }, async ({ port, asked, decided, log }) => {
    const headers = { authorization: "Bearer canary" };
    assert.equal((await ask(port, "GET", "/metrics", { ...ANONYMOUS, headers })).code, 200);
    assert.deepEqual(asked, [["metrics-server", "get", "metrics"]]);
    assert.deepEqual(decided, ["passed"]);
    assert.doesNotMatch(JSON.stringify(log.events), /canary/);
  });
});

Deno.test("answers without a body, and no line for requests that go through if none is wanted", async () => {
  const handle: Handle = (_request, response) => {
    response.writeHead(204);
    response.end();
  };
  await front({ words: "all", logRequests: false, handle }, async ({ port, log }) => {
    const { code, body } = await ask(port, "DELETE", "/metrics/slis");
    assert.deepEqual([code, body, log.events], [204, "", []]);
  });
});

Deno.test("failures of the kubelet come back as they are", async () => {
  const handle: Handle = (_request, response) => {
    response.writeHead(404, { "content-type": "text/plain" });
    response.end("no such pod");
  };
  await front({ handle }, async ({ port }) => {
    const { code, body } = await ask(port, "GET", LOGS);
    assert.deepEqual([code, body], [404, "no such pod"]);
  });
});

Deno.test("followed logs stream line by line, and end at the kubelet when the client leaves", async () => {
  let kubelet: ServerResponse | undefined;
  let left = false;
  const handle: Handle = (_request, response) => {
    kubelet = response;
    response.on("close", () => left = true);
    response.writeHead(200, { "content-type": "text/plain" });
    response.write("first\n");
  };
  await front({ handle }, async ({ port, kubeletConnections }) => {
    const { socket, text, closed } = await connect(port);
    socket.write(`GET ${LOGS}?follow=true HTTP/1.1\r\nHost: x\r\n\r\n`);
    await until(() => text().includes("first\n"));
    assert.ok(!text().includes("second\n"));
    kubelet?.write("second\n");
    await until(() => text().includes("second\n"));
    assert.equal(left, false);
    socket.destroy();
    await until(() => left && closed() && kubeletConnections() === 0);
  });
});

Deno.test("headers of an answer without any body yet arrive at once", async () => {
  const handle: Handle = (_request, response) => {
    response.writeHead(200, { "content-type": "text/plain" });
    response.flushHeaders();
  };
  await front({ handle }, async ({ port }) => {
    const { socket, text } = await connect(port);
    socket.write(`GET ${LOGS}?follow=true HTTP/1.1\r\nHost: x\r\n\r\n`);
    await until(() => text().includes("HTTP/1.1 200"));
    socket.destroy();
  });
});

Deno.test("an answer that breaks off does not end cleanly", async () => {
  const handle: Handle = (request, response) => {
    response.writeHead(200, { "content-type": "text/plain" });
    response.write("half");
    setTimeout(() => request.socket.destroy(), 20);
  };
  await front({ handle }, async ({ port }) => {
    await assert.rejects(ask(port, "GET", LOGS));
  });
});

Deno.test("streams pass byte for byte both ways, for WebSocket and SPDY, GET and POST", async () => {
  for (const [method, words] of [["GET", "exec"], ["POST", "all"]] as const) {
    await front({ words }, async ({ port, seen, log }) => {
      const { socket, text, closed } = await connect(port);
      const negotiated = ["X-Stream-Protocol-Version: v5", "X-Stream-Protocol-Version: v4", "Cookie: canary"];
      // The client does not wait for the agreement.
      socket.write(upgradeOf(method, EXEC, ...negotiated, "Authorization: Bearer canary") + "early");
      await until(() => text().includes("EARLY"));
      const [head = "", rest] = text().split("\r\n\r\n");
      assert.deepEqual(head.split("\r\n"), [
        "HTTP/1.1 101 Switching Protocols",
        "connection: Upgrade",
        "upgrade: SPDY/3.1",
      ]);
      assert.equal(rest, "EARLY");
      socket.write("late");
      await until(() => text().endsWith("EARLYLATE"));
      const [first] = seen;
      assert.deepEqual([first?.method, first?.url], [method, EXEC]);
      assert.deepEqual(first?.headers["x-stream-protocol-version"], ["v5", "v4"]);
      assert.deepEqual([first?.headers["connection"], first?.headers["upgrade"]], [["Upgrade"], [
        "SPDY/3.1",
      ]]);
      assert.equal(first?.headers["cookie"] ?? first?.headers["authorization"], undefined);
      socket.end();
      await until(closed);
      await until(() => log.events.length === 1);
      assert.doesNotMatch(JSON.stringify(log.events), /canary|command/);
    });
  }
});

Deno.test("streams pass on an address of all interfaces", async () => {
  await front({ words: "exec", hostname: "0.0.0.0" }, async ({ port }) => {
    const { socket, text } = await connect(port);
    socket.write(upgradeOf("POST", EXEC) + "x");
    await until(() => text().endsWith("X"));
    socket.destroy();
  });
});

Deno.test("a WebSocket is agreed upon", async () => {
  const upgrade: Upgrade = (_request, socket) => {
    socket.end(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Accept: accepted\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\nframe",
    );
  };
  await front({ words: "port-forward", upgrade }, async ({ port, seen }) => {
    const { socket, text, closed } = await connect(port);
    socket.write(
      [
        "GET /portForward/shop/web?port=80 HTTP/1.1",
        "Host: x",
        "Connection: keep-alive, Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: a2V5",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: v5.channel.k8s.io",
        "",
        "",
      ].join("\r\n"),
    );
    await until(closed);
    assert.match(text(), /^HTTP\/1.1 101 [^]*sec-websocket-accept: accepted[^]*\r\n\r\nframe$/);
    assert.match(text(), /sec-websocket-protocol: v5.channel.k8s.io/);
    assert.deepEqual(seen[0]?.headers["sec-websocket-key"], ["a2V5"]);
    assert.deepEqual(seen[0]?.headers["sec-websocket-protocol"], ["v5.channel.k8s.io"]);
  });
});

/** Waits until a count stands still, which it does when every buffer on the way is full. */
async function untilStill(count: () => number): Promise<void> {
  let before = -1;
  let still = 0;
  await until(() => {
    still = count() > 0 && count() === before ? still + 1 : 0;
    before = count();
    return still > 60;
  });
}

/** More than all sockets of both connections hold, in bytes. */
const LARGE = 48 * 1024 * 1024;
const PATTERN = new Uint8Array(64 * 1024).map((_, index) => index % 251);

/** Writes the pattern again and again, as fast as it is taken, and then ends. */
function pour(socket: Writable, onSent: (bytes: number) => void): void {
  let sent = 0;
  function fill(): void {
    while (sent < LARGE) {
      sent += PATTERN.length;
      onSent(sent);
      if (!socket.write(PATTERN)) {
        socket.once("drain", fill);
        return;
      }
    }
    socket.end();
  }
  fill();
}

/** Tells whether bytes are the pattern's, from a place on. */
function isPattern(bytes: Uint8Array, start: number): boolean {
  for (let done = 0; done < bytes.length;) {
    const expected = PATTERN.subarray((start + done) % PATTERN.length).subarray(0, bytes.length - done);
    if (!Buffer.from(expected).equals(bytes.subarray(done, done + expected.length))) return false;
    done += expected.length;
  }
  return true;
}

/** A client that reads when it is asked to, and not before. */
function slowClient(port: number): Promise<Deno.TlsConn> {
  return Deno.connectTls({
    hostname: "127.0.0.1",
    port,
    caCerts: [pki.authority.certificate],
    cert: apiServer.certificate,
    key: apiServer.key,
  });
}

Deno.test("a slow client slows the kubelet down, and gets every byte: streams and logs", async () => {
  for (const path of [EXEC, `${LOGS}?follow=true`]) {
    let sent = 0;
    const onSent = (bytes: number) => void (sent = bytes);
    const upgrade: Upgrade = (_request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n");
      pour(socket, onSent);
    };
    const handle: Handle = (_request, response) => {
      response.writeHead(200, { "content-length": String(LARGE) });
      pour(response, onSent);
    };
    await front({ words: "exec,logs", upgrade, handle }, async ({ port }) => {
      using client = await slowClient(port);
      const request = path === EXEC ? upgradeOf("POST", path) : `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
      await client.write(new TextEncoder().encode(request));
      await untilStill(() => sent);
      assert.ok(sent < LARGE / 2, `${sent} bytes went into buffers`);
      const buffer = new Uint8Array(256 * 1024);
      let head = "";
      let received = -1;
      while (received < LARGE) {
        const count = await client.read(buffer);
        assert.ok(count !== null, `ended after ${received}`);
        let bytes = buffer.subarray(0, count);
        if (received < 0) {
          head += new TextDecoder("latin1").decode(bytes);
          const end = head.indexOf("\r\n\r\n");
          if (end < 0) continue;
          bytes = bytes.subarray(count - (head.length - end - 4));
          received = 0;
        }
        assert.ok(isPattern(bytes, received), `around ${received}`);
        received += bytes.length;
      }
      assert.equal(received, LARGE);
    });
  }
});

Deno.test("a slow kubelet slows the client down, and gets every byte", async () => {
  let kubelet: Duplex | undefined;
  let received = 0;
  let wrong = 0;
  const valves = new Map<string, ReadValve>();
  const onTcp = (socket: Socket) => void valves.set(`${socket.remotePort}`, readValve(socket));
  const upgrade: Upgrade = (request, socket) => {
    kubelet = socket;
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n");
    valves.get(`${request.socket.remotePort}`)?.hold();
  };
  await front({ words: "exec", upgrade, onTcp }, async ({ port }) => {
    using client = await slowClient(port);
    await client.write(new TextEncoder().encode(upgradeOf("POST", EXEC)));
    await client.read(new Uint8Array(1024));
    let sent = 0;
    const sending = (async () => {
      while (sent < LARGE) {
        let rest = PATTERN;
        while (rest.length > 0) {
          const count = await client.write(rest);
          rest = rest.subarray(count);
          sent += count;
        }
      }
    })();
    await untilStill(() => sent);
    assert.ok(sent < LARGE / 2, `${sent} bytes went into buffers`);
    kubelet?.on("data", (bytes: Uint8Array) => {
      if (!isPattern(bytes, received)) wrong++;
      received += bytes.length;
    });
    for (const valve of valves.values()) valve.release();
    await sending;
    await until(() => received === LARGE);
    assert.equal(wrong, 0);
  });
});

Deno.test("both ends of a stream end together", async () => {
  let kubelet: Duplex | undefined;
  let ended = false;
  const upgrade: Upgrade = (request, socket, head) => {
    kubelet = socket;
    socket.on("close", () => ended = true);
    echo(request, socket, head);
  };
  await front({ words: "exec", upgrade }, async ({ port, kubeletConnections, connections }) => {
    for (const end of ["client destroys", "client ends", "kubelet destroys", "kubelet ends"]) {
      ended = false;
      const { socket, text, closed } = await connect(port);
      socket.write(upgradeOf("POST", EXEC) + "x");
      await until(() => text().endsWith("X"));
      if (end === "client destroys") socket.destroy();
      if (end === "client ends") socket.end();
      if (end === "kubelet destroys") kubelet?.destroy();
      if (end === "kubelet ends") kubelet?.end();
      await until(() => ended && closed() && kubeletConnections() === 0 && connections() === 0);
    }
  });
});

Deno.test("clients that leave in the middle leave nothing behind", async () => {
  const upgrade: Upgrade = (_request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n");
    pour(socket, () => {});
  };
  const handle: Handle = (_request, response) => {
    response.on("error", () => {});
    pour(response, () => {});
  };
  await front(
    { words: "exec,logs", upgrade, handle },
    async ({ port, connections, kubeletConnections, log }) => {
      for (let count = 0; count < 40; count++) {
        const { socket, text } = await connect(port);
        socket.write(
          count % 2 === 0 ? upgradeOf("POST", EXEC) : `GET ${LOGS}?follow=true HTTP/1.1\r\nHost: x\r\n\r\n`,
        );
        // Some leave before their request is judged, some while bytes come.
        if (count % 4 > 1) await until(() => text().length > count * 1000);
        socket.destroy();
      }
      await until(() => connections() === 0 && kubeletConnections() === 0);
      assert.ok(log.events.every(({ event, level }) => event === "node-api-request" || level === "debug"));
    },
  );
});

Deno.test("whoever leaves while the request is judged gets nothing, and the kubelet hears of nothing", async () => {
  const verdict = Promise.withResolvers<Authorization>();
  await front({ words: "exec,logs", authorize: () => verdict.promise }, async (stage) => {
    const clients = [await connect(stage.port), await connect(stage.port)];
    clients[0]?.socket.write(upgradeOf("POST", EXEC));
    clients[1]?.socket.write(`GET ${LOGS} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await until(() => stage.asked.length === 2);
    for (const { socket } of clients) socket.destroy();
    await until(() => stage.connections() === 0);
    verdict.resolve({ kind: "allowed" });
    await stage.close(5_000);
    assert.equal(stage.seen.length, 0);
    assert.ok(stage.log.events.every(({ level }) => level === "debug"), JSON.stringify(stage.log.events));
  });
});

Deno.test("the kubelet may decline a stream, and what the client sent early goes nowhere", async () => {
  const upgrade: Upgrade = (_request, socket) => {
    socket.end("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\nyou may");
  };
  await front({ words: "exec", upgrade }, async ({ port, seen }) => {
    const { socket, text, closed } = await connect(port);
    socket.write(upgradeOf("POST", EXEC) + "GET /pods HTTP/1.1\r\nHost: x\r\n\r\n");
    await until(closed);
    assert.match(text(), /^HTTP\/1.1 400 Bad Request\r\n[^]*connection: close\r\n\r\nyou may$/);
    assert.equal(seen.length, 1);
  });
});

Deno.test("all opens every path and method, with a body", async () => {
  await front({ words: "all" }, async ({ port, seen, asked }) => {
    const answer = await ask(
      port,
      "POST",
      "/run/shop/web/app?cmd=id",
      { headers: { "content-type": "a/b" } },
      "body",
    );
    assert.equal(answer.code, 200);
    assert.deepEqual([seen[0]?.method, seen[0]?.url, seen[0]?.body], [
      "POST",
      "/run/shop/web/app?cmd=id",
      "body",
    ]);
    const { socket, text } = await connect(port);
    const head = "PUT /debug/flags/v HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    socket.write(`${head}1\r\n5\r\n0\r\n\r\n`);
    await until(() => text().includes("kubelet"));
    assert.deepEqual([seen[1]?.method, seen[1]?.body], ["PUT", "5"]);
    socket.destroy();
    assert.equal((await ask(port, "GET", "/logs/")).code, 200);
    assert.deepEqual(asked.map(([, verb, subresources]) => `${verb} ${subresources}`), [
      "create proxy",
      "update proxy",
      "get log",
    ]);
  });
});

Deno.test("audit opens what would be refused, and logs it", async () => {
  await front({ mode: "audit" }, async ({ port, log }) => {
    assert.equal((await ask(port, "GET", "/pods")).code, 200);
    const { socket, text } = await connect(port);
    socket.write(upgradeOf("POST", EXEC) + "x");
    await until(() => text().endsWith("X"));
    socket.destroy();
    const refused = log.events.filter(({ event }) => event === "node-api-refused");
    assert.deepEqual(refused.map(({ fields }) => [fields["path"], fields["mode"]]), [
      ["/pods", "audit"],
      ["/exec/shop/web/app", "audit"],
    ]);
  });
});

// ---- what does not

/** A request for a stream that is refused before the kubelet hears of it. */
async function refusedStream(port: number, method: string, path: string, ...more: string[]): Promise<string> {
  const { socket, text, closed } = await connect(port);
  socket.write(upgradeOf(method, path, ...more));
  await until(closed);
  return text();
}

Deno.test("refuses what is not listed, saying what, where and which flag would open it", async () => {
  await front({}, async ({ port, seen, asked, decided, log }) => {
    const refusals: [string, string, string, string][] = [
      ["GET", "/pods", "pods", "pods"],
      ["GET", "/runningpods/", "pods", "pods"],
      ["GET", "/logs/syslog", "GET /logs/syslog", "all"],
      ["GET", "/configz", "GET /configz", "all"],
      ["POST", "/run/shop/web/app?cmd=canary", "POST /run/shop/web/app", "all"],
      ["POST", "/checkpoint/shop/web/app", "POST /checkpoint/shop/web/app", "all"],
      ["POST", "/metrics", "POST /metrics", "all"],
      ["HEAD", "/metrics", "", "all"],
      ["GET", EXEC, "exec", "exec"],
    ];
    for (const [method, path, what, word] of refusals) {
      const { code, body, headers } = await ask(port, method, path);
      assert.deepEqual([code, headers["content-type"]], [403, ["text/plain; charset=utf-8"]], path);
      if (method !== "HEAD") {
        assert.equal(
          body,
          `kubelet-proxy on node "worker" does not open ${what} to the cluster; --node-api-access=${word} there would\n`,
        );
      }
    }
    const streams: [string, string, string][] = [
      ["GET", EXEC, "exec"],
      ["POST", EXEC, "exec"],
      ["POST", "/attach/shop/web/app", "attach"],
      ["GET", "/portForward/shop/web", "port-forward"],
      ["POST", "/run/shop/web/app", "all"],
    ];
    for (const [method, path, word] of streams) {
      const text = await refusedStream(port, method, path);
      assert.match(text, /^HTTP\/1.1 403 Forbidden\r\n[^]*connection: close\r\n/, path);
      assert.match(text, new RegExp(`node "worker" .*--node-api-access=${word} there would\n$`));
    }
    assert.deepEqual([seen.length, asked.length], [0, 0]);
    assert.equal(log.events.length, refusals.length + streams.length);
    assert.deepEqual(decided, Array(log.events.length).fill(403));
    assert.ok(log.events.every(({ event, level }) => event === "node-api-refused" && level === "warn"));
    assert.equal(log.events[0]?.fields["user"], "kube-apiserver-kubelet-client");
    assert.doesNotMatch(JSON.stringify(log.events), /canary|command/);
  });
});

Deno.test("refuses an exec by a word that opens another", async () => {
  await front({ words: "logs,attach,port-forward,metrics,stats,pods" }, async ({ port, seen }) => {
    assert.match(await refusedStream(port, "POST", EXEC), /^HTTP\/1.1 403 /);
    assert.equal(seen.length, 0);
  });
});

Deno.test("refuses whoever is nobody: without, with an unknown token, with a certificate of somebody else", async () => {
  const stranger = await issue({
    commonName: "kube-apiserver-kubelet-client",
    organizations: ["system:masters"],
  });
  await front({ words: "all" }, async ({ port, seen, log }) => {
    const shown: RequestOptions[] = [
      ANONYMOUS,
      { ...ANONYMOUS, headers: { authorization: "Bearer canary" } },
      { ...ANONYMOUS, headers: { authorization: "Basic Y2FuYXJ5" } },
      { cert: stranger.certificate, key: stranger.key },
      { cert: pki.stranger.certificate, key: pki.stranger.key },
      { cert: frontClient.certificate, key: frontClient.key },
    ];
    for (const [index, options] of shown.entries()) {
      const { code } = await ask(port, "GET", "/metrics", options);
      assert.equal(code, 401, String(index));
    }
    assert.equal(seen.length, 0);
    assert.ok(log.events.every(({ event }) => event === "node-api-unauthenticated"));
    assert.doesNotMatch(JSON.stringify(log.events), /canary|Y2FuYXJ5/);
  });
});

Deno.test("refuses what the cluster refuses, in the kubelet's words", async () => {
  await front({ authorize: () => ({ kind: "denied" }) }, async ({ port, seen, log }) => {
    const { code, body } = await ask(port, "GET", "/healthz");
    assert.equal(code, 403);
    assert.equal(
      body,
      "Forbidden (user=kube-apiserver-kubelet-client, verb=get, resource=nodes, subresource(s)=[healthz proxy])\n",
    );
    assert.equal(seen.length, 0);
    assert.equal(log.events[0]?.event, "node-api-denied");
  });
});

Deno.test("refuses when the API server gives no verdict", async () => {
  const failures: [Authorization | UpstreamError, number][] = [
    [{ kind: "failure", code: 500 }, 503],
    ...(["unreachable", "no-credential", "aborted"] as const).map((code): [UpstreamError, number] => [
      new UpstreamError(code, "why"),
      503,
    ]),
    [new UpstreamError("timeout" satisfies UpstreamFailure, "why"), 504],
  ];
  for (const [verdict, expected] of failures) {
    await front({ authorize: () => verdict }, async ({ port, seen, log }) => {
      const { code } = await ask(port, "GET", "/metrics");
      assert.equal(code, expected);
      assert.equal(seen.length, 0);
      const aborted = verdict instanceof UpstreamError && verdict.code === "aborted";
      assert.deepEqual(log.events.map(({ event }) => event), aborted ? [] : ["node-api-no-verdict"]);
    });
  }
});

Deno.test("refuses when the API server does not say whose a token is", async () => {
  const token: NoVerdict = { kind: "failure", response: new Response("no", { status: 500 }) };
  await front({ token }, async ({ port, seen, log }) => {
    const headers = { authorization: "Bearer canary" };
    assert.equal((await ask(port, "GET", "/metrics", { ...ANONYMOUS, headers })).code, 503);
    assert.equal(seen.length, 0);
    assert.deepEqual(log.events.map(({ event }) => event), ["node-api-no-verdict"]);
    assert.doesNotMatch(JSON.stringify(log.events), /canary/);
  });
});

Deno.test("refuses to show a defect to the client", async () => {
  const authorize = () => {
    throw new Error("canary");
  };
  await front({ authorize }, async ({ port, log }) => {
    const { code, body } = await ask(port, "GET", "/metrics");
    assert.equal(code, 500);
    assert.doesNotMatch(body, /canary/);
    assert.equal(log.events[0]?.event, "node-api-request-failed");
  });
});

Deno.test("refuses requests of the wrong form", async () => {
  await front({ words: "logs,metrics,exec" }, async ({ port, seen, log }) => {
    assert.equal((await ask(port, "GET", EXEC)).code, 400, "exec without an upgrade");
    assert.match(await refusedStream(port, "GET", "/metrics"), /^HTTP\/1.1 400 /, "metrics with an upgrade");
    assert.match(await refusedStream(port, "POST", EXEC, "Content-Length: 5"), /^HTTP\/1.1 400 /, "a body");
    assert.match(
      await refusedStream(port, "POST", EXEC, "Upgrade: websocket"),
      /^HTTP\/1.1 400 /,
      "two protocols",
    );
    const token = "Sec-WebSocket-Protocol: v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.canary";
    assert.match(await refusedStream(port, "GET", EXEC, token), /^HTTP\/1.1 400 /, "a token for browsers");
    const withBody = await ask(port, "GET", LOGS, { headers: { "content-length": "4" } }, "body");
    assert.equal(withBody.code, 400);
    const { socket, text, closed } = await connect(port);
    socket.write("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    await until(closed);
    assert.match(text(), /^HTTP\/1.1 400 /, "HTTP/2 without TLS");
    assert.equal(seen.length, 0);
    assert.ok(log.events.every(({ event }) => event === "node-api-request-malformed"));
    assert.doesNotMatch(JSON.stringify(log.events), /canary|command/);
  });
});

Deno.test("refuses paths that are not canonical, before it asks who it is", async () => {
  await front({ words: "all" }, async ({ port, seen }) => {
    for (
      const target of [
        "/metrics/../exec/a/b/c",
        "//metrics",
        "/containerLogs/a%2fb/c/d",
        "/metrics?a=1&a=2",
        "http://x/metrics",
        "*",
        "metrics",
      ]
    ) {
      const { socket, text, closed } = await connect(port);
      socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      await until(() => closed() || text().length > 0);
      assert.match(text(), /^(?:HTTP\/1.1 400 .*|$)/m, target);
      assert.doesNotMatch(text(), /kubelet$/);
      socket.destroy();
    }
    assert.equal(seen.length, 0);
  });
});

Deno.test("refuses CONNECT, and what is not HTTP", async () => {
  await front({ words: "all" }, async ({ port, seen, log }) => {
    for (
      const bytes of ["CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x00\x05hello\r\n\r\n"]
    ) {
      const { socket, text, closed } = await connect(port);
      socket.write(bytes);
      await until(closed);
      assert.doesNotMatch(text(), /200/);
    }
    assert.equal(seen.length, 0);
    assert.ok(log.events.some(({ event }) => event === "node-api-request-malformed"));
  });
});

Deno.test("refuses heads over the bound", async () => {
  await front({}, async ({ port, seen }) => {
    const { socket, text, closed } = await connect(port);
    const padding = `X-Padding: ${"x".repeat(1000)}\r\n`.repeat(Math.ceil(MAX_FRONT_HEADER_BYTES / 1000));
    socket.write(`GET /metrics HTTP/1.1\r\nHost: x\r\n${padding}\r\n`);
    await until(closed);
    assert.doesNotMatch(text(), /kubelet$/);
    assert.equal(seen.length, 0);
  });
});

Deno.test("refuses connections over the bound, and has room again when one ends", async () => {
  await front({ maxConnections: 2 }, async ({ port, log, connections }) => {
    const first = await connect(port);
    const second = await connect(port);
    await until(() => connections() === 2);
    await assert.rejects(ask(port, "GET", "/metrics"));
    assert.equal(log.events[0]?.event, "node-api-connection-refused");
    first.socket.destroy();
    await until(() => connections() === 1);
    assert.equal((await ask(port, "GET", "/metrics")).code, 200);
    second.socket.destroy();
  });
});

Deno.test("refuses to wait: for a first request, for a slow head, and for the next request", async () => {
  await front({ handshakeTimeoutMs: 1_000 }, async ({ port }) => {
    const silent = await connect(port);
    const slow = await connect(port);
    const timer = setInterval(() => slow.socket.write("G"), 20);
    await until(() => silent.closed() && slow.closed());
    clearInterval(timer);
  });
  await front({ idleTimeoutMs: 150 }, async ({ port }) => {
    const { socket, text, closed } = await connect(port);
    socket.write("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    await until(() => text().endsWith("kubelet\r\n0\r\n\r\n") || text().endsWith("kubelet"));
    await until(closed);
  });
});

Deno.test("requests that take longer than the times for silence are not cut", async () => {
  const handle: Handle = (_request, response) => void setTimeout(() => response.end("late"), 2_500);
  await front({ handle, handshakeTimeoutMs: 1_500, idleTimeoutMs: 1_500 }, async ({ port }) => {
    assert.equal((await ask(port, "GET", "/metrics")).body, "late");
    const { socket, text } = await connect(port);
    socket.write("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    await until(() => text().includes("late"));
    assert.match(text(), /403 Forbidden/);
    socket.destroy();
  });
});

Deno.test("refuses to keep a stream that is silent for too long", async () => {
  await front({ words: "exec", streamIdleTimeoutMs: 300 }, async ({ port, kubeletConnections }) => {
    const { socket, text, closed } = await connect(port);
    socket.write(upgradeOf("POST", EXEC) + "x");
    await until(() => text().endsWith("X"));
    await until(() => closed() && kubeletConnections() === 0);
  });
});

Deno.test("several requests go over one connection, one after the other", async () => {
  await front({}, async ({ port, seen, kubeletConnections }) => {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    for (let count = 0; count < 20; count++) {
      assert.equal((await ask(port, "GET", "/metrics", { agent })).code, 200);
    }
    assert.equal(seen.length, 20);
    agent.destroy();
    await until(() => kubeletConnections() === 0);
  });
});

Deno.test("refuses a kubelet whose certificate is not the node's", async () => {
  const other = await issue({ commonName: "other", issuer: kubeletAuthority, names: ["other"] });
  const stranger = await issue({ commonName: "worker", issuer: pki.authority, names: ["worker"] });
  for (const server of [other, stranger]) {
    await front({ words: "logs,exec", kubeletServer: server }, async ({ port, seen, errors }) => {
      const { code, body } = await ask(port, "GET", LOGS, { headers: { authorization: "Bearer canary" } });
      assert.deepEqual([code, body], [
        502,
        "kubelet-proxy: the kubelet does not answer; see the log of kubelet-proxy on the node\n",
      ]);
      assert.match(await refusedStream(port, "POST", EXEC), /^HTTP\/1.1 502 /);
      assert.deepEqual([seen.length, errors.length], [0, 2]);
    });
  }
});

Deno.test("refuses a kubelet that makes a stream of a request for none", async () => {
  const handle: Handle = (request) => {
    request.socket.write(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nx",
    );
  };
  await front({ handle }, async ({ port }) => {
    assert.equal((await ask(port, "GET", LOGS)).code, 502);
  });
});

Deno.test("at the end, what finishes by itself is answered; streams and followed logs are cut", async () => {
  let slow: ServerResponse | undefined;
  const handle: Handle = (_request, response) => {
    slow = response;
  };
  await front({ words: "exec,metrics", handle }, async ({ port, close, connections, kubeletConnections }) => {
    const stream = await connect(port);
    stream.socket.write(upgradeOf("POST", EXEC) + "x");
    await until(() => stream.text().endsWith("X"));
    const idle = await connect(port);
    const answer = ask(port, "GET", "/metrics");
    await until(() => slow !== undefined);
    const closed = close(2_000);
    await until(idle.closed);
    slow?.end("last");
    assert.equal((await answer).body, "last");
    await closed;
    await until(() => stream.closed() && connections() === 0 && kubeletConnections() === 0);
    await assert.rejects(ask(port, "GET", "/metrics"));
  });
});

Deno.test("renewed certificates are for new connections; clients of the authority of before are nobody", async () => {
  await front({}, async ({ port, reload, seen }) => {
    assert.equal((await ask(port, "GET", "/metrics")).code, 200);
    const authority = await issue({ commonName: "next authority", authority: true });
    const server = await issue({ commonName: "next", issuer: authority, addresses: [[127, 0, 0, 1]] });
    const client = await issue({ commonName: "kube-apiserver-kubelet-client", issuer: authority });
    const kept = await connect(port);
    reload({
      certificate: server.certificate,
      key: server.key,
      clientAuthorities: [authority.certificate],
    });
    const ca = authority.certificate;
    const { certificate: cert, key } = client;
    assert.equal((await ask(port, "GET", "/metrics", { ca, cert, key })).code, 200);
    assert.equal(seen.length, 2);
    assert.equal((await ask(port, "GET", "/metrics", { ca })).code, 401, "the client of before");
    // An open connection lives on, but its client's authority is not one any more.
    kept.socket.write("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    await until(() => kept.text().includes("\r\n\r\n"));
    assert.match(kept.text(), /^HTTP\/1.1 401/);
    assert.equal(seen.length, 2);
    kept.socket.destroy();
    // What cannot be used changes nothing.
    assert.throws(() => reload({ certificate: "", key: "", clientAuthorities: ["x"] }));
    assert.equal((await ask(port, "GET", "/metrics", { ca, cert, key })).code, 200);
  });
});
