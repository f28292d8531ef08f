/** Compares quantities in shared/pod with Kubernetes' own code, beyond the vectors in tests/vectors/quantity.json. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { SignedPodsError } from "../../shared/errors.ts";
import {
  canonicalAmount,
  canonicalQuantity,
  compareQuantities,
  MAX_QUANTITY_EXPONENT,
  MAX_QUANTITY_LENGTH,
  MAX_QUANTITY_VALUE,
  parseQuantity,
} from "../../shared/pod/quantity.ts";
import { readVectors } from "../vectors/read_vectors.ts";
import { ask, numRuns, seed } from "./kubernetes_code.ts";

/** Reads as Kubernetes does: canonical form, the same of an amount of resources, and the value in billionths. */
function ours(quantity: string | number): { canonical: string; amount: string; nano: string } | undefined {
  try {
    const nano = parseQuantity(String(quantity)).nano;
    return {
      canonical: canonicalQuantity(quantity),
      amount: canonicalAmount(quantity),
      nano: String(nano),
    };
  } catch (error) {
    assert.ok(error instanceof SignedPodsError && error.code === "quantity-malformed", String(error));
    return undefined;
  }
}

/** Why a quantity that Kubernetes reads is refused on purpose; undefined if there is no reason. */
function reasonToRefuse(quantity: string | number, nano: bigint): string | undefined {
  const text = String(quantity);
  const exponent = /[eE]([+-]?[0-9]+)$/.exec(text)?.[1];
  if (typeof quantity === "number" && Number.isInteger(quantity) && !Number.isSafeInteger(quantity)) {
    return "number beyond 2^53 - 1";
  }
  if (text.length > MAX_QUANTITY_LENGTH) return "too long";
  if (text.trim() !== text) return "white space around it";
  if (!/^[+-]?\.?[0-9]/.test(text)) return "no digit";
  if (exponent !== undefined && Math.abs(Number(exponent)) > MAX_QUANTITY_EXPONENT) return "exponent";
  if ((nano < 0n ? -nano : nano) > MAX_QUANTITY_VALUE * 10n ** 9n) return "value";
  return undefined;
}

const digits = fc.oneof(
  fc.constantFrom(
    "",
    "0",
    "1",
    "00",
    "10",
    "1000",
    "1024",
    "9223372036854775807",
    "9223372036854775808",
    "999",
  ),
  fc.nat(99_999).map(String),
  fc.bigInt({ min: 0n, max: 10n ** 24n }).map(String),
  fc.tuple(fc.nat(9999), fc.nat(12)).map(([number, zeros]) => `${number}${"0".repeat(zeros)}`),
  fc.tuple(fc.nat(9999), fc.nat(12)).map(([number, zeros]) => `${"0".repeat(zeros)}${number}`),
);
const suffix = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(..."n u m k M G T P E Ki Mi Gi Ti Pi Ei".split(" "), "") },
  {
    weight: 4,
    arbitrary: fc.tuple(fc.constantFrom("e", "E"), fc.constantFrom("", "+", "-"), fc.nat(30).map(String)).map(
      (
        parts,
      ) => parts.join(""),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(..."K mi ki e E+ e5k i e99 e100 e-100 E0003 Zi Y".split(" "), " "),
  },
);
const quantityText = fc.tuple(
  fc.constantFrom("", "", "", "", "", "", "+", "-", "--"),
  digits,
  fc.option(digits),
  suffix,
).map(([sign, whole, fraction, end]) => `${sign}${whole}${fraction === null ? "" : `.${fraction}`}${end}`);
const arbitraryText = fc.oneof(
  { weight: 8, arbitrary: quantityText },
  { weight: 1, arbitrary: fc.string({ unit: fc.constantFrom(..."0159.+-eEKkmMGin"), maxLength: 12 }) },
  { weight: 1, arbitrary: fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true })) },
);

function check(quantity: string | number, answer: unknown, counts: Map<string, number>): void {
  const count = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
  assert.ok(typeof answer === "object" && answer !== null);
  const mine = ours(quantity);
  if ("error" in answer) {
    assert.equal(mine, undefined, `Kubernetes refuses ${JSON.stringify(quantity)}`);
    return count("refused by both");
  }
  if (mine !== undefined) {
    assert.deepEqual(mine, answer, JSON.stringify(quantity));
    return count("read");
  }
  const nano = "nano" in answer ? BigInt(String(answer.nano)) : 0n;
  const reason = reasonToRefuse(quantity, nano);
  assert.ok(reason !== undefined, `Kubernetes reads ${JSON.stringify(quantity)}`);
  count(`refused here alone: ${reason}`);
}

Deno.test(`reads and prints quantities as Kubernetes does (PROPERTY_SEED=${seed})`, async () => {
  const quantities = [
    ...fc.sample(arbitraryText, { seed, numRuns: 5 * numRuns }),
    ...(await readVectors("quantity.json")).map(({ input }) => String(input)),
  ];
  const answers = await ask("quantity", quantities);
  const counts = new Map<string, number>();
  for (const [index, quantity] of quantities.entries()) check(quantity, answers[index], counts);
  for (const [what, number] of counts) console.log(`${String(number).padStart(7)}  ${what}`);
  assert.ok((counts.get("read") ?? 0) > quantities.length / 2);
});

Deno.test(`compares quantities as Kubernetes does (PROPERTY_SEED=${seed})`, async () => {
  const respelled = fc.tuple(fc.nat(100_000), fc.constantFrom(-3, 0, 3, 6)).chain(([number, power]) =>
    fc.constantFrom<[string, string]>(
      [`${number}e${power}`, `${number}000e${power - 3}`],
      [`${number * 1024}Ki`, `${number}Mi`],
      [`${number}`, `${number}000000001n`],
      [`${number}.0000000001`, `${number}.000000001`],
      [`${number}m`, `${number}000u`],
    )
  );
  const pairs = fc.sample(
    fc.oneof(
      fc.tuple(quantityText, quantityText).filter((pair) => pair.every((text) => ours(text) !== undefined)),
      respelled,
    ),
    { seed, numRuns },
  );
  const answers = await ask("compare", pairs);
  for (const [index, [first, second]] of pairs.entries()) {
    assert.equal(compareQuantities(first, second), answers[index], `${first} and ${second}`);
    assert.equal(compareQuantities(second, first), 0 - Number(answers[index]), `${second} and ${first}`);
  }
  assert.deepEqual(new Set(answers), new Set([-1, 0, 1]));
});
