/** podsign on a large file: what a pipeline waits for. */
import { run } from "./process.ts";
import type { Racer } from "./racer.ts";

const ROOT = new URL("..", import.meta.url).pathname;

const WORKLOADS = 1_000;

/** Seconds of one `sign-spec` with a key file and of one `verify-spec`, the start of the program included. */
export async function measurePodsign(
  { folder }: Racer,
): Promise<{ signSeconds: number; verifySeconds: number }> {
  const manifest = `${folder}/manifest.yaml`;
  const signed = `${folder}/signed.yaml`;
  await Deno.writeTextFile(
    manifest,
    Array.from({ length: WORKLOADS }, (_, index) => workload(index)).join("---\n"),
  );
  const time = async (args: readonly string[], output: string) => {
    const start = performance.now();
    await run("sh", ["-c", 'out=$1; shift; exec "$@" >"$out"', "sh", output, `${ROOT}bin/podsign`, ...args]);
    return (performance.now() - start) / 1000;
  };
  const signSeconds = await time(["sign-spec", "--key", `${folder}/run/signing.key`, manifest], signed);
  const verifySeconds = await time(
    ["verify-spec", "--cert", `${folder}/run/signing.crt`, signed],
    `${folder}/verdicts`,
  );
  const signatures = (await Deno.readTextFile(signed)).match(/kubelet-proxy\.io\/signature:/g)?.length;
  if (signatures !== WORKLOADS) throw new Error(`podsign signed ${signatures} of ${WORKLOADS} workloads`);
  return { signSeconds, verifySeconds };
}

/** A Deployment as people write them; no two are the same. */
function workload(index: number): string {
  return `# The shop's part number ${index}.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop-${index}
  namespace: shop
spec:
  replicas: 2
  selector:
    matchLabels: {app: shop-${index}}
  template:
    metadata:
      labels: {app: shop-${index}}
    spec:
      containers:
        - name: web
          image: registry.example/shop@sha256:${index.toString(16).padStart(64, "0")}
          args: ["--part", "${index}"]
          ports: [{containerPort: 8080}]
          env:
            - {name: PART, value: "${index}"}
          resources:
            requests: {cpu: 100m, memory: 64Mi}
            limits: {memory: 128Mi}
          readinessProbe:
            httpGet: {path: /health, port: 8080}
          securityContext: {runAsNonRoot: true, runAsUser: 1000, allowPrivilegeEscalation: false}
`;
}
