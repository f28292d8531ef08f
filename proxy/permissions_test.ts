import assert from "node:assert/strict";
import { proxyPermissions } from "./permissions.ts";

const FILES: Record<string, string> = {
  "/etc/k": JSON.stringify({
    "current-context": "x",
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }, {
      name: "y",
      context: { cluster: "d", user: "u" },
    }],
    clusters: [
      { name: "c", cluster: { server: "https://api.example:6443", "certificate-authority": "ca.pem" } },
      { name: "d", cluster: { server: "https://[fd00::1]", "insecure-skip-tls-verify": true } },
    ],
    users: [{ name: "u", user: { "client-certificate": "node.pem", "client-key": "/keys/node,1.key" } }],
  }),
  "/var/lib/kubelet/config.yaml": JSON.stringify({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    authentication: { x509: { clientCAFile: "pki/node-ca.crt" } },
  }),
};

function readText(path: string): Promise<string> {
  const text = FILES[path];
  return text === undefined ? Promise.reject(new Deno.errors.NotFound(path)) : Promise.resolve(text);
}

Deno.test("permissions name the files, hosts and sockets of the command line and the kubeconfig, and no others", async () => {
  assert.deepEqual(
    await proxyPermissions([
      "--kubeconfig=/etc/k",
      "--listen-addr=127.0.0.1:6443",
      "--tls-cert=/tls/crt",
      "--tls-key=/tls/key",
      "--client-ca=/tls/ca",
      "--pin-root-ca=/tls/root",
      "--signature-verification-cert=/trust",
      "--runtime-dir=/run/p",
    ], readText),
    [
      "--allow-read=/etc/k,/tls/root,/etc/ca.pem,/etc/node.pem,/keys/node,,1.key,/tls/crt,/tls/key,/tls/ca,/trust,/run/p",
      "--allow-write=/run/p",
      "--allow-net=127.0.0.1:6443,unix:/run/p/http.sock,api.example:6443",
    ],
  );
});

Deno.test("permissions follow --context, all interfaces and a server whose certificate is not checked", async () => {
  assert.deepEqual(
    await proxyPermissions([
      "--kubeconfig=/etc/k",
      "--context=y",
      "--listen-addr=:6443",
      "--signature-verification-cert=/trust",
      "--runtime-dir=/run/p",
    ], readText),
    [
      "--allow-read=/etc/k,/etc/node.pem,/keys/node,,1.key,/trust,/run/p",
      "--allow-write=/run/p",
      "--allow-net=[::]:6443,0.0.0.0:6443,unix:/run/p/http.sock,[fd00::1]:443,unix:/run/p/upstream.sock",
    ],
  );
});

Deno.test("permissions of the front name its address, the kubelet's and their files, the kubelet's clientCAFile too", async () => {
  const flags = await proxyPermissions([
    "--kubeconfig=/gone",
    "--signature-verification-cert=/trust",
    "--runtime-dir=/run/p",
    "--kubelet-api-listen=10.0.0.1:10250",
    "--kubelet-api-tls-cert=/f/crt",
    "--kubelet-api-tls-key=/f/key",
    "--kubelet-api-client-ca=/f/ca",
    "--kubelet-certificate-authority=/f/kubelet-ca",
    "--kubelet-client-certificate=/f/client.crt",
    "--kubelet-client-key=/f/client.key",
    "--kubelet-config=/var/lib/kubelet/config.yaml",
  ], readText);
  assert.deepEqual(flags, [
    "--allow-read=/gone,/f/crt,/f/key,/f/ca,/f/kubelet-ca,/f/client.crt,/f/client.key,/var/lib/kubelet/config.yaml,/var/lib/kubelet/pki/node-ca.crt,/trust,/run/p",
    "--allow-write=/run/p",
    "--allow-net=127.0.0.1:6443,unix:/run/p/http.sock,10.0.0.1:10250,127.0.0.1:10250",
  ]);
});

Deno.test("help and version need no permission, and a kubeconfig that cannot be read gives none", async () => {
  assert.deepEqual(await proxyPermissions(["--version"], readText), []);
  const flags = await proxyPermissions(["--kubeconfig=/gone", "--signature-verification-cert=/t"], readText);
  assert.deepEqual(flags.filter((flag) => flag.startsWith("--allow-net")), [
    "--allow-net=127.0.0.1:6443,unix:/run/kubelet-proxy/http.sock",
  ]);
});

