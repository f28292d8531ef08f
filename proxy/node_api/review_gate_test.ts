import assert from "node:assert/strict";
import { memoryLog } from "../fixture_test.ts";
import type { Mode } from "../mode.ts";
import { isNodeApiWord } from "./node_api_access.ts";
import type { AccessVerdict, NoVerdict, TokenVerdict } from "./review_client.ts";
import { createReviewGate, type FrontIdentity, MAX_REVIEW_BYTES } from "./review_gate.ts";
import type { AccessReview, TokenReview } from "./review_request.ts";
import type { UpstreamRequest } from "../upstream.ts";

const FRONT: FrontIdentity = { username: "front", fingerprint: "ab".repeat(32) };

interface Setting {
  words?: string;
  front?: FrontIdentity;
  mode?: Mode;
  access?: AccessVerdict | NoVerdict;
  token?: TokenVerdict | NoVerdict;
  relayed?: () => Response;
}

function setUp(setting: Setting = {}) {
  const { access = { kind: "allowed", reason: "" }, token = { kind: "unknown", error: "" }, front } = setting;
  const asked: (AccessReview | TokenReview)[] = [];
  const sent: UpstreamRequest[] = [];
  const log = memoryLog();
  const gate = createReviewGate({
    nodeName: "worker",
    access: new Set((setting.words ?? "logs,metrics,stats").split(",").filter(isNodeApiWord)),
    ...(front === undefined ? {} : { front: () => front }),
    reviews: {
      access(review) {
        asked.push(review);
        return Promise.resolve(access);
      },
      token(review) {
        asked.push(review);
        return Promise.resolve(token);
      },
    },
    upstream: {
      send(request) {
        sent.push(request);
        return Promise.resolve((setting.relayed ?? (() => new Response("relayed", { status: 201 })))());
      },
    },
    log,
    mode: setting.mode ?? "enforce",
  });
  const ask = (review: "access" | "token", body: unknown, headers: Record<string, string> = {}) =>
    gate.answer(
      review,
      new Request("http://proxy/", {
        method: "POST",
        body: typeof body === "string" || body instanceof ReadableStream ? body : JSON.stringify(body),
        headers: { "content-type": "application/json", ...headers },
      }),
    );
  return { ask, asked, sent, log };
}

function access(
  subresource: string,
  more: Record<string, unknown> = {},
  attributes: Record<string, unknown> = {},
) {
  return {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SubjectAccessReview",
    spec: {
      user: "jane",
      groups: ["system:masters"],
      resourceAttributes: {
        verb: "get",
        version: "v1",
        resource: "nodes",
        subresource,
        name: "worker",
        ...attributes,
      },
      ...more,
    },
  };
}

const TOKEN = {
  apiVersion: "authentication.k8s.io/v1",
  kind: "TokenReview",
  spec: { token: "canary" },
};

async function status(response: Response): Promise<Record<string, unknown>> {
  assert.deepEqual([response.status, response.headers.get("content-type")], [201, "application/json"]);
  return (await response.json()).status;
}

Deno.test("what is listed is asked above, and the verdict comes back", async () => {
  for (const subresource of ["metrics", "stats", "healthz"]) {
    const { ask, asked, log } = setUp({ access: { kind: "allowed", reason: "RBAC" } });
    assert.deepEqual(await status(await ask("access", access(subresource))), {
      allowed: true,
      reason: "RBAC",
    });
    assert.equal(asked.length, 1);
    assert.deepEqual(log.events.map(({ event, fields }) => [event, fields["user"], fields["resource"]]), [
      ["node-api-review-allowed", "jane", `nodes/${subresource}`],
    ]);
  }
  const { ask } = setUp({ words: "pods" });
  assert.deepEqual(await status(await ask("access", access("pods"))), { allowed: true });
});

