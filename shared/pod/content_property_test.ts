/** Whatever an API server serves: a pod sees what was pinned, or nothing. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { JsonObject, JsonValue } from "../json.ts";
import { judgeContent } from "./content.ts";
import { readContent } from "./object_content.ts";
import { pinContent } from "./pins.ts";
import type { AnsweredReference } from "./reference_answer.ts";

const NOW = new Date("2026-11-23T13:00:00Z");
const key: fc.Arbitrary<string> = fc.constantFrom("a", "b", "LD_PRELOAD", "__proto__", "..", "x/y");
const good: fc.Arbitrary<string> = fc.constantFrom("a", "b", "LD_PRELOAD", "__proto__");
const text = fc.constantFrom("", "x", "y", "eA==", "eQ==");
const value: fc.Arbitrary<JsonValue> = fc.oneof(text, fc.constantFrom(null, 1, "\ud800"));
const data = <T>(keys: fc.Arbitrary<string>, values: fc.Arbitrary<T>) =>
  fc.uniqueArray(fc.tuple(keys, values), { selector: ([name]) => name }).map((entries) =>
    Object.fromEntries(entries)
  );

const owner: fc.Arbitrary<JsonObject> = fc.record({ data: data(good, text) });
const served: fc.Arbitrary<JsonObject> = fc.record({
  metadata: fc.constant({ name: "web", namespace: "shop" }),
  data: data(key, value),
  binaryData: data(key, value),
}, { requiredKeys: ["metadata"] });
const keys = fc.option(fc.uniqueArray(good, { minLength: 1 }), { nil: undefined });

Deno.test("refuses or leaves out what was not pinned, in whatever is served", async () => {
  let allowed = 0;
  await fc.assert(
    fc.asyncProperty(owner, fc.oneof(served, owner), keys, async (signed, other, used) => {
      const { entries, problems } = readContent("ConfigMap", signed, { manifest: false });
      assert.deepEqual(problems, []);
      const reference: AnsweredReference = {
        reference: {
          kind: "ConfigMap",
          name: "web",
          path: "spec.volumes[v]",
          use: "environment",
          ...(used === undefined ? {} : { keys: used }),
          optional: false,
        },
        answer: { kind: "pinned", pin: await pinContent(entries) },
      };
      const object = { metadata: {}, ...other };
      const verdict = await judgeContent("ConfigMap", object, [reference], { keys: [], now: NOW });
      if (verdict.decision === "deny") return;
      allowed++;
      const expected = [...entries].filter(([name]) => used?.includes(name) ?? true)
        .map(([name, entry]) => [name, entry.text]);
      assert.deepEqual(
        new Map(Object.entries(verdict.content.data ?? {})),
        new Map(expected.map(([name, content]) => [name, content])),
      );
      assert.ok(!Object.hasOwn(verdict.content, "binaryData"));
    }),
    { numRuns: 2000 },
  );
  assert.ok(allowed > 20, `${allowed} were allowed`);
});
