/** What the kubelet asks for and writes beside its list and watch, and what must not be asked for. */
import { objectAt } from "@signed-pods/shared/json";
import type { JsonObject, JsonValue } from "@signed-pods/shared/json";
import {
  makeMirror,
  makePod,
  objectOf,
  uidOf,
  withImage,
  withMetadata,
  withSpec,
} from "../../fakes/owner.ts";
import { answer, HostileServer, type Wire } from "../api_server.ts";
import type { Case, CaseGroup } from "../case.ts";
import type { Request } from "../kubelets.ts";
import type { Setting } from "../setting.ts";
import { EVENT, INTRUDER, LIST } from "./answers.ts";

/** What is relayed unread. */
const LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/worker";

/** What every body of the API server holds that must not come through. */
const EVIL = "registry.example/evil";

async function started(setting: Setting): Promise<void> {
  await setting.startProxy();
  setting.startKubelet();
  await setting.untilHeld("web");
}

async function finish(wire: Wire, bytes: string): Promise<void> {
  await wire.write(bytes);
  wire.close("end");
}

// ---- reading one pod

/** Answers to GET of the pod web. */
function get(slug: string, does: string, make: (web: JsonObject) => string, shown = false): Case {
  return {
    name: `41-${slug}`,
    does,
    async run(setting) {
      await started(setting);
      setting.server.lie = (request) =>
        request.kind === "get"
          ? (wire) => finish(wire, make(setting.api.pod("default", "web") ?? {}))
          : undefined;
      const asked = await setting.ask({ do: "get", namespace: "default", name: "web" });
      if (asked.ok !== shown) throw new Error(`the answer was ${JSON.stringify(asked)}`);
    },
  };
}

function json(object: unknown): string {
  return answer(JSON.stringify(object));
}

export const gets: CaseGroup = {
  title: "Single pods",
  cases: [
    get("get", "answers a GET honestly", json, true),
    get(
      "get-unsigned",
      "answers a GET with a pod of that name that nobody signed",
      () => json(makePod({ name: "web", uid: uidOf(777), image: `${EVIL}:1` })),
    ),
    get("get-another-name", "answers a GET with another pod", () => json(INTRUDER)),
    get(
      "get-another-namespace",
      "answers a GET with a pod of another namespace",
      (web) => json(withMetadata(web, { namespace: "other" })),
    ),
    get(
      "get-another-uid",
      "answers a GET with the same pod under another UID",
      (web) => json(withMetadata(web, { uid: uidOf(777) })),
    ),
    get(
      "get-changed",
      "answers a GET with a changed pod, which is shown as it was signed",
      (web) => json(withImage(web, `${EVIL}:1`)),
      true,
    ),
    get("get-list", "answers a GET with a list", () => answer(LIST)),
    get("get-event", "answers a GET with an event", () => answer(EVENT)),
    get("get-secret", "answers a GET with another kind", (web) => json({ ...web, kind: "Secret" })),
    get("get-null", "answers a GET with null", () => answer("null")),
    get("get-cut-off", "answers a GET with half a pod", (web) => json(web).slice(0, -20)),
    get(
      "get-duplicate-keys",
      "answers a GET with a pod of two specs",
      (web) => answer(JSON.stringify(web).replace('"spec":', '"spec":{"containers":[]},"spec":')),
    ),
    get(
      "get-protobuf",
      "answers a GET in protobuf",
      (web) => json(web).replace("application/json", "application/vnd.kubernetes.protobuf"),
    ),
    get("get-created", "answers a GET with 201", (web) => answer(JSON.stringify(web), "201 Created")),
    get(
      "get-redirect",
      "answers a GET with a redirect",
      () => answer("", "307 X", ["Location: https://127.0.0.1:1/api/v1/namespaces/default/pods/web"]),
    ),
    get(
      "get-of-9-megabytes",
      "answers a GET with 9 MiB",
      (web) => json({ ...web, status: { message: "x".repeat(9 * 1024 * 1024) } }),
    ),
  ],
};

// ---- writing

