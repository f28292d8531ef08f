/**
 * Why a file cannot be read, in plain words.
 *
 * @module
 */
import { messageOf } from "./errors.ts";

/** Folders whose files Deno opens only for programs that may do everything (docs.deno.com, "Security"). */
const SYSTEM_FILE = /^\/(dev|proc|sys)\//;

/**
 * What is wrong with a file, and what to do.
 *
 * @param program whose file it is, for example `podsign`
 * @param path the file's name as it was given
 * @param error what reading it threw; told apart by name, as Deno's classes of errors are
 * @returns a sentence that names the file, without a full stop
 */
export function fileProblem(program: string, path: string, error: unknown): string {
  switch (error instanceof Error ? error.name : "") {
    case "NotCapable":
      return SYSTEM_FILE.test(path)
        ? `cannot read "${path}": ${program} may not open files of the system: name an ordinary file`
        : `cannot read "${path}": ${program} was started without permission for it; start it by bin/${program}, or with ` +
          `--allow-read=${path}`;
    case "NotFound":
    case "NotADirectory":
      return `"${path}" does not exist; see whether the path is right`;
    case "IsADirectory":
      return `"${path}" is a folder; name a file`;
    case "PermissionDenied":
      return `"${path}": this user may not open it; see its owner and mode`;
    default:
      return `cannot read "${path}": ${systemReason(error)}`;
  }
}

/** An error's message without what only Deno's developers can use: numbers of errors and names of operations. */
export function systemReason(error: unknown): string {
  return messageOf(error).replace(/: [a-z]+ '[^]*'$/, "").replace(/ \(os error \d+\)/g, "");
}
