/** The connection to the API server. */
import net from "node:net";
import tls from "node:tls";
import { issue } from "../../../proxy/fixture_test.ts";
import type { Case, CaseGroup } from "../case.ts";
import type { Setting } from "../setting.ts";

/** How many connections are treated badly before the server becomes honest. */
const BAD_CONNECTIONS = 2;

/** Puts a listener in front of the server that treats the first connections in its own way. */
async function inFront(setting: Setting, treat: (socket: net.Socket) => void): Promise<void> {
  const sockets = new Set<net.Socket>();
  let count = 0;
  const front = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    if (++count <= BAD_CONNECTIONS) treat(socket);
    else splice(socket, setting.server.port);
  });
  setting.upstreamPort = await listen(front);
  setting.onClose(async () => {
    const closed = new Promise<void>((resolve) => front.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  await setting.startProxy();
  setting.startKubelet();
  await setting.until("the bad connections are over", () => count > BAD_CONNECTIONS);
}

async function listen(server: net.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("no address");
  return bound.port;
}

function splice(socket: net.Socket, port: number): void {
  const other = net.connect(port, "127.0.0.1");
  other.on("error", () => socket.destroy());
  other.on("close", () => socket.destroy());
  socket.on("close", () => other.destroy());
  socket.pipe(other);
  other.pipe(socket);
}

/** Bytes instead of TLS, then the end. */
function says(name: string, does: string, bytes: string | Uint8Array): Case {
  return { name, does, run: (setting) => inFront(setting, (socket) => socket.end(bytes)) };
}

/** A TLS server of its own for the bad connections, which answers each request with a list. */
function serves(
  name: string,
  does: string,
  options: (setting: Setting) => Promise<tls.TlsOptions> | tls.TlsOptions,
): Case {
  return {
    name,
    does,
    async run(setting) {
      const list = JSON.stringify({
        kind: "PodList",
        apiVersion: "v1",
        metadata: { resourceVersion: "1" },
        items: [],
      });
      const { certificate, key } = setting.pki.server;
      const server = tls.createServer({ cert: certificate, key, ...await options(setting) }, (socket) => {
        socket.on("error", () => {});
        socket.end(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n${list}`);
      });
      server.on("tlsClientError", (_error: Error, socket: tls.TLSSocket) => socket.destroy());
      const port = await listen(server);
      setting.onClose(() => new Promise<void>((resolve) => server.close(() => resolve())));
      await inFront(setting, (socket) => splice(socket, port));
      if (setting.statuses.includes(200)) throw new Error("the bad server was believed");
    },
  };
}

function pem({ certificate, key }: { certificate: string; key: string }): tls.TlsOptions {
  return { cert: certificate, key };
}

const HTTP2_PREFACE = new Uint8Array([0, 0, 0, 4, 0, 0, 0, 0, 0]);

export const transport: CaseGroup = {
  title: "Transport",
  cases: [
    says(
      "34-no-tls",
      "speaks plain HTTP where TLS was asked for",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ),
    says("34-other-protocol", "speaks SSH", "SSH-2.0-OpenSSH_9.9\r\n"),
    says("34-empty-connection", "ends every connection at once", ""),
    says("34-tls-alert", "ends the handshake with an alert", new Uint8Array([21, 3, 3, 0, 2, 2, 40])),
    says(
      "34-tls-record-too-long",
      "sends a TLS record that is too long",
      new Uint8Array([22, 3, 3, 255, 255, 1]),
    ),
    {
      name: "34-connection-reset",
      does: "resets every connection",
      run: (setting) => inFront(setting, (socket) => void socket.destroy()),
    },
    serves(
      "34-self-signed-certificate",
      "shows a certificate that no authority signed",
      async () => pem(await issue({ commonName: "server", addresses: [[127, 0, 0, 1]] })),
    ),
    serves("34-certificate-of-another-authority", "shows a certificate of another authority", async () => {
      const issuer = await issue({ commonName: "other authority", authority: true });
      return pem(await issue({ commonName: "server", issuer, addresses: [[127, 0, 0, 1]] }));
    }),
    serves(
      "34-certificate-for-another-name",
      "shows a certificate for another name",
      async ({ pki }) =>
        pem(await issue({ commonName: "server", issuer: pki.authority, names: ["elsewhere.example"] })),
    ),
    serves(
      "34-certificate-without-names",
      "shows a certificate that has its address as common name alone",
      async ({ pki }) => pem(await issue({ commonName: "127.0.0.1", issuer: pki.authority })),
    ),
    serves(
      "34-kubelet-certificate",
      "shows the certificate of the node as its own",
      ({ pki }) => pem(pki.node),
    ),
    serves("34-old-tls", "speaks TLS 1.1 at most", () => ({ minVersion: "TLSv1.1", maxVersion: "TLSv1.1" })),
    serves("34-only-http2", "takes connections of HTTP/2 only", () => ({ ALPNProtocols: ["h2"] })),
    {
      name: "34-http2-unasked",
      does: "answers with frames of HTTP/2, which was not agreed on",
      run: (setting) =>
        setting.lieOnce(async (_request, wire) => {
          await wire.write(HTTP2_PREFACE);
          wire.close("end");
        }),
    },
    {
      name: "34-http2-offered",
      does: "prefers HTTP/2 in the handshake",
      async run(setting) {
        await setting.startProxy();
        setting.startKubelet();
        await setting.untilHeld("web");
        if (setting.server.protocols.size === 0) throw new Error("no connection was seen");
      },
    },
  ],
};
