/** signing-server against WebCrypto alone: what HTTP, the checks and the audit log cost. */
import { isJsonObject, type JsonValue, objectAt, objectsAt } from "@signed-pods/shared/json";
import { generateSigningKey, sign, type SigningKey } from "@signed-pods/shared/signing";
import { SIGNED_TEMPLATE_ANNOTATION } from "@signed-pods/shared/verdict";
import { freePort, type Server, startServer } from "./process.ts";
import { type Racer, valueOf } from "./racer.ts";

const ROOT = new URL("..", import.meta.url).pathname;

/** How long each figure is taken. */
const SECONDS = 2;

/**
 * Clients that take turns. The server lets each ask for 20 signatures a second after a burst of 300, and what is measured
 * here is what it can do.
 */
const TOKENS = 100;

/** The server, and a key of the same kind. */
export interface SigningBench {
  server: Server;
  /** Requests a second. */
  measure(clients: number): Promise<{ direct: number; served: number }>;
}

/** Starts the server with a key in memory. */
export async function startSigningBench(racer: Racer): Promise<SigningBench> {
  const { folder } = racer;
  const port = freePort();
  await Deno.writeTextFile(
    `${folder}/tokens`,
    Array.from({ length: TOKENS }, (_, index) => {
      const number = String(index).padStart(4, "0");
      return `client-${number}: racer-token-${number}\n`;
    }).join(""),
    { mode: 0o600 },
  );
  const server = await startServer(
    `${ROOT}bin/signing-server`,
    [`--listen-addr=127.0.0.1:${port}`, `--key-dir=${folder}/keys`, `--token-file=${folder}/tokens`],
    port,
    `${folder}/signing-server.log`,
  );
  const key = await generateSigningKey("ec-p256");
  const payload = await signedTemplate(racer);
  await Deno.writeTextFile(`${folder}/payload.json`, JSON.stringify({ payload }));
  return {
    server,
    async measure(clients) {
      const direct = await signAlone(key, payload, clients);
      const reading = await racer.raceAt(`http://127.0.0.1:${port}`, [
        "pass",
        "-path",
        "/sign",
        "-body",
        `${folder}/payload.json`,
        "-c",
        String(clients),
        "-secs",
        String(SECONDS),
        "-tokens",
        String(TOKENS),
      ]);
      return { direct, served: valueOf(reading, "requests/s") };
    },
  };
}

/** What podsign would have signed: the template of the first pod among the replicas. */
async function signedTemplate({ folder }: Racer): Promise<string> {
  const list: JsonValue = JSON.parse(await Deno.readTextFile(`${folder}/sets/replicas.json`));
  const [pod = {}] = isJsonObject(list) ? objectsAt(list, "items") : [];
  return String(objectAt(objectAt(pod, "metadata"), "annotations")[SIGNED_TEMPLATE_ANNOTATION]);
}

async function signAlone(key: SigningKey, payload: string, clients: number): Promise<number> {
  const data = new TextEncoder().encode(payload);
  const start = performance.now();
  const end = start + SECONDS * 1000;
  let signatures = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    while (performance.now() < end) {
      await sign(key, data);
      signatures++;
    }
  }));
  return 1000 * signatures / (performance.now() - start);
}
