/** Asks Kubernetes' own code, which tests/go/kubernetes links. Needs Go, and the Go module proxy when it is first built. */
import assert from "node:assert/strict";

/** What Kubernetes' code answers to each question; see kubernetes/main.go. */
export async function askKubernetes(
  command: "expand" | "image" | "review",
  questions: unknown[],
): Promise<unknown[]> {
  const child = new Deno.Command("go", {
    args: ["run", "-trimpath", ".", command],
    cwd: new URL("kubernetes/", import.meta.url),
    env: { GOWORK: "off" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(questions)));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const answers: unknown = JSON.parse(new TextDecoder().decode(stdout));
  assert.ok(Array.isArray(answers) && answers.length === questions.length);
  return answers;
}
