/**
 * The API server gives a UID to another pod in ways in which client-go never passes the deletion on to the kubelet, whose
 * sources then merge the two: the first one's name with the second one's spec.
 */
import assert from "node:assert/strict";
import { isJsonObject, type JsonObject, objectAt } from "@signed-pods/shared/json";
import { makeGate } from "../fakes/gate.ts";
import { makePod, NODE_NAME, Owner, uidOf } from "../fakes/owner.ts";
import { upstreamOf } from "../fakes/upstream.ts";

const owner = await Owner.create();
const FIRST = await owner.sign(
  makePod({ name: "a", namespace: "prod", uid: uidOf(1), resourceVersion: "10" }),
);
const SECOND = await owner.sign(
  makePod({
    name: "b",
    namespace: "dev",
    uid: uidOf(1),
    image: "registry.example/b:1",
    resourceVersion: "12",
  }),
);
const QUERY =
  "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&" +
  `fieldSelector=spec.nodeName%3D${NODE_NAME}`;

const event = (type: string, object: JsonObject) => `${JSON.stringify({ type, object })}\n`;

function initialEventsEnd(resourceVersion: string): string {
  const annotations = { "k8s.io/initial-events-end": "true" };
  return event("BOOKMARK", { kind: "Pod", apiVersion: "v1", metadata: { resourceVersion, annotations } });
}

const GONE = event("DELETED", {
  ...FIRST,
  metadata: { ...objectAt(FIRST, "metadata"), resourceVersion: "11" },
});
const EXPIRED = event("ERROR", {
  kind: "Status",
  apiVersion: "v1",
  status: "Failure",
  reason: "Expired",
  code: 410,
  message: "too old resource version",
});

const LIES: Record<string, string[]> = {
  "without a deletion": [
    event("ADDED", FIRST) + initialEventsEnd("10"),
    event("ADDED", SECOND) + initialEventsEnd("12"),
  ],
  "with the deletion among the initial events of a new watch": [
    event("ADDED", FIRST) + initialEventsEnd("10"),
    GONE + event("ADDED", SECOND) + initialEventsEnd("12"),
  ],
  "with the deletion behind an ERROR, where client-go reads no further": [
    event("ADDED", FIRST) + initialEventsEnd("10") + EXPIRED + GONE,
    event("ADDED", SECOND) + initialEventsEnd("12"),
  ],
};

for (const [lie, watches] of Object.entries(LIES)) {
  Deno.test(`refuses the UID of one pod to another, ${lie}`, async () => {
    const answers = watches.values();
    const upstream = upstreamOf(() =>
      new Response(answers.next().value ?? "", { headers: { "content-type": "application/json" } })
    );
    const { fetch } = await makeGate({ upstream, owner });
    const names: string[] = [];
    for (const _watch of watches) {
      const text = await (await fetch(`/api/v1/pods?${QUERY}`)).text();
      for (const line of text.split("\n").filter((line) => line !== "")) {
        const { type, object } = JSON.parse(line);
        assert.ok(isJsonObject(object));
        if (type === "ADDED" || type === "MODIFIED") names.push(String(objectAt(object, "metadata").name));
      }
    }
    assert.deepEqual(names, ["a"]);
  });
}
