import assert from "node:assert/strict";
import { createPlaces } from "./concurrency.ts";

Deno.test("places are taken, and given back once", () => {
  const places = createPlaces({ total: 2, perClient: 1 });
  const first = places.enter("a");
  assert.ok(first.kind === "taken");
  assert.equal(places.taken(), 1);
  first.leave();
  first.leave();
  assert.equal(places.taken(), 0);
  assert.equal(places.enter("a").kind, "taken");
});

Deno.test("refuses a client beyond its own places, and everybody beyond all", () => {
  const places = createPlaces({ total: 3, perClient: 2 });
  const [first] = [places.enter("a"), places.enter("a")];
  assert.equal(places.enter("a").kind, "client-full");
  assert.equal(places.enter("b").kind, "taken");
  assert.equal(places.enter("c").kind, "full");
  assert.ok(first?.kind === "taken");
  first.leave();
  assert.equal(places.enter("c").kind, "taken");
});
