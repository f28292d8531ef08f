import assert from "node:assert/strict";
import fc from "fast-check";
import { parse } from "yaml";
import { readPlainScalar } from "./yaml_scalar.ts";

Deno.test("plain scalars that all programs read alike have that meaning", () => {
  const cases: [string, null | boolean | number | string][] = [
    ["", null],
    ["~", null],
    ["null", null],
    ["true", true],
    ["True", true],
    ["FALSE", false],
    ["0", 0],
    ["-0", 0],
    ["80", 80],
    ["-1", -1],
    ["+5", 5],
    ["9007199254740991", 9007199254740991],
    ["0.5", 0.5],
    [".5", 0.5],
    ["1.", 1],
    ["1e3", 1000],
    ["-1.5E-2", -0.015],
    ["web", "web"],
    ["500m", "500m"],
    ["1Gi", "1Gi"],
    ["1.2.3", "1.2.3"],
    ["nginx:1.25", "nginx:1.25"],
    ["2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"],
    ["2024-01-02", "2024-01-02"],
    ["yesterday", "yesterday"],
    ["truE", "truE"],
    ["nULL", "nULL"],
    ["0x", "0x"],
    ["_1", "_1"],
    ["1_web", "1_web"],
    ["a_1", "a_1"],
    ["10.0.0.1", "10.0.0.1"],
    ["-", "-"],
    ["1:99", "1:99"],
    ["=", "="],
  ];
  for (const [source, value] of cases) assert.deepEqual(readPlainScalar(source), { ok: true, value }, source);
});

Deno.test("refuses plain scalars that YAML 1.1 and 1.2 read differently", () => {
  const refused = [
    ..."y Y yes Yes YES on On ON n N no No NO off Off OFF".split(" "),
    ..."0644 -0644 00 08 0o644 0O7 0x1F -0x1 0b101 +0b1 0B1 0b-1 0b+1".split(" "),
    ..."1_000 1_ 0x_1F 1_0.5 1__0 -1_0 .1_0 -_1 +_1 -_.5".split(" "),
    ..."1:30 22:22 -1:30 1:30:00 1:30.5 1_2:30".split(" "),
    ..."01.5 .inf .Inf .INF -.inf +.inf .nan .NaN .NAN".split(" "),
  ];
  for (const source of refused) assert.equal(readPlainScalar(source).ok, false, source);
});

Deno.test("refuses numbers that cannot be read exactly", () => {
  for (
    const source of [
      "9007199254740992",
      "-9007199254740992",
      "90E17",
      "-1e16",
      "9007199254740992.5",
      "1e400",
      "-1e400",
      "1" + "0".repeat(400),
    ]
  ) {
    assert.equal(readPlainScalar(source).ok, false, source);
  }
});

Deno.test("what is admitted reads the same in the YAML 1.1 and the YAML 1.2 core schema, timestamps aside", () => {
  const alphabet = fc.constantFrom(..."0123456789_.:-+eExXoObByYnNaAfFtTrRuUlLsSiIkKmM~");
  fc.assert(
    fc.property(fc.string({ unit: alphabet, minLength: 1, maxLength: 8 }), (source) => {
      // Block indicators and mapping keys are no plain scalars.
      fc.pre(!/^[-:]$|:$|^-{3}|^\.{3}$/.test(source));
      const result = readPlainScalar(source);
      fc.pre(result.ok);
      // Timestamps are text to kubectl; the library's YAML 1.1 has odd exponents, and digits that are no numbers.
      fc.pre(
        !/^\d{4}-\d\d?-\d\d?/.test(source) && !/^[-+._0-9]*[eE]/.test(source) && !/^[-+]?[._]+$/.test(source),
      );
      for (const version of ["1.1", "1.2"] as const) {
        const value: unknown = parse(source, { version, schema: version === "1.1" ? "yaml-1.1" : "core" });
        assert.equal(Object.is(value, -0) ? 0 : value, result.value, `${source} in YAML ${version}`);
      }
    }),
    { numRuns: 2000 },
  );
});
