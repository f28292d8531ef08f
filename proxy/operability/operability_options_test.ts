import assert from "node:assert/strict";
import { readOperabilityOptions } from "./operability_options.ts";

function read(metricsAddr?: string, decisionLog?: string) {
  const problems: string[] = [];
  const options = readOperabilityOptions({ metricsAddr, decisionLog }, (flag) => problems.push(flag));
  return { options, problems };
}

Deno.test("there is neither port nor file unless they are asked for", () => {
  assert.deepEqual(read(), { options: {}, problems: [] });
});

Deno.test("loopback addresses and full paths are taken", () => {
  assert.deepEqual(read("127.0.0.1:10450", "/var/log/decisions"), {
    options: {
      listenAddress: { hostname: "127.0.0.1", port: 10450 },
      decisionLogFile: "/var/log/decisions",
    },
    problems: [],
  });
  assert.deepEqual(read("[::1]:0").options, { listenAddress: { hostname: "::1", port: 0 } });
});

for (
  const address of [
    ":10450",
    "0.0.0.0:1",
    "[::]:1",
    "10.0.0.1:1",
    "localhost:1",
    "node.example:1",
    "127.0.0.1",
    "x",
  ]
) {
  Deno.test(`refuses to show pods at ${address}`, () => {
    assert.deepEqual(read(address), { options: {}, problems: ["--metrics-addr"] });
  });
}

for (const path of ["decisions.log", "./x", "/var/log/"]) {
  Deno.test(`refuses the decision log ${path}`, () => {
    assert.deepEqual(read(undefined, path), { options: {}, problems: ["--decision-log"] });
  });
}
