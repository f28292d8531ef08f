import assert from "node:assert/strict";
import tls from "node:tls";
import { ManualClock } from "../../tests/fakes/clock.ts";
import { issue, testPki } from "../fixture_test.ts";
import { type ConnectOptions, connectServer } from "./connect.ts";
import { createHttpClient } from "./http_client.ts";

/** Asks once, the way that the proxy does. */
async function ask(url: string, options: ConnectOptions): Promise<string> {
  const client = createHttpClient({
    connect: (server) => connectServer(server, options),
    clock: new ManualClock(),
    maxIdle: 1,
    idleTimeoutMs: 1_000,
  });
  try {
    return await (await client.fetch(url, { method: "GET", headers: [] })).text();
  } finally {
    client.close();
  }
}

/** A server that answers with the name in its client's certificate, and its protocol. */
async function serveTls(certificate: { certificate: string; key: string }, clientCa: string) {
  const server = tls.createServer({
    cert: certificate.certificate,
    key: certificate.key,
    ca: clientCa,
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: ["h2", "http/1.1"],
  }, (socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      const text = `${socket.getPeerCertificate().subject?.CN} ${socket.alpnProtocol}`;
      socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
    });
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return {
    port: address.port,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

Deno.test("TLS with the node's certificate, and HTTP/1.1 in it", async () => {
  const { authority, server, node } = await testPki();
  const certificateAuthorities = [authority.certificate];
  await using serving = await serveTls(server, authority.certificate);
  for (const host of ["127.0.0.1", "localhost"]) {
    assert.equal(
      await ask(`https://${host}:${serving.port}/x`, { certificateAuthorities, identity: node }),
      "system:node:worker http/1.1",
    );
  }
});

Deno.test("refuses a server of another authority, of another name, and without TLS", async () => {
  const { authority, server, node, stranger } = await testPki();
  const options = { certificateAuthorities: [authority.certificate], identity: node };
  const foreign = await issue({ commonName: "server", authority: true, addresses: [[127, 0, 0, 1]] });
  await using other = await serveTls(foreign, authority.certificate);
  await assert.rejects(ask(`https://127.0.0.1:${other.port}/`, options), /UnknownIssuer|certificate/i);
  const elsewhere = await issue({ commonName: "server", issuer: authority, names: ["elsewhere.example"] });
  await using misnamed = await serveTls(elsewhere, authority.certificate);
  await assert.rejects(ask(`https://127.0.0.1:${misnamed.port}/`, options), /certificate/i);
  await using serving = await serveTls(server, authority.certificate);
  await assert.rejects(ask(`http://127.0.0.1:${serving.port}/`, options));
  await assert.rejects(ask(`https://127.0.0.1:${serving.port}/`, { ...options, identity: stranger }));
  await assert.rejects(
    ask(`https://127.0.0.1:${serving.port}/`, { certificateAuthorities: [authority.certificate] }),
  );
});

Deno.test("plain HTTP, by name and by address", async () => {
  const options = { certificateAuthorities: [] };
  for (const hostname of ["127.0.0.1", "::1"]) {
    let serving;
    try {
      serving = Deno.serve({ hostname, port: 0, onListen: () => {} }, () => new Response("plain"));
    } catch (error) {
      if (hostname === "127.0.0.1") throw error;
      console.log("this machine has no IPv6");
      continue;
    }
    const host = hostname.includes(":") ? `[${hostname}]` : hostname;
    assert.equal(await ask(`http://${host}:${serving.addr.port}/`, options), "plain");
    await serving.shutdown();
  }
});
