/** Lists, kinds, events and their order. */
import type { JsonObject } from "@signed-pods/shared/json";
import { objectOf, uidOf, withImage, withMetadata } from "../../fakes/owner.ts";
import type { Case, CaseGroup } from "../case.ts";
import type { Setting } from "../setting.ts";
import { INTRUDER } from "./answers.ts";

/** Changes the honest list. */
function list(name: string, does: string, change: (list: JsonObject, setting: Setting) => unknown): Case {
  return {
    name,
    does,
    starts: ["list"],
    run: (setting) =>
      setting.lieOnce((request, wire) =>
        setting.server.answerHonestly(request, wire, {
          change: (text) => `${JSON.stringify(change(JSON.parse(text), setting))}\n`,
        }), ["list"]),
  };
}

/** Sends lines after the first pods. */
function events(
  name: string,
  does: string,
  lines: string | ((setting: Setting) => string | Promise<string>),
): Case {
  return {
    name,
    does,
    async run(setting) {
      await setting.showEvents(typeof lines === "string" ? lines : await lines(setting));
    },
  };
}

/** Sends lines among the first pods. */
function initial(
  name: string,
  does: string,
  lines: string | ((setting: Setting) => string | Promise<string>),
): Case {
  return {
    name,
    does,
    starts: ["watch-list"],
    async run(setting) {
      await setting.showInitialEvents(typeof lines === "string" ? lines : await lines(setting));
    },
  };
}

