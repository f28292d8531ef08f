import assert from "node:assert/strict";
import { memoryLog } from "../fixture_test.ts";
import {
  MAX_OPERABILITY_CONNECTIONS,
  openOperabilityServer,
  OPERABILITY_HEADERS_TIMEOUT_MS,
  OPERABILITY_IDLE_TIMEOUT_MS,
  type OperabilityPages,
  type OperabilityServerOptions,
} from "./operability_server.ts";
import type { ReadyCheck } from "./readiness.ts";

interface Bench {
  url: string;
  port: number;
  missing: Map<ReadyCheck, string>;
  made: () => number;
  tick: (ms: number) => void;
  log: ReturnType<typeof memoryLog>;
}

async function serving(
  test: (bench: Bench) => Promise<void>,
  options: Partial<OperabilityServerOptions> = {},
  pages: Partial<OperabilityPages> = {},
): Promise<void> {
  const log = memoryLog();
  const missing = new Map<ReadyCheck, string>();
  let made = 0;
  let now = 0;
  const server = await openOperabilityServer({
    address: { hostname: "127.0.0.1", port: 0 },
    log,
    elapsedMs: () => now,
    pages: {
      ready: () => Promise.resolve(missing),
      metrics: () => Promise.resolve(`made ${++made}\n`),
      metricsContentType: "text/plain; version=0.0.4; charset=utf-8",
      decisions: () => '{"total":0,"decisions":[]}\n',
      ...pages,
    },
    ...options,
  });
  const { hostname, port } = server.address;
  try {
    const tick = (ms: number) => void (now += ms);
    await test({ url: `http://${hostname}:${port}`, port, missing, made: () => made, tick, log });
  } finally {
    await server.close();
  }
}

async function get(url: string, method = "GET") {
  const response = await fetch(url, { method });
  return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
}

Deno.test("health, readiness, metrics and decisions can be read", async () => {
  await serving(async ({ url, missing }) => {
    assert.deepEqual(await get(`${url}/healthz`), {
      status: 200,
      type: "text/plain; charset=utf-8",
      text: "ok\n",
    });
    assert.equal((await get(`${url}/readyz?verbose`)).status, 200);
    missing.set("upstream", "connection refused");
    const unready = await get(`${url}/readyz`);
    assert.equal(unready.status, 503);
    assert.match(unready.text, /^\[-\]upstream failed: connection refused$/m);
    assert.equal((await get(`${url}/metrics`)).type, "text/plain; version=0.0.4; charset=utf-8");
    assert.equal((await get(`${url}/decisions`)).type, "application/json");
    assert.deepEqual((await get(`${url}/healthz`, "HEAD")).text, "");
  });
});

Deno.test("refuses other paths and methods", async () => {
  await serving(async ({ url }) => {
    for (const path of ["/", "/metrics/", "/healthz/x", "/debug/pprof", "//metrics"]) {
      assert.equal((await get(url + path)).status, 404, path);
    }
    for (const method of ["POST", "PUT", "DELETE"]) {
      assert.equal((await get(`${url}/metrics`, method)).status, 405, method);
    }
  });
});

Deno.test("metrics are made at most once a second, whoever asks", async () => {
  await serving(async ({ url, made, tick }) => {
    await Promise.all(Array.from({ length: 10 }, () => get(`${url}/metrics`)));
    assert.equal(made(), 1);
    tick(1_000);
    assert.equal((await get(`${url}/metrics`)).text, "made 2\n");
  });
});

Deno.test("what fails is logged, tells nothing outside, and is tried again", async () => {
  let fails = true;
  await serving(
    async ({ url, log, tick }) => {
      const failed = await get(`${url}/metrics`);
      assert.equal(failed.status, 500);
      assert.doesNotMatch(failed.text, /secret/);
      assert.equal((await get(`${url}/metrics`)).status, 500);
      assert.deepEqual(log.events.map(({ event }) => event), ["operability-failed"]);
      fails = false;
      tick(1_000);
      assert.equal((await get(`${url}/metrics`)).status, 200);
    },
    {},
    { metrics: () => fails ? Promise.reject(new Error("secret")) : Promise.resolve("x") },
  );
});

/** Reads until the other side ends the connection; how long that took is nobody's matter. */
async function untilClosed(connection: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(1024);
  try {
    while (await connection.read(buffer) !== null);
  } catch {
    // Reset.
  }
  connection.close();
}

Deno.test("refuses connections over the bound", async () => {
  assert.ok(MAX_OPERABILITY_CONNECTIONS >= 8, "Prometheus, and some people beside");
  await serving(async ({ port }) => {
    const open = [];
    for (let count = 0; count < 2; count++) {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      await connection.write(new TextEncoder().encode("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"));
      assert.ok(await connection.read(new Uint8Array(1024)), "it is served");
      open.push(connection);
    }
    await untilClosed(await Deno.connect({ hostname: "127.0.0.1", port }));
    for (const connection of open) connection.close();
  }, { maxConnections: 2 });
});

Deno.test("refuses to wait for headers that do not come, and for a client that is silent", async () => {
  assert.ok(OPERABILITY_HEADERS_TIMEOUT_MS <= 10_000);
  assert.ok(OPERABILITY_IDLE_TIMEOUT_MS > 60_000, "Prometheus scrapes once a minute by default");
  await serving(async ({ port }) => {
    const half = await Deno.connect({ hostname: "127.0.0.1", port });
    await half.write(new TextEncoder().encode("GET /healthz HTTP/1.1\r\nhost:"));
    await untilClosed(half);
  }, { headersTimeoutMs: 50 });
  await serving(async ({ port }) => {
    const idle = await Deno.connect({ hostname: "127.0.0.1", port });
    await idle.write(new TextEncoder().encode("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"));
    await untilClosed(idle);
  }, { idleTimeoutMs: 50 });
});
