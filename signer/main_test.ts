import assert from "node:assert/strict";
import { decodeBase64 } from "@signed-pods/shared/base64";
import { readVerificationKeys } from "@signed-pods/shared/keys";
import { verifySignature } from "@signed-pods/shared/signature";
import { signerPermissions } from "./permissions.ts";

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const CONFIG = new URL("../deno.json", import.meta.url).pathname;

const TOKEN = "0123456789abcdef0123456789abcdef";

interface Running {
  url: string;
  child: Deno.ChildProcess;
  /** Lines on standard output until now. */
  lines: string[];
  /** Waits for a line on standard output. */
  line(pattern: RegExp): Promise<string>;
  /** Everything on standard error, once the process has ended. */
  errors: Promise<string>;
}

/** The program as its launcher starts it: with permission for what the command line names, and nothing else. */
function command(args: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--frozen", "--cached-only", "--no-prompt", "--config", CONFIG, "--ignore-env"],
      ...signerPermissions(args),
      MAIN,
      ...args,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function start(args: string[]): Promise<Running> {
  const child = command(args).spawn();
  const errors = new Response(child.stderr).text();
  const lines: string[] = [];
  let changed = Promise.withResolvers<void>();
  let ended = false;
  (async () => {
    let rest = "";
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      lines.push(...parts);
      changed.resolve();
      changed = Promise.withResolvers();
    }
    ended = true;
    changed.resolve();
  })();
  const line = async (pattern: RegExp): Promise<string> => {
    while (true) {
      const found = lines.find((text) => pattern.test(text));
      if (found !== undefined) return found;
      if (ended) throw new Error(`no ${pattern} in:\n${lines.join("\n")}\n${await errors}`);
      await changed.promise;
    }
  };
  const [, url = ""] = /listening on (\S+)/.exec(await line(/^listening on /)) ?? [];
  return { url, child, lines, line, errors };
}

async function stop(
  { child, errors }: Running,
  signal: Deno.Signal = "SIGTERM",
): Promise<Deno.CommandStatus> {
  child.kill(signal);
  const status = await child.status;
  await errors;
  return status;
}

async function run(args: string[]): Promise<{ code: number; out: string; errors: string }> {
  const { code, stdout, stderr } = await command(args).output();
  return { code, out: new TextDecoder().decode(stdout), errors: new TextDecoder().decode(stderr) };
}

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function signInit(payload: string, token?: string): RequestInit {
  return {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ payload }),
  };
}

/** The signature over a text, or the code of the refusal. */
async function ask(
  url: string,
  payload: string,
  token?: string,
): Promise<{ signature: string } | { code: string }> {
  const answer: unknown = await (await fetch(`${url}/sign`, signInit(payload, token))).json();
  assert.ok(typeof answer === "object" && answer !== null);
  if ("signature" in answer && typeof answer.signature === "string") return { signature: answer.signature };
  assert.ok(
    "error" in answer && typeof answer.error === "object" && answer.error !== null && "code" in answer.error,
  );
  return { code: String(answer.error.code) };
}

async function certificateOf(url: string, query = ""): Promise<string> {
  return await (await fetch(`${url}/signingcert${query}`)).text();
}

async function verifies(
  pem: string,
  payload: string,
  answer: { signature: string } | { code: string },
): Promise<boolean> {
  assert.ok("signature" in answer, JSON.stringify(answer));
  const [key] = await readVerificationKeys(pem, "certificate");
  assert.ok(key !== undefined);
  return await verifySignature(key, decodeBase64(answer.signature), new TextEncoder().encode(payload));
}

