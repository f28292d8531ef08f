/** JSON: read strictly and written canonically, beside what V8 does without either promise. */
import { canonicalize } from "@signed-pods/shared/canonical-json";
import { objectAt } from "@signed-pods/shared/json";
import { decodeUtf8, parseStrictJson } from "@signed-pods/shared/strict-json";
import { makePod } from "./pods.ts";

const pod = await makePod(1);
const text = JSON.stringify(pod);
const bytes = new TextEncoder().encode(text);
const spec = objectAt(pod, "spec");

Deno.bench({ name: "a pod's bytes as text", fn: () => void decodeUtf8(bytes) });
Deno.bench({
  name: "JSON.parse of a pod",
  group: "reading",
  baseline: true,
  fn: () => void JSON.parse(text),
});
Deno.bench({ name: "strict JSON of a pod", group: "reading", fn: () => void parseStrictJson(text) });
Deno.bench({
  name: "JSON.stringify of a spec",
  group: "writing",
  baseline: true,
  fn: () => void JSON.stringify(spec),
});
Deno.bench({ name: "canonical JSON of a spec", group: "writing", fn: () => void canonicalize(spec) });
