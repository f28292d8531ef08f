/** Writes the kubeconfig with which the proxy reaches racer's API server, as the node that racer made a certificate for. */
export async function writeKubeconfig(folder: string, server: string): Promise<void> {
  await Deno.writeTextFile(
    `${folder}/kubeconfig`,
    `apiVersion: v1
kind: Config
clusters: [{name: racer, cluster: {server: "${server}", certificate-authority: ${folder}/run/ca.crt}}]
users: [{name: node, user: {client-certificate: ${folder}/run/node.crt, client-key: ${folder}/run/node.key}}]
contexts: [{name: racer, context: {cluster: racer, user: node}}]
current-context: racer
`,
  );
}
