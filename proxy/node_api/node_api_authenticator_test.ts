import assert from "node:assert/strict";
import { issue } from "../fixture_test.ts";
import {
  createNodeApiAuthenticator,
  KNOWN_TOKEN_TTL_MS,
  MAX_REMEMBERED_TOKENS,
  type Shown,
  UNKNOWN_TOKEN_TTL_MS,
  userOfCertificate,
} from "./node_api_authenticator.ts";
import type { NoVerdict, TokenVerdict } from "./review_client.ts";
import { MAX_TOKEN_LENGTH } from "./review_request.ts";
import { MAX_NAME_LENGTH } from "./user_info.ts";

const JANE: TokenVerdict = {
  kind: "known",
  user: { username: "jane", uid: "1", groups: ["g"], extra: new Map() },
  audiences: [],
};

function setUp(verdict: TokenVerdict | NoVerdict = JANE) {
  const asked: string[] = [];
  const time = { now: 0 };
  const authenticator = createNodeApiAuthenticator({
    access: () => assert.fail(),
    token(review) {
      asked.push(review.token);
      return Promise.resolve(verdict);
    },
  }, { now: () => new Date(time.now), after: () => () => {} });
  const show = (shown: Shown) => authenticator.authenticate(shown, new AbortController().signal);
  return { asked, time, show };
}

Deno.test("a certificate's common name and organizations, with what everybody is", async () => {
  const { show, asked } = setUp();
  const { der } = await issue({
    commonName: "kube-apiserver-kubelet-client",
    organizations: ["system:masters", "b"],
  });
  // A certificate goes before a token.
  const shown = await show({ certificate: der, authorization: "Bearer canary" });
  assert.ok(shown.kind === "user");
  assert.equal(shown.user.username, "kube-apiserver-kubelet-client");
  assert.deepEqual(shown.user.groups, ["system:masters", "b", "system:authenticated"]);
  const [id] = shown.user.extra.get("authentication.kubernetes.io/credential-id") ?? [];
  assert.match(id ?? "", /^X509SHA256=[0-9a-f]{64}$/);
  assert.equal(asked.length, 0);
});

Deno.test("refuses certificates that name nobody, several, or too much", async () => {
  const long = "n".repeat(MAX_NAME_LENGTH + 1);
  const certificates = [
    await issue({ commonName: "" }),
    await issue({ commonName: "a", commonNames: ["b"] }),
    await issue({ commonName: long }),
    await issue({ commonName: "a", organizations: [long] }),
    await issue({ commonName: "a", organizations: Array(1001).fill("g") }),
  ];
  for (const { der } of certificates) assert.equal(await userOfCertificate(der), undefined);
  assert.equal(await userOfCertificate(new Uint8Array([1])), undefined);
  const [nobody] = certificates;
  assert.equal((await setUp().show(nobody === undefined ? {} : { certificate: nobody.der })).kind, "nobody");
});

Deno.test("a token is asked about once in a while", async () => {
  const { show, asked, time } = setUp();
  for (let count = 0; count < 3; count++) {
    const shown = await show({ authorization: "bearer  token-of-jane" });
    assert.ok(shown.kind === "user");
    assert.deepEqual([shown.user.username, shown.user.groups], ["jane", ["g", "system:authenticated"]]);
  }
  assert.deepEqual(asked, ["token-of-jane"]);
  time.now = KNOWN_TOKEN_TTL_MS;
  await show({ authorization: "Bearer token-of-jane" });
  assert.equal(asked.length, 2);
});

Deno.test("refuses whoever shows nothing, or no token", async () => {
  const { show, asked } = setUp();
  const headers = [
    undefined,
    "",
    "Bearer",
    "Bearer ",
    "Basic amFuZTpjYW5hcnk=",
    "Bearer a b",
    "Bearer a,b",
    "Bearer =",
    `Bearer ${"x".repeat(MAX_TOKEN_LENGTH + 1)}`,
  ];
  for (const authorization of headers) {
    assert.equal(
      (await show(authorization === undefined ? {} : { authorization })).kind,
      "nobody",
      authorization,
    );
  }
  assert.equal(asked.length, 0);
});

Deno.test("refuses tokens that the cluster does not know, and asks again after a while", async () => {
  const { show, asked, time } = setUp({ kind: "unknown", error: "" });
  assert.equal((await show({ authorization: "Bearer a" })).kind, "nobody");
  assert.equal((await show({ authorization: "Bearer a" })).kind, "nobody");
  assert.equal(asked.length, 1);
  time.now = UNKNOWN_TOKEN_TTL_MS;
  await show({ authorization: "Bearer a" });
  assert.equal(asked.length, 2);
});

Deno.test("refuses when there is no verdict, and does not remember that", async () => {
  const { show, asked } = setUp({ kind: "failure", response: new Response("no", { status: 503 }) });
  assert.deepEqual(await show({ authorization: "Bearer a" }), { kind: "failure", code: 503 });
  assert.deepEqual(await show({ authorization: "Bearer a" }), { kind: "failure", code: 503 });
  assert.equal(asked.length, 2);
});

Deno.test("refuses to remember more tokens than the bound", async () => {
  const { show, asked } = setUp();
  for (let count = 0; count <= MAX_REMEMBERED_TOKENS; count++) {
    await show({ authorization: `Bearer t${count}` });
  }
  await show({ authorization: "Bearer t1" });
  assert.equal(asked.length, MAX_REMEMBERED_TOKENS + 1);
  await show({ authorization: "Bearer t0" });
  assert.equal(asked.length, MAX_REMEMBERED_TOKENS + 2);
});
