/**
 * Every case, against kubelets of client-go or, where there is no Go, the stand-in. Prints how many there were.
 *
 * HOSTILE_CASES=words runs only cases whose names hold them; HOSTILE_KUBELETS=typescript runs without Go.
 */
import assert from "node:assert/strict";
import { testPki } from "../../proxy/fixture_test.ts";
import { Owner } from "../fakes/owner.ts";
import { type Outcome, runCase, type Stage } from "./case.ts";
import { GROUPS } from "./cases.ts";
import {
  buildGoKubelets,
  findGo,
  type Kubelets,
  startGoKubelets,
  startTypeScriptKubelets,
} from "./kubelets.ts";

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
    const cases = GROUPS.flatMap(({ cases }) => cases).filter(({ name }) => name.includes(filter));
    const outcomes: Outcome[] = [];
    const waiting = [...cases];
    await Promise.all(Array.from({ length: CONCURRENT }, async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        outcomes.push(await runCase(next, stage));
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
    if (Deno.env.get("HOSTILE_SHOW") !== undefined) {
      for (const { name, kubelet, operator } of outcomes) console.log(`${name} | ${kubelet} | ${operator}`);
    }
  },
});
