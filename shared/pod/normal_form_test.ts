import assert from "node:assert/strict";
import fc from "fast-check";
import { arbitraryPodSpec } from "../../tests/arbitraries.ts";
import { readVectors } from "../../tests/vectors/read_vectors.ts";
import { SignedPodsError } from "../errors.ts";
import { isJsonObject, type JsonValue } from "../json.ts";
import { DEFAULT_ROWS, REWRITE_ROWS } from "./defaults.ts";
import {
  expand,
  minimal,
  NormalForm,
  type NormalFormTables,
  SCHEDULING_FIELDS,
  withoutScheduling,
} from "./normal_form.ts";
import { decode, fieldsOf, KUBERNETES_VERSIONS } from "./schema.ts";

const RUNS = { numRuns: 1000 };

Deno.test("expands and shortens the vectors", async () => {
  for (const { name, input, expected } of await readVectors("defaults.json")) {
    assert.ok(isJsonObject(expected));
    assert.deepEqual(expand(input), expected.expanded, name);
    assert.deepEqual(minimal(input), expected.minimal, name);
    assert.deepEqual(expand(expected.expanded), expected.expanded, name);
    assert.deepEqual(minimal(expected.expanded), expected.minimal, name);
  }
});

Deno.test("expanding twice changes nothing more", () => {
  fc.assert(
    fc.property(arbitraryPodSpec(), (spec) => {
      const expanded = expand(spec);
      assert.deepEqual(expand(expanded), expanded);
    }),
    RUNS,
  );
});

Deno.test("shortening twice changes nothing more", () => {
  fc.assert(
    fc.property(arbitraryPodSpec(), (spec) => {
      const shortest = minimal(spec);
      assert.deepEqual(minimal(shortest), shortest);
    }),
    RUNS,
  );
});

Deno.test("the minimal form expands to the same without scheduling fields", () => {
  fc.assert(
    fc.property(arbitraryPodSpec(), (spec) => {
      assert.deepEqual(expand(minimal(spec)), withoutScheduling(expand(spec)));
    }),
    RUNS,
  );
});

Deno.test("the expanded form shortens to the same", () => {
  fc.assert(
    fc.property(arbitraryPodSpec(), (spec) => {
      assert.deepEqual(minimal(expand(spec)), minimal(spec));
    }),
    RUNS,
  );
});

Deno.test("both forms fit the schema and are in its one form, but for zero divisors", () => {
  fc.assert(
    fc.property(arbitraryPodSpec(), (spec) => {
      const shortest = minimal(spec);
      assert.deepEqual(decode("PodSpec", shortest, "spec"), { value: shortest, problems: [] });
      assert.deepEqual(decode("PodSpec", expand(spec), "spec").problems, []);
    }),
    RUNS,
  );
});

Deno.test("the input is not changed", () => {
  fc.assert(
    fc.property(arbitraryPodSpec(), (spec) => {
      const before = JSON.stringify(spec);
      minimal(spec);
      const expanded = expand(spec);
      withoutScheduling(expanded);
      assert.equal(JSON.stringify(spec), before);
    }),
    { numRuns: 200 },
  );
});

Deno.test("no two pods share the object of a default", () => {
  const first = expand({});
  const second = expand({});
  assert.ok(isJsonObject(first.securityContext));
  assert.notEqual(first.securityContext, second.securityContext);
});

Deno.test("scheduling fields keep their values when expanded, and are not in the minimal form", () => {
  for (const field of SCHEDULING_FIELDS) assert.ok(fieldsOf("PodSpec").has(field), field);
  fc.assert(
    fc.property(arbitraryPodSpec(), (spec) => {
      const shortest = Object.keys(minimal(spec));
      assert.ok(shortest.every((field) => !SCHEDULING_FIELDS.has(field)));
      const decoded = decode("PodSpec", spec, "spec").value;
      const expanded = expand(spec);
      for (const field of SCHEDULING_FIELDS) {
        if (field !== "overhead") assert.deepEqual(expanded[field], decoded[field]); // whose amounts are rounded
      }
    }),
    RUNS,
  );
});

Deno.test("odd resource names stay own properties", () => {
  const spec: JsonValue = JSON.parse(
    `{"containers":[{"name":"a","image":"b","resources":{"limits":{"__proto__":"1000m","constructor":"0.0001"}}}]}`,
  );
  const text = JSON.stringify(expand(spec));
  assert.ok(text.includes(`"limits":{"__proto__":"1","constructor":"1m"}`), text);
  assert.ok(text.includes(`"requests":{"__proto__":"1","constructor":"1m"}`), text);
  assert.ok(!JSON.stringify(minimal(spec)).includes("requests"));
});

Deno.test("refuses specs that do not fit the schema, with all problems", () => {
  const spec = {
    containers: [{ name: "app", imag: "x", tty: "yes" }],
    hostNetwork: 1,
    dnsPolicy: null,
    a: 1,
    b: 2,
  };
  for (const form of [expand, minimal]) {
    assert.throws(() => form(spec), (error: unknown) => {
      assert.ok(error instanceof SignedPodsError);
      assert.equal(error.code, "object-malformed");
      assert.deepEqual(error.problems.map(({ path }) => path), [
        "spec.containers[app].tty",
        "spec.containers[app].imag",
        "spec.hostNetwork",
        "spec.a",
        "spec.b",
      ]);
      assert.ok(error.message.includes("(and 2 more)"));
      return true;
    });
  }
  for (const value of [undefined, null, [], "spec", 1]) {
    assert.throws(() => expand(value), SignedPodsError);
  }
});

/** What the forms are made of the vectors' inputs by other tables. */
function formsBy(tables: NormalFormTables, inputs: readonly JsonValue[]): string {
  const form = new NormalForm(tables);
  return JSON.stringify(inputs.map((input) => [form.expand(input), form.minimal(input)]));
}

Deno.test("every default and every rewrite has a vector that comes out otherwise without it", async () => {
  const inputs = (await readVectors("defaults.json")).map(({ input }) => input);
  const tables = { defaults: DEFAULT_ROWS, rewrites: REWRITE_ROWS };
  const whole = formsBy(tables, inputs);
  const without = <Row>(rows: readonly Row[], row: Row) => rows.filter((other) => other !== row);
  const uncovered = [
    ...DEFAULT_ROWS.filter((row) =>
      formsBy({ ...tables, defaults: without(DEFAULT_ROWS, row) }, inputs) === whole
    ).map(({ type, field }) => `${type}.${field}`),
    ...REWRITE_ROWS.filter((row) =>
      formsBy({ ...tables, rewrites: without(REWRITE_ROWS, row) }, inputs) === whole
    ).map(({ type, rule }) => `${type}: ${rule}`),
  ];
  assert.deepEqual(uncovered, []);
});

Deno.test("the tables name types and fields of the schema, sources and no field twice", () => {
  const fields = DEFAULT_ROWS.map(({ type, field }) => `${type}.${field}`);
  assert.equal(new Set(fields).size, fields.length);
  for (const { type, field, source } of DEFAULT_ROWS) {
    assert.ok(fieldsOf(type).has(field), `${type}.${field}`);
    assert.notEqual(source, "");
    assert.ok(!SCHEDULING_FIELDS.has(field));
  }
  for (const { type, rule, source } of REWRITE_ROWS) {
    assert.ok(fieldsOf(type).size > 0);
    assert.notEqual(rule, "");
    assert.notEqual(source, "");
  }
  assert.deepEqual(KUBERNETES_VERSIONS, ["1.32", "1.33", "1.34", "1.35", "1.36", "1.37"]);
});