function line(type: unknown, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`;
}

function items(list: JsonObject): unknown[] {
  return Array.isArray(list.items) ? list.items : [];
}

function bookmark(over: JsonObject = {}, metadata: JsonObject = {}): JsonObject {
  return { kind: "Pod", apiVersion: "v1", metadata: { resourceVersion: "1001", ...metadata }, ...over };
}

const EVIL_SPEC = objectOf(INTRUDER.spec);
const INITIAL_END = { annotations: { "k8s.io/initial-events-end": "true" } };
const STATUS = { kind: "Status", apiVersion: "v1", status: "Failure", metadata: {} };

export const lists: CaseGroup = {
  title: "Kinds and lists",
  cases: [
    ...([
      ["unknown-kind", "an unknown kind", { kind: "Evil" }],
      ["kind-list", "the kind List", { kind: "List" }],
      ["kind-pod", "the kind Pod", { kind: "Pod" }],
      ["kind-table", "the kind Table", { kind: "Table", apiVersion: "meta.k8s.io/v1" }],
      ["kind-partial", "metadata alone", { kind: "PartialObjectMetadataList", apiVersion: "meta.k8s.io/v1" }],
      ["kind-template-list", "the kind PodTemplateList", { kind: "PodTemplateList" }],
      ["kind-in-other-case", "the kind podList", { kind: "podList" }],
      ["kind-null", "no kind", { kind: null }],
      ["version-v2", "version v2", { apiVersion: "v2" }],
      ["version-null", "no version", { apiVersion: null }],
      ["version-of-a-group", "version apps/v1", { apiVersion: "apps/v1" }],
      ["status-success", "a Status of success with items", { kind: "Status", status: "Success" }],
    ] as const).map(([slug, what, over]) =>
      list(
        `6-list-${slug}`,
        `calls a list of pods ${what}`,
        (list) => ({ ...list, items: [...items(list), INTRUDER], ...over }),
      )
    ),
    list("6-items-missing", "leaves the items out", ({ items: _items, ...list }) => list),
    list("6-items-null", "writes null for the items", (list) => ({ ...list, items: null })),
    list("6-items-object", "writes the items as an object", (list) => ({ ...list, items: { 0: INTRUDER } })),
    list(
      "6-items-text",
      "writes the items as text",
      (list) => ({ ...list, items: JSON.stringify([INTRUDER]) }),
    ),
    list(
      "6-items-of-items",
      "puts a list among the items",
      (list) => ({ ...list, items: [...items(list), [INTRUDER]] }),
    ),
    list("6-item-null", "puts null among the items", (list) => ({ ...list, items: [null, ...items(list)] })),
    list("6-item-text", "puts text among the items", (list) => ({ ...list, items: ["pod", ...items(list)] })),
    list(
      "6-item-number",
      "puts a number among the items",
      (list) => ({ ...list, items: [7, ...items(list)] }),
    ),
    list(
      "6-item-of-another-kind",
      "puts a Secret among the items",
      (list) => ({ ...list, items: [...items(list), { ...INTRUDER, kind: "Secret" }] }),
    ),
    list(
      "6-item-of-another-version",
      "puts a pod of version v2 among the items",
      (list) => ({ ...list, items: [...items(list), { ...INTRUDER, apiVersion: "v2" }] }),
    ),
    list(
      "6-item-that-is-a-list",
      "puts a PodList among the items",
      (list) => ({ ...list, items: [{ kind: "PodList", apiVersion: "v1", items: [INTRUDER] }] }),
    ),
    list(
      "6-item-empty",
      "puts an empty object among the items",
      (list) => ({ ...list, items: [{}, ...items(list)] }),
    ),
    list("6-items-in-other-case", "adds Items with a capital", (list) => ({ Items: [INTRUDER], ...list })),
    list(
      "6-more-beside-items",
      "adds pods beside the items",
      (list) => ({ ...list, pods: [INTRUDER], rows: [{ object: INTRUDER }] }),
    ),
    list(
      "6-item-unsigned",
      "adds a pod that nobody signed",
      (list) => ({ ...list, items: [...items(list), INTRUDER] }),
    ),
    list(
      "6-too-many-items",
      "lists 10,001 items",
      (list) => ({ ...list, items: Array.from({ length: 10_001 }, () => ({})) }),
    ),
    list(
      "6-resource-version-text",
      "gives a list a resourceVersion that is no number",
      (list) => ({ ...list, metadata: { resourceVersion: 'x"}' } }),
    ),
    list(
      "6-resource-version-number",
      "gives a list a resourceVersion that is not text",
      (list) => ({ ...list, metadata: { resourceVersion: 1000 } }),
    ),
    list(
      "6-resource-version-missing",
      "gives a list no resourceVersion",
      (list) => ({ ...list, metadata: {} }),
    ),
    list(
      "6-resource-version-zero",
      "gives a list the resourceVersion 0",
      (list) => ({ ...list, metadata: { resourceVersion: "0" } }),
    ),
    list("6-metadata-null", "gives a list no metadata", (list) => ({ ...list, metadata: null })),
    list(
      "6-continue-token-text",
      "gives a list a continue token that would change the next request",
      (list) => ({ ...list, metadata: { resourceVersion: "1000", continue: "x&fieldSelector=" } }),
    ),
    list(
      "6-continue-token-number",
      "gives a list a continue token that is no text",
      (list) => ({ ...list, metadata: { resourceVersion: "1000", continue: 5 } }),
    ),
    {
      name: "6-next-page-malformed",
      does: "breaks off a list at its second page",
      starts: ["list"],
      async run(setting) {
        const pages = new Set<string>();
        setting.server.lie = (request) => {
          if (request.kind !== "list" || pages.size === 2) return undefined;
          const page = request.query.get("continue") ?? "";
          if (pages.has(page)) return undefined;
          return async (wire) => {
            await setting.server.answerHonestly(request, wire, {
              change: (text) =>
                page === ""
                  ? text.replace('"resourceVersion":"', '"continue":"abc","resourceVersion":"')
                  : "{",
            });
            pages.add(page);
          };
        };
        await setting.startProxy();
        setting.startKubelet();
        await setting.until("both pages were asked for", () => pages.size === 2);
      },
    },
    {
      name: "6-endless-pages",
      does: "says of nine pages that another one follows",
      starts: ["list"],
      async run(setting) {
        let pages = 0;
        setting.server.lie = (request) => {
          if (request.kind !== "list" || (pages >= 9 && !request.query.has("continue"))) return undefined;
          const target = request.target.replace(/&?continue=[^&]*/, "");
          return (wire) =>
            setting.server.answerHonestly({ ...request, target }, wire, {
              change: (text) =>
                pages >= 9
                  ? text
                  : text.replace('"resourceVersion":"', `"continue":"page${++pages}","resourceVersion":"`),
            });
        };
        await setting.startProxy();
        setting.startKubelet();
        await setting.until("nine pages were asked for", () => pages >= 9);
      },
    },
    {
      name: "6-pods-twice-over-pages",
      does: "shows another pod of the same UID on the second page",
      starts: ["list"],
      async run(setting) {
        const twin = await setting.signed({ name: "twin", uid: uidOf(1) });
        let pages = 0;
        setting.server.lie = (request) => {
          if (request.kind !== "list" || pages >= 2) return undefined;
          return (wire) =>
            setting.server.answerHonestly(request, wire, {
              change: (text) => {
                const page: JsonObject = JSON.parse(text);
                return JSON.stringify(
                  pages++ === 0
                    ? { ...page, metadata: { resourceVersion: "1001", continue: "abc" } }
                    : { ...page, items: [twin] },
                );
              },
            });
        };
        await setting.startProxy();
        setting.startKubelet();
        await setting.until("both pages were asked for", () => pages === 2);
      },
    },
  ],
};