Deno.test("refuses what the cluster refuses", async () => {
  const { ask, log } = setUp({ access: { kind: "refused", reason: "" } });
  assert.deepEqual(await status(await ask("access", access("metrics"))), { allowed: false });
  assert.equal(log.events[0]?.event, "node-api-review-denied");
});

Deno.test("refuses what is not listed, without asking anybody, and names the flag", async () => {
  const { ask, asked, log } = setUp({ words: "logs,metrics,stats,exec,attach,port-forward" });
  const all = ["proxy", "log", "checkpoint", "configz", "", "anything"];
  for (const [subresource, word] of [["pods", "pods"], ...all.map((name) => [name, "all"])]) {
    const { allowed, denied, reason } = await status(await ask("access", access(subresource ?? "")));
    assert.deepEqual([allowed, denied], [false, true], subresource);
    assert.match(String(reason), new RegExp(`node "worker".*--node-api-access=${word} `));
  }
  for (const more of [{ verb: "create" }, { name: "other" }, { resource: "pods" }]) {
    assert.equal((await status(await ask("access", access("metrics", {}, more)))).allowed, false);
  }
  const nonResource = {
    resourceAttributes: undefined,
    nonResourceAttributes: { path: "/metrics", verb: "get" },
  };
  assert.equal((await status(await ask("access", access("", nonResource)))).allowed, false);
  assert.equal(asked.length, 0);
  assert.ok(log.events.every(({ event, level }) => event === "node-api-review-refused" && level === "warn"));
});

Deno.test("all opens everything that the cluster allows", async () => {
  const { ask, asked } = setUp({ words: "all" });
  for (const subresource of ["proxy", "log", "checkpoint", "pods"]) {
    assert.equal((await status(await ask("access", access(subresource)))).allowed, true);
  }
  assert.equal(asked.length, 4);
});

Deno.test("refuses malformed reviews", async () => {
  const { ask, asked, log } = setUp({ words: "all" });
  for (
    const [review, body] of [["access", "{"], ["access", TOKEN], ["token", "{"], [
      "token",
      access("stats"),
    ]] as const
  ) {
    assert.equal((await ask(review, body)).status, 400);
  }
  assert.equal((await ask("access", access("stats"), { "content-encoding": "gzip" })).status, 400);
  assert.equal((await ask("access", { ...access("stats"), x: "x".repeat(MAX_REVIEW_BYTES) })).status, 400);
  assert.equal(asked.length, 0);
  assert.ok(log.events.every(({ event }) => event === "node-api-review-malformed"));
  assert.doesNotMatch(JSON.stringify(log.events), /canary/);
});

Deno.test("a body that breaks off is an error of the connection, not a review", async () => {
  const broken = new ReadableStream({ pull: (controller) => controller.error(new Error("cut")) });
  await assert.rejects(setUp().ask("access", broken), /cut/);
});

Deno.test("a failure above comes back as it is", async () => {
  const failure: NoVerdict = { kind: "failure", response: new Response("no", { status: 503 }) };
  assert.equal((await setUp({ access: failure }).ask("access", access("stats"))).status, 503);
  assert.equal((await setUp({ token: failure }).ask("token", TOKEN)).status, 503);
});

const JANE = { username: "jane", uid: "1", groups: ["g"], extra: new Map([["k", ["v"]]]) };

Deno.test("tokens are asked above; the user comes back, built again", async () => {
  const { ask, asked, log } = setUp({ token: { kind: "known", user: JANE, audiences: ["a"] } });
  assert.deepEqual(await status(await ask("token", TOKEN)), {
    authenticated: true,
    user: { username: "jane", uid: "1", groups: ["g"], extra: { k: ["v"] } },
    audiences: ["a"],
  });
  assert.deepEqual(asked, [{ token: "canary", audiences: [] }]);
  assert.deepEqual(log.events.map(({ event, fields }) => [event, fields["user"]]), [[
    "node-api-token-known",
    "jane",
  ]]);
  assert.doesNotMatch(JSON.stringify(log.events), /canary/);
});

