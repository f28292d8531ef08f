/**
 * The flags for those who watch the proxy: as data, and read into typed options.
 *
 * @module
 */
import type { FlagDescription } from "@signed-pods/shared/command-line";
import { isLoopbackAddress, type ListenAddress, parseListenAddress } from "../address.ts";

/** The flags, in the order of the help text. */
export const OPERABILITY_FLAGS = [
  {
    name: "--metrics-addr",
    value: "ADDRESS",
    default: "",
    description:
      "Loopback address for `/healthz`, `/readyz`, `/metrics` and `/decisions`, for example 127.0.0.1:10450. Without it, there is no such port.",
  },
  {
    name: "--decision-log",
    value: "FILE",
    default: "",
    description:
      "Write a line of JSON for each verdict that is new or has changed; rotated by size to FILE.1, FILE.2, FILE.3.",
  },
] as const satisfies readonly FlagDescription[];

/** Name of one of the flags. */
export type OperabilityFlagName = (typeof OPERABILITY_FLAGS)[number]["name"];

/** What those who watch the proxy get. */
export interface OperabilityOptions {
  /** Not given if there is to be no port. */
  listenAddress?: ListenAddress;
  /** Full path. */
  decisionLogFile?: string;
}

/**
 * Reads the flags.
 *
 * @param report is told what is wrong
 */
export function readOperabilityOptions(
  flags: { metricsAddr: string | undefined; decisionLog: string | undefined },
  report: (flag: OperabilityFlagName, problem: string) => void,
): OperabilityOptions {
  const { metricsAddr, decisionLog } = flags;
  const options: OperabilityOptions = {};
  if (metricsAddr !== undefined) {
    const address = parseListenAddress(metricsAddr);
    if (address === undefined) {
      report("--metrics-addr", `"${metricsAddr}" is no address; write 127.0.0.1:PORT or [::1]:PORT`);
    } else if (!isLoopbackAddress(address.hostname)) {
      report(
        "--metrics-addr",
        `"${metricsAddr}" is not a loopback address, and whoever reaches it reads which pods the node has; use 127.0.0.1:PORT or [::1]:PORT`,
      );
    } else {
      options.listenAddress = address;
    }
  }
  if (decisionLog !== undefined) {
    if (decisionLog.startsWith("/") && !decisionLog.endsWith("/")) {
      options.decisionLogFile = decisionLog;
    } else {
      report("--decision-log", `"${decisionLog}" is not the full path of a file`);
    }
  }
  return options;
}
