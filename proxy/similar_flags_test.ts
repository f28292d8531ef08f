import assert from "node:assert/strict";
import { parseCommandLine } from "./options.ts";
import { similarFlags } from "./similar_flags.ts";

Deno.test("refuses a misspelt flag with the one that was meant, once the flags that are alike are known", () => {
  const messages = (...more: [typeof similarFlags?]) => {
    const commandLine = parseCommandLine(["--kubeconfg=a", "--zzz=b"], ...more);
    assert.equal(commandLine.kind, "problems");
    return commandLine.kind === "problems" ? commandLine.problems.map(({ message }) => message) : [];
  };
  assert.deepEqual(messages(similarFlags).slice(0, 2), [
    'unknown flag "--kubeconfg" (did you mean --kubeconfig?); see kubelet-proxy --help',
    'unknown flag "--zzz"; see kubelet-proxy --help',
  ]);
  assert.equal(messages()[0], 'unknown flag "--kubeconfg"; see kubelet-proxy --help');
});
