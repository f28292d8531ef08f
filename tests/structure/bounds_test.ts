/** Every bound has a reason and a test, and stands in docs/bounds.md. */
import assert from "node:assert/strict";
import { readBounds } from "../../tools/bounds.ts";

Deno.test("every bound has a reason and a test, and the page of bounds is up to date", async () => {
  const { page, problems } = await readBounds();
  assert.deepEqual(problems, []);
  const found = await Deno.readTextFile(new URL("../../docs/bounds.md", import.meta.url));
  assert.ok(found === page, "docs/bounds.md is out of date; run deno task generate");
  assert.ok(page.split("\n").length > 60, "bounds were found");
});