function write(slug: string, does: string, request: Request, make: () => string, taken = true): Case {
  return {
    name: `40-${slug}`,
    does,
    async run(setting) {
      await started(setting);
      setting.server.lie = ({ kind }) => kind === request.do ? (wire) => finish(wire, make()) : undefined;
      const asked = await setting.ask(request);
      if (asked.ok !== taken) throw new Error(`the answer was ${JSON.stringify(asked)}`);
      setting.server.lie = () => undefined;
    },
  };
}

const PATCH: Request = {
  do: "patch",
  namespace: "default",
  name: "web",
  body: { metadata: { uid: uidOf(1) }, status: { phase: "Running" } },
};
const DELETE: Request = { do: "delete", namespace: "default", name: "web" };
const MIRROR: Request = { do: "create", namespace: "kube-system", body: withoutUid(makeMirror()) };

/** A pod as a kubelet makes it: the API server gives the UID. */
function withoutUid(pod: JsonObject): JsonObject {
  const { uid: _uid, ...metadata } = objectOf(pod.metadata);
  return { ...pod, metadata };
}

const CHANGED = withSpec(makePod({ name: "web", image: `${EVIL}:1` }), { hostPID: true });

export const writes: CaseGroup = {
  title: "What the kubelet writes",
  cases: [
    {
      name: "40-honest-writes",
      does: "takes what the kubelet writes: a status, a mirror pod, a deletion",
      web: "ends",
      async run(setting) {
        await started(setting);
        for (const request of [PATCH, MIRROR, DELETE]) {
          const asked = await setting.ask(request);
          if (!asked.ok) throw new Error(`${request.do} was refused: ${asked.message}`);
        }
        if (objectAt(setting.api.pod("default", "web") ?? {}, "status").phase !== "Running") {
          throw new Error("the status has not arrived");
        }
        setting.api.remove("default", "web");
        await setting.untilGone("web");
      },
    },
    write(
      "patch-answered-with-a-spec",
      "answers a status PATCH with another spec",
      PATCH,
      () => json(CHANGED),
    ),
    write(
      "patch-answered-with-another-pod",
      "answers a status PATCH with another pod",
      PATCH,
      () => json(INTRUDER),
    ),
    write(
      "patch-answered-with-a-mirror",
      "answers a status PATCH with a mirror pod that has containers",
      PATCH,
      () => json(withImage(makeMirror(), `${EVIL}:1`)),
    ),
    write(
      "patch-answered-with-a-list",
      "answers a status PATCH with a list",
      PATCH,
      () => answer(LIST),
      false,
    ),
    write(
      "patch-answered-with-html",
      "answers a status PATCH with HTML",
      PATCH,
      () => answer("<html>").replace("application/json", "text/html"),
      false,
    ),
    write(
      "patch-answered-with-nothing",
      "answers a status PATCH with nothing",
      PATCH,
      () => answer(""),
      false,
    ),
    write(
      "patch-refused",
      "refuses a status PATCH",
      PATCH,
      () =>
        answer(
          JSON.stringify({
            kind: "Status",
            apiVersion: "v1",
            status: "Failure",
            reason: "Conflict",
            code: 409,
          }),
          "409 Conflict",
        ),
      false,
    ),
    write(
      "patch-answered-with-uid-path",
      "answers a status PATCH with a UID that is a path",
      PATCH,
      () => json(withMetadata(CHANGED, { uid: "../../x" })),
      false,
    ),
    write("delete-answered-with-a-spec", "answers a DELETE with another spec", DELETE, () => json(CHANGED)),
    write(
      "delete-answered-with-a-failure",
      "answers a DELETE with a failure that holds pods",
      DELETE,
      () => answer(LIST, "500 X"),
      false,
    ),
    write(
      "mirror-answered-with-a-spec",
      "answers the POST of a mirror pod with containers",
      MIRROR,
      () => json(CHANGED),
    ),
    write(
      "mirror-answered-with-a-list",
      "answers the POST of a mirror pod with a list",
      MIRROR,
      () => answer(LIST),
      false,
    ),
    {
      name: "40-patch-redirected",
      does: "redirects a status PATCH to another server",
      async run(setting) {
        const other = new HostileServer(setting.serverOptions());
        await other.listen();
        setting.onClose(() => other.close());
        await started(setting);
        setting.server.lie = ({ kind, target }) =>
          kind === "patch"
            ? (wire) =>
              finish(wire, answer("", "307 X", [`Location: https://127.0.0.1:${other.port}${target}`]))
            : undefined;
        const asked = await setting.ask(PATCH);
        if (asked.ok) throw new Error("the redirect was taken for a success");
        if (other.requests.length > 0) throw new Error("the redirect was followed");
      },
    },
  ],
};

