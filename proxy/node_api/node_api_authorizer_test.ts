import assert from "node:assert/strict";
import {
  ALLOWED_TTL_MS,
  createNodeApiAuthorizer,
  DENIED_TTL_MS,
  MAX_REMEMBERED_VERDICTS,
} from "./node_api_authorizer.ts";
import type { AccessVerdict, NoVerdict } from "./review_client.ts";
import { type AccessReview, writeAccessReview } from "./review_request.ts";
import type { UserInfo } from "./user_info.ts";

const JANE: UserInfo = { username: "jane", uid: "1", groups: ["g"], extra: new Map([["k", ["v"]]]) };

function setUp(verdict: (subresource: string) => AccessVerdict | NoVerdict) {
  const asked: AccessReview[] = [];
  const time = { now: 0 };
  const authorizer = createNodeApiAuthorizer(
    {
      token: () => assert.fail(),
      access(review) {
        asked.push(review);
        return Promise.resolve(verdict(review.resource?.subresource ?? ""));
      },
    },
    "worker",
    { now: () => new Date(time.now), after: () => () => {} },
  );
  const ask = (subresources: string[], user = JANE, verb = "get") =>
    authorizer.authorize(user, verb, subresources, new AbortController().signal);
  return { asked, time, ask };
}

const allow = (): AccessVerdict => ({ kind: "allowed", reason: "" });
const deny = (): AccessVerdict => ({ kind: "refused", reason: "" });

Deno.test("asks with the kubelet's attributes, once in a while", async () => {
  const { ask, asked, time } = setUp(allow);
  assert.deepEqual(await ask(["metrics"]), { kind: "allowed" });
  const [review] = asked;
  assert.ok(review);
  assert.deepEqual(writeAccessReview(review)["spec"], {
    resourceAttributes: {
      verb: "get",
      version: "v1",
      resource: "nodes",
      subresource: "metrics",
      name: "worker",
    },
    user: "jane",
    uid: "1",
    groups: ["g"],
    extra: { k: ["v"] },
  });
  await ask(["metrics"]);
  assert.equal(asked.length, 1);
  await ask(["metrics"], JANE, "create");
  await ask(["metrics"], { ...JANE, groups: [] });
  await ask(["stats"]);
  assert.equal(asked.length, 4);
  time.now = ALLOWED_TTL_MS;
  await ask(["metrics"]);
  assert.equal(asked.length, 5);
});

Deno.test("one subresource that is allowed is enough, in their order", async () => {
  const { ask, asked } = setUp((subresource) => subresource === "proxy" ? allow() : deny());
  assert.deepEqual(await ask(["pods", "proxy"]), { kind: "allowed" });
  assert.deepEqual(asked.map(({ resource }) => resource?.subresource), ["pods", "proxy"]);
  const first = setUp(allow);
  await first.ask(["pods", "proxy"]);
  assert.equal(first.asked.length, 1);
});

Deno.test("refuses what the cluster refuses, and asks again after a while", async () => {
  const { ask, asked, time } = setUp(deny);
  assert.deepEqual(await ask(["pods", "proxy"]), { kind: "denied" });
  await ask(["pods", "proxy"]);
  assert.equal(asked.length, 2);
  time.now = DENIED_TTL_MS;
  await ask(["pods"]);
  assert.equal(asked.length, 3);
  assert.deepEqual(await ask([]), { kind: "denied" });
});

Deno.test("refuses when there is no verdict, asks no further and does not remember that", async () => {
  const { ask, asked } = setUp(() => ({ kind: "failure", response: new Response("no", { status: 502 }) }));
  assert.deepEqual(await ask(["pods", "proxy"]), { kind: "failure", code: 502 });
  await ask(["pods", "proxy"]);
  assert.equal(asked.length, 2);
});

Deno.test("refuses to remember more verdicts than the bound", async () => {
  const { ask, asked } = setUp(allow);
  const user = (count: number) => ({ ...JANE, username: `u${count}` });
  for (let count = 0; count <= MAX_REMEMBERED_VERDICTS; count++) await ask(["stats"], user(count));
  await ask(["stats"], user(1));
  assert.equal(asked.length, MAX_REMEMBERED_VERDICTS + 1);
  await ask(["stats"], user(0));
  assert.equal(asked.length, MAX_REMEMBERED_VERDICTS + 2);
});
