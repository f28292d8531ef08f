import assert from "node:assert/strict";
import { writePem } from "@signed-pods/shared/pem";

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const SIGNER = new URL("../signer/main.ts", import.meta.url).pathname;
const POD = `apiVersion: v1
kind: Pod
metadata: {name: web, namespace: prod}
spec:
  containers: [{name: app, image: "registry.example/app@sha256:${"ab".repeat(32)}"}]
`;

interface Run {
  code: number;
  out: string;
  errors: string;
}

interface RunOptions {
  permissions?: string[];
  env?: Record<string, string>;
  stdin?: string;
}

async function run(args: string[], { permissions = [], env = {}, stdin }: RunOptions = {}): Promise<Run> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...permissions, MAIN, ...args],
    env,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin ?? ""));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  return { code, out: new TextDecoder().decode(stdout), errors: new TextDecoder().decode(stderr) };
}

/** Starts the real signing server, hands over its URL, and stops it. */
async function withServer(use: (url: string) => Promise<void>): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", SIGNER, "--listen-addr=127.0.0.1:0"],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  try {
    const [first, rest] = child.stdout.tee();
    // The server signs nothing that it cannot log, so somebody has to read on.
    const read = rest.pipeTo(new WritableStream());
    let banner = "";
    for await (const chunk of first.pipeThrough(new TextDecoderStream())) {
      banner += chunk;
      if (/listening on .*\n/.test(banner)) break;
    }
    try {
      await use(/listening on (\S+)\n/.exec(banner)?.[1] ?? assert.fail(banner));
    } finally {
      child.kill("SIGTERM");
      await read;
    }
  } finally {
    await child.status;
  }
}

Deno.test("a manifest signed through the real server verifies with its certificate", async () => {
  const folder = await Deno.makeTempDir();
  await withServer(async (url) => {
    const net = `--allow-net=${new URL(url).host}`;
    const env = { SIGNING_SERVER_URL: url };
    const permissions = [net, "--allow-env=SIGNING_SERVER_URL"];
    const signed = await run(["sign-spec", "-"], { permissions, env, stdin: POD });
    assert.equal(signed.code, 0, signed.errors);
    const certificate = await run(["get-cert"], { permissions, env });
    assert.match(certificate.errors, /^SHA-256 fingerprint ([0-9A-F]{2}:){31}[0-9A-F]{2}$/m);
    await Deno.writeTextFile(`${folder}/cert.pem`, certificate.out);
    await Deno.writeTextFile(`${folder}/signed.yaml`, signed.out);
    const read = [`--allow-read=${folder}`];
    const args = ["verify-spec", `${folder}/signed.yaml`, "--cert", `${folder}/cert.pem`];
    const good = await run(args, { permissions: read });
    assert.equal(good.code, 0, good.errors);
    assert.match(good.out, /^OK {3}pod prod\/web {2}template/);
    await Deno.writeTextFile(
      `${folder}/signed.yaml`,
      signed.out.replace("name: app,", "name: app, stdin: true,"),
    );
    const bad = await run(args, { permissions: read });
    assert.equal(bad.code, 1);
    assert.match(bad.out, /spec\.containers\[app\]\.stdin: not signed, found true/);
  });
  await Deno.remove(folder, { recursive: true });
});

Deno.test("what show prints, signed by any client of the server, is a signature of the spec form", async () => {
  const folder = await Deno.makeTempDir();
  await withServer(async (url) => {
    const shown = await run(["show", "--form=spec", "-"], { stdin: POD });
    const response = await fetch(`${url}/sign`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ payload: shown.out.trimEnd() }),
    });
    const answer: unknown = await response.json();
    assert.ok(typeof answer === "object" && answer !== null && "signature" in answer);
    const annotations = `annotations: {kubelet-proxy.io/signature: "${String(answer.signature)}"}`;
    const signed = POD.replace("namespace: prod", `namespace: prod, ${annotations}`);
    await Deno.writeTextFile(`${folder}/cert.pem`, await (await fetch(`${url}/signingcert`)).text());
    const verified = await run(["verify-spec", "-", "--cert", `${folder}/cert.pem`], {
      permissions: [`--allow-read=${folder}`],
      stdin: signed,
    });
    assert.equal(verified.code, 0, verified.out + verified.errors);
  });
  await Deno.remove(folder, { recursive: true });
});

