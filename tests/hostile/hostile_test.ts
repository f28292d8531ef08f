/**
 * Every case, against kubelets of client-go or, where there is no Go, the stand-in. Prints how many there were.
 *
 * HOSTILE_CASES=words runs only cases whose names hold them; HOSTILE_KUBELETS=typescript runs without Go; HOSTILE_WAYS=all
 * runs each case in all four ways with client-go instead of two; HOSTILE_WRITE=1 writes docs/threat-model.md.
 */
import assert from "node:assert/strict";
import { testPki } from "../../proxy/fixture_test.ts";
import { Owner } from "../fakes/owner.ts";
import { attackOf, ATTACKS } from "./attacks.ts";
import { type Case, type Outcome, runCase, type Stage } from "./case.ts";
import { GROUPS } from "./cases.ts";
import {
  buildGoKubelets,
  findGo,
  type Kubelets,
  startGoKubelets,
  startTypeScriptKubelets,
} from "./kubelets.ts";
import type { Way } from "./setting.ts";
import { PAGE, withTable } from "./threat_model.ts";

const ALL: readonly Case[] = GROUPS.flatMap(({ cases }) => cases);

/** Cases at a time. Most of a case is waiting for others. */
const CONCURRENT = 16;

async function startKubelets(pki: Stage["pki"]): Promise<Kubelets> {
  const identity = {
    ca: pki.authority.certificate,
    certificate: pki.node.certificate,
    key: pki.node.key,
  };
  const wanted = Deno.env.get("HOSTILE_KUBELETS");
  const go = wanted === "typescript"
    ? { ok: false, why: "HOSTILE_KUBELETS says so" } as const
    : await findGo();
  if (go.ok) {
    await buildGoKubelets();
    return await startGoKubelets(identity);
  }
  console.log(
    `\nhostile: NOT WITH KUBERNETES' OWN CLIENT: Go 1.26 or later is needed for that (${go.why}); the stand-in reads instead\n`,
  );
  return startTypeScriptKubelets(identity);
}

/** How a case is run: in all ways, or so that each start and each format has its turn. */
function waysOf(attack: Case, kubelets: Kubelets, turn: number): Way[] {
  const starts = attack.starts ?? ["list", "watch-list"];
  // The stand-in reads JSON only.
  if (kubelets.kind === "typescript") return starts.map((start) => ({ start, protobuf: false }));
  if (Deno.env.get("HOSTILE_WAYS") === "all") {
    return starts.flatMap((start) => [true, false].map((protobuf) => ({ start, protobuf })));
  }
  return starts.map((start, index) => ({ start, protobuf: (turn + index) % 2 === 0 }));
}

Deno.test("every attack has a case, and every case an attack and a name of its own", () => {
  const names = ALL.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.notEqual(attackOf(name), undefined, name);
  for (const attack of ATTACKS) {
    const count = names.filter((name) => attackOf(name) === attack).length;
    assert.equal(count > 0, attack.elsewhere === undefined, attack.title);
  }
});

Deno.test({
  name: "the API server is the adversary",
  // Cases run side by side, so what one opens is open while another ends; each closes what it has opened.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(test) {
    const pki = await testPki();
    const stage: Stage = {
      pki,
      kubelets: await startKubelets(pki),
      owner: await Owner.create(),
      stranger: await Owner.create(),
    };
    const filter = Deno.env.get("HOSTILE_CASES") ?? "";
    const cases = ALL.filter(({ name }) => name.includes(filter));
    const outcomes: Outcome[] = [];
    const waiting = [...cases.entries()];
    await Promise.all(Array.from({ length: CONCURRENT }, async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        outcomes.push(await runCase(next[1], stage, waysOf(next[1], stage.kubelets, next[0])));
      }
    }));
    await stage.kubelets.close();
    for (const { name } of cases) {
      await test.step(name, () => {
        const outcome = outcomes.find((outcome) => outcome.name === name);
        assert.deepEqual(outcome?.failures, []);
      });
    }
    const sum = (count: (outcome: Outcome) => number) =>
      outcomes.reduce((total, outcome) => total + count(outcome), 0);
    console.log(
      `hostile: ${cases.length} cases, ${sum(({ runs }) => runs)} runs with ${stage.kubelets.kind}, ${
        sum(({ checks }) => checks)
      } checks of the invariant`,
    );
    if (filter === "") {
      await test.step("docs/threat-model.md tells what came of it", async () => {
        const before = await Deno.readTextFile(PAGE);
        const after = withTable(before, cases, outcomes);
        if (Deno.env.get("HOSTILE_WRITE") === "1") {
          await Deno.writeTextFile(PAGE, after);
          return;
        }
        const lines = new Set(before.split("\n"));
        const other = after.split("\n").filter((line) => !lines.has(line));
        assert.deepEqual(
          other,
          [],
          "other than in docs/threat-model.md; see why, or run deno task generate:threat-model",
        );
        assert.equal(
          after,
          before,
          "docs/threat-model.md has other lines; run deno task generate:threat-model",
        );
      });
    }
  },
});
