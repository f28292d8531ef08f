/**
 * Quantities: numbers with a suffix, such as `500m` or `1Gi`, read and printed as Kubernetes does
 * (apimachinery `pkg/api/resource/quantity.go`), as exact integers.
 *
 * @module
 */
import { SignedPodsError } from "../errors.ts";

/** The family of the suffix, which printing keeps. */
export type QuantityFormat = "DecimalSI" | "BinarySI" | "DecimalExponent";

/** An exact quantity. */
export interface Quantity {
  /** The value in billionths, the finest step that Kubernetes keeps. */
  nano: bigint;
  format: QuantityFormat;
}

/** Longest text that is read, in characters. Kubernetes prints at most 20 digits, a sign and a suffix. */
export const MAX_QUANTITY_LENGTH = 64;

/**
 * Largest exponent behind `e` or `E` that is read, up or down. Kubernetes wraps exponents around at 2^32 and takes
 * time and memory in proportion to them; no resource is counted beyond 10^18.
 */
export const MAX_QUANTITY_EXPONENT = 99;

/** Largest whole value that is read, up or down: 999E. Kubernetes prints some larger ones without their suffix. */
export const MAX_QUANTITY_VALUE = 999n * 10n ** 18n;

const NANO_DIGITS = 9;
const NANO = 10n ** 9n;
const MILLI_IN_NANO = 10n ** 6n;
const MAX_INT64 = 2n ** 63n - 1n;

const DECIMAL_SUFFIXES = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const BINARY_SUFFIXES = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

const QUANTITY = /^([+-]?)([0-9]*)(?:\.([0-9]*))?(|[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,9})$/;

/** Texts that are canonical at a glance, nearly all that occur: nothing to strip or carry below 1,000. */
const PLAIN = /^[1-9][0-9]{0,2}(?:|[mkMGT]|[KMGT]i)$/;

function malformed(text: string, why: string): SignedPodsError {
  const shown = text.length > MAX_QUANTITY_LENGTH ? `${text.slice(0, MAX_QUANTITY_LENGTH)}…` : text;
  return new SignedPodsError("quantity-malformed", `${JSON.stringify(shown)} is not a quantity: ${why}`);
}

function divideAwayFromZero(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor;
  if (dividend % divisor === 0n) return quotient;
  return dividend < 0n ? quotient - 1n : quotient + 1n;
}

/**
 * Reads a quantity as `ParseQuantity` does: more than 9 decimal places are rounded away from zero, binary ones are
 * capped at ±(2^63 - 1).
 *
 * Refuses what Kubernetes reads, but not as it looks: numbers without a digit (`Ki` and `-` are 0 there), white
 * space around them, exponents beyond ±{@linkcode MAX_QUANTITY_EXPONENT}, and values beyond
 * ±{@linkcode MAX_QUANTITY_VALUE}.
 *
 * @throws {SignedPodsError} `quantity-malformed`
 */
export function parseQuantity(text: string): Quantity {
  if (text.length > MAX_QUANTITY_LENGTH) {
    throw malformed(text, `write it with at most ${MAX_QUANTITY_LENGTH} characters`);
  }
  const match = QUANTITY.exec(text);
  const [, sign = "", whole = "", fraction = "", suffix = ""] = match ?? [];
  if (match === null || (whole === "" && fraction === "")) {
    throw malformed(text, "write a number and a suffix such as m, k, M, G, Ki, Mi or Gi");
  }

  let format: QuantityFormat = "DecimalSI";
  let exponent = 0;
  let digits = BigInt(whole + fraction);
  if (suffix.endsWith("i")) {
    format = "BinarySI";
    digits *= 1024n ** BigInt(BINARY_SUFFIXES.indexOf(suffix));
  } else if (suffix.length > 1) {
    format = "DecimalExponent";
    exponent = Number(suffix.slice(1));
    if (Math.abs(exponent) > MAX_QUANTITY_EXPONENT) {
      throw malformed(text, `write an exponent from -${MAX_QUANTITY_EXPONENT} to ${MAX_QUANTITY_EXPONENT}`);
    }
  } else {
    exponent = 3 * DECIMAL_SUFFIXES.indexOf(suffix) - NANO_DIGITS;
  }

  const shift = exponent - fraction.length + NANO_DIGITS;
  let nano = shift >= 0 ? digits * 10n ** BigInt(shift) : divideAwayFromZero(digits, 10n ** BigInt(-shift));
  if (format === "BinarySI" && nano > MAX_INT64 * NANO) nano = MAX_INT64 * NANO;
  if (nano > MAX_QUANTITY_VALUE * NANO) throw malformed(text, "write at most 999E");
  return { nano: sign === "-" ? -nano : nano, format };
}

