import assert from "node:assert/strict";
import { isJsonObject, type JsonObject, objectAt } from "@signed-pods/shared/json";
import { parseStrictJson } from "@signed-pods/shared/strict-json";
import { uidOf } from "../../tests/fakes/owner.ts";
import { createKnownPods, type KnownPods, MAX_KNOWN_BYTES, MAX_KNOWN_MANAGED_FIELDS } from "./known_pods.ts";

function podOf(number: number, changes: { metadata?: JsonObject; spec?: JsonObject } = {}): JsonObject {
  return {
    metadata: {
      name: `pod-${number}`,
      uid: uidOf(number),
      labels: { app: `app-${number}` },
      annotations: { note: "x".repeat(100) },
      ownerReferences: [{ uid: uidOf(9), controller: true }],
      managedFields: [{ manager: "a", fieldsV1: { "f:spec": {} } }, { manager: "b" }],
      ...changes.metadata,
    },
    spec: { hostname: `pod-${number}`, containers: [{ name: "app" }], ...changes.spec },
    status: { phase: "Running" },
  };
}

function read(known: KnownPods, pod: JsonObject): JsonObject {
  const event = parseStrictJson(JSON.stringify({ object: pod, type: "MODIFIED" }), {
    known: known.forDocument(1),
  });
  assert.ok(isJsonObject(event));
  return objectAt(event, "object");
}

/** The names of the parts that two pods share. */
function shared(a: JsonObject, b: JsonObject): string[] {
  const parts = (pod: JsonObject): Record<string, unknown> => {
    const { labels, annotations, ownerReferences, managedFields } = objectAt(pod, "metadata");
    const entries = Array.isArray(managedFields) ? Object.entries(managedFields) : [];
    return {
      labels,
      annotations,
      ownerReferences,
      spec: pod.spec,
      status: pod.status,
      ...Object.fromEntries(entries),
    };
  };
  const others = parts(b);
  return Object.entries(parts(a)).filter(([key, part]) => part === others[key]).map(([key]) => key).sort();
}

const ALL = ["0", "1", "annotations", "labels", "ownerReferences", "spec", "status"];

Deno.test("all parts of a pod that has not changed are the same again, in an event, a list and alone", () => {
  const known = createKnownPods();
  const first = read(known, podOf(1));
  assert.deepEqual(shared(read(known, podOf(1)), first), ALL);
  const list = parseStrictJson(JSON.stringify({ items: [podOf(2), podOf(1)] }), {
    known: known.forDocument(2),
  });
  const items = isJsonObject(list) && Array.isArray(list.items) ? list.items : [];
  assert.ok(isJsonObject(items[1]));
  assert.deepEqual(shared(items[1], first), ALL);
  const alone = parseStrictJson(JSON.stringify(podOf(1)), { known: known.forDocument(0) });
  assert.ok(isJsonObject(alone));
  assert.deepEqual(shared(alone, first), ALL);
  for (const version of ["1", "2", "12345"]) {
    const later = read(known, podOf(1, { metadata: { resourceVersion: version } }));
    assert.deepEqual(shared(later, first), ALL);
    assert.equal(objectAt(later, "metadata").resourceVersion, version);
  }
});

Deno.test("the UID may come after the parts, and after those of the owners", () => {
  const known = createKnownPods();
  const { uid = null, ...metadata } = objectAt(podOf(1), "metadata");
  const pod: JsonObject = { ...podOf(1), metadata: { ...metadata, uid } };
  assert.deepEqual(shared(read(known, pod), read(known, pod)), ALL);
});

Deno.test("a part that has changed is read anew, and remembered in the place of the old one", () => {
  const known = createKnownPods();
  const first = read(known, podOf(1));
  const changed = podOf(1, { spec: { hostname: "other" }, metadata: { labels: { app: "other" } } });
  const second = read(known, changed);
  assert.deepEqual(second, changed);
  assert.deepEqual(shared(second, first), ["0", "1", "annotations", "ownerReferences", "status"]);
  const bytes = known.bytes;
  assert.deepEqual(shared(read(known, changed), second), ALL);
  assert.equal(known.bytes, bytes);
});

Deno.test("a pod under another pod's UID is what its own text says", () => {
  const known = createKnownPods();
  read(known, podOf(1));
  const other: JsonObject = { ...podOf(2), metadata: { ...objectAt(podOf(2), "metadata"), uid: uidOf(1) } };
  assert.deepEqual(read(known, other), other);
});

