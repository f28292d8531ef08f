/**
 * How long kubelet-proxy takes from its start to its first answer: the program as it is, launcher included, with TLS on both
 * sides, in front of an API server in this process. The request is a kubelet's first list of its pods, of which there is one.
 */
import { type TestPki, testPki } from "../proxy/fixture_test.ts";
import { FakeApiServer } from "../tests/fakes/api_server.ts";
import { makePod, NODE_NAME, Owner } from "../tests/fakes/owner.ts";
import { serveTls } from "../tests/soak/api.ts";
import { nodeFlags, writeNodeFiles } from "../tests/soak/proxy_process.ts";
import { median } from "./median.ts";
import { freePort, processorMs } from "./process.ts";

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const PODS = `/api/v1/pods?fieldSelector=spec.nodeName%3D${NODE_NAME}&limit=500&resourceVersion=0`;

/** Time between two attempts to connect, in milliseconds: little beside a start. */
const RETRY_MS = 5;

/** A start that takes longer has failed, in milliseconds. */
const START_TIMEOUT_MS = 60_000;

/** What a start takes. */
export interface StartFigure {
  /** From the start of the program to the first answered request, in milliseconds. */
  wallMs: number;
  /** Processor time of the program until then, the launcher's included, in milliseconds. */
  processorMs: number;
}

/**
 * Starts the program a number of times.
 *
 * @param program default: the one in bin/
 * @returns the median of both figures
 * @throws {Error} if the program ends, or does not answer
 */
export async function measureStart(
  rounds: number,
  program: string = `${ROOT}/bin/kubelet-proxy`,
): Promise<StartFigure> {
  const starts: StartFigure[] = [];
  const folder = await Deno.makeTempDir({ prefix: "signed-pods-start-" });
  const pki = await testPki();
  const api = new FakeApiServer();
  const server = serveTls(api, pki);
  try {
    const owner = await Owner.create();
    const ownerKey = await owner.publicKeyPem();
    await writeNodeFiles({ folder, pki, apiPort: server.addr.port, ownerKey, token: "token" });
    api.put(await owner.sign(makePod()));
    for (let round = 0; round < rounds; round++) {
      starts.push(await start(program, folder, pki));
    }
  } finally {
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
  return {
    wallMs: median(starts.map(({ wallMs }) => wallMs)),
    processorMs: median(starts.map(({ processorMs }) => processorMs)),
  };
}

async function start(program: string, folder: string, pki: TestPki): Promise<StartFigure> {
  using client = Deno.createHttpClient({
    caCerts: [pki.authority.certificate],
    cert: pki.node.certificate,
    key: pki.node.key,
  });
  const port = freePort();
  const url = `https://127.0.0.1:${port}${PODS}`;
  const startedAt = performance.now();
  const child = new Deno.Command(program, {
    args: [
      ...nodeFlags(folder, port),
      "--log-requests=false",
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let ended = false;
  void child.status.then(() => ended = true);
  try {
    for (;;) {
      const names = await podNames(url, client);
      if (names !== undefined) {
        const wallMs = performance.now() - startedAt;
        if (names.join() !== "web") throw new Error(`kubelet-proxy answered with the pods "${names.join()}"`);
        return { wallMs, processorMs: await processorMs(child.pid) };
      }
      if (ended || performance.now() - startedAt > START_TIMEOUT_MS) {
        throw new Error(`kubelet-proxy ${ended ? "ended" : `does not answer after ${START_TIMEOUT_MS} ms`}`);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  } finally {
    if (!ended) child.kill("SIGKILL");
    await child.status;
  }
}

/** The pods that are answered with; undefined if nobody listens. */
async function podNames(url: string, client: Deno.HttpClient): Promise<string[] | undefined> {
  let response: Response;
  try {
    response = await fetch(url, { client });
  } catch {
    return undefined;
  }
  const { items } = await response.json();
  return items.map(({ metadata }: { metadata: { name: string } }) => metadata.name);
}