// ---- paths

/** A request that must not bring back what the API server answers to everything. */
function path(number: 8 | 9, slug: string, line: string): Case {
  return {
    name: `${number}-${slug}`,
    does: `answers \`${line.slice(0, 90)}\` with pods`,
    async run(setting) {
      await started(setting);
      // Everything is answered with pods now, but what the kubelet and the proxy ask for by themselves.
      setting.server.lie = ({ kind, query }) =>
        ["patch", "event"].includes(kind) || query.has("resourceVersion") || query.has("allowWatchBookmarks")
          ? undefined
          : (wire) => finish(wire, answer(line.includes("watch=") ? EVENT : LIST));
      const text = await setting.request(line);
      const [, status = "no answer"] = /^HTTP\/1\.1 (\d{3})/.exec(text) ?? [];
      if (text.includes(EVIL)) throw new Error("a pod that nobody signed came through");
      setting.notes.add(`answer to the request: ${status}`);
      setting.server.lie = () => undefined;
    },
  };
}

const SELECTED = "fieldSelector=spec.nodeName%3Dworker";

export const paths: CaseGroup = {
  title: "Paths",
  cases: [
    path(8, "double-slash", `GET //api/v1/pods?${SELECTED}`),
    path(8, "double-slash-within", `GET /api//v1/pods?${SELECTED}`),
    path(8, "trailing-slash", `GET /api/v1/pods/?${SELECTED}`),
    path(8, "encoded-letter", `GET /api/v1/%70ods?${SELECTED}`),
    path(8, "encoded-slash", `GET /api/v1%2fpods?${SELECTED}`),
    path(8, "encoded-slash-after", `GET /api/v1/pods%2f?${SELECTED}`),
    path(8, "encoded-percent", `GET /api/v1/%2570ods?${SELECTED}`),
    path(8, "dot-segment", `GET /api/v1/./pods?${SELECTED}`),
    path(8, "dot-dot-segment", `GET /api/v1/nodes/../pods?${SELECTED}`),
    path(8, "encoded-dots", `GET /api/v1/nodes/%2e%2e/pods?${SELECTED}`),
    path(8, "backslash", `GET /api/v1\\pods?${SELECTED}`),
    path(8, "parameter", `GET /api/v1/pods;a=b?${SELECTED}`),
    path(8, "upper-case", `GET /API/V1/PODS?${SELECTED}`),
    path(8, "nul", `GET /api/v1/pods%00?${SELECTED}`),
    path(8, "absolute-target", `GET https://other.invalid/api/v1/pods?${SELECTED}`),
    path(8, "watch-1", `GET /api/v1/pods?${SELECTED}&watch=1`),
    path(8, "watch-capital", `GET /api/v1/pods?${SELECTED}&watch=True`),
    path(8, "watch-twice", `GET /api/v1/pods?${SELECTED}&watch=false&watch=true`),
    path(8, "watch-encoded", `GET /api/v1/pods?${SELECTED}&%77atch=true`),
    path(8, "watch-old-path", `GET /api/v1/watch/pods?${SELECTED}`),
    path(8, "watch-of-one-pod", "GET /api/v1/watch/namespaces/default/pods/web"),
    path(8, "no-selector", "GET /api/v1/pods"),
    path(8, "selector-of-another-node", "GET /api/v1/pods?fieldSelector=spec.nodeName%3Dother"),
    path(8, "selector-negated", "GET /api/v1/pods?fieldSelector=spec.nodeName!%3Dworker"),
    path(8, "selector-twice", `GET /api/v1/pods?${SELECTED}&fieldSelector=`),
    path(8, "pods-of-a-namespace", `GET /api/v1/namespaces/default/pods?${SELECTED}`),
    path(8, "namespace-named-pods", "GET /api/v1/namespaces/pods/pods/web"),
    path(8, "as-a-table", `GET /api/v1/pods?${SELECTED}&includeObject=Object`),
    path(8, "other-version", `GET /api/v2/pods?${SELECTED}`),
    path(8, "group", `GET /apis/v1/pods?${SELECTED}`),
    path(8, "metrics-of-pods", "GET /apis/metrics.k8s.io/v1beta1/pods"),
    path(8, "pod-templates", "GET /api/v1/podtemplates"),
    path(8, "workloads", "GET /apis/apps/v1/daemonsets"),
    path(8, "ephemeral-containers", "GET /api/v1/namespaces/default/pods/web/ephemeralcontainers"),
    path(8, "status-of-a-pod", "GET /api/v1/namespaces/default/pods/web/status"),
    path(8, "binding", "POST /api/v1/namespaces/default/pods/web/binding"),
    path(8, "eviction", "POST /api/v1/namespaces/default/pods/web/eviction"),
    path(8, "service-proxy", "GET /api/v1/namespaces/default/services/web/proxy/"),
    path(8, "pod-proxy", "GET /api/v1/namespaces/default/pods/web/proxy/"),
    path(8, "open-api", "GET /openapi/v2"),
    path(8, "method-in-lower-case", `get /api/v1/pods?${SELECTED}`),
    path(8, "method-unknown", `LIST /api/v1/pods?${SELECTED}`),
    path(8, "method-trace", `TRACE /api/v1/pods?${SELECTED}`),
    path(8, "method-connect", "CONNECT 127.0.0.1:1"),
    path(9, "exec", "POST /api/v1/namespaces/default/pods/web/exec?command=sh"),
    path(9, "exec-by-get", "GET /api/v1/namespaces/default/pods/web/exec?command=sh"),
    path(9, "attach", "POST /api/v1/namespaces/default/pods/web/attach"),
    path(9, "port-forward", "POST /api/v1/namespaces/default/pods/web/portforward"),
    path(9, "log", "GET /api/v1/namespaces/default/pods/web/log"),
    path(9, "run-through-the-node", "POST /api/v1/nodes/worker/proxy/run/default/web/app?cmd=sh"),
  ],
};