Deno.test("the server prints its port and fingerprint, signs, logs and stops on SIGTERM", async () => {
  const server = await start(["--listen-addr", "127.0.0.1:0"]);
  const generated: unknown = await (await fetch(`${server.url}/generatekeys`, { method: "POST" })).json();
  assert.ok(typeof generated === "object" && generated !== null && "fingerprint" in generated);
  await server.line(new RegExp(`fingerprint ${generated.fingerprint}$`));
  assert.ok(await verifies(await certificateOf(server.url), "text", await ask(server.url, "text")));
  const record: unknown = JSON.parse(await server.line(/^\{/));
  assert.ok(typeof record === "object" && record !== null && "payloadSha256" in record && "peer" in record);
  assert.equal(record.payloadSha256, "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1");
  assert.match(String(record.peer), /^127\.0\.0\.1:\d+$/);
  assert.equal((await stop(server)).code, 0);
  assert.match(await server.errors, /^signing-server: warning: the key is in memory only[^\n]*\n$/);
});

Deno.test("on SIGINT a request that is running is answered, then the server stops", async () => {
  const server = await start(["--listen-addr", "127.0.0.1:0"]);
  const { hostname, port } = new URL(server.url);
  const body = '{"payload":"text"}';
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const head =
    `POST /sign HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}` +
    "\r\nexpect: 100-continue\r\n\r\n";
  await connection.write(new TextEncoder().encode(head));
  const reader = connection.readable.pipeThrough(new TextDecoderStream()).getReader();
  // The server asks for the body once the request has begun to run.
  let answer = "";
  while (!answer.includes("100 Continue")) answer += (await reader.read()).value ?? assert.fail("closed");
  server.child.kill("SIGINT");
  await server.line(/^stopping$/);
  await connection.write(new TextEncoder().encode(body));
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) answer += chunk.value;
  assert.ok(answer.includes("200 OK") && answer.includes('"signature"'), answer);
  assert.equal((await server.child.status).code, 0);
  await server.errors;
});

Deno.test("the server on all interfaces takes connections with a token only", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/tokens`, `${TOKEN}\n`);
    const server = await start(["--listen-addr=:0", "--token-file", `${folder}/tokens`]);
    const url = `http://127.0.0.1:${new URL(server.url).port}`;
    assert.deepEqual(await ask(url, "text"), { code: "unauthorized" });
    assert.ok("signature" in await ask(url, "text", TOKEN));
    assert.equal((await stop(server)).code, 0);
  });
});

