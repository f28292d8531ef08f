/**
 * One upstream out of several API servers: requests go to the first that is healthy, in the order given.
 *
 * Each server is asked `GET /readyz` again and again. One that does not answer, or answers that it is not ready, is left
 * after its second failure in a row, and taken back after its third success. What still runs on a server that is merely not
 * ready goes on: it finishes its requests before it stops. What runs on a server that does not answer at all is broken
 * off, since on a connection whose other end is gone a watch would wait for ever.
 *
 * Source: Kubernetes, "Kubernetes API health endpoints".
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";
import { type Upstream, UpstreamError, type UpstreamRequest } from "./upstream.ts";

/** Time between two probes of one server, in milliseconds. */
export const PROBE_INTERVAL_MS = 1_000;

/**
 * Longest wait for the answer to a probe, in milliseconds. With the interval: a server that is silent is left after
 * 4 s (one interval, and two time-outs one right after the other).
 */
export const PROBE_TIMEOUT_MS = 1_500;

/** Failures in a row after which a server is left: one may be a packet that was lost. */
export const FAILURES_UNTIL_DOWN = 2;

/** Successes in a row after which a server is taken back, so that one that comes and goes is left alone. */
export const SUCCESSES_UNTIL_UP = 3;

/** One API server. */
export interface ServerUpstream {
  /** For the log. */
  url: string;
  upstream: Upstream;
}

/** What a failover is made of. */
export interface FailoverOptions {
  /** In order of preference; at least one. */
  servers: readonly ServerUpstream[];
  clock: Clock;
  log: Log;
}

/** An upstream that asks one of several servers. */
export interface Failover extends Upstream {
  /** Where requests go now. */
  active(): string;
  /** Probes no more. */
  close(): void;
}

interface Server extends ServerUpstream {
  healthy: boolean;
  /** Failures or successes in a row. */
  failures: number;
  successes: number;
  /** Ends what runs on it. */
  running: Set<AbortController>;
  cancelTimer: () => void;
}

/** What a probe has found. */
type Probe = "ready" | "not-ready" | "silent";

/** Makes the upstream, and begins to probe if there is a choice. */
export function createFailover({ servers: given, clock, log }: FailoverOptions): Failover {
  const servers = given.map((server): Server => ({
    ...server,
    healthy: true,
    failures: 0,
    successes: 0,
    running: new Set(),
    cancelTimer: () => {},
  }));
  const [first] = servers;
  if (first === undefined) {
    throw new TypeError("there is no API server");
  }
  let current: Server = first;
  let closed = false;

  /** The first that is healthy. If none is, the one of before: its errors say most. */
  function choose(): void {
    const next = servers.find(({ healthy }) => healthy) ?? current;
    if (next !== current) {
      log.warn("server-active", "requests go to another API server", {
        server: next.url,
        before: current.url,
      });
      current = next;
    }
  }

  function note(server: Server, probe: Probe): void {
    if (probe === "ready") {
      server.failures = 0;
      server.successes++;
      if (!server.healthy && server.successes >= SUCCESSES_UNTIL_UP) {
        server.healthy = true;
        log.info("server-up", "an API server is healthy again", { server: server.url });
      }
    } else {
      server.successes = 0;
      server.failures++;
      if (server.healthy && server.failures >= FAILURES_UNTIL_DOWN) {
        server.healthy = false;
        log.error("server-down", "an API server is not healthy", { server: server.url, found: probe });
      }
    }
    choose();
    // Only if there is another one: otherwise what is left may be all that still works.
    if (probe === "silent" && !server.healthy && current !== server) {
      for (const request of [...server.running]) {
        request.abort();
      }
    }
  }

  async function probe(server: Server): Promise<void> {
    const timeout = new AbortController();
    const cancel = clock.after(PROBE_TIMEOUT_MS, () => timeout.abort());
    let found: Probe;
    try {
      const response = await server.upstream.send({ method: "GET", path: "/readyz", signal: timeout.signal });
      response.body?.cancel().catch(() => {});
      // Whoever answers that the node may not ask is there.
      found = response.status < 500 ? "ready" : "not-ready";
    } catch {
      found = "silent";
    } finally {
      cancel();
    }
    if (closed) {
      return;
    }
    note(server, found);
    const isSuspect = server.healthy && server.failures > 0;
    server.cancelTimer = clock.after(isSuspect ? 0 : PROBE_INTERVAL_MS, () => void probe(server));
  }

  async function sendTo(server: Server, request: UpstreamRequest): Promise<Response> {
    const ending = new AbortController();
    const end = () => ending.abort();
    request.signal?.addEventListener("abort", end, { once: true });
    if (request.signal?.aborted) {
      end();
    }
    server.running.add(ending);
    const release = () => {
      server.running.delete(ending);
      request.signal?.removeEventListener("abort", end);
    };
    try {
      const response = await server.upstream.send({ ...request, signal: ending.signal });
      // No Response can be made with such a status; whoever gets it refuses it.
      if (response.body === null || response.status < 200 || response.status > 599) {
        release();
        return response;
      }
      return withEnd(response, response.body, ending.signal, release);
    } catch (error) {
      release();
      throw ending.signal.aborted && !request.signal?.aborted
        ? new UpstreamError("unreachable", `the API server at "${server.url}" does not answer any more`, {
          cause: error,
        })
        : error;
    }
  }

  if (servers.length > 1) {
    for (const server of servers) {
      server.cancelTimer = clock.after(PROBE_INTERVAL_MS, () => void probe(server));
    }
  }

  return {
    async send(request) {
      if (servers.length === 1) {
        return await current.upstream.send(request);
      }
      const asked = current;
      try {
        return await sendTo(asked, request);
      } catch (error) {
        const isUnreachable = error instanceof UpstreamError && error.code === "unreachable";
        if (!isUnreachable) {
          throw error;
        }
        // What reads can be asked again. What writes may have been done.
        const next = current === asked
          ? servers.find((server) => server !== asked && server.healthy)
          : current;
        if (request.method !== "GET" || next === undefined) {
          throw error;
        }
        return await sendTo(next, request);
      }
    },
    active: () => current.url,
    close() {
      closed = true;
      for (const server of servers) {
        server.cancelTimer();
      }
    },
  };
}

/** The same response, whose body ends with an error when it is broken off, and says when it is over. */
function withEnd(
  response: Response,
  body: ReadableStream<Uint8Array>,
  ending: AbortSignal,
  release: () => void,
): Response {
  const reader = body.getReader();
  let over = false;
  const finish = () => {
    over = true;
    release();
  };
  const wrapped = new ReadableStream<Uint8Array>({
    start(controller) {
      ending.addEventListener("abort", () => {
        if (!over) {
          finish();
          controller.error(new DOMException("the API server does not answer any more", "AbortError"));
          reader.cancel().catch(() => {});
        }
      }, { once: true });
    },
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (over) {
          return;
        }
        if (done) {
          finish();
          controller.close();
        } else {
          controller.enqueue(value);
        }
      } catch (error) {
        if (!over) {
          finish();
          controller.error(error);
        }
      }
    },
    cancel(reason) {
      finish();
      return reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
  return new Response(wrapped, { status: response.status, headers: response.headers });
}
