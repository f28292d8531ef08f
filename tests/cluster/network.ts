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

/** Address of a second node, in a namespace of its own on the first one's bridge. */
export const SECOND_NODE_ADDRESS = "10.200.0.2";

/** Makes the namespace of a second node beside the first's, and notes its name in the second's run folder. */
export async function createSecondNamespace(first: string, name: string, runDir: string): Promise<void> {
  await Deno.writeTextFile(`${runDir}/namespace`, name);
  await run("ip", ["netns", "add", name]);
  await run("ip", [
    "-n",
    first,
    "link",
    "add",
    "node1",
    "type",
    "veth",
    "peer",
    "name",
    "eth0",
    "netns",
    name,
  ]);
  for (const args of [["link", "set", "node1", "master", "node0"], ["link", "set", "node1", "up"]]) {
    await run("ip", ["-n", first, ...args]);
  }
  for (
    const args of [
      ["link", "set", "lo", "up"],
      ["addr", "add", `${SECOND_NODE_ADDRESS}/24`, "dev", "eth0"],
      ["link", "set", "eth0", "up"],
      ["route", "add", "default", "via", NODE_ADDRESS],
    ]
  ) {
    await run("ip", ["-n", name, ...args]);
  }
}

/** Command and arguments that run a program in the namespace. (`ip netns exec` would mount another /sys.) */
export function inNamespace(name: string, command: string, args: string[]): [string, string[]] {
  return ["nsenter", [`--net=/run/netns/${name}`, command, ...args]];
}
