import assert from "node:assert/strict";
import net from "node:net";
import tls from "node:tls";
import { issue, testPki } from "../fixture_test.ts";
import { openInsecureTunnel } from "./insecure_tunnel.ts";

/** A server with a certificate that nobody signed, which asks for one of the client. */
async function tunnelled(
  answer: (socket: tls.TLSSocket) => void,
  test: (ask: (path: string) => Promise<Response>, close: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const { authority, node } = await testPki();
  const unknown = await issue({ commonName: "unknown" });
  const folder = await Deno.makeTempDir();
  const server = tls.createServer({
    cert: unknown.certificate,
    key: unknown.key,
    ca: authority.certificate,
    requestCert: true,
    rejectUnauthorized: true,
  }, (socket) => {
    socket.on("error", () => {});
    answer(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === "object");
  const socketPath = `${folder}/upstream.sock`;
  const tunnel = await openInsecureTunnel({
    server: new URL(`https://localhost:${bound.port}`),
    identity: () => node,
    socketPath,
  });
  const client = Deno.createHttpClient({ http2: false, proxy: { transport: "unix", path: socketPath } });
  try {
    await test((path) => fetch(`http://localhost:${bound.port}${path}`, { client }), () => tunnel.close());
  } finally {
    client.close();
    await tunnel.close();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("the certificate of the server is not checked, that of the client goes along", async () => {
  await tunnelled((socket) => {
    const name = socket.getPeerCertificate().subject?.CN;
    socket.once(
      "data",
      () => socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${String(name).length}\r\n\r\n${name}`),
    );
  }, async (ask) => {
    assert.equal(await (await ask("/a")).text(), "system:node:worker");
  });
});

Deno.test("a server that hangs up ends the request", async () => {
  await tunnelled((socket) => socket.destroy(), async (ask) => {
    await assert.rejects(ask("/a"));
  });
});

Deno.test("closing cuts what goes through", async () => {
  await tunnelled((socket) => {
    socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"));
  }, async (ask, close) => {
    const response = await ask("/a");
    await close();
    await assert.rejects(response.text());
  });
});

Deno.test("a server that is not there ends the request", async () => {
  const folder = await Deno.makeTempDir();
  const free = net.createServer();
  await new Promise<void>((resolve) => free.listen(0, "127.0.0.1", () => resolve()));
  const bound = free.address();
  assert.ok(bound !== null && typeof bound === "object");
  await new Promise<void>((resolve) => free.close(() => resolve()));
  const socketPath = `${folder}/upstream.sock`;
  const tunnel = await openInsecureTunnel({
    server: new URL(`https://127.0.0.1:${bound.port}`),
    identity: () => undefined,
    socketPath,
  });
  {
    using client = Deno.createHttpClient({ http2: false, proxy: { transport: "unix", path: socketPath } });
    await assert.rejects(fetch("http://x/", { client }));
  }
  await tunnel.close();
  await assert.rejects(
    openInsecureTunnel({
      server: new URL("https://x"),
      identity: () => undefined,
      socketPath: `${folder}/none/x.sock`,
    }),
  );
  await Deno.remove(folder, { recursive: true });
});