/**
 * Prints a quantity in canonical form: no fraction, the largest suffix of its family that keeps it exact. It is the
 * form that Kubernetes arrives at after reading its own output, so reading and printing it again changes nothing.
 */
export function formatQuantity(quantity: Quantity): string {
  const { nano, format } = quantity;
  if (nano === 0n) return "0";
  if (format === "BinarySI" && nano % (1024n * NANO) === 0n) {
    let value = nano / NANO;
    let power = 0;
    while (value % 1024n === 0n) {
      value /= 1024n;
      power++;
    }
    return `${value}${BINARY_SUFFIXES[power]}`;
  }
  // A binary quantity below 1,024, or no multiple of it, has no suffix of its family and is printed as a decimal.
  let value = nano;
  let power = 0;
  while (value % 1000n === 0n) {
    value /= 1000n;
    power++;
  }
  if (format !== "DecimalExponent") return `${value}${DECIMAL_SUFFIXES[power]}`;
  return power === 3 ? `${value}` : `${value}e${3 * power - NANO_DIGITS}`;
}

/**
 * The canonical form of a quantity as it stands in JSON, where a number is a quantity too.
 *
 * @throws {SignedPodsError} `quantity-malformed`
 */
export function canonicalQuantity(value: string | number): string {
  const text = typeof value === "number" ? numberText(value) : value;
  return PLAIN.test(text) ? text : formatQuantity(parseQuantity(text));
}

/** A number as JSON prints it. A rounded integer is refused: it is no longer what was written. */
function numberText(value: number): string {
  const text = String(value);
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw malformed(text, "write integers beyond 2^53 - 1 as strings");
  }
  return text;
}

/** A quantity rounded away from zero to thousandths, as the API server stores amounts of resources. */
export function roundToMilli(quantity: Quantity): Quantity {
  const { nano, format } = quantity;
  if (nano % MILLI_IN_NANO === 0n) return quantity;
  return { nano: divideAwayFromZero(nano, MILLI_IN_NANO) * MILLI_IN_NANO, format };
}

/**
 * The canonical form of an amount of a resource: rounded up to thousandths
 * (`pkg/apis/core/v1/defaults.go SetDefaults_ResourceList`).
 *
 * @throws {SignedPodsError} `quantity-malformed`
 */
export function canonicalAmount(value: string | number): string {
  const text = typeof value === "number" ? numberText(value) : value;
  return PLAIN.test(text) ? text : formatQuantity(roundToMilli(parseQuantity(text)));
}

/**
 * Compares two quantities as numbers: -1, 0 or 1. `1Gi` equals `1073741824`.
 *
 * @throws {SignedPodsError} `quantity-malformed`
 */
export function compareQuantities(a: string | number, b: string | number): -1 | 0 | 1 {
  if (a === b && typeof a === "string" && PLAIN.test(a)) return 0;
  const first = parseQuantity(typeof a === "number" ? numberText(a) : a).nano;
  const second = parseQuantity(typeof b === "number" ? numberText(b) : b).nano;
  return first < second ? -1 : first > second ? 1 : 0;
}

/** Resources that only say how much: all others attach devices or pages. */
export const AMOUNT_RESOURCES: readonly string[] = ["cpu", "memory", "ephemeral-storage"];

/** Whether a quantity is one that a resource can have: not negative. The text must have been read as a quantity before. */
export function isAmount(text: string): boolean {
  return parseQuantity(text).nano >= 0n;
}

/**
 * The sum of two quantities, in canonical form and in the first one's family, or the second's if the first is zero.
 *
 * @throws {SignedPodsError} `quantity-malformed`
 */
export function addQuantities(a: string, b: string): string {
  const first = parseQuantity(a);
  const second = parseQuantity(b);
  const { format } = first.nano === 0n ? second : first;
  return formatQuantity({ nano: first.nano + second.nano, format });
}
