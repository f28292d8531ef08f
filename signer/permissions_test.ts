import assert from "node:assert/strict";
import { signerPermissions } from "./permissions.ts";

Deno.test("permissions: the address to listen on and the token file, nothing else", () => {
  assert.deepEqual(signerPermissions([]), ["--allow-net=127.0.0.1:8080"]);
  assert.deepEqual(signerPermissions(["--listen-addr", ":9", "--token-file=/t"]), [
    "--allow-read=/t",
    "--allow-net=[::]:9,0.0.0.0:9",
  ]);
});

Deno.test("permissions: none for a command line that cannot be read", () => {
  assert.deepEqual(signerPermissions(["--nonsense"]), []);
  assert.deepEqual(signerPermissions(["--version"]), []);
});
