/** Opens and closes watches through the program, and looks at what that leaves behind. */
import assert from "node:assert/strict";
import { testPki, until } from "../../proxy/fixture_test.ts";
import { FakeApiServer } from "../fakes/api_server.ts";
import { assertNoCanary, CANARY } from "../fakes/canary.ts";
import { NODE_NAME, Owner } from "../fakes/owner.ts";
import { serveTls } from "./api.ts";
import { ProxyProcess, writeNodeFiles } from "./proxy_process.ts";

/** Enough to tell a leak from noise, in some seconds. */
export const WATCHES_IN_TEST = 500;

/** Watches of pods that are open at a time; the proxy takes 32. */
const BATCH = 25;

/** A watch may not keep more than this of the heap, in bytes; a leaked request or stream has many times as much. */
const MAX_BYTES_PER_WATCH = 200;

/** The heap is not the same to the byte twice. */
const NOISE_BYTES = 512 * 1024;

const PODS = `/api/v1/pods?watch=true&resourceVersion=0&fieldSelector=spec.nodeName%3D${NODE_NAME}`;

/** Of what no rule knows, relayed as they are. */
const RELAYED = "/apis/example.com/v1/things?watch=true&resourceVersion=0";

/**
 * @param count watches; half of them of pods
 * @param say what was measured
 */
export async function watchLeaks(count: number, say: (text: string) => void): Promise<void> {
  const pki = await testPki();
  const folder = await Deno.makeTempDir();
  const api = new FakeApiServer();
  const server = serveTls(api, pki);
  let proxy: ProxyProcess | undefined;
  using client = Deno.createHttpClient({
    caCerts: [pki.authority.certificate],
    cert: pki.node.certificate,
    key: pki.node.key,
    http2: false,
  });
  try {
    const ownerKey = await (await Owner.create()).publicKeyPem();
    await writeNodeFiles({ folder, pki, apiPort: server.addr.port, ownerKey, token: CANARY });
    proxy = await ProxyProcess.start(folder);
    const { url } = proxy;
    const open = async (path: string) => {
      const leaving = new AbortController();
      const response = await fetch(url + path, { client, signal: leaving.signal });
      assert.equal(response.status, 200);
      return { leaving, response };
    };
    const batch = async (path: string) => {
      const watches = await Promise.all(Array.from({ length: BATCH }, () => open(path)));
      assert.equal(api.openWatches, BATCH);
      // Some leave by cancelling what they read, some without a word.
      for (const [index, { leaving, response }] of watches.entries()) {
        if (index % 2 === 0) {
          await response.body?.cancel();
        }
        leaving.abort();
      }
      await until(() => api.openWatches === 0);
    };
    const batches = async (some: number) => {
      for (let number = 0; number < some; number++) {
        await batch(number % 2 === 0 ? PODS : RELAYED);
      }
    };
    await batches(8);
    const before = { heap: await proxy.heapBytes(), files: await proxy.openFiles() };
    await batches(count / BATCH);
    // Idle connections to the API server are kept for a while; their number is bounded, and does not grow by watches.
    const after = { heap: await proxy.heapBytes(), files: await proxy.openFiles() };
    say(
      `${count} watches: heap ${kib(before.heap)} -> ${
        kib(after.heap)
      }, files ${before.files} -> ${after.files}`,
    );
    assert.ok(
      after.heap - before.heap < NOISE_BYTES + count * MAX_BYTES_PER_WATCH,
      `the heap grew from ${kib(before.heap)} to ${kib(after.heap)}`,
    );
    assert.ok(after.files <= before.files + BATCH, `open files went from ${before.files} to ${after.files}`);

    // At the API server's end, and at shutdown.
    const last = await Promise.all([PODS, RELAYED].map((path) => open(path)));
    api.endWatches();
    for (const { response } of last) {
      await response.text();
    }
    const ending = await Promise.all([PODS, RELAYED].map((path) => open(path)));
    const stopped = proxy.stop("SIGTERM");
    await until(() => api.openWatches === 0);
    for (const { response } of ending) {
      await response.text();
    }
    assert.equal(await stopped, 0);
    assertNoCanary("the log", proxy.lines);
    assert.deepEqual(proxy.lines.filter((line) => line.includes('"level":"error"')), []);
  } finally {
    await proxy?.stop("SIGKILL");
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
}

function kib(bytes: number): string {
  return `${Math.round(bytes / 1024)} KiB`;
}