Deno.test("refuses tokens that the cluster does not know", async () => {
  const { ask, log } = setUp({ token: { kind: "unknown", error: "expired" } });
  assert.deepEqual(await status(await ask("token", TOKEN)), { authenticated: false, error: "expired" });
  assert.equal(log.events[0]?.event, "node-api-token-unknown");
  assert.deepEqual(await status(await setUp().ask("token", TOKEN)), { authenticated: false });
});

const CREDENTIAL_ID = "authentication.kubernetes.io/credential-id";

Deno.test("the front itself is allowed everything, without asking anybody", async () => {
  const { ask, asked } = setUp({ front: FRONT });
  const extra = { [CREDENTIAL_ID]: [`X509SHA256=${FRONT.fingerprint}`] };
  assert.deepEqual(await status(await ask("access", access("proxy", { user: "front", extra }))), {
    allowed: true,
  });
  assert.deepEqual(await status(await ask("access", access("proxy", { user: "front" }))), { allowed: true });
  assert.equal(asked.length, 0);
});

Deno.test("refuses the front's name with another certificate, and where there is no front", async () => {
  for (
    const ids of [["X509SHA256=" + "cd".repeat(32)], [], ["JTI=1"], [`X509SHA256=${FRONT.fingerprint}`, "x"]]
  ) {
    const review = access("proxy", { user: "front", extra: { [CREDENTIAL_ID]: ids } });
    assert.equal(
      (await status(await setUp({ front: FRONT }).ask("access", review))).allowed,
      false,
      ids.join(),
    );
  }
  assert.equal(
    (await status(await setUp().ask("access", access("proxy", { user: "front" })))).allowed,
    false,
  );
});

Deno.test("refuses to let the API server give a token the front's name or a certificate", async () => {
  const users = [
    { ...JANE, username: "front" },
    { ...JANE, extra: new Map([[CREDENTIAL_ID, [`X509SHA256=${FRONT.fingerprint}`]]]) },
  ];
  for (const user of users) {
    const { ask, log } = setUp({ front: FRONT, token: { kind: "known", user, audiences: [] } });
    assert.equal((await status(await ask("token", TOKEN))).authenticated, false);
    assert.equal(log.events[0]?.event, "node-api-token-refused");
  }
  const pod = { ...JANE, extra: new Map([[CREDENTIAL_ID, ["JTI=1"]]]) };
  const { ask } = setUp({ front: FRONT, token: { kind: "known", user: pod, audiences: [] } });
  assert.equal((await status(await ask("token", TOKEN))).authenticated, true);
});

Deno.test("audit logs what would be refused and relays everything as it came", async () => {
  const { ask, asked, sent, log } = setUp({ mode: "audit" });
  const body = JSON.stringify(access("proxy"));
  for (
    const [review, text] of [["access", body], ["access", "{"], ["token", JSON.stringify(TOKEN)], [
      "token",
      "{",
    ]] as const
  ) {
    const response = await ask(review, text);
    assert.deepEqual([response.status, await response.text()], [201, "relayed"]);
  }
  assert.equal((await ask("access", access("stats"))).status, 201);
  assert.equal(asked.length, 0);
  assert.equal(sent.length, 5);
  assert.deepEqual(sent[0]?.body, new TextEncoder().encode(body));
  assert.deepEqual(log.events.map(({ event, fields }) => [event, fields["mode"]]), [
    ["node-api-review-refused", "audit"],
    ["node-api-review-malformed", "audit"],
    ["node-api-review-malformed", "audit"],
  ]);
});

Deno.test("refuses redirects, also in audit", async () => {
  const relayed = () => new Response(null, { status: 302, headers: { location: "https://elsewhere" } });
  assert.equal((await setUp({ mode: "audit", relayed }).ask("access", access("stats"))).status, 502);
});
