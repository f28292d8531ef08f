/** The gate between two real HTTP connections: what leaves on one side ends on the other. */
import assert from "node:assert/strict";
import { requestHeaders } from "../../proxy/headers.ts";
import type { Upstream } from "../../proxy/upstream.ts";
import { FakeApiServer } from "../fakes/api_server.ts";
import { makeGate } from "../fakes/gate.ts";
import { FakeKubelet } from "../fakes/kubelet.ts";
import { makePod, objectOf, Owner, uidOf, withImage } from "../fakes/owner.ts";

const owner = await Owner.create();

function upstreamAt(port: number): Upstream {
  return {
    send: ({ method, path, headers, body, signal }) =>
      fetch(`http://127.0.0.1:${port}${path}`, {
        method,
        redirect: "manual",
        headers: requestHeaders(headers),
        body: body instanceof Uint8Array ? new Uint8Array(body) : body ?? null,
        ...(signal === undefined ? {} : { signal }),
      }),
  };
}

/** An API server and a gate in front of it, each with its own port on loopback. */
async function serveBoth() {
  const api = new FakeApiServer();
  const apiServer = api.serve();
  const { gate, fetch: enter } = await makeGate({ upstream: upstreamAt(apiServer.addr.port), owner });
  const proxy = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { pathname, search } = new URL(request.url);
    return enter(pathname + search, request);
  });
  return { api, apiServer, gate, proxy };
}

Deno.test("a kubelet, the gate and an API server over HTTP: shown, refused, stopped, left", async () => {
  const { api, apiServer, gate, proxy } = await serveBoth();
  const kubelet = new FakeKubelet({
    fetch: (path, init) => fetch(`http://127.0.0.1:${proxy.addr.port}${path}`, init),
  });
  kubelet.run();
  try {
    api.put(await owner.signedPod());
    api.put(makePod({ name: "rogue", uid: uidOf(2) }));
    await kubelet.until("the signed pod is there", () => kubelet.pod("web") !== undefined);
    await kubelet.until(
      "the other has failed",
      () => objectOf(api.pod("default", "rogue")?.status).phase === "Failed",
    );
    api.change("default", "web", (pod) => withImage(pod, "registry.example/evil:1"));
    const isStopping = () => objectOf(kubelet.pod("web")?.metadata).deletionTimestamp !== undefined;
    await kubelet.until("it is being stopped", isStopping);
    const ended = await kubelet.report("web", { phase: "Failed" });
    assert.equal(ended.status, 200);
    await ended.body?.cancel();
    await kubelet.until("it is gone", () => kubelet.pod("web") === undefined);
    assert.equal(kubelet.pod("rogue"), undefined);

    assert.equal(api.openWatches, 1);
    await kubelet.stop();
    await kubelet.until("the watch has ended upstream", () => api.openWatches === 0);
  } finally {
    await kubelet.stop();
    await gate.close(0);
    await proxy.shutdown();
    await apiServer.shutdown();
  }
});

Deno.test("an open watch over HTTP ends cleanly when the gate closes", async () => {
  const { apiServer, gate, proxy } = await serveBoth();
  try {
    const response = await fetch(`http://127.0.0.1:${proxy.addr.port}/api/v1/pods?watch=true`);
    assert.equal(response.status, 200, "headers come before any event");
    const text = response.text();
    await gate.close(0);
    assert.equal(await text, "");
  } finally {
    await proxy.shutdown();
    await apiServer.shutdown();
  }
});
