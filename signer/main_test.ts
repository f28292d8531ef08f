import assert from "node:assert/strict";
import { decodeBase64 } from "@signed-pods/shared/base64";
import { readVerificationKeys } from "@signed-pods/shared/keys";
import { verifySignature } from "@signed-pods/shared/signature";

const MAIN = new URL("./main.ts", import.meta.url).pathname;

interface Running {
  url: string;
  /** What was printed before the server was ready. */
  banner: string;
  child: Deno.ChildProcess;
  /** Everything on standard error, once the process has ended. */
  errors: Promise<string>;
  output: ReadableStream<Uint8Array>;
}

function command(args: string[], permissions: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...permissions, MAIN, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function start(
  args: string[],
  permissions: string[] = ["--allow-net=127.0.0.1,[::]"],
): Promise<Running> {
  const child = command(args, permissions).spawn();
  const errors = new Response(child.stderr).text();
  const [first, output] = child.stdout.tee();
  let banner = "";
  for await (const chunk of first.pipeThrough(new TextDecoderStream())) {
    banner += chunk;
    if (/listening on .*\n/.test(banner)) break;
  }
  const url = /listening on (\S+)\n/.exec(banner)?.[1];
  if (url === undefined) throw new Error(`the server did not start: ${banner}${await errors}`);
  return { url, banner, child, errors, output };
}

async function stop({ child, output }: Running, signal: Deno.Signal): Promise<Deno.CommandStatus> {
  child.kill(signal);
  await output.cancel();
  return await child.status;
}

Deno.test("the server prints its port and fingerprint, signs, logs and stops on SIGTERM", async () => {
  const server = await start(["--listen-addr", "127.0.0.1:0"], ["--allow-net=127.0.0.1"]);
  const generated: unknown = await (await fetch(`${server.url}/generatekeys`, { method: "POST" })).json();
  assert.ok(typeof generated === "object" && generated !== null && "fingerprint" in generated);
  assert.ok(server.banner.includes(String(generated.fingerprint)));
  const [key] = await readVerificationKeys(
    await (await fetch(`${server.url}/signingcert`)).text(),
    "certificate",
  );
  assert.ok(key !== undefined);
  const response = await fetch(`${server.url}/sign`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ payload: "text" }),
  });
  const answer: unknown = await response.json();
  assert.ok(typeof answer === "object" && answer !== null && "signature" in answer);
  const signature = decodeBase64(String(answer.signature));
  assert.ok(await verifySignature(key, signature, new TextEncoder().encode("text")));
  assert.equal((await stop(server, "SIGTERM")).code, 0);
  const lines = (await server.errors).trim().split("\n");
  assert.equal(lines.length, 1, lines.join("\n"));
  const record: unknown = JSON.parse(lines[0] ?? "");
  assert.ok(typeof record === "object" && record !== null && "payloadSha256" in record && "peer" in record);
  assert.equal(record.payloadSha256, "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1");
  assert.match(String(record.peer), /^127\.0\.0\.1:\d+$/);
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
  for await (const chunk of server.output.pipeThrough(new TextDecoderStream())) {
    if (chunk.includes("stopping")) break;
  }
  await connection.write(new TextEncoder().encode(body));
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) answer += chunk.value;
  assert.ok(answer.includes("200 OK") && answer.includes('"signature"'), answer);
  assert.equal((await server.child.status).code, 0);
  await server.errors;
});

Deno.test("the server on all interfaces takes connections with a token only", async () => {
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, "0123456789abcdef0123456789abcdef\n");
  const server = await start(["--listen-addr=:0", "--token-file", file], [
    "--allow-net",
    `--allow-read=${file}`,
  ]);
  const { port } = new URL(server.url);
  const url = `http://127.0.0.1:${port}/sign`;
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ payload: "text" });
  const refused = await fetch(url, { method: "POST", headers, body });
  assert.equal(refused.status, 401);
  await refused.body?.cancel();
  const authorization = "Bearer 0123456789abcdef0123456789abcdef";
  const signed = await fetch(url, { method: "POST", headers: { ...headers, authorization }, body });
  assert.equal(signed.status, 200);
  await signed.body?.cancel();
  assert.equal((await stop(server, "SIGTERM")).code, 0);
  await server.errors;
  await Deno.remove(file);
});

Deno.test("--version prints name and version", async () => {
  const { code, stdout } = await command(["--version"], []).output();
  assert.equal(code, 0);
  assert.match(new TextDecoder().decode(stdout), /^signing-server \d+\.\d+\.\d+\n$/);
});

Deno.test("refuses wrong command lines with exit code 2", async () => {
  const outputs = await Promise.all([
    command(["--listen-addr=:0"], []).output(),
    command(["--nonsense"], []).output(),
    command(["--listen-addr=127.0.0.1:0"], []).output(),
    command(["--nonsense", "--token-file=t", "--listen-addr=x"], []).output(),
  ]);
  const lines = [1, 1, 1, 2];
  for (const [index, { code, stdout, stderr }] of outputs.entries()) {
    const errors = new TextDecoder().decode(stderr);
    assert.equal(code, 2, errors);
    assert.equal(stdout.length, 0);
    assert.match(errors, /^(signing-server: .*\n)+$/);
    assert.ok(!/Usage|run again/.test(errors), errors);
    assert.equal(errors.trim().split("\n").length, lines[index], errors);
  }
});

Deno.test("refuses to start on a port that is taken", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { code } = await command([`--listen-addr=127.0.0.1:${listener.addr.port}`], ["--allow-net=127.0.0.1"])
    .output();
  assert.equal(code, 2);
});