Deno.test("no more is remembered than the bound; what is read over and over is not pushed out", () => {
  const one = createKnownPods();
  read(one, podOf(1));
  assert.ok(one.bytes > 1000 && one.bytes < MAX_KNOWN_BYTES / 1000, String(one.bytes));
  const known = createKnownPods(one.bytes * 2.5);
  const firsts = [1, 2, 3, 4].map((number) => read(known, podOf(number)));
  for (let round = 0; round < 4; round++) {
    const again = [1, 2, 3, 4].map((number) => read(known, podOf(number)));
    assert.deepEqual(again.map((pod, index) => shared(pod, firsts[index] ?? {})), [ALL, ALL, [], []]);
    assert.ok(known.bytes <= one.bytes * 2.5);
  }
});

Deno.test("pods that are not read any more make room for those that are", () => {
  const one = createKnownPods();
  read(one, podOf(1));
  const known = createKnownPods(one.bytes * 2.5);
  for (let round = 0; round < 10; round++) [1, 2].forEach((number) => read(known, podOf(number)));
  for (let round = 0; round < 10; round++) [3, 4].forEach((number) => read(known, podOf(number)));
  const [third, fourth] = [read(known, podOf(3)), read(known, podOf(4))];
  assert.deepEqual(shared(read(known, podOf(3)), third), ALL);
  assert.deepEqual(shared(read(known, podOf(4)), fourth), ALL);
  assert.ok(known.bytes <= one.bytes * 2.5);
});

function readList(known: KnownPods, pods: JsonObject[]): JsonObject[] {
  const list = parseStrictJson(JSON.stringify({ items: pods }), { known: known.forDocument(2) });
  return isJsonObject(list) && Array.isArray(list.items) ? list.items.filter(isJsonObject) : [];
}

Deno.test("in a list, a pod that has not changed is the same object again, wherever it stands", () => {
  const known = createKnownPods();
  const first = readList(known, [1, 2, 3, 4].map((number) => podOf(number)));
  for (const order of [[1, 2, 3, 4], [4, 1, 3, 2], [2, 3], [1, 2, 3, 4]]) {
    const again = readList(known, order.map((number) => podOf(number)));
    assert.equal(again.length, order.length);
    again.forEach((pod, index) => assert.equal(pod, first[(order[index] ?? 0) - 1]));
  }
});

Deno.test("a pod of a list that has changed in the smallest thing is another object", () => {
  const known = createKnownPods();
  const [first] = readList(known, [podOf(1)]);
  const changes: JsonObject[] = [{ name: "pod-2" }, { resourceVersion: "2" }, { uid: uidOf(2) }, { more: 1 }];
  for (const metadata of changes) {
    const changed = podOf(1, { metadata });
    const [second] = readList(known, [changed]);
    assert.deepEqual(second, changed);
    assert.notEqual(second, first);
    assert.equal(second?.spec, metadata.uid === undefined ? first?.spec : second?.spec);
  }
});

Deno.test("a pod that is gone is forgotten", () => {
  const known = createKnownPods();
  const first = read(known, podOf(1));
  known.forget(uidOf(1));
  known.forget(uidOf(2));
  assert.equal(known.bytes, 0);
  assert.deepEqual(shared(first, read(known, podOf(1))), []);
});

Deno.test("a pod that is larger than the bound is read, and not remembered", () => {
  const known = createKnownPods(1000);
  const pod = podOf(1);
  assert.deepEqual(read(known, pod), pod);
  assert.deepEqual(shared(read(known, pod), read(known, pod)), []);
  assert.equal(known.bytes, 0);
});

Deno.test("of managed fields no more entries are remembered than the bound", () => {
  const known = createKnownPods();
  const managedFields = Array.from(
    { length: MAX_KNOWN_MANAGED_FIELDS + 1 },
    (_, index) => ({ manager: `m${index}` }),
  );
  const pod = podOf(1, { metadata: { managedFields } });
  const later = podOf(1, { metadata: { managedFields, resourceVersion: "2" } });
  const names = shared(read(known, pod), read(known, later)).filter((key) => /^[0-9]/.test(key));
  assert.equal(names.length, MAX_KNOWN_MANAGED_FIELDS);
  const bytes = known.bytes;
  for (let round = 0; round < 100; round++) {
    read(known, podOf(1, { metadata: { managedFields: [{ manager: `n${round}` }, ...managedFields] } }));
  }
  assert.ok(known.bytes <= bytes * 1.5, `${known.bytes} of ${bytes}`);
});
