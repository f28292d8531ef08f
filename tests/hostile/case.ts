/**
 * What a case is, and how one is run: with an API server, a proxy and a kubelet of its own.
 *
 * @module
 */
import type { MemoryLog } from "../fakes/log.ts";
import { makePod, type Owner, uidOf } from "../fakes/owner.ts";
import type { TestPki } from "../../proxy/fixture_test.ts";
import type { Kubelets, Start } from "./kubelets.ts";
import { Setting, type Way } from "./setting.ts";

/** One attack. */
export interface Case {
  /** The attack's number (attacks.ts) and words. */
  name: string;
  /** What the API server does, for people. */
  does: string;
  /** Kubelets that it can be told to; by default all. */
  starts?: readonly Start[];
  /** What becomes of the pod `web`, which was there before. Default: `stays`. */
  web?: "stays" | "ends" | "any";
  /** What comes of it depends on which bytes arrive first, so that the table cannot tell. */
  races?: true;
  /** Ends when the lies are told. The kubelet must have been started. */
  run(setting: Setting): Promise<void>;
}

/** Cases of one class. */
export interface CaseGroup {
  title: string;
  cases: readonly Case[];
}

const RACES = "(depends on what arrives first)";

/** What came of a case, over all ways to run it. */
export interface Outcome {
  name: string;
  /** Why it failed; empty if it did not. */
  failures: string[];
  /** Sets of pods that were looked at. */
  checks: number;
  runs: number;
  /** For the table in docs/threat-model.md. */
  kubelet: string;
  operator: string;
}

/** What all cases share. */
export interface Stage {
  kubelets: Kubelets;
  pki: TestPki;
  owner: Owner;
  stranger: Owner;
}

/** Runs a case in some ways. */
export async function runCase(attack: Case, stage: Stage, ways: readonly Way[]): Promise<Outcome> {
  const failures: string[] = [];
  const saw = new Set<string>();
  const statuses = new Set<number>();
  const operator = new Set<string>();
  let checks = 0;
  let runs = 0;
  for (const way of ways) {
    const setting = new Setting({ ...stage, way });
    runs++;
    try {
      await setting.server.listen();
      setting.api.put(await setting.sign(makePod({ name: "web", uid: uidOf(1) })));
      try {
        await attack.run(setting);
        await setting.sentinel();
        const { web = "stays" } = attack;
        const held = setting.held("web") !== undefined;
        if (web !== "any" && held !== (web === "stays")) {
          failures.push(`the kubelet ${held ? "still holds" : "has lost"} the pod web`);
        }
      } finally {
        await setting.close();
      }
    } catch (error) {
      failures.push(error instanceof Error ? error.stack ?? error.message : String(error));
    }
    failures.push(...setting.violations);
    checks += setting.invariant.checks;
    for (const name of setting.saw) saw.add(name);
    for (const status of setting.statuses) statuses.add(status);
    for (const note of setting.notes) operator.add(note);
    for (const log of setting.logs) for (const line of linesOf(log)) operator.add(line);
    if (failures.length > 0) {
      failures.unshift(`${way.start}, ${way.protobuf ? "protobuf" : "JSON"}:`);
      break;
    }
  }
  return {
    name: attack.name,
    failures,
    checks,
    runs,
    kubelet: attack.races ? RACES : describeKubelet(saw, statuses),
    operator: attack.races ? RACES : [...operator].sort().join("; "),
  };
}

function describeKubelet(saw: ReadonlySet<string>, statuses: ReadonlySet<number>): string {
  const errors = [...statuses].filter((status) => status >= 400).sort();
  return [...[...saw].sort(), ...errors.map(String)].join(", ");
}

/**
 * Lines of a log that an operator would look at. Without handshakes that failed: Go's client gives up a connection that
 * another one has made needless, and when that happens is chance.
 */
function linesOf(log: MemoryLog): string[] {
  return log.lines
    .filter(({ event }) => event !== "handshake-failed")
    .filter(({ level, event }) => level === "warn" || level === "error" || event === "pod-stopped")
    .map(({ event, fields }) => typeof fields.code === "string" ? `${event} ${fields.code}` : event);
}
