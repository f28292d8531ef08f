/**
 * A credential plugin, as a kubeconfig names it.
 *
 * Source: Kubernetes, "Client Authentication (v1)" and "(v1beta1)".
 *
 * @module
 */

/** The versions of the API that are spoken. */
export const EXEC_API_VERSIONS = [
  "client.authentication.k8s.io/v1",
  "client.authentication.k8s.io/v1beta1",
] as const;

/** One of the versions. */
export type ExecApiVersion = (typeof EXEC_API_VERSIONS)[number];

/** A plugin, as the kubeconfig names it. */
export interface ExecPlugin {
  apiVersion: ExecApiVersion;
  /** Full path of the program. */
  command: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  /** Whether the program is told about the cluster. */
  provideClusterInfo: boolean;
  /** What the cluster entry holds for the plugin: its extension `client.authentication.k8s.io/exec`. */
  clusterConfig?: unknown;
}