Deno.test("a restart keeps the key, and a client without a token is refused before and after", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/tokens`, `alice: ${TOKEN}\n`);
    const args = [
      "--listen-addr=127.0.0.1:0",
      `--key-dir=${folder}/keys`,
      `--token-file=${folder}/tokens`,
      `--audit-log=${folder}/audit.jsonl`,
    ];
    const first = await start(args);
    await first.line(/^made a new key in /);
    const certificate = await certificateOf(first.url);
    assert.deepEqual(await ask(first.url, "one"), { code: "unauthorized" });
    assert.ok(await verifies(certificate, "one", await ask(first.url, "one", TOKEN)));
    assert.equal((await stop(first)).code, 0);
    assert.equal(await first.errors, "");
    // Killed, not asked to stop: nothing may depend on a goodbye.
    const second = await start(args);
    assert.ok(await verifies(certificate, "two", await ask(second.url, "two", TOKEN)));
    await stop(second, "SIGKILL");
    const third = await start(args);
    assert.equal(await certificateOf(third.url), certificate);
    assert.deepEqual(await ask(third.url, "three"), { code: "unauthorized" });
    assert.ok(await verifies(certificate, "three", await ask(third.url, "three", TOKEN)));
    assert.equal((await stop(third)).code, 0);
    const lines = (await Deno.readTextFile(`${folder}/audit.jsonl`)).trim().split("\n");
    assert.deepEqual(lines.map((line) => JSON.parse(line).client), ["alice", "alice", "alice"]);
    assert.ok(!third.lines.some((line) => line.startsWith("{")), "with a file, nothing is logged elsewhere");
  });
});

/** Starts a server and kills it when its key folder is there; whether it had made its key by then. */
async function killWhileMaking(keys: string, args: string[]): Promise<boolean> {
  const child = command(args).spawn();
  const output = [new Response(child.stdout).text(), new Response(child.stderr).text()];
  while (!await exists(`${keys}/lock`)) await new Promise((resolve) => setTimeout(resolve, 1));
  child.kill("SIGKILL");
  await child.status;
  await Promise.all(output);
  return await exists(`${keys}/current.pem`);
}

const exists = (path: string) => Deno.lstat(path).then(() => true, () => false);

Deno.test("SIGKILL while the key is made leaves a folder that the next start understands", async () => {
  await withFolder(async (folder) => {
    let keys = "";
    let args: string[] = [];
    // An RSA key takes long enough to make for the kill to come before it, unless this machine is busy.
    for (let attempt = 1, made = true; made; attempt++) {
      assert.ok(attempt <= 20, "the key was always there first");
      keys = `${folder}/keys-${attempt}`;
      args = ["--listen-addr=127.0.0.1:0", `--key-dir=${keys}`, "--key-type=rsa-3072"];
      made = await killWhileMaking(keys, args);
    }
    await Deno.writeTextFile(`${keys}/.new-left-over`, "-----BEGIN PRIV", { mode: 0o600 });
    const server = await start(args);
    await server.line(/^made a new key in /);
    await server.line(/^key type rsa-3072,/);
    const names = (await Array.fromAsync(Deno.readDir(keys))).map(({ name }) => name).sort();
    assert.deepEqual(names, ["current.pem", "lock"]);
    assert.ok(await verifies(await certificateOf(server.url), "x", await ask(server.url, "x")));
    assert.equal((await stop(server)).code, 0);
  });
});

Deno.test("rotate replaces the key of a running server, in two steps or one; what was signed before verifies", async () => {
  await withFolder(async (folder) => {
    const server = await start(["--listen-addr=127.0.0.1:0", `--key-dir=${folder}/keys`]);
    const { url } = server;
    const first = await certificateOf(url);
    const early = await ask(url, "early");
    const staging = await run(["rotate", `--key-dir=${folder}/keys`, "--stage"]);
    assert.equal(staging.code, 0, staging.errors);
    assert.ok(await verifies(first, "between", await ask(url, "between")));
    const staged = (await certificateOf(url, "?all=1")).slice(0, -first.length);
    assert.equal(await certificateOf(url, "?all=1"), staged + first);
    const rotation = await run(["rotate", `--key-dir=${folder}/keys`]);
    assert.equal(rotation.code, 0, rotation.errors);
    assert.equal(await certificateOf(url), staged);
    assert.ok(await verifies(staged, "late", await ask(url, "late")));
    assert.equal(await certificateOf(url, "?all=1"), staged + first);
    assert.ok(await verifies(first, "early", early));
    assert.equal((await run(["rotate", `--key-dir=${folder}/keys`, "--key-type=ec-p384"])).code, 0);
    const third = await certificateOf(url);
    assert.equal(await certificateOf(url, "?all=1"), third + staged + first);
    assert.ok(await verifies(third, "later", await ask(url, "later")));
    assert.equal((await stop(server)).code, 0);
  });
});

Deno.test("tokens count from the moment they are written, and a bad file changes nothing", async () => {
  await withFolder(async (folder) => {
    const file = `${folder}/tokens`;
    await Deno.writeTextFile(file, `alice: ${TOKEN}\n`);
    const server = await start([
      "--listen-addr=127.0.0.1:0",
      `--token-file=${file}`,
      "--metrics-addr=127.0.0.1:0",
    ]);
    const other = `${TOKEN}2`;
    assert.deepEqual(await ask(server.url, "x", other), { code: "unauthorized" });
    await Deno.writeTextFile(file, `alice: ${other}\n`);
    assert.ok("signature" in await ask(server.url, "x", other));
    assert.deepEqual(await ask(server.url, "x", TOKEN), { code: "unauthorized" });
    await Deno.writeTextFile(file, "too short");
    assert.ok("signature" in await ask(server.url, "x", other));
    assert.deepEqual(await ask(server.url, "x", TOKEN), { code: "unauthorized" });
    const [, metricsUrl = ""] = /metrics on (\S+)/.exec(await server.line(/^metrics on /)) ?? [];
    const metrics = await (await fetch(metricsUrl)).text();
    assert.match(metrics, /^signing_server_reload_failures_total\{file="tokens"\} 1$/m);
    assert.match(metrics, /^signing_server_sign_requests_total\{outcome="signed"\} 2$/m);
    assert.match(metrics, /^signing_server_sign_requests_total\{outcome="unauthorized"\} 3$/m);
    assert.equal((await stop(server)).code, 0);
    assert.match(await server.errors, /has changed, but cannot be used; the tokens before stay/);
  });
});

Deno.test("refuses to sign when the audit log cannot be written, and signs again when it can", async () => {
  await withFolder(async (folder) => {
    const file = `${folder}/audit.jsonl`;
    const server = await start(["--listen-addr=127.0.0.1:0", `--audit-log=${file}`]);
    assert.ok("signature" in await ask(server.url, "x"));
    await Deno.rename(file, `${file}.old`);
    await Deno.mkdir(file);
    assert.deepEqual(await ask(server.url, "x"), { code: "audit-failed" });
    await Deno.remove(file);
    assert.ok("signature" in await ask(server.url, "x"));
    assert.equal((await stop(server)).code, 0);
    assert.match(await server.errors, /Is a directory/);
  });
});

Deno.test("refuses to sign when nobody can read its audit lines on standard output any more", async () => {
  const args = ["--listen-addr=127.0.0.1:0"];
  const child = command(args).spawn();
  const errors = new Response(child.stderr).text();
  let banner = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    banner += chunk;
    if (/listening on .*\n/.test(banner)) break;
  }
  const [, url = ""] = /listening on (\S+)\n/.exec(banner) ?? [];
  assert.deepEqual(await ask(url, "x"), { code: "audit-failed" });
  child.kill("SIGKILL");
  await child.status;
  assert.match(await errors, /Broken pipe/);
});

Deno.test("refuses other namespaces, and names the namespace and the flag", async () => {
  const server = await start(["--listen-addr=127.0.0.1:0", "--allow-namespaces=shop"]);
  const template = (namespace: string) =>
    `{"apiVersion":"kubelet-proxy.io/v1","kind":"SignedTemplate","metadata":{"annotations":{},"labels":{}},` +
    `"spec":{"containers":[{"image":"a","name":"a"}]},` +
    `"workload":{"apiVersion":"v1","kind":"Pod","name":"web","namespace":"${namespace}"}}`;
  assert.ok("signature" in await ask(server.url, template("shop")));
  const record: unknown = JSON.parse(await server.line(/^\{/));
  assert.ok(typeof record === "object" && record !== null && "workload" in record);
  assert.deepEqual(record.workload, { apiVersion: "v1", kind: "Pod", name: "web", namespace: "shop" });
  assert.deepEqual(await ask(server.url, "text"), { code: "payload-not-template" });
  const refused = await (await fetch(`${server.url}/sign`, signInit(template("kube-system")))).text();
  assert.ok(refused.includes("namespace-not-allowed") && refused.includes("kube-system"), refused);
  assert.ok(refused.includes("--allow-namespaces shop"), refused);
  assert.equal((await stop(server)).code, 0);
});

Deno.test("a certificate that ends soon is warned of at the start", async () => {
  await withFolder(async (folder) => {
    const args = ["--listen-addr=127.0.0.1:0", `--key-dir=${folder}/keys`, "--certificate-days=30"];
    const server = await start(args);
    assert.equal((await stop(server)).code, 0);
    assert.match(await server.errors, /^signing-server: warning: the signing certificate ends on /);
  });
});

Deno.test("--version prints name and version", async () => {
  const { code, out } = await run(["--version"]);
  assert.equal(code, 0);
  assert.match(out, /^signing-server \d+\.\d+\.\d+\n$/);
});

Deno.test("refuses wrong command lines with exit code 2, each mistake in one line", async () => {
  await withFolder(async (folder) => {
    await Deno.mkdir(`${folder}/open`);
    await Deno.chmod(`${folder}/open`, 0o755);
    const cases: [number, string[]][] = [
      [1, ["--listen-addr=:0"]],
      [1, ["--nonsense"]],
      [2, ["--nonsense", "--token-file=t", "--listen-addr=x"]],
      [1, ["--listen-addr=127.0.0.1:0", `--key-dir=${folder}/open`]],
      [1, ["--listen-addr=127.0.0.1:0", `--key-dir=${folder}/a/b`]],
      [1, ["rotate"]],
      [1, ["rotate", `--key-dir=${folder}/none`]],
      [1, ["rotate", "--token-file=t", `--key-dir=${folder}/none`]],
      [1, ["--listen-addr=127.0.0.1:0", `--audit-log=${folder}/none/a`]],
    ];
    await Promise.all(cases.map(async ([lines, args]) => {
      const { code, out, errors } = await run(args);
      assert.equal(code, 2, errors);
      assert.equal(out, "");
      assert.match(errors, /^(signing-server: .*\n)+$/);
      assert.ok(!/Usage|run again|os error/.test(errors), errors);
      const found = errors.trim().split("\n").filter((line) => !line.includes("in memory only"));
      assert.equal(found.length, lines, errors);
    }));
  });
});

Deno.test("refuses to start on a port that is taken", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { code, errors } = await run([`--listen-addr=127.0.0.1:${listener.addr.port}`]);
  assert.equal(code, 2);
  assert.match(errors, /another program listens there/);
});

Deno.test("refuses to start without permission to listen, with what to do", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--config", CONFIG, MAIN, "--listen-addr=127.0.0.1:0"],
    stdin: "null",
  }).output();
  assert.equal(code, 2);
  assert.match(new TextDecoder().decode(stderr), /start it by bin\/signing-server/);
});