// ---- reviews

const REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

/** The kubelet asks whether somebody may do something with its own port, and the API server says yes in some way. */
function review(slug: string, does: string, subresource: string, answered: string, allowed = false): Case {
  return {
    name: `9-review-${slug}`,
    does,
    async run(setting) {
      await started(setting);
      let asked = 0;
      setting.server.lie = ({ target }) =>
        target === REVIEWS
          ? (wire) => {
            asked++;
            return finish(wire, answered);
          }
          : undefined;
      const { text } = await setting.fetch(REVIEWS, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          kind: "SubjectAccessReview",
          apiVersion: "authorization.k8s.io/v1",
          metadata: {},
          spec: {
            resourceAttributes: {
              verb: "get",
              version: "v1",
              resource: "nodes",
              subresource,
              name: "worker",
            },
            user: "kube-apiserver-kubelet-client",
            groups: ["system:masters"],
          },
        }),
      });
      const said = objectAt(objectOf(JSON.parse(text)), "status").allowed === true;
      if (said !== allowed) throw new Error(`the kubelet was told ${text}`);
      setting.notes.add(
        `asked above: ${asked === 0 ? "no" : "yes"}; the kubelet was told ${said ? "yes" : "no"}`,
      );
      setting.server.lie = () => undefined;
    },
  };
}

