import assert from "node:assert/strict";
import {
  MAX_NODE_API_PARAMETERS,
  MAX_NODE_API_TARGET_CHARACTERS,
  NODE_API_TARGET_RULES,
  routeNodeApi,
} from "./node_api_route.ts";
import { parseTarget } from "../request_target.ts";

const UID = "5f1e0c5e-7a52-4c0f-9c1a-0d9b1e2f3a4b";

function route(method: string, target: string) {
  const parsed = parseTarget(`https://front${target}`, NODE_API_TARGET_RULES);
  assert.ok(parsed.ok, target);
  return routeNodeApi(method, parsed.target);
}

Deno.test("what has a word, and as what the kubelet would have it authorised", () => {
  const known: [string, string, string, string[], string][] = [
    ["GET", "/containerLogs/shop/web-1.x/app?follow=true&tailLines=1", "logs", ["proxy"], "never"],
    ["GET", "/metrics", "metrics", ["metrics"], "never"],
    ["GET", "/metrics/cadvisor", "metrics", ["metrics"], "never"],
    ["GET", "/metrics/resource", "metrics", ["metrics"], "never"],
    ["GET", "/metrics/probes", "metrics", ["metrics"], "never"],
    ["GET", "/metrics/slis", "metrics", ["metrics"], "never"],
    ["GET", "/stats/summary?only_cpu_and_memory=true", "stats", ["stats"], "never"],
    ["GET", "/pods", "pods", ["pods", "proxy"], "never"],
    ["GET", "/runningpods/", "pods", ["pods", "proxy"], "never"],
    ["GET", "/allocatedPods", "pods", ["pods", "proxy"], "never"],
    ["GET", "/healthz", "healthz", ["healthz", "proxy"], "never"],
    ["GET", "/healthz/syncloop", "healthz", ["healthz", "proxy"], "never"],
    ["GET", "/exec/shop/web/app?command=sh&command=-c&command=a%20b&input=1", "exec", ["proxy"], "always"],
    ["POST", `/exec/shop/web/${UID}/app?command=id`, "exec", ["proxy"], "always"],
    ["GET", "/attach/shop/web/app?output=1", "attach", ["proxy"], "always"],
    ["POST", `/attach/shop/web/${UID}/app`, "attach", ["proxy"], "always"],
    ["GET", "/portForward/shop/web?port=80&port=81", "port-forward", ["proxy"], "always"],
    ["POST", `/portForward/shop/web/${UID}`, "port-forward", ["proxy"], "always"],
  ];
  for (const [method, target, needed, subresources, upgrade] of known) {
    const verb = method === "GET" ? "get" : "create";
    assert.deepEqual(route(method, target), { needed, verb, subresources, upgrade }, target);
  }
});

Deno.test("refuses without all: what is not known to the letter", () => {
  const others: [string, string, string, string[]][] = [
    ["GET", "/", "get", ["proxy"]],
    ["GET", "/logs/", "get", ["log"]],
    ["GET", "/logs/containers/x.log", "get", ["log"]],
    ["POST", "/run/shop/web/app?cmd=id", "create", ["proxy"]],
    ["POST", "/checkpoint/shop/web/app", "create", ["checkpoint"]],
    ["GET", "/configz", "get", ["configz", "proxy"]],
    ["GET", "/statusz", "get", ["statusz"]],
    ["GET", "/flagz", "get", ["configz"]],
    ["GET", "/debug/pprof/profile", "get", ["proxy"]],
    ["PUT", "/debug/flags/v", "update", ["proxy"]],
    ["GET", "/stats", "get", ["stats"]],
    ["GET", "/stats/summary/x", "get", ["stats"]],
    ["POST", "/stats/summary", "create", ["stats"]],
    ["GET", "/metrics/other", "get", ["metrics"]],
    ["DELETE", "/metrics/slis", "delete", ["metrics"]],
    ["HEAD", "/metrics", "", ["metrics"]],
    ["OPTIONS", "/pods", "", ["pods", "proxy"]],
    ["PATCH", "/pods", "patch", ["pods", "proxy"]],
    ["GET", "/pods/x", "get", ["pods", "proxy"]],
    ["GET", "/Metrics", "get", ["proxy"]],
    ["GET", "/metricsx", "get", ["proxy"]],
    ["POST", "/containerLogs/shop/web/app", "create", ["proxy"]],
    ["GET", "/containerLogs/shop/web", "get", ["proxy"]],
    ["GET", "/containerLogs/shop/web/app/x", "get", ["proxy"]],
    ["GET", "/containerLogs/Shop/web/app", "get", ["proxy"]],
    ["GET", "/containerLogs/shop/we_b/app", "get", ["proxy"]],
    ["GET", "/containerLogs/shop/web/a.b", "get", ["proxy"]],
    ["GET", `/containerLogs/shop/web/${UID}/app`, "get", ["proxy"]],
    ["GET", "/exec/shop/web", "get", ["proxy"]],
    ["PUT", "/exec/shop/web/app", "update", ["proxy"]],
    ["GET", "/exec/shop/web/not-a-uid/app", "get", ["proxy"]],
    ["GET", `/exec/shop/web/${UID}/app/x`, "get", ["proxy"]],
    ["GET", "/exec/shop/web/A_", "get", ["proxy"]],
    ["GET", "/portForward/shop", "get", ["proxy"]],
    ["GET", "/portForward/shop/web/app", "get", ["proxy"]],
    ["GET", "/portforward/shop/web", "get", ["proxy"]],
  ];
  for (const [method, target, verb, subresources] of others) {
    assert.deepEqual(
      route(method, target),
      { needed: "all", verb, subresources, upgrade: "any" },
      `${method} ${target}`,
    );
  }
});

Deno.test("refuses paths and queries that are read in more than one way", () => {
  const targets = [
    "//metrics",
    "/metrics//cadvisor",
    "/metrics//",
    "/./metrics",
    "/logs/../metrics",
    "/metrics/..",
    "/containerLogs/shop%2Fweb/app",
    "/%6detrics",
    "/metrics;x",
    "/metrics?a=1&a=2",
    "/exec/a/b/c?input=1&input=0",
    "/metrics#x",
    "/met rics",
    "/exec/a/b/c?command=a;command=b",
  ];
  for (const target of targets) {
    assert.equal(parseTarget(`https://front${target}`, NODE_API_TARGET_RULES).ok, false, target);
  }
});

Deno.test("refuses targets over the bounds, and admits a long command", () => {
  const read = (target: string) => parseTarget(`https://front${target}`, NODE_API_TARGET_RULES).ok;
  const exec = "/exec/a/b/c?";
  const command = (count: number) => exec + Array(count).fill("command=x").join("&");
  assert.equal(read(command(MAX_NODE_API_PARAMETERS)), true);
  assert.equal(read(command(MAX_NODE_API_PARAMETERS + 1)), false);
  const padded = (length: number) => `${exec}command=`.padEnd(length, "x");
  assert.equal(read(padded(MAX_NODE_API_TARGET_CHARACTERS)), true);
  assert.equal(read(padded(MAX_NODE_API_TARGET_CHARACTERS + 1)), false);
});
