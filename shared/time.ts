/**
 * Times as Kubernetes writes them.
 *
 * @module
 */

/**
 * A time as `metav1.Time` is printed: RFC 3339 in UTC, parts of a second cut off.
 *
 * @throws {RangeError} if the date is none
 *
 * @example
 * ```ts
 * import { formatTime } from "@signed-pods/shared/time";
 * if (formatTime(new Date(1_999)) !== "1970-01-01T00:00:01Z") throw new Error("not so");
 * ```
 */
export function formatTime(date: Date): string {
  return date.toISOString().replace(/\.[0-9]{3}Z$/, "Z");
}
