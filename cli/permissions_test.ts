import assert from "node:assert/strict";
import { podsignPermissions } from "./permissions.ts";

Deno.test("permissions: the files of the command line and the server's address", () => {
  assert.deepEqual(
    podsignPermissions(["sign-spec", "--key=/k", "--cert=/c", "--token-file=/t", "m.yaml"], undefined),
    ["--allow-read=m.yaml,/k,/c,/t", "--allow-net=localhost:8080", "--allow-env=SIGNING_SERVER_URL"],
  );
  const identity = ["--client-certificate=/c", "--client-key=/k"];
  for (const args of [["get-cert"], ["sign-spec", "-"], ["verify-spec", "-"]]) {
    const [read] = podsignPermissions([...args, ...identity], undefined);
    assert.equal(read, "--allow-read=/c,/k", args[0]);
  }
  assert.deepEqual(podsignPermissions(["show", "--with-config=/a", "--with-config=-", "m.yaml"], undefined), [
    "--allow-read=m.yaml,/a",
  ]);
  assert.deepEqual(podsignPermissions(["get-cert", "--server=https://s.example"], "http://other:1"), [
    "--allow-net=s.example:443",
    "--allow-env=SIGNING_SERVER_URL",
  ]);
  assert.deepEqual(podsignPermissions(["get-cert"], "http://other:1"), [
    "--allow-net=other:1",
    "--allow-env=SIGNING_SERVER_URL",
  ]);
});

Deno.test("permissions: kubectl only for --port-forward, and no network for show", () => {
  assert.deepEqual(podsignPermissions(["get-cert", "--port-forward=ns/svc"], undefined), [
    "--allow-net=127.0.0.1",
    "--allow-env=SIGNING_SERVER_URL",
    "--allow-run=kubectl",
  ]);
  for (const file of ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"]) {
    assert.deepEqual(podsignPermissions(["show", file], undefined), [], file);
  }
});

Deno.test("permissions: none for a command line that cannot be read", () => {
  assert.deepEqual(podsignPermissions(["sing-spec", "x"], undefined), []);
});
