import assert from "node:assert/strict";
import { MAX_RECENT_DECISIONS, RecentDecisions } from "./recent_decisions.ts";

Deno.test("the newest come first, and the oldest make room", () => {
  const recent = new RecentDecisions();
  assert.deepEqual(JSON.parse(recent.text()), { total: 0, decisions: [] });
  recent.add("1");
  recent.add("2");
  assert.deepEqual(JSON.parse(recent.text()), { total: 2, decisions: [2, 1] });
  for (let line = 3; line <= MAX_RECENT_DECISIONS + 2; line++) {
    recent.add(String(line));
  }
  const { total, decisions } = JSON.parse(recent.text());
  assert.equal(total, MAX_RECENT_DECISIONS + 2);
  assert.equal(decisions.length, MAX_RECENT_DECISIONS);
  assert.equal(decisions[0], MAX_RECENT_DECISIONS + 2);
  assert.equal(decisions.at(-1), 3);
});