Deno.test("a relative runtime folder, which is refused with the flags, gets no socket", async () => {
  const flags = await proxyPermissions(["--kubeconfig=/gone", "--runtime-dir=run"], readText);
  assert.deepEqual(flags, ["--allow-read=/gone,run", "--allow-write=run", "--allow-net=127.0.0.1:6443"]);
});

Deno.test("only a kubeconfig with a credential plugin may run a program: that one", async () => {
  const exec = {
    apiVersion: "client.authentication.k8s.io/v1",
    command: "bin/login",
    interactiveMode: "Never",
  };
  const text = (await readText("/etc/k")).replace(/"user":\{[^}]*\}/, `"user":${JSON.stringify({ exec })}`);
  const flags = await proxyPermissions(["--kubeconfig=/etc/k"], () => Promise.resolve(text));
  assert.deepEqual(flags.filter((flag) => flag.startsWith("--allow-run")), ["--allow-run=/etc/bin/login"]);
  const without = await proxyPermissions(["--kubeconfig=/etc/k"], readText);
  assert.deepEqual(without.filter((flag) => flag.startsWith("--allow-run")), []);
});

Deno.test("all API servers may be reached", async () => {
  const flags = await proxyPermissions([
    "--kubeconfig=/etc/k",
    "--server=https://b",
    "--server=https://c:6443",
  ], readText);
  assert.match(flags.at(-1) ?? "", /,api\.example:6443,b:443,c:6443$/);
});

Deno.test("the port for metrics and the decision log with its rotated files are granted, and only when they are asked for", async () => {
  assert.deepEqual(
    await proxyPermissions([
      "--kubeconfig=/etc/k",
      "--signature-verification-cert=/trust",
      "--runtime-dir=/run/p",
      "--metrics-addr=[::1]:10450",
      "--decision-log=/var/log/proxy/decisions",
    ], readText),
    [
      "--allow-read=/etc/k,/etc/ca.pem,/etc/node.pem,/keys/node,,1.key,/trust,/run/p,/var/log/proxy/decisions,/var/log/proxy/decisions.1,/var/log/proxy/decisions.2,/var/log/proxy/decisions.3",
      "--allow-write=/run/p,/var/log/proxy/decisions,/var/log/proxy/decisions.1,/var/log/proxy/decisions.2,/var/log/proxy/decisions.3",
      "--allow-net=127.0.0.1:6443,unix:/run/p/http.sock,[::1]:10450,api.example:6443",
    ],
  );
});

Deno.test("the socket of a service manager may be written to, and no other; an abstract one, which no flag can name, may not", async () => {
  const args = ["--kubeconfig=/gone", "--signature-verification-cert=/t", "--runtime-dir=/run/p"];
  assert.deepEqual(await proxyPermissions(args, readText, "/run/systemd/notify"), [
    "--allow-read=/gone,/t,/run/p",
    "--allow-write=/run/p,/run/systemd/notify",
    "--allow-net=127.0.0.1:6443,unix:/run/p/http.sock,unix:/run/systemd/notify,unix:/run/p/notify.sock",
  ]);
  for (const notify of ["@abstract", "", "relative"]) {
    assert.deepEqual(await proxyPermissions(args, readText, notify), await proxyPermissions(args, readText));
  }
});

Deno.test("permissions of the own leg, and of a node's certificate in one file, let their folders be written", async () => {
  const files: Record<string, string> = {
    "/node/k": JSON.stringify({
      "current-context": "x",
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      clusters: [{ name: "c", cluster: { server: "https://api:6443", "certificate-authority": "/ca" } }],
      users: [{ name: "u", user: { "client-certificate": "/node/a.pem", "client-key": "/node/a.pem" } }],
    }),
  };
  const flags = ["--kubeconfig=/node/k", "--own-leg=/leg", "--runtime-dir=/run/p"];
  const read = (path: string) => Promise.resolve(files[path] ?? "");
  const writeOf = async (...more: string[]) =>
    (await proxyPermissions([...flags, ...more], read)).find((flag) => flag.startsWith("--allow-write"));
  assert.equal(await writeOf("--renew-node-certificate"), "--allow-write=/run/p,/leg,/node");
  assert.equal(await writeOf(), "--allow-write=/run/p,/leg");
});

Deno.test("permissions of init are for its folder alone, and none to write for a dry run", async () => {
  const init = ["init", "--node-name=n", "--dir=/leg"];
  assert.deepEqual(await proxyPermissions(init, readText), ["--allow-read=/leg", "--allow-write=/leg"]);
  assert.deepEqual(await proxyPermissions([...init, "--dry-run"], readText), ["--allow-read=/leg"]);
  assert.deepEqual(await proxyPermissions(["init"], readText), []);
});
