/** The API server of the fakes, over TLS on loopback, with watches of one more resource than pods. */
import type { TestPki } from "../../proxy/fixture_test.ts";
import type { FakeApiServer } from "../fakes/api_server.ts";

/** Serves it on a port that the system chooses. */
export function serveTls(api: FakeApiServer, pki: TestPki): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    cert: pki.server.certificate,
    key: pki.server.key,
    onListen() {},
  }, (request) => {
    const url = new URL(request.url);
    if (url.pathname === "/apis/example.com/v1/things") {
      // Relayed watches need no content of their own here, only an end.
      url.pathname = "/api/v1/pods";
      return api.handle(new Request(url, request));
    }
    return api.handle(request);
  });
}
