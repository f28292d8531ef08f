/** A gate with all its parts in memory, and a client's way into it. */
import type { PodVerifier } from "../../proxy/pods/judge.ts";
import type { Ledger } from "../../proxy/pods/ledger.ts";
import type { Mode } from "../../proxy/mode.ts";
import type { PodReferences } from "../../proxy/objects/pod_references.ts";
import { createPodGate, type PodGate } from "../../proxy/pods/pod_gate.ts";
import type { Upstream } from "../../proxy/upstream.ts";
import { ManualClock } from "./clock.ts";
import type { Fetch } from "./kubelet.ts";
import { memoryLedger } from "./ledger.ts";
import { MemoryLog } from "./log.ts";
import { NODE_NAME, type Owner } from "./owner.ts";

export interface TestGate {
  gate: PodGate;
  log: MemoryLog;
  clock: ManualClock;
  ledger: Ledger;
  fetch: Fetch;
}

export interface TestGateOptions {
  upstream: Upstream;
  owner: Pick<Owner, "verifier">;
  /** By default the owner's. */
  verifier?: PodVerifier;
  mode?: Mode;
  ledger?: Ledger;
  references?: PodReferences;
  clock?: ManualClock;
  maxListBytes?: number;
}

export async function makeGate(options: TestGateOptions): Promise<TestGate> {
  const log = new MemoryLog();
  const clock = options.clock ?? new ManualClock();
  const ledger = options.ledger ?? await memoryLedger();
  const gate = createPodGate({
    upstream: options.upstream,
    verifier: options.verifier ?? options.owner.verifier,
    ledger,
    log,
    mode: options.mode ?? "enforce",
    nodeName: NODE_NAME,
    clock,
    random: () => 0.5,
    ...(options.references === undefined ? {} : { references: options.references }),
    ...(options.maxListBytes === undefined ? {} : { maxListBytes: options.maxListBytes }),
  });
  return { gate, log, clock, ledger, fetch: fetchFrom(gate) };
}

/** The routes that lead to a gate. */
function fetchFrom(gate: PodGate): Fetch {
  return async (path, init = {}) => {
    const request = new Request(`http://proxy.invalid${path}`, init);
    const { pathname, searchParams } = new URL(request.url);
    const [, namespace, name, subresource] =
      /^\/api\/v1\/namespaces\/([^/]+)\/pods(?:\/([^/]+)(?:\/([^/]+))?)?$/.exec(pathname) ?? [];
    if (pathname === "/api/v1/pods") {
      return searchParams.get("watch") === "true"
        ? await gate.watch(searchParams, request.signal)
        : await gate.list(searchParams, request.signal);
    }
    if (namespace === undefined) {
      throw new TypeError(`no route for ${path}`);
    }
    if (request.method === "GET" && name !== undefined) {
      return await gate.get(namespace, name, searchParams, request.signal);
    }
    return await gate.write(request, {
      method: request.method,
      path,
      namespace,
      ...(name === undefined ? {} : { name }),
      ...(subresource === undefined ? {} : { subresource }),
    }, request.signal);
  };
}