function verdict(status: unknown, over: JsonObject = {}): string {
  return answer(
    JSON.stringify({ kind: "SubjectAccessReview", apiVersion: "authorization.k8s.io/v1", status, ...over }),
    "201 Created",
  );
}

const TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews";
const TOKEN = "canary-of-a-token";

/** The kubelet asks whose a token is, and the API server answers in some way. */
function token(slug: string, does: string, answered: string, known?: string): Case {
  return {
    name: `9-token-${slug}`,
    does,
    async run(setting) {
      await started(setting);
      let asked = 0;
      setting.server.lie = ({ target }) =>
        target === TOKENS
          ? (wire) => {
            asked++;
            return finish(wire, answered);
          }
          : undefined;
      const { text } = await setting.fetch(TOKENS, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          kind: "TokenReview",
          apiVersion: "authentication.k8s.io/v1",
          metadata: {},
          spec: { token: TOKEN },
        }),
      });
      const { authenticated, user } = objectAt(JSON.parse(text), "status");
      if (
        known === undefined
          ? authenticated === true
          : objectAt({ user: user ?? null }, "user").username !== known
      ) {
        throw new Error(`the kubelet was told ${text}`);
      }
      if (asked !== 1) throw new Error(`the API server was asked ${asked} times`);
      if (text.includes(TOKEN) || setting.logs.some(({ lines }) => JSON.stringify(lines).includes(TOKEN))) {
        throw new Error("the token is shown");
      }
      setting.notes.add(`the kubelet was told ${known ?? "nobody"}`);
      setting.server.lie = () => undefined;
    },
  };
}

function user(status: JsonValue, more: JsonObject = {}): string {
  const object = { kind: "TokenReview", apiVersion: "authentication.k8s.io/v1", ...more, status };
  return answer(JSON.stringify(object), "201 Created");
}

const JANE: JsonObject = { username: "jane", groups: ["developers"] };

export const reviews: CaseGroup = {
  title: "Reviews",
  cases: [
    token("known", "says whose the token is", user({ authenticated: true, user: JANE }), "jane"),
    token(
      "echoed",
      "repeats the token in its answer",
      user({ authenticated: true, user: JANE }, { spec: { token: TOKEN } }),
      "jane",
    ),
    token("unknown", "does not know the token, and names a user", user({ authenticated: false, user: JANE })),
    token(
      "unknown-with-token",
      "puts the token into its reason",
      user({ authenticated: false, error: `no ${TOKEN}` }),
    ),
    token("no-word", "names a user, and does not say that the token is good", user({ user: JANE })),
    token("yes-as-text", "says yes in text", user({ authenticated: "true", user: JANE })),
    token(
      "yes-and-error",
      "says yes, and why not",
      user({ authenticated: true, user: JANE, error: "expired" }),
    ),
    token(
      "nobody",
      "says yes, and names nobody",
      user({ authenticated: true, user: { groups: ["system:masters"] } }),
    ),
    token(
      "certificate",
      "says that the user has shown a certificate, as the front does",
      user({
        authenticated: true,
        user: {
          ...JANE,
          extra: { "authentication.kubernetes.io/credential-id": [`X509SHA256=${"0".repeat(64)}`] },
        },
      }),
    ),
    token(
      "many-groups",
      "names groups without end",
      user({ authenticated: true, user: { ...JANE, groups: Array(5000).fill("g") } }),
    ),
    token(
      "other-kind",
      "answers with another kind",
      user({ authenticated: true, user: JANE }, { kind: "SelfSubjectReview" }),
    ),
    token(
      "twice",
      "answers twice, in one object",
      answer(
        '{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"authenticated":false},"status":{"authenticated":true,"user":{"username":"jane"}}}',
        "201 Created",
      ),
    ),
    token(
      "failure",
      "answers 500 with a user",
      user({ authenticated: true, user: JANE }).replace("201 Created", "500 X"),
    ),
    token("redirected", "redirects the token", answer("", "307 X", ["Location: https://127.0.0.1:1/"])),
    review(
      "exec-allowed",
      "allows somebody all of nodes/proxy, which is exec",
      "proxy",
      verdict({ allowed: true }),
    ),
    review(
      "checkpoint-allowed",
      "allows somebody to checkpoint containers",
      "checkpoint",
      verdict({ allowed: true }),
    ),
    review("node-logs-allowed", "allows somebody to read the node's logs", "log", verdict({ allowed: true })),
    review(
      "unknown-allowed",
      "allows somebody a thing that does not exist",
      "evil",
      verdict({ allowed: true }),
    ),
    review("metrics-allowed", "allows somebody to read metrics", "metrics", verdict({ allowed: true }), true),
    review(
      "metrics-refused",
      "does not allow somebody to read metrics",
      "metrics",
      verdict({ allowed: false }),
    ),
    review("metrics-yes-as-text", "says yes in text", "metrics", verdict({ allowed: "true" })),
    review(
      "metrics-yes-and-no",
      "says yes and no at once",
      "metrics",
      verdict({ allowed: true, denied: true }),
    ),
    review(
      "metrics-twice",
      "answers twice, in one object",
      "metrics",
      answer(
        '{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":false},"status":{"allowed":true}}',
        "201 Created",
      ),
    ),
    review(
      "metrics-other-kind",
      "answers with another kind of review",
      "metrics",
      verdict({ allowed: true }, { kind: "SelfSubjectAccessReview" }),
    ),
    review("metrics-no-status", "answers without a verdict", "metrics", verdict(null)),
    review(
      "metrics-failure",
      "answers 500 with a yes",
      "metrics",
      verdict({ allowed: true }).replace("201 Created", "500 X"),
    ),
    review(
      "metrics-redirected",
      "redirects the question",
      "metrics",
      answer("", "307 X", ["Location: https://127.0.0.1:1/"]),
    ),
  ],
};

