import assert from "node:assert/strict";
import { isNodeApiWord, neededForReview, NODE_API_WORDS, opens } from "./node_api_access.ts";
import type { ResourceAttributes } from "./review_request.ts";

const METRICS: ResourceAttributes = {
  namespace: "",
  verb: "get",
  group: "",
  version: "v1",
  resource: "nodes",
  subresource: "metrics",
  name: "worker",
};

Deno.test("words are those of the table", () => {
  assert.ok(Object.keys(NODE_API_WORDS).every(isNodeApiWord));
  assert.ok(!isNodeApiWord("toString") && !isNodeApiWord("") && !isNodeApiWord("Logs"));
});

Deno.test("what a review needs", () => {
  for (const subresource of ["metrics", "stats", "pods", "healthz"]) {
    assert.equal(neededForReview({ ...METRICS, subresource }, "worker"), subresource);
  }
});

Deno.test("refuses without all: what has no word of its own, and all that is not this node's", () => {
  const others: Partial<ResourceAttributes>[] = [
    { subresource: "proxy" },
    { subresource: "log" },
    { subresource: "checkpoint" },
    { subresource: "configz" },
    { subresource: "statusz" },
    { subresource: "" },
    { subresource: "logs" },
    { subresource: "all" },
    { verb: "create" },
    { verb: "*" },
    { verb: "" },
    { name: "other" },
    { name: "" },
    { resource: "pods" },
    { resource: "*" },
    { group: "apps" },
    { namespace: "shop" },
    { version: "v2" },
  ];
  for (const other of others) {
    assert.equal(neededForReview({ ...METRICS, ...other }, "worker"), "all", JSON.stringify(other));
  }
  assert.equal(neededForReview(undefined, "worker"), "all");
});

Deno.test("refuses with every single word what needs all", () => {
  const every = new Set(Object.keys(NODE_API_WORDS).filter(isNodeApiWord).filter((word) => word !== "all"));
  assert.equal(opens(every, "all"), false);
  assert.equal(opens(new Set(["all"]), "all"), true);
  assert.equal(opens(new Set(["all"]), "exec"), true);
  assert.equal(opens(new Set(["logs"]), "exec"), false);
  assert.equal(opens(new Set(["logs"]), "logs"), true);
  assert.equal(opens(new Set(), "healthz"), true);
});