Deno.test("kubectl is started for a port forward, and has ended when podsign has", async () => {
  const folder = await Deno.makeTempDir();
  await withServer(async (url) => {
    const { port } = new URL(url);
    const script = `#!/bin/sh\ntrap 'echo stopped > ${folder}/stopped; kill $!; exit 0' TERM\n` +
      `echo "$@" > ${folder}/args\necho "Forwarding from 127.0.0.1:${port} -> 8080"\nsleep 100 & wait\n`;
    await Deno.writeTextFile(`${folder}/kubectl`, script, { mode: 0o755 });
    const path = `${folder}:${Deno.env.get("PATH") ?? ""}`;
    const result = await run(["get-cert", "--port-forward=signing/server"], {
      permissions: ["--allow-net=127.0.0.1", "--allow-run=kubectl"],
      env: { PATH: path },
    });
    assert.equal(result.code, 0, result.errors);
    assert.match(result.out, /^-----BEGIN CERTIFICATE-----/);
    assert.match(result.errors, /crosses the API server/);
    assert.equal(await Deno.readTextFile(`${folder}/stopped`), "stopped\n");
    assert.match(await Deno.readTextFile(`${folder}/args`), /^port-forward .* service\/server :8080\n$/);
  });
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a key file needs no server and no other permission than to read", async () => {
  const folder = await Deno.makeTempDir();
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-384" }, true, [
    "sign",
    "verify",
  ]);
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey));
  await Deno.writeTextFile(`${folder}/key.pem`, writePem("PRIVATE KEY", pkcs8));
  const permissions = [`--allow-read=${folder}`];
  const signed = await run(["sign-spec", "-", "--key", `${folder}/key.pem`], { permissions, stdin: POD });
  assert.equal(signed.code, 0, signed.errors);
  const args = ["verify-spec", "-", "--key", `${folder}/key.pem`];
  assert.equal((await run(args, { permissions, stdin: signed.out })).code, 0);
  const missing = await run(["sign-spec", `${folder}/none.yaml`, "--key", `${folder}/key.pem`], {
    permissions,
  });
  assert.equal(missing.code, 2);
  assert.match(missing.errors, /^podsign: "\S+none\.yaml" does not exist; see whether the path is right\n$/);
  const folderAsKey = await run(["sign-spec", "-", "--key", folder], { permissions, stdin: POD });
  assert.ok(folderAsKey.errors.startsWith(`podsign: --key: "${folder}" is a folder; `), folderAsKey.errors);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("standard input may be named as a file, and no permission text of Deno's is shown", async () => {
  const [shown, byName, notAllowed] = await Promise.all([
    run(["show", "-"], { stdin: POD }),
    run(["show", "/dev/stdin"], { stdin: POD }),
    run(["show", "m.yaml"]),
  ]);
  assert.equal(byName.code, 0, byName.errors);
  assert.equal(byName.out, shown.out);
  assert.equal(notAllowed.code, 2);
  assert.match(notAllowed.errors, /^podsign: cannot read "m\.yaml": .*--allow-read=m\.yaml\n$/);
});

Deno.test("version, help and completions need no permission", async () => {
  const [version, flag, help, commandHelp, completion] = await Promise.all([
    run(["version"]),
    run(["--version"]),
    run(["--help"]),
    run(["sign-spec", "--help"]),
    run(["completion", "bash"]),
  ]);
  for (const { code, errors } of [version, flag, help, commandHelp, completion]) {
    assert.equal(code, 0, errors);
  }
  assert.match(version.out, /^podsign \d+\.\d+\.\d+\n$/);
  assert.equal(flag.out, version.out);
  assert.ok(help.out.includes("verify-spec"));
  assert.ok(commandHelp.out.includes("--not-after"));
  assert.ok(completion.out.includes("complete"));
});

Deno.test("refuses wrong command lines and unreachable servers with exit code 2", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const [nothing, unknown, unreachable] = await Promise.all([
    run([]),
    run(["sign-spec", "-", "--nonsense"]),
    run(["get-cert", `--server=http://127.0.0.1:${port}`], { permissions: ["--allow-net=127.0.0.1"] }),
  ]);
  for (const { code, out, errors } of [nothing, unknown, unreachable]) {
    assert.equal(code, 2, errors);
    assert.equal(out, "");
    assert.ok(errors !== "");
  }
  assert.ok(unreachable.errors.includes("--key FILE"));
  assert.match(unreachable.errors, /^podsign: .*connection refused/);
  assert.match(unknown.errors, /^podsign: .*"--nonsense".*; see podsign sign-spec --help\n$/);
  assert.ok(nothing.errors.includes("podsign sign-spec FILE"));
});
