import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { createServer } from "node:https";
import { TLSSocket } from "node:tls";
import { readClientIdentity } from "./client_identity.ts";
import { fakeServer, makeKey, runPodsign } from "./fake_effects_test.ts";
import { InputError } from "./input_error.ts";
import { podsignPermissions } from "./permissions.ts";

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const SIGNER = new URL("../signer/main.ts", import.meta.url).pathname;

const POD = (name: string) =>
  `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: prod}
spec:
  containers: [{name: app, image: "registry.example/app@sha256:${"ab".repeat(32)}"}]
`;

/** Makes certificates with OpenSSL: a server's, and clients' of two authorities. */
const PKI = String.raw`
set -eu
for ca in ca other; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $ca.key -days 30 -subj /CN=$ca -out $ca.crt
done
issue() { # NAME AUTHORITY SUBJECT EXTENSIONS
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -subj "$3" -out $1.csr
  printf "basicConstraints=critical,CA:FALSE\n$4\n" > $1.ext
  openssl x509 -req -in $1.csr -CA $2.crt -CAkey $2.key -set_serial 2 -days 30 -extfile $1.ext -out $1.crt
}
issue server ca /CN=server 'extendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1'
issue alice ca /CN=alice extendedKeyUsage=clientAuth
issue mallory other /CN=alice extendedKeyUsage=clientAuth
openssl pkey -in alice.key -aes256 -passout pass:x -out encrypted.key
openssl ec -in alice.key -aes256 -passout pass:x -out old-encrypted.key
openssl x509 -in alice.crt -outform DER -out alice.der
cat alice.key alice.crt > both.pem
cat alice.key mallory.key > two.key
`;

const folder = await Deno.makeTempDir();
{
  const { success, stderr } = await new Deno.Command("bash", { args: ["-c", PKI], cwd: folder }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}
const files: Record<string, Uint8Array> = {};
for await (const { name } of Deno.readDir(folder)) files[name] = await Deno.readFile(`${folder}/${name}`);
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
const text = (name: string) => new TextDecoder().decode(files[name]);

/** podsign as its launcher starts it: with permission for what the command line names, and nothing else. */
async function podsign(args: string[], stdin = ""): Promise<{ code: number; out: string; errors: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...podsignPermissions(args, undefined), MAIN, ...args],
    env: { DENO_CERT: `${folder}/ca.crt` },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await new Blob([stdin]).stream().pipeTo(child.stdin);
  const { code, stdout, stderr } = await child.output();
  return { code, out: new TextDecoder().decode(stdout), errors: new TextDecoder().decode(stderr) };
}

const shows = (
  name: string,
) => [`--client-certificate=${folder}/${name}.crt`, `--client-key=${folder}/${name}.key`];

Deno.test("the real signing server signs for who shows a certificate of its authority, and for nobody else", async () => {
  const server = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", `--allow-read=${folder}`, SIGNER],
      "--listen-addr=127.0.0.1:0",
      `--tls-cert=${folder}/server.crt`,
      `--tls-key=${folder}/server.key`,
      `--client-ca=${folder}/ca.crt`,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  try {
    const [banner, rest] = server.stdout.tee();
    const output = new Response(rest).text();
    let url: string | undefined;
    let read = "";
    for await (const chunk of banner.pipeThrough(new TextDecoderStream())) {
      read += chunk;
      url = /listening on (https:\S+)\n/.exec(read)?.[1];
      if (url !== undefined) break;
    }
    const to = [`--server=${url ?? assert.fail(read)}`];
    try {
      const signed = await podsign(
        ["sign-spec", "-", ...to, ...shows("alice")],
        `${POD("a")}---\n${POD("b")}`,
      );
      assert.equal(signed.code, 0, signed.errors);
      const verified = await podsign(["verify-spec", "-", ...to, ...shows("alice")], signed.out);
      assert.equal(verified.code, 0, verified.out + verified.errors);
      assert.equal(verified.out.match(/^OK /gm)?.length, 2);
      // Everybody may read the server's own certificate.
      assert.equal((await podsign(["get-cert", ...to])).code, 0);
      for (const args of [[], shows("mallory")]) {
        const refused = await podsign(["sign-spec", "-", ...to, ...args], POD("a"));
        assert.deepEqual([refused.code, refused.out], [2, ""], args.join(" "));
        assert.match(refused.errors, /certificate/);
      }
    } finally {
      server.kill("SIGTERM");
      const records = (await output).split("\n").filter((line) => line.startsWith("{"));
      assert.deepEqual(
        records.map((line) => JSON.parse(line)).map((
          { client, authenticatedBy },
        ) => [client, authenticatedBy]),
        [["alice", "certificate"], ["alice", "certificate"]],
      );
    }
  } finally {
    await server.status;
  }
});

