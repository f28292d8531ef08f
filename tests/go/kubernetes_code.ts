/**
 * Asks Kubernetes' own code, which the Go program in tests/go/kubernetes links. Needs Go, and the Go module proxy when
 * it is first built. Run with `deno test -A tests/go`; PROPERTY_SEED repeats a run, PROPERTY_RUNS makes it longer.
 *
 * @module
 */
import assert from "node:assert/strict";

/** The minor version in kubernetes/go.mod. */
export const VERSION = "1.36";

/** The seed of all random inputs; tests have it in their names. */
export const seed: number = Number(Deno.env.get("PROPERTY_SEED") ?? Math.floor(Math.random() * 2 ** 31));

/** How many random inputs a test has. */
export const numRuns: number = Number(Deno.env.get("PROPERTY_RUNS") ?? 3000);

/** A question that kubernetes/main.go knows. */
export type Command = "expand" | "serve" | "view" | "review" | "image" | "quantity" | "compare" | "yaml";

/** What Kubernetes' code answers to each question; see kubernetes/main.go. */
export async function ask(command: Command, questions: unknown[]): Promise<unknown[]> {
  const child = new Deno.Command("go", {
    args: ["run", "-trimpath", ".", command],
    cwd: new URL("kubernetes/", import.meta.url),
    env: { GOWORK: "off" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = child.output();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(questions)));
  await writer.close();
  const { success, stdout, stderr } = await output;
  assert.ok(success, new TextDecoder().decode(stderr));
  const answers: unknown = JSON.parse(new TextDecoder().decode(stdout));
  assert.ok(Array.isArray(answers) && answers.length === questions.length);
  return answers;
}
