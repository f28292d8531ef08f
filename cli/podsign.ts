/**
 * podsign as a function: arguments and effects in, exit code out.
 *
 * @module
 */
import { getCert } from "./commands/get_cert.ts";
import { show } from "./commands/show.ts";
import { signSpec } from "./commands/sign_spec.ts";
import { verifySpec } from "./commands/verify_spec.ts";
import type { Effects } from "./effects.ts";
import { InputError } from "./input_error.ts";
import type { PodsignOptions } from "./options.ts";
import { EXIT_USAGE, printErrors } from "./report.ts";

/**
 * Runs a subcommand.
 *
 * @returns the exit code: 0 done or all good, 1 something was refused, 2 usage or input error
 */
export async function podsign(options: PodsignOptions, effects: Effects): Promise<number> {
  try {
    return await dispatch(options, effects);
  } catch (error) {
    if (error instanceof InputError) {
      printErrors(effects, error.lines);
      return EXIT_USAGE;
    }
    throw error;
  }
}

async function dispatch(options: PodsignOptions, effects: Effects): Promise<number> {
  switch (options.command) {
    case "sign-spec":
      return await signSpec(options, effects);
    case "verify-spec":
      return await verifySpec(options, effects);
    case "get-cert":
      return await getCert(options, effects);
    case "show":
      return await show(options, effects);
    default: {
      const never: never = options;
      return never;
    }
  }
}