export const watches: CaseGroup = {
  title: "Events",
  cases: [
    ...([
      ["unknown-type", "of an unknown type", "EVIL"],
      ["type-in-other-case", "of type added", "added"],
      ["type-synced", "of type SYNCED", "SYNCED"],
      ["type-empty", "of an empty type", ""],
      ["type-null", "without a type", null],
      ["type-number", "whose type is a number", 1],
      ["type-list", "whose type is a list", ["ADDED"]],
    ] as const).map(([slug, what, type]) =>
      events(`37-${slug}`, `sends an event ${what}`, line(type, INTRUDER))
    ),
    ...([
      ["object-null", "without an object", null],
      ["object-list", "whose object is a list", [INTRUDER]],
      ["object-text", "whose object is text", JSON.stringify(INTRUDER)],
      ["object-number", "whose object is a number", 1],
      ["object-empty", "whose object is empty", {}],
      ["object-list-of-pods", "whose object is a PodList", {
        kind: "PodList",
        apiVersion: "v1",
        items: [INTRUDER],
      }],
      ["object-other-kind", "about a Secret with a pod's fields", { ...INTRUDER, kind: "Secret" }],
      ["object-other-version", "about a pod of version v2", { ...INTRUDER, apiVersion: "v2" }],
      ["object-without-kind", "about a pod that does not say so", {
        metadata: INTRUDER.metadata ?? null,
        spec: EVIL_SPEC,
      }],
      ["object-table", "with a table", {
        kind: "Table",
        apiVersion: "meta.k8s.io/v1",
        rows: [{ object: INTRUDER }],
      }],
      ["object-status", "with a Status instead of a pod", STATUS],
      ["object-event-in-event", "with an event in it", { type: "ADDED", object: INTRUDER }],
    ] as const).map(([slug, what, object]) =>
      events(`37-${slug}`, `sends an event ${what}`, line("ADDED", object))
    ),
    events("37-unsigned", "adds a pod that nobody signed", line("ADDED", INTRUDER)),
    events(
      "37-unsigned-modified",
      "changes a pod that was never there and that nobody signed",
      line("MODIFIED", INTRUDER),
    ),
    initial(
      "37-unsigned-first",
      "adds a pod that nobody signed to the first events",
      line("ADDED", INTRUDER),
    ),
    events(
      "37-key-in-other-case",
      "spells type and object with capitals",
      `{"Type":"ADDED","Object":${JSON.stringify(INTRUDER)}}\n`,
    ),
    events(
      "37-more-keys",
      "adds keys to an event",
      `{"type":"ADDED","object":${JSON.stringify(INTRUDER)},"pod":${JSON.stringify(INTRUDER)}}\n`,
    ),
    events(
      "37-key-order",
      "names the object before the type",
      `{"object":${JSON.stringify(INTRUDER)},"type":"ADDED"}\n`,
    ),
    events("37-blank-lines", "sends blank lines", "\n\n  \n"),
    events(
      "37-carriage-returns",
      "ends lines with carriage return and line feed",
      line("ADDED", INTRUDER).replace("\n", "\r\n"),
    ),
    events(
      "37-two-events-in-a-line",
      "sends two events in a line",
      line("ADDED", INTRUDER).trim() + line("ADDED", INTRUDER),
    ),
    events(
      "37-event-over-two-lines",
      "spreads an event over lines",
      `${JSON.stringify({ type: "ADDED", object: INTRUDER }, null, 1)}\n`,
    ),
    events("37-array-of-events", "sends a list of events", `[${line("ADDED", INTRUDER).trim()}]\n`),
    events("37-garbage", "sends a line that is no JSON", "garbage\n"),
    events(
      "37-garbage-after-good",
      "sends a line that is no JSON after a good one",
      async (setting) => `${line("ADDED", await setting.signed({ name: "good" }))}{"type":\n`,
    ),
    events("37-server-sent-event", "sends a server-sent event", `data: ${line("ADDED", INTRUDER)}\n`),
    events(
      "37-length-prefix",
      "puts a length in front of an event",
      `\u0000\u0000\u0001\u0000${line("ADDED", INTRUDER)}`,
    ),
    events(
      "37-line-of-9-megabytes",
      "sends a line of 9 MiB",
      () => `{"type":"ADDED","object":"${"x".repeat(9 * 1024 * 1024)}"}\n`,
    ),
    events("37-line-without-end", "sends 9 MiB that do not end", () => "x".repeat(9 * 1024 * 1024)),
    events(
      "37-error",
      "ends a watch with an error",
      line("ERROR", { ...STATUS, code: 410, reason: "Expired" }),
    ),
    events("37-error-that-is-a-pod", "sends a pod as an error", line("ERROR", INTRUDER)),
    events(
      "37-error-with-pods",
      "puts pods into an error",
      line("ERROR", { ...STATUS, code: 500, items: [INTRUDER], details: { pod: INTRUDER } }),
    ),
    events(
      "37-error-of-success",
      "sends an error that is a success",
      line("ERROR", { ...STATUS, status: "Success", code: 200 }),
    ),
    events(
      "37-error-then-pods",
      "sends pods after an error",
      line("ERROR", { ...STATUS, code: 410, reason: "Gone" }) + line("ADDED", INTRUDER),
    ),
    events("37-error-null", "sends an error of nothing", line("ERROR", null)),
    events(
      "37-bookmark-with-spec",
      "sends a bookmark with a spec",
      line("BOOKMARK", bookmark({ spec: EVIL_SPEC }, { name: "intruder", namespace: "default" })),
    ),
    events(
      "37-bookmark-of-a-secret",
      "sends a bookmark of another kind",
      line("BOOKMARK", bookmark({ kind: "Secret" })),
    ),
    events(
      "37-bookmark-without-version",
      "sends a bookmark without a resourceVersion",
      line("BOOKMARK", bookmark({}, { resourceVersion: "" })),
    ),
    events(
      "37-bookmark-version-text",
      "sends a bookmark whose resourceVersion is no number",
      line("BOOKMARK", bookmark({}, { resourceVersion: "1&watch=false" })),
    ),
    events(
      "37-bookmark-version-number",
      "sends a bookmark whose resourceVersion is not text",
      line("BOOKMARK", bookmark({}, { resourceVersion: 7 })),
    ),
    events(
      "37-bookmark-with-annotations",
      "sends a bookmark with annotations",
      line("BOOKMARK", bookmark({}, { annotations: { "kubernetes.io/config.mirror": "x" } })),
    ),
    events(
      "37-bookmark-of-the-initial-events-late",
      "says once more that the first events end",
      line("BOOKMARK", bookmark({}, INITIAL_END)),
    ),
    initial(
      "37-initial-events-end-twice",
      "says twice that the first events end, with a pod in between",
      line("BOOKMARK", bookmark({}, INITIAL_END)) + line("ADDED", INTRUDER),
    ),
    initial(
      "37-initial-events-end-early",
      "says that the first events end before they do",
      line("BOOKMARK", bookmark({}, INITIAL_END)),
    ),
    initial(
      "37-initial-events-end-in-capitals",
      "says TRUE for the end of the first events",
      line("BOOKMARK", bookmark({}, { annotations: { "k8s.io/initial-events-end": "TRUE" } })),
    ),
    initial(
      "37-initial-events-end-on-a-pod",
      "says on a pod that the first events end",
      async (setting) =>
        line(
          "ADDED",
          withMetadata(await setting.signed({ name: "good" }), {
            annotations: {
              ...objectOf(
                objectOf((await setting.signed({ name: "good", uid: uidOf(500) })).metadata).annotations,
              ),
              "k8s.io/initial-events-end": "true",
            },
          }),
        ),
    ),
    initial(
      "37-error-in-the-first-events",
      "breaks off the first events with an error",
      line("ERROR", { ...STATUS, code: 500, reason: "InternalError" }),
    ),
    initial(
      "37-garbage-in-the-first-events",
      "sends a line that is no JSON among the first events",
      "garbage\n",
    ),
    {
      name: "37-first-events-without-end",
      does: "never says that the first events end, and ends the watch",
      starts: ["watch-list"],
      run: (setting) =>
        setting.lieOnce(async (_request, wire) => {
          await wire.write(
            `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n${
              line("ADDED", INTRUDER)
            }`,
          );
          wire.close("end");
        }, ["watch"]),
    },
    {
      name: "37-watch-answered-with-a-list",
      does: "answers a watch with a list",
      run: (setting) =>
        setting.lieOnce(async (_request, wire) => {
          await wire.write(
            `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n${
              JSON.stringify({
                kind: "PodList",
                apiVersion: "v1",
                metadata: { resourceVersion: "1000" },
                items: [INTRUDER],
              })
            }\n`,
          );
          wire.close("end");
        }, ["watch"]),
    },
    {
      name: "37-list-answered-with-a-watch",
      does: "answers a list with events",
      starts: ["list"],
      run: (setting) =>
        setting.lieOnce(async (_request, wire) => {
          await wire.write(
            `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n${
              line("ADDED", INTRUDER)
            }`,
          );
          wire.close("end");
        }, ["list"]),
    },
  ],
};

