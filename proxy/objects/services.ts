/**
 * Services. The kubelet makes environment variables of their names, addresses and ports, and looks at none of them.
 *
 * Source: `pkg/kubelet/envvars/envvars.go` FromServices and `pkg/kubelet/kubelet_pods.go` getServiceEnvVarMap of
 * Kubernetes 1.36.3; `ValidateService` in `pkg/apis/core/validation/validation.go`.
 *
 * @module
 */
import { isDns1035Label, isDnsLabel, isIpAddress } from "@signed-pods/shared/pod/grammar";
import { metadata } from "./metadata.ts";
import { checked, fields, integer, list, type Shape, text, word } from "./shape.ts";

/** The fields of a Service that a kubelet reads. */
export const SERVICE: Shape = fields({
  metadata: metadata({
    namespaced: true,
    name: text(isDns1035Label, "a DNS label that begins with a letter"),
  }),
  spec: checked(
    fields({
      clusterIP: text(isClusterIp, 'an IP address or "None"'),
      ports: list(fields({
        name: text(isPortName, "a DNS label"),
        protocol: word("TCP", "UDP", "SCTP"),
        port: integer(1, 65535),
      }, ["port"])),
    }),
    ({ clusterIP, ports }) =>
      // The kubelet takes the first port of every Service that has an address.
      clusterIP !== undefined && clusterIP !== "" && clusterIP !== "None" &&
        !(Array.isArray(ports) && ports.length > 0)
        ? { path: "ports", message: "is empty although there is a clusterIP" }
        : undefined,
  ),
}, ["metadata", "spec"]);

/** A Service of type ExternalName has none. */
function isClusterIp(found: string): boolean {
  return found === "" || found === "None" || isIpAddress(found);
}

/** A single port may have no name. */
function isPortName(found: string): boolean {
  return found === "" || isDnsLabel(found);
}
