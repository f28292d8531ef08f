/**
 * Tells of objects that are refused: once for each object and reason, however often it is seen.
 *
 * @module
 */
import type { Problem } from "@signed-pods/shared/errors";
import type { JsonValue } from "@signed-pods/shared/json";
import type { Log } from "../log.ts";
import type { Mode } from "../mode.ts";
import { cleanMessage } from "../status.ts";
import type { ObjectDenyCode } from "./object_deny_code.ts";

/** Refused objects that are remembered; of more, some are told of again. */
export const MAX_REMEMBERED_REFUSALS = 10_000;

/** How many problems a message names. */
const MAX_SHOWN_PROBLEMS = 3;

/** Which object is told of, as it came: its name may be anything. */
export interface Subject {
  resource: string;
  namespace: JsonValue | undefined;
  name: JsonValue | undefined;
}

/** Remembers what was told. */
export interface RefusalLog {
  /** @returns whether it was news */
  refused(subject: Subject, code: ObjectDenyCode, problems: readonly Problem[]): boolean;
  /** The object is good, or gone: the next refusal is news. */
  admitted(subject: Subject): void;
}

/** Makes the memory of one gate. */
export function createRefusalLog(log: Log, mode: Mode): RefusalLog {
  const told = new Map<string, string>();
  return {
    refused({ resource, namespace, name }, code, problems) {
      const key = keyOf({ resource, namespace, name });
      const reason = printProblems(problems);
      if (told.get(key) === reason) {
        return false;
      }
      told.delete(key);
      told.set(key, reason);
      for (const oldest of told.keys()) {
        if (told.size <= MAX_REMEMBERED_REFUSALS) {
          break;
        }
        told.delete(oldest);
      }
      log.warn(
        "object-refused",
        mode === "audit" ? "the object would not be passed on" : "the object is not passed on",
        {
          resource,
          ...(typeof namespace === "string" ? { namespace: shorten(namespace) } : {}),
          ...(typeof name === "string" ? { name: shorten(name) } : {}),
          code,
          reason,
        },
      );
      return true;
    },
    admitted(subject) {
      // Nearly always nothing was told, and then no key is made.
      if (told.size > 0) {
        told.delete(keyOf(subject));
      }
    },
  };
}

/** The first problems, on one line. */
export function printProblems(problems: readonly Problem[]): string {
  const shown = problems.slice(0, MAX_SHOWN_PROBLEMS).map(({ path, message }) =>
    path === "" ? message : `${path} ${message}`
  ).join("; ");
  const more = problems.length - MAX_SHOWN_PROBLEMS;
  return cleanMessage(more > 0 ? `${shown}; and ${more} more` : shown);
}

function keyOf({ resource, namespace, name }: Subject): string {
  const text = (value: JsonValue | undefined) => typeof value === "string" ? shorten(value) : "";
  return `${resource}/${text(namespace)}/${text(name)}`;
}

/** As much of a name as is shown: no object has a longer one. */
function shorten(text: string): string {
  return cleanMessage(text.slice(0, 253));
}
