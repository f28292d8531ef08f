/**
 * kubelet-proxy as a process with its port for metrics, between a fake kubelet and a fake API server: certificates on
 * both sides, and a trusted key whose certificate has an end.
 */
import { generateSigningKey } from "@signed-pods/shared/signing";
import { testPki } from "../../proxy/fixture_test.ts";
import { createSelfSignedCertificate } from "../../shared/self_signed.ts";
import { serveTls } from "../soak/api.ts";
import { ProxyProcess, writeNodeFiles } from "../soak/proxy_process.ts";
import { FakeApiServer } from "./api_server.ts";
import { CANARY } from "./canary.ts";
import { FakeKubelet } from "./kubelet.ts";
import { Owner } from "./owner.ts";

const DAY_MS = 24 * 3_600_000;

/** A JSON Web Token that ends; nobody here checks its signature. */
function tokenUntil(endMs: number): string {
  const part = (value: unknown) =>
    new TextEncoder().encode(JSON.stringify(value)).toBase64({ alphabet: "base64url", omitPadding: true });
  return `${part({ alg: "RS256" })}.${part({ sub: CANARY, exp: Math.floor(endMs / 1000) })}.${CANARY}`;
}

export class ObservedNode {
  private constructor(
    readonly folder: string,
    readonly owner: Owner,
    readonly api: FakeApiServer,
    readonly proxy: ProxyProcess,
    /** It lists and watches as soon as it is told to run. */
    readonly kubelet: FakeKubelet,
    /** Where metrics are read. */
    readonly url: string,
    readonly closeApi: () => Promise<void>,
    readonly closeClient: () => void,
  ) {}

  /** Starts everything but the kubelet. */
  static async start(more: (folder: string) => string[] = () => []): Promise<ObservedNode> {
    const pki = await testPki();
    const folder = await Deno.makeTempDir();
    const api = new FakeApiServer();
    const server = serveTls(api, pki);
    const client = Deno.createHttpClient({
      caCerts: [pki.authority.certificate],
      cert: pki.node.certificate,
      key: pki.node.key,
    });
    const key = await generateSigningKey("ec-p256");
    const now = Date.now();
    const ownerKey = await createSelfSignedCertificate({
      key,
      commonName: "owner",
      notBefore: new Date(now - DAY_MS),
      notAfter: new Date(now + 100 * DAY_MS),
    });
    await writeNodeFiles({ folder, pki, apiPort: server.addr.port, ownerKey, token: CANARY });
    await Deno.writeTextFile(`${folder}/node.pem`, pki.node.certificate + pki.node.key);
    await Deno.writeTextFile(
      `${folder}/kubeconfig`,
      JSON.stringify({
        "current-context": "x",
        contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
        clusters: [{
          name: "x",
          cluster: { server: `https://127.0.0.1:${server.addr.port}`, "certificate-authority": "ca.pem" },
        }],
        users: [{
          name: "x",
          user: {
            "client-certificate": "node.pem",
            "client-key": "node.pem",
            token: tokenUntil(now + DAY_MS),
          },
        }],
      }),
    );
    const proxy = await ProxyProcess.start(folder, 0, [
      "--metrics-addr=127.0.0.1:0",
      ...more(folder),
    ]);
    const url = String(proxy.line("operability-listening")?.["address"]);
    const kubelet = new FakeKubelet({ fetch: (path, init) => fetch(proxy.url + path, { ...init, client }) });
    return new ObservedNode(
      folder,
      await Owner.create(key),
      api,
      proxy,
      kubelet,
      url,
      async () => {
        api.endWatches();
        await server.shutdown();
      },
      () => client.close(),
    );
  }

  /** Reads a page of the port for metrics. */
  async read(path: string): Promise<{ status: number; text: string }> {
    const response = await fetch(this.url + path);
    return { status: response.status, text: await response.text() };
  }

  /** The value of one series now. */
  async metric(series: string): Promise<number> {
    const { text } = await this.read("/metrics");
    const line = text.split("\n").find((candidate) => candidate.startsWith(`${series} `));
    return line === undefined ? Number.NaN : Number(line.slice(series.length + 1));
  }

  /** Waits until something is so that has to be asked for. */
  async until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 20_000;
    while (!await condition()) {
      if (Date.now() > deadline) {
        throw new Error(`it did not come to be that ${what}:\n${this.proxy.lines.slice(-20).join("\n")}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async close(): Promise<void> {
    await this.kubelet.stop();
    await this.proxy.stop("SIGTERM");
    await this.closeApi();
    this.closeClient();
    await Deno.remove(this.folder, { recursive: true });
  }
}