Deno.test("every connection shows the certificate: no TLS session is resumed, from which a server takes no name", async () => {
  const { key, certificate } = await makeKey();
  const answer = fakeServer(key, certificate);
  const seen: [authorized: boolean, reused: boolean][] = [];
  const server = createServer({
    cert: text("server.crt"),
    key: text("server.key"),
    ca: text("ca.crt"),
    requestCert: true,
    rejectUnauthorized: false,
  }, async (request, response) => {
    const { socket } = request;
    assert.ok(socket instanceof TLSSocket);
    seen.push([socket.authorized, socket.isSessionReused()]);
    let body = "";
    for await (const chunk of request) body += chunk;
    const { method = "GET" } = request;
    const answered = await answer(`https://127.0.0.1${request.url}`, {
      method,
      ...(method === "POST" ? { body } : {}),
    });
    // Each request comes on a connection of its own.
    response.writeHead(answered.status, { connection: "close" }).end(await answered.text());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    const to = `--server=https://127.0.0.1:${address.port}`;
    const signed = await podsign(["sign-spec", "-", to, ...shows("alice")], `${POD("a")}---\n${POD("b")}`);
    assert.equal(signed.code, 0, signed.errors);
    assert.deepEqual(seen, Array(3).fill([true, false]));
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

Deno.test("what is shown is the certificates of one file and the key of another, or the same", () => {
  const identity = (certificates: string, keys: string) =>
    readClientIdentity({ name: "c", text: certificates }, { name: "k", text: keys });
  const alice = identity(text("alice.crt"), text("alice.key"));
  assert.equal(new X509Certificate(alice.certificate).subject, "CN=alice");
  assert.deepEqual(identity(text("both.pem"), text("both.pem")), alice);
  const chain = identity(text("alice.crt") + text("ca.crt"), text("alice.key"));
  assert.equal(chain.certificate.match(/BEGIN CERTIFICATE/g)?.length, 2);
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  assert.throws(
    () => identity(text("alice.crt"), String(rsa.export({ type: "pkcs1", format: "pem" }))),
    InputError,
  );
});

Deno.test("refuses certificates and keys that cannot be shown, and says which and why", async () => {
  const empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const world = {
    files: {
      ...files,
      "m.yaml": POD("a"),
      "bad.crt": empty,
      "bad.key": empty.replaceAll("CERTIFICATE", "PRIVATE KEY"),
      "cut.crt": text("alice.crt").slice(0, 200),
    },
  };
  const https = ["--server=https://127.0.0.1:1"];
  const pair = (certificate: string, key: string) => [
    ...https,
    `--client-certificate=${certificate}`,
    `--client-key=${key}`,
  ];
  const cases: [args: string[], message: RegExp][] = [
    [[...https, "--client-certificate=alice.crt"], /belong together/],
    [[...https, "--client-key=alice.key"], /belong together/],
    [pair("none", "alice.key"), /^podsign: --client-certificate: "none" does not exist/],
    [pair("alice.crt", "none"), /^podsign: --client-key: "none" does not exist/],
    [pair("alice.key", "alice.key"), /--client-certificate: "alice.key" holds no certificate/],
    [pair("alice.crt", "alice.crt"), /--client-key: "alice.crt" holds no private key/],
    [pair("alice.der", "alice.key"), /--client-certificate: "alice.der" is DER/],
    [pair("m.yaml", "alice.key"), /--client-certificate: "m.yaml" holds no PEM/],
    [pair("cut.crt", "alice.key"), /cut\.crt: .*no END line/],
    [pair("bad.crt", "alice.key"), /--client-certificate: "bad.crt" holds something else/],
    [pair("alice.crt", "bad.key"), /--client-key: "bad.key" holds something else/],
    [pair("alice.crt", "two.key"), /--client-key: "two.key" holds several/],
    [pair("alice.crt", "encrypted.key"), /--client-key: "encrypted.key" is encrypted/],
    [pair("alice.crt", "old-encrypted.key"), /--client-key: "old-encrypted.key" is encrypted/],
    [pair("alice.crt", "mallory.key"), /--client-key: "mallory.key" holds another key/],
    [["--client-certificate=alice.crt", "--client-key=alice.key"], /http:\/\/localhost:8080 has no TLS/],
    [
      ["--port-forward=a/b", "--client-certificate=alice.crt", "--client-key=alice.key"],
      /contradict each other/,
    ],
  ];
  for (const [args, message] of cases) {
    const { code, out, errors } = await runPodsign(["sign-spec", "m.yaml", ...args], world);
    assert.deepEqual([code, out], [2, ""], args.join(" "));
    assert.match(errors, message);
  }
});
