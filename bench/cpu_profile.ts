/**
 * Reads V8's CPU profiles.
 *
 * Source: the type `Profile` of the Chrome DevTools Protocol's Profiler domain.
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue, objectAt, objectsAt } from "@signed-pods/shared/json";

/** Time that was spent in one function itself. */
export interface SelfTime {
  /** Name and file. */
  name: string;
  milliseconds: number;
}

/** Where the time went: functions by the time spent in themselves, most first, without idleness. */
export function selfTimes(text: string): SelfTime[] {
  const profile: JsonValue = JSON.parse(text);
  if (!isJsonObject(profile)) throw new TypeError("not a CPU profile");
  const names = new Map(objectsAt(profile, "nodes").map((node) => [Number(node["id"]), nameOf(node)]));
  const samples = numbersAt(profile, "samples");
  const deltas = numbersAt(profile, "timeDeltas");
  const times = new Map<string, number>();
  samples.forEach((id, index) => {
    const name = names.get(id) ?? "(unknown)";
    // A delta is the time from the sample before to this one, and what runs is taken to have run until the next.
    times.set(name, (times.get(name) ?? 0) + (deltas[index + 1] ?? 0) / 1000);
  });
  times.delete("(idle)");
  return [...times].map(([name, milliseconds]) => ({ name, milliseconds }))
    .sort((a, b) => b.milliseconds - a.milliseconds);
}

function nameOf(node: JsonObject): string {
  const { functionName, url } = objectAt(node, "callFrame");
  const file = String(url).split("/").slice(-2).join("/");
  return `${functionName === "" ? "(anonymous)" : functionName}${file === "" ? "" : ` ${file}`}`;
}

function numbersAt(profile: JsonObject, name: string): number[] {
  const value = profile[name];
  if (!Array.isArray(value)) throw new TypeError(`the CPU profile has no ${name}`);
  return value.map(Number);
}
