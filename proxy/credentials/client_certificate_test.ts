import assert from "node:assert/strict";
import { readClientAuthorities } from "./client_certificate.ts";
import { issue } from "../fixture_test.ts";

const CLIENT = "1.3.6.1.5.5.7.3.2";
const SERVER = "1.3.6.1.5.5.7.3.1";
const ANY = "2.5.29.37.0";
const HOUR_MS = 3_600_000;

const authority = await issue({ commonName: "authority", authority: true });
const second = await issue({ commonName: "second", authority: true });
const { issued } = readClientAuthorities([second.certificate, authority.certificate]);

Deno.test("certificates of each authority, for clients or for anything", async () => {
  for (const issuer of [authority, second]) {
    assert.equal(issued((await issue({ commonName: "a", issuer })).der, new Date()), true);
  }
  for (const usages of [[CLIENT], [ANY], [SERVER, CLIENT]]) {
    const { der } = await issue({ commonName: "a", issuer: authority, usages });
    assert.equal(issued(der, new Date()), true, usages.join());
  }
});

Deno.test("refuses certificates of anybody else, also of an authority of the same name", async () => {
  const stranger = await issue({ commonName: "stranger", authority: true });
  const namesake = await issue({ commonName: "authority", authority: true });
  const alone = await issue({
    commonName: "kube-apiserver-kubelet-client",
    organizations: ["system:masters"],
  });
  assert.equal(issued(alone.der, new Date()), false);
  for (const issuer of [stranger, namesake]) {
    assert.equal(issued((await issue({ commonName: "a", issuer })).der, new Date()), false);
  }
  // An authority that is not in the file, although one in the file has issued it.
  const intermediate = await issue({ commonName: "between", authority: true, issuer: authority });
  assert.equal(issued((await issue({ commonName: "a", issuer: intermediate })).der, new Date()), false);
});

Deno.test("refuses certificates whose dates do not hold, and such for servers alone", async () => {
  const expired = await issue({ commonName: "a", issuer: authority, validMs: [-2 * HOUR_MS, -HOUR_MS] });
  const early = await issue({ commonName: "a", issuer: authority, validMs: [HOUR_MS, 2 * HOUR_MS] });
  const server = await issue({ commonName: "a", issuer: authority, usages: [SERVER] });
  for (const { der } of [expired, early, server]) assert.equal(issued(der, new Date()), false);
  assert.equal(issued(early.der, new Date(Date.now() + 1.5 * HOUR_MS)), true);
});

Deno.test("refuses what is no certificate, or one that was changed", async () => {
  const { der } = await issue({ commonName: "a", issuer: authority });
  assert.equal(issued(new Uint8Array(), new Date()), false);
  assert.equal(issued(new Uint8Array([0x30, 0]), new Date()), false);
  assert.equal(issued(der.subarray(0, -1), new Date()), false);
  let changed = 0;
  for (let index = 0; index < der.length; index += 7) {
    const copy = der.slice();
    copy[index] = (copy[index] ?? 0) ^ 1;
    assert.equal(issued(copy, new Date()), false, `byte ${index}`);
    changed++;
  }
  assert.ok(changed > 40);
});

/** An authority of P-521, with which signatures cannot be checked in Deno. openssl req -x509 -newkey ec … -days 36500 */
const P521 = `-----BEGIN CERTIFICATE-----
MIIB/DCCAV6gAwIBAgIUUT6yqu6LywXiEaGGo9xy36747DowCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEcDUyMTAgFw0yNjExMjQwNjUyNTZaGA8yMTI2MTAzMTA2NTI1
NlowDzENMAsGA1UEAwwEcDUyMTCBmzAQBgcqhkjOPQIBBgUrgQQAIwOBhgAEAS8W
RBTV5ByhEifPtUZQ4zuV5ppjiF3rYN52FbWg/QHViyKmoH64aCvJT28FxdciTQFF
9gXr++ouaYJtz1YkjwqNAfq9+MLneGr0tuUr6sX5gIRVNtFvNtDfDz8LzMP7s1y4
3z2eCtmHpvoYG/DxHAAhdxI1ym8iuEZzJDv5rF1S5UpRo1MwUTAdBgNVHQ4EFgQU
w41FMWzQtD43qpv1ri4iTlwTUdYwHwYDVR0jBBgwFoAUw41FMWzQtD43qpv1ri4i
TlwTUdYwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgOBiwAwgYcCQgE9hPkg
XjUgTWRuQKexgK4fIAi6HLCE5U6Tyjjz7EtFCZcYKZ9er5B3AeMWbsWksZJ+vOMg
f9pBOI2HCd+eW7AcwgJBByaSmBGO9yvA/aU/KtXrvMHWdqTth0kO6bJcQc9d1KrO
k1tSt26jYCgKcyrUeExi1dhksWN8Qv3iwNW2gDfCaqo=
-----END CERTIFICATE-----
`;

Deno.test("refuses authorities with which nothing can be checked", async () => {
  const leaf = await issue({ commonName: "a", issuer: authority });
  assert.throws(() => readClientAuthorities([leaf.certificate]), /no authority/);
  assert.throws(() => readClientAuthorities([P521]), /cannot be checked/);
});
