/** A text that stands in all that is secret in tests, and nowhere else: where it is found, something has leaked. */
import assert from "node:assert/strict";

export const CANARY = "canary-7f3a9d";

/** Searches a text, or what its JSON is. */
export function assertNoCanary(what: string, value: unknown): void {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const at = text.indexOf(CANARY);
  assert.ok(at < 0, `a secret is in ${what}: ${text.slice(Math.max(0, at - 200), at + 100)}`);
  // Base64 of it, at each of its three offsets, begins with none of these only if it is not there.
  for (const lead of ["", "x", "xx"]) {
    const encoded = btoa(lead + CANARY).slice(lead === "" ? 0 : lead.length + 1, -4);
    assert.ok(!text.includes(encoded), `a secret is in ${what}, in base64`);
  }
}
