import assert from "node:assert/strict";
import { MAX_QUERY_PARAMETERS, MAX_TARGET_CHARACTERS, parseTarget } from "./request_target.ts";

function read(target: string) {
  return parseTarget(`http+unix://127.0.0.1:6443${target}`);
}

Deno.test("a canonical target is read as it is", () => {
  const parsed = read("/api/v1/pods?fieldSelector=spec.nodeName%3Dworker&watch=true&empty&plus=a+b");
  assert.ok(parsed.ok);
  assert.equal(parsed.target.path, "/api/v1/pods");
  assert.deepEqual(parsed.target.segments, ["api", "v1", "pods"]);
  assert.deepEqual([...parsed.target.query], [
    ["fieldSelector", "spec.nodeName=worker"],
    ["watch", "true"],
    ["empty", ""],
    ["plus", "a b"],
  ]);
  assert.equal(
    parsed.target.target,
    "/api/v1/pods?fieldSelector=spec.nodeName%3Dworker&watch=true&empty&plus=a+b",
  );
});

Deno.test("an absolute target is read without its authority", () => {
  const parsed = parseTarget("http://evil.example/api/v1/nodes");
  assert.ok(parsed.ok);
  assert.equal(parsed.target.path, "/api/v1/nodes");
});

Deno.test("refuses paths with more than one spelling", () => {
  for (
    const path of [
      "/",
      "//api/v1/pods",
      "/api//v1/pods",
      "/api/v1/pods/",
      "/api/v1/./pods",
      "/api/v1/x/../pods",
      "/api/v1/%70ods",
      "/api/v1/namespaces%2fdefault",
      "/api/v1/%2e%2e/pods",
      "/api/v1/pods;a=b",
      "/api\\v1",
      "/api/v1/pods%00",
      "/api/v1/p ods",
      "/api/v1/p\u00f6ds",
      "/api/v1/pods#x",
    ]
  ) {
    assert.equal(read(path).ok, false, path);
  }
});

Deno.test("refuses targets that are no paths", () => {
  for (const url of ["", "*", "http+unix://host", "http+unix://host?x=1", "http://a#b"]) {
    assert.equal(parseTarget(url).ok, false, url);
  }
});

Deno.test("refuses queries that are read in more than one way", () => {
  for (
    const query of [
      "watch=true&watch=false",
      "watch=1;watch=0",
      "watch=%",
      "watch=%zz",
      "watch=%ff",
      "=1",
      "a=1&&b=2",
      "wat%00ch=1",
      "a=\u00e4",
      "a=b|c",
    ]
  ) {
    assert.equal(read(`/api/v1/pods?${query}`).ok, false, query);
  }
});

Deno.test("refuses targets over the bounds", () => {
  assert.equal(read(`/${"a".repeat(MAX_TARGET_CHARACTERS - 1)}`).ok, true);
  assert.equal(read(`/${"a".repeat(MAX_TARGET_CHARACTERS)}`).ok, false);
  const parameters = Array.from({ length: MAX_QUERY_PARAMETERS + 1 }, (_, index) => `p${index}=1`);
  assert.equal(read(`/a?${parameters.slice(1).join("&")}`).ok, true);
  assert.equal(read(`/a?${parameters.join("&")}`).ok, false);
});
