import assert from "node:assert/strict";
import fc from "fast-check";
import { FieldList } from "./field_list.ts";

const name = fc.constantFrom("accept", "warning", "content-type", "connection");
const value = fc.string({ unit: fc.constantFrom("a", ",", " ", "\xe9", '"') }).map((text) => text.trim());

Deno.test("fields by name are what Headers have", () => {
  fc.assert(fc.property(fc.array(fc.tuple(name, value), { maxLength: 6 }), (fields) => {
    const list = new FieldList(fields);
    const headers = new Headers(fields);
    for (const asked of ["accept", "warning", "content-type", "connection", "etag"]) {
      assert.equal(list.get(asked), headers.get(asked));
      assert.equal(list.count(asked), fields.filter(([key]) => key === asked).length);
    }
  }));
});
