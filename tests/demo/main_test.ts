/** The demonstration is a test of the three programs as `make build` leaves them: it fails if anybody sees anything else. */
import assert from "node:assert/strict";

Deno.test("the demonstration ends as it should", async () => {
  const main = new URL("main.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--allow-read",
      "--allow-write",
      "--allow-net",
      "--allow-run",
      "--allow-env",
      main,
    ],
    stdin: "null",
  }).output();
  const said = new TextDecoder().decode(stdout);
  assert.equal(code, 0, `${said}\n${new TextDecoder().decode(stderr)}`);
  assert.match(said, /Nothing ran that its owner did not sign/);
});
