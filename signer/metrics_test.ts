import assert from "node:assert/strict";
import { createMetrics } from "./metrics.ts";
import { createIdentity } from "./signing_identity.ts";

const NEW_KEY = {
  keyType: "ec-p256",
  certificateLifetimeDays: 1,
  now: new Date("2024-05-06T07:08:09Z"),
} as const;
const [current, earlier] = await Promise.all([createIdentity(NEW_KEY), createIdentity(NEW_KEY)]);

/** Values by series, as Prometheus reads them. */
function parse(text: string): Map<string, number> {
  return new Map(
    text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
      const space = line.lastIndexOf(" ");
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

Deno.test("every series is there before anything happens", async () => {
  const series = parse(await createMetrics().text({ current, retired: [] }));
  for (const outcome of ["signed", "aborted", "unauthorized", "rate-limited", "overloaded", "audit-failed"]) {
    assert.equal(series.get(`signing_server_sign_requests_total{outcome="${outcome}"}`), 0, outcome);
  }
  assert.equal(series.get('signing_server_reload_failures_total{file="keys"}'), 0);
  assert.equal(series.get("signing_server_rate_limited_total"), 0);
  assert.equal(series.get("signing_server_sign_duration_seconds_count"), 0);
});

Deno.test("outcomes, latencies and failed reloads are counted", async () => {
  const metrics = createMetrics();
  metrics.signRequest("signed", 0.004);
  metrics.signRequest("signed", 20);
  metrics.signRequest("rate-limited", 1);
  metrics.reloadFailed("tokens");
  const series = parse(await metrics.text({ current, retired: [] }));
  assert.equal(series.get('signing_server_sign_requests_total{outcome="signed"}'), 2);
  assert.equal(series.get('signing_server_sign_requests_total{outcome="rate-limited"}'), 1);
  assert.equal(series.get("signing_server_rate_limited_total"), 1);
  assert.equal(series.get('signing_server_sign_duration_seconds_bucket{le="0.0025"}'), 0);
  assert.equal(series.get('signing_server_sign_duration_seconds_bucket{le="0.005"}'), 1);
  assert.equal(series.get('signing_server_sign_duration_seconds_bucket{le="+Inf"}'), 2);
  assert.equal(series.get('signing_server_reload_failures_total{file="tokens"}'), 1);
});

Deno.test("the ends of certificates are those of the keys as they are now", async () => {
  const metrics = createMetrics();
  const name = "signing_server_certificate_not_after_timestamp_seconds";
  const of = (keyId: string, state: string) => `${name}{key_id="${keyId}",state="${state}"}`;
  const before = parse(await metrics.text({ current: earlier, staged: current, retired: [] }));
  assert.equal(before.get(of(current.keyId, "staged")), current.notAfter.getTime() / 1000);
  const after = parse(await metrics.text({ current, retired: [earlier] }));
  assert.equal(after.get(of(current.keyId, "current")), current.notAfter.getTime() / 1000);
  assert.equal(after.get(of(earlier.keyId, "retired")), earlier.notAfter.getTime() / 1000);
  assert.equal([...after.keys()].filter((key) => key.startsWith(name)).length, 2);
});

Deno.test("two servers in one process count apart", async () => {
  const first = createMetrics();
  first.signRequest("signed", 1);
  const series = parse(await createMetrics().text({ current, retired: [] }));
  assert.equal(series.get('signing_server_sign_requests_total{outcome="signed"}'), 0);
});