/** A pod as it may have become. */
function evil(pod: JsonObject): JsonObject {
  return withImage(pod, "registry.example/evil:1");
}

export const order: CaseGroup = {
  title: "Order of events",
  cases: [
    events("38-deleted-before-added", "deletes a pod before it adds it", async (setting) => {
      const pod = await setting.signed({ name: "late" });
      return line("DELETED", pod) + line("ADDED", pod);
    }),
    events("38-added-twice", "adds a pod twice, changed the second time", async (setting) => {
      const pod = await setting.signed({ name: "twice" });
      return line("ADDED", pod) + line("ADDED", evil(pod));
    }),
    events("38-changed-first", "shows a pod changed first and as signed later", async (setting) => {
      const pod = await setting.signed({ name: "late" });
      return line("ADDED", evil(pod)) + line("MODIFIED", pod);
    }),
    events("38-there-and-back", "changes a pod and changes it back", async (setting) => {
      const pod = await setting.signed({ name: "back" });
      return line("ADDED", pod) + line("MODIFIED", evil(pod)) + line("MODIFIED", pod);
    }),
    events("38-changed-when-deleted", "changes a pod in its last event", async (setting) => {
      const pod = await setting.signed({ name: "gone" });
      return line("ADDED", pod) + line("DELETED", evil(pod));
    }),
    events("38-deleted-twice", "deletes a pod twice", async (setting) => {
      const pod = await setting.signed({ name: "gone" });
      return line("ADDED", pod) + line("DELETED", pod) + line("DELETED", pod);
    }),
    events("38-older-version", "shows an older resourceVersion of a pod later", async (setting) => {
      const pod = await setting.signed({ name: "old" });
      return line("ADDED", withMetadata(pod, { resourceVersion: "2000" })) +
        line("MODIFIED", withMetadata(pod, { resourceVersion: "3" }));
    }),
    events(
      "38-uid-comes-back-with-another-name",
      "deletes a pod and gives its UID to another signed pod",
      async (setting) => {
        const uid = setting.uid();
        const first = await setting.signed({ name: "first", uid });
        const second = await setting.signed({ name: "second", uid });
        return line("ADDED", first) + line("DELETED", first) + line("ADDED", second);
      },
    ),
    events(
      "38-uid-comes-back-with-another-spec",
      "deletes a pod and gives its UID and name to another signed version",
      async (setting) => {
        const uid = setting.uid();
        const first = await setting.signed({ name: "same", uid });
        const second = await setting.signed({ name: "same", uid, image: "registry.example/web:2" });
        return line("ADDED", first) + line("DELETED", first) + line("ADDED", second);
      },
    ),
    events(
      "38-name-changes-hands-too-early",
      "gives a name to another UID before the first pod is gone",
      async (setting) => {
        const first = await setting.signed({ name: "same" });
        const second = await setting.signed({ name: "same" });
        return line("ADDED", first) + line("ADDED", second);
      },
    ),
    events(
      "38-name-changes-hands",
      "gives a name to another UID after the first pod is gone",
      async (setting) => {
        const first = await setting.signed({ name: "same" });
        const second = await setting.signed({ name: "same" });
        return line("ADDED", first) + line("DELETED", first) + line("ADDED", second);
      },
    ),
    events(
      "38-two-versions-under-one-uid",
      "changes a pod into another signed version of itself",
      async (setting) => {
        const uid = setting.uid();
        const first = await setting.signed({ name: "same", uid });
        const second = await setting.signed({ name: "same", uid, image: "registry.example/web:2" });
        return line("ADDED", first) + line("MODIFIED", second);
      },
    ),
    {
      name: "38-resumed-where-nothing-was",
      does: "ends the watch, and lets the kubelet resume with a changed pod",
      web: "ends",
      async run(setting) {
        await setting.startProxy();
        setting.startKubelet();
        await setting.untilHeld("web");
        setting.api.endWatches();
        setting.api.change("default", "web", evil);
        await setting.until("the pod is being deleted", () => isEnding(setting));
        await reportEnd(setting);
      },
    },
    {
      name: "38-history-lost",
      does: "forgets the past and answers 410 to whoever resumes, with a changed pod in the next list",
      web: "ends",
      // The change may still arrive by the watch that ends.
      races: true,
      async run(setting) {
        await setting.startProxy();
        setting.startKubelet();
        await setting.untilHeld("web");
        setting.api.change("default", "web", evil);
        setting.api.compact();
        setting.api.endWatches();
        await setting.until("the pod is being deleted", () => isEnding(setting));
        await reportEnd(setting);
      },
    },
    {
      name: "38-hidden-then-changed",
      does: "leaves a pod out of a list and brings it back changed",
      web: "ends",
      async run(setting) {
        await setting.startProxy();
        setting.startKubelet();
        await setting.untilHeld("web");
        const web = setting.api.pod("default", "web") ?? {};
        setting.api.remove("default", "web");
        await setting.untilGone("web");
        setting.api.put(evil(web));
      },
    },
  ],
};

function isEnding(setting: Setting): boolean {
  return objectOf(setting.held("web")?.metadata ?? {}).deletionTimestamp !== undefined;
}

/** The kubelet's containers have ended, and it says so. */
async function reportEnd(setting: Setting): Promise<void> {
  const answer = await setting.ask({
    do: "patch",
    namespace: "default",
    name: "web",
    body: { metadata: { uid: uidOf(1) }, status: { phase: "Failed" } },
  });
  if (!answer.ok) throw new Error(`the report was refused: ${answer.message}`);
  await setting.untilGone("web");
}