// ---- streams

function isStatusLine(text: string): boolean {
  return text.includes("\r\n\r\n");
}

export const streams: CaseGroup = {
  title: "Streams",
  cases: [
    {
      name: "27-headers-at-once",
      does: "sends the headers of a watch, and no event",
      async run(setting) {
        await started(setting);
        setting.server.lie = ({ query }) =>
          query.has("watch") && query.get("timeoutSeconds") === "1"
            ? async (wire) => {
              await wire.write(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
              );
              await wire.closed;
            }
            : undefined;
        const text = await setting.request(
          `GET /api/v1/pods?${SELECTED}&watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1`,
          isStatusLine,
        );
        if (!text.startsWith("HTTP/1.1 200")) throw new Error(`the watch was not answered: ${text}`);
      },
    },
    {
      name: "27-watch-outlives-the-kubelet",
      does: "keeps a watch open after the kubelet has left",
      async run(setting) {
        await started(setting);
        const left = Promise.withResolvers<void>();
        setting.server.lie = ({ query }) =>
          query.get("timeoutSeconds") === "1"
            ? async (wire) => {
              await wire.write(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
              );
              await wire.closed;
              left.resolve();
            }
            : undefined;
        await setting.request(
          `GET /api/v1/pods?${SELECTED}&watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1`,
          isStatusLine,
        );
        await left.promise;
      },
    },
    {
      name: "27-request-outlives-the-kubelet",
      does: "does not answer, and the kubelet leaves",
      async run(setting) {
        await started(setting);
        const came = Promise.withResolvers<void>();
        const left = Promise.withResolvers<void>();
        setting.server.lie = ({ query }) =>
          query.get("timeoutSeconds") === "1"
            ? async (wire) => {
              came.resolve();
              await wire.closed;
              left.resolve();
            }
            : undefined;
        let arrived = false;
        came.promise.then(() => arrived = true);
        const request = setting.request(`GET /api/v1/pods?${SELECTED}&timeoutSeconds=1`, () => true);
        await setting.until("the request has arrived", () => arrived);
        await setting.stopKubelet();
        setting.abandonRequests();
        await request;
        await left.promise;
        setting.startKubelet();
      },
    },
    {
      name: "27-last-line-without-line-feed",
      does: "ends a watch after an event without a line feed",
      async run(setting) {
        const late = await setting.signed({ name: "late" });
        await setting.lieOnce((request, wire) =>
          finish(
            wire,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" +
              (request.query.get("sendInitialEvents") === "true"
                ? `${
                  JSON.stringify({
                    type: "BOOKMARK",
                    object: {
                      kind: "Pod",
                      apiVersion: "v1",
                      metadata: {
                        resourceVersion: "1001",
                        annotations: { "k8s.io/initial-events-end": "true" },
                      },
                    },
                  })
                }\n`
                : "") +
              JSON.stringify({ type: "ADDED", object: late }),
          ), ["watch"]);
        await setting.untilHeld("late");
      },
    },
    {
      name: "27-last-line-cut",
      does: "ends a watch within an event",
      run: (setting) =>
        setting.lieOnce((_request, wire) =>
          finish(
            wire,
            `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n${
              EVENT.slice(0, -30)
            }`,
          ), ["watch"]),
    },
    {
      name: "27-hop-by-hop-headers",
      does: "sends headers for the next hop, and headers that no kubelet needs",
      async run(setting) {
        await started(setting);
        setting.server.lie = ({ target }) =>
          target.startsWith(LEASE)
            ? (wire) =>
              finish(
                wire,
                answer("{}", "200 OK", [
                  "Keep-Alive: timeout=99",
                  "Proxy-Authenticate: Basic",
                  "Set-Cookie: a=b",
                  "X-Evil: yes",
                  "Connection: audit-id",
                  "Audit-Id: evil",
                ]),
              )
            : undefined;
        const text = await setting.request(`GET ${LEASE}`);
        if (!text.startsWith("HTTP/1.1 200")) throw new Error(`the lease was not answered: ${text}`);
        if (/keep-alive: timeout|proxy-authenticate|set-cookie|x-evil|audit-id/i.test(text)) {
          throw new Error(`a header came through: ${text}`);
        }
      },
    },
    {
      name: "27-redirect-of-another-resource",
      does: "redirects the kubelet's request for its node",
      async run(setting) {
        await started(setting);
        setting.server.lie = ({ target }) =>
          target.startsWith("/api/v1/nodes/worker")
            ? (wire) => finish(wire, answer("", "302 X", ["Location: https://127.0.0.1:1/"]))
            : undefined;
        const text = await setting.request("GET /api/v1/nodes/worker");
        if (!text.startsWith("HTTP/1.1 502") || /location:/i.test(text)) {
          throw new Error(`the redirect came through: ${text}`);
        }
      },
    },
    {
      name: "27-watch-ends-at-once",
      does: "ends each of the first three watches at once",
      async run(setting) {
        let ended = 0;
        setting.server.lie = ({ kind }) =>
          kind === "watch" && ended < 3
            ? (wire) => {
              ended++;
              return finish(
                wire,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n",
              );
            }
            : undefined;
        await setting.startProxy();
        setting.startKubelet();
        await setting.until("three watches have ended", () => ended === 3);
      },
    },
    ...[1, 7, 100, 1000].map((bytes): Case => ({
      name: `27-chunks-of-${bytes}-bytes`,
      does: `sends events in pieces of ${bytes} bytes`,
      async run(setting) {
        const late = JSON.stringify({ type: "ADDED", object: await setting.signed({ name: "late" }) });
        await setting.lieOnce(async (request, wire) => {
          const initial = request.query.get("sendInitialEvents") === "true"
            ? `${
              JSON.stringify({
                type: "BOOKMARK",
                object: {
                  kind: "Pod",
                  apiVersion: "v1",
                  metadata: { resourceVersion: "1001", annotations: { "k8s.io/initial-events-end": "true" } },
                },
              })
            }\n`
            : "";
          const body = `${initial}${late}\n${EVENT}`;
          await wire.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n");
          for (let at = 0; at < body.length; at += bytes) await wire.write(body.slice(at, at + bytes));
          wire.close("end");
        }, ["watch"]);
        await setting.untilHeld("late");
      },
    })),
  ],
};

export { finish, started };
