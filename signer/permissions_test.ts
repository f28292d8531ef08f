import assert from "node:assert/strict";
import { AUDIT_FILES_KEPT } from "./audit_file.ts";
import { signerPermissions } from "./permissions.ts";

Deno.test("permissions: the address to listen on and the token file, nothing else", () => {
  assert.deepEqual(signerPermissions([]), ["--allow-net=127.0.0.1:8080"]);
  assert.deepEqual(signerPermissions(["--listen-addr", ":9", "--token-file=/t"]), [
    "--allow-read=/t",
    "--allow-net=[::]:9,0.0.0.0:9",
  ]);
});

Deno.test("permissions: every file and folder that is named, and what the audit log is rotated to", () => {
  const [read = "", write, net] = signerPermissions([
    "--key-dir=/k/",
    "--tls-cert=/c",
    "--tls-key=/d",
    "--client-ca=/e",
    "--audit-log=/a",
    "--metrics-addr=127.0.0.1:9090",
  ]);
  const audit = ["/a", ...Array.from({ length: AUDIT_FILES_KEPT }, (_, index) => `/a.${index + 1}`)].join(
    ",",
  );
  assert.equal(read, `--allow-read=/c,/d,/e,/k,${audit}`);
  assert.equal(write, `--allow-write=/k,${audit}`);
  assert.equal(net, "--allow-net=127.0.0.1:8080,127.0.0.1:9090");
});

Deno.test("permissions: rotate has the key folder, and no network", () => {
  assert.deepEqual(signerPermissions(["rotate", "--key-dir=/k", "--stage"]), [
    "--allow-read=/k",
    "--allow-write=/k",
  ]);
});

Deno.test("permissions: none for a command line that cannot be read", () => {
  assert.deepEqual(signerPermissions(["--nonsense"]), []);
  assert.deepEqual(signerPermissions(["--version"]), []);
});
