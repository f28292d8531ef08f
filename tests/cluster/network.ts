/**
 * The network namespace that the cluster lives in: a bridge with the node's address and a default route, since
 * the kubelet takes neither a loopback address nor a host without a default route.
 *
 * @module
 */
import { run } from "./programs.ts";

/** The node's address. It exists in the namespace alone, so it cannot clash with the host's. */
export const NODE_ADDRESS = "10.200.0.1";

/** Makes the namespace and notes its name in the run folder for the cleaning up. */
export async function createNamespace(name: string, runDir: string): Promise<void> {
  await Deno.writeTextFile(`${runDir}/namespace`, name);
  await run("ip", ["netns", "add", name]);
  for (
    const args of [
      ["link", "set", "lo", "up"],
      ["link", "add", "node0", "type", "bridge"],
      ["addr", "add", `${NODE_ADDRESS}/24`, "dev", "node0"],
      ["link", "set", "node0", "up"],
      ["route", "add", "default", "dev", "node0"],
    ]
  ) {
    await run("ip", ["-n", name, ...args]);
  }
}

/** Command and arguments that run a program in the namespace. (`ip netns exec` would mount another /sys.) */
export function inNamespace(name: string, command: string, args: string[]): [string, string[]] {
  return ["nsenter", [`--net=/run/netns/${name}`, command, ...args]];
}
