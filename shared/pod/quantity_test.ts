import assert from "node:assert/strict";
import fc from "fast-check";
import { arbitraryQuantity } from "../../tests/arbitraries.ts";
import { readVectors, textOf } from "../../tests/vectors/read_vectors.ts";
import { SignedPodsError } from "../errors.ts";
import {
  canonicalAmount,
  canonicalQuantity,
  compareQuantities,
  formatQuantity,
  MAX_QUANTITY_EXPONENT,
  MAX_QUANTITY_LENGTH,
  MAX_QUANTITY_VALUE,
  parseQuantity,
  roundToMilli,
} from "./quantity.ts";

const isMalformed = (error: unknown) =>
  error instanceof SignedPodsError && error.code === "quantity-malformed";

Deno.test("reads and prints quantities as Kubernetes' library does", async () => {
  let refused = 0;
  for (const { name, input, expected, error } of await readVectors("quantity.json")) {
    assert.ok(typeof input === "string");
    if (error !== undefined) {
      assert.equal(error, "quantity-malformed");
      assert.throws(() => parseQuantity(input), isMalformed, name);
      refused++;
      continue;
    }
    assert.equal(String(parseQuantity(input).nano), textOf(expected, "nano"), name);
    assert.equal(canonicalQuantity(input), textOf(expected, "canonical"), name);
    assert.equal(canonicalAmount(input), textOf(expected, "amount"), name);
  }
  assert.ok(refused > 30);
});

Deno.test("refuses quantities without a digit, which Kubernetes reads as 0", () => {
  for (const text of [".", "-", "+", "Ki", "m", "e5", "-.", ".Ki"]) {
    assert.throws(() => parseQuantity(text), isMalformed, text);
  }
});

Deno.test("refuses quantities that are too long", () => {
  const longest = "1".padStart(MAX_QUANTITY_LENGTH, "0");
  assert.equal(canonicalQuantity(longest), "1");
  assert.throws(() => parseQuantity(`0${longest}`), isMalformed);
});

Deno.test("refuses exponents and values beyond the bounds", () => {
  assert.equal(canonicalQuantity(`0e${MAX_QUANTITY_EXPONENT}`), "0");
  assert.equal(canonicalQuantity(`1e-${MAX_QUANTITY_EXPONENT}`), "1e-9");
  for (
    const text of [
      "0e100",
      "1e-100",
      "1e999999999",
      "1e4294967296",
      "1e99",
      "1000E",
      String(MAX_QUANTITY_VALUE + 1n),
      "-1000E",
      "999.1E",
      "1e21",
    ]
  ) {
    assert.throws(() => parseQuantity(text), isMalformed, text);
  }
});

Deno.test("reads JSON numbers", () => {
  assert.equal(canonicalQuantity(0), "0");
  assert.equal(canonicalQuantity(-0), "0");
  assert.equal(canonicalQuantity(0.5), "500m");
  assert.equal(canonicalQuantity(1000000), "1M");
  assert.equal(canonicalAmount(0.0001), "1m");
  assert.equal(canonicalAmount(2), "2");
  assert.equal(compareQuantities(0.5, "500m"), 0);
  assert.equal(compareQuantities("2", 1), 1);
});

Deno.test("refuses JSON numbers that are rounded or no numbers", () => {
  for (const value of [2 ** 53, 1e20, -(2 ** 53), NaN, Infinity, -Infinity]) {
    assert.throws(() => canonicalQuantity(value), isMalformed, String(value));
  }
});

Deno.test("compares as numbers, whatever the suffix", () => {
  assert.equal(compareQuantities("1Gi", "1073741824"), 0);
  assert.equal(compareQuantities("1", "1"), 0);
  assert.equal(compareQuantities("1G", "1Gi"), -1);
  assert.equal(compareQuantities("1n", "0"), 1);
  assert.equal(compareQuantities("-1", "1m"), -1);
});

Deno.test("rounding to thousandths goes away from zero and leaves the rest alone", () => {
  assert.equal(formatQuantity(roundToMilli(parseQuantity("-0.0001"))), "-1m");
  const exact = parseQuantity("1500m");
  assert.equal(roundToMilli(exact), exact);
});

Deno.test("canonical quantities are read as the same value and print as themselves", () => {
  fc.assert(
    fc.property(arbitraryQuantity(), (value) => {
      const canonical = canonicalQuantity(value);
      assert.equal(canonicalQuantity(canonical), canonical);
      assert.equal(compareQuantities(canonical, value), 0);
      const amount = canonicalAmount(value);
      assert.equal(canonicalAmount(amount), amount);
      assert.equal(canonicalQuantity(amount), amount);
      assert.ok(compareQuantities(amount, value) >= 0);
    }),
    { numRuns: 1000 },
  );
});
