import assert from "node:assert/strict";
import type { RequestContext } from "./client.ts";
import {
  checkTls,
  type Listener,
  type ListenerOptions,
  MAX_CONNECTIONS,
  MAX_HEADER_BYTES,
  openListener,
} from "./listener.ts";

/** Makes certificates with OpenSSL: a server's, an authority, and clients' of several kinds. */
const PKI = String.raw`
set -eu
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $1.key; }
client() { # NAME ISSUER SUBJECT EXTENSIONS
  key $1
  openssl req -new -key $1.key -subj "$3" -out $1.csr
  printf "basicConstraints=critical,CA:FALSE\n$4" > $1.ext
  openssl x509 -req -in $1.csr -CA $2.crt -CAkey $2.key -set_serial 2 -days 30 -extfile $1.ext -out $1.crt
}
for ca in ca other; do
  key $ca
  openssl req -x509 -key $ca.key -days 30 -subj /CN=$ca -out $ca.crt
done
auth='extendedKeyUsage=clientAuth\n'
client server ca /CN=server 'extendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1\n'
client alice ca /O=team/CN=alice "$auth"
client stranger other /CN=alice "$auth"
client purpose ca /CN=alice 'extendedKeyUsage=serverAuth\n'
client nameless ca /O=team "$auth"
client twice ca /CN=alice/CN=bob "$auth"
openssl req -x509 -key alice.key -days 30 -subj /CN=alice -out self.crt; cp alice.key self.key
`;

const folder = await Deno.makeTempDir();
{
  const { success, stderr } = await new Deno.Command("bash", { args: ["-c", PKI], cwd: folder }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}
const pem = Object.fromEntries(
  await Promise.all(
    (await Array.fromAsync(Deno.readDir(folder))).map(async ({ name }) =>
      [name, await Deno.readTextFile(`${folder}/${name}`)] as const
    ),
  ),
);
await Deno.remove(folder, { recursive: true });

const text = (name: string): string => pem[name] ?? assert.fail(`there is no ${name}`);

async function withListener(
  options: Partial<ListenerOptions>,
  use: (listener: Listener, contexts: RequestContext[]) => Promise<void>,
): Promise<void> {
  const contexts: RequestContext[] = [];
  const listener = await openListener({
    hostname: "127.0.0.1",
    port: 0,
    handle: async (request, context) => {
      contexts.push(context);
      return new Response(await request.text());
    },
    ...options,
  });
  try {
    await use(listener, contexts);
  } finally {
    await listener.close(0);
  }
}

const TLS = { certificate: text("server.crt"), key: text("server.key") };

async function post(listener: Listener, tls: boolean, client?: string): Promise<string> {
  using http = Deno.createHttpClient({
    caCerts: [text("ca.crt")],
    ...(client === undefined ? {} : { cert: text(`${client}.crt`), key: text(`${client}.key`) }),
  });
  const url = `${tls ? "https" : "http"}://127.0.0.1:${listener.address.port}/`;
  return await (await fetch(url, { method: "POST", body: "text", client: http })).text();
}

/** Sends bytes and returns all that comes back until the server closes the connection. */
async function exchange(listener: Listener, sent: string): Promise<string> {
  using connection = await Deno.connect(listener.address);
  await connection.write(new TextEncoder().encode(sent));
  const chunks: Uint8Array[] = [];
  const buffer = new Uint8Array(4096);
  for (let read = await connection.read(buffer); read !== null; read = await connection.read(buffer)) {
    chunks.push(buffer.slice(0, read));
  }
  return new TextDecoder().decode(new Uint8Array(chunks.flatMap((chunk) => [...chunk])));
}

Deno.test("requests are answered over HTTP, and the peer is known", async () => {
  await withListener({}, async (listener, contexts) => {
    assert.equal(await post(listener, false), "text");
    const [context] = contexts;
    assert.equal(context?.address, "127.0.0.1");
    assert.ok(context.port > 0 && !("certificateName" in context));
  });
});

Deno.test("a client certificate that is not asked for names nobody", async () => {
  await withListener({ tls: TLS }, async (listener, contexts) => {
    assert.equal(await post(listener, true, "alice"), "text");
    assert.ok(contexts.every((context) => !("certificateName" in context)));
  });
});

Deno.test("a certificate of the client authority names the client, and no certificate is no mistake", async () => {
  await withListener({ tls: { ...TLS, clientCa: text("ca.crt") } }, async (listener, contexts) => {
    assert.equal(await post(listener, true, "alice"), "text");
    assert.equal(await post(listener, true), "text");
    assert.deepEqual(contexts.map(({ certificateName }) => certificateName), ["alice", undefined]);
  });
});

Deno.test("refuses to take a name from certificates of others, for other ends, or without one common name", async () => {
  await withListener({ tls: { ...TLS, clientCa: text("ca.crt") } }, async (listener, contexts) => {
    for (const client of ["stranger", "self", "purpose", "nameless", "twice"]) {
      // Whether the handshake fails or the name is left out: nobody may be named.
      await post(listener, true, client).catch(() => {});
    }
    // Those that TLS verifies are answered in any case: what they lack is one common name.
    assert.ok(contexts.length >= 2, `${contexts.length} were answered`);
    assert.deepEqual(contexts.map(({ certificateName }) => certificateName), contexts.map(() => undefined));
  });
});

Deno.test("refuses to take a name from a resumed session, whatever certificate began it", async () => {
  const clients = await Deno.makeTempDir();
  try {
    await withListener({ tls: { ...TLS, clientCa: text("ca.crt") } }, async (listener, contexts) => {
      const ask = async (...options: string[]) => {
        const openssl = new Deno.Command("openssl", {
          args: ["s_client", "-connect", `127.0.0.1:${listener.address.port}`, "-ign_eof", ...options],
          stdin: "piped",
          stdout: "piped",
          stderr: "null",
        }).spawn();
        await new Blob(["GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]).stream().pipeTo(
          openssl.stdin,
        );
        return new TextDecoder().decode((await openssl.output()).stdout);
      };
      for (const version of ["-tls1_2", "-tls1_3"]) {
        for (const client of ["alice", "self", "stranger"]) {
          const file = `${clients}/${client}`;
          await Deno.writeTextFile(`${file}.crt`, text(`${client}.crt`));
          await Deno.writeTextFile(`${file}.key`, text(`${client}.key`));
          const begun = contexts.length;
          await ask(version, "-cert", `${file}.crt`, "-key", `${file}.key`, "-sess_out", `${file}.session`);
          assert.equal(contexts[begun]?.certificateName, client === "alice" ? "alice" : undefined);
          assert.match(await ask(version, "-sess_in", `${file}.session`), /^Reused, /m);
          assert.equal(contexts.length, begun + 2);
          assert.equal(contexts[begun + 1]?.certificateName, undefined, `${client} ${version}`);
        }
      }
    });
  } finally {
    await Deno.remove(clients, { recursive: true });
  }
});

Deno.test("refuses certificates and keys that cannot be used, and those that do not belong together", () => {
  checkTls({ ...TLS, clientCa: text("ca.crt") + text("other.crt") });
  const wrong = [
    { ...TLS, key: text("alice.key") },
    { ...TLS, certificate: "text" },
    { ...TLS, key: "text" },
    { ...TLS, clientCa: text("server.key") },
  ];
  for (const tls of wrong) assert.throws(() => checkTls(tls), /belong together|cannot be read/);
});

Deno.test("refuses clients that send no headers, half of them, or half a body, after a time", async () => {
  const limits = { headersTimeoutMs: 100, requestTimeoutMs: 200 };
  await withListener({ limits }, async (listener) => {
    const head = "POST / HTTP/1.1\r\nhost: localhost\r\n";
    const answers = await Promise.all(
      ["", head, `${head}content-length: 10\r\n\r\nabc`].map((sent) => exchange(listener, sent)),
    );
    for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 408 /);
  });
});

Deno.test("an idle connection is closed after a time", async () => {
  await withListener({ limits: { keepAliveTimeoutMs: 100 } }, async (listener) => {
    assert.match(await exchange(listener, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"), /^HTTP\/1\.1 200 /);
  });
});

Deno.test("refuses a client that does not finish its TLS handshake, after a time", async () => {
  await withListener({ tls: TLS, limits: { handshakeTimeoutMs: 100 } }, async (listener) => {
    assert.equal(await exchange(listener, ""), "");
  });
});

Deno.test("refuses headers that are too large, and what is not HTTP", async () => {
  await withListener({}, async (listener, contexts) => {
    const large = `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${"a".repeat(MAX_HEADER_BYTES)}\r\n\r\n`;
    assert.match(await exchange(listener, large), /^HTTP\/1\.1 431 /);
    assert.match(await exchange(listener, "what is this\r\n\r\n"), /^HTTP\/1\.1 400 /);
    const twoLengths =
      "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert.match(await exchange(listener, twoLengths), /^HTTP\/1\.1 400 /);
    assert.deepEqual(contexts, []);
  });
});

Deno.test("refuses connections beyond the bound, and takes new ones when old ones are gone", async () => {
  await withListener({}, async (listener) => {
    const open: Deno.TcpConn[] = [];
    try {
      for (let count = 0; count < MAX_CONNECTIONS; count++) open.push(await Deno.connect(listener.address));
      const request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
      assert.equal(await exchange(listener, request).catch(() => ""), "");
      open.pop()?.close();
      for (let answer = ""; answer === "";) answer = await exchange(listener, request).catch(() => "");
    } finally {
      for (const connection of open) connection.close();
    }
  });
});

Deno.test("closing answers what runs, says that the connection ends, and takes nothing new", async () => {
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
  const handle = async () => {
    begin();
    await finished;
    return new Response("done");
  };
  await withListener({ handle }, async (listener) => {
    const answer = exchange(listener, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await begun;
    const closed = listener.close(10_000);
    await assert.rejects(Deno.connect(listener.address));
    finish();
    const text = await answer;
    assert.match(text, /^HTTP\/1\.1 200 /);
    assert.match(text, /^connection: close\r$/im);
    assert.match(text, /done/);
    assert.equal(await closed, true);
  });
});

Deno.test("closing cuts what still runs at the deadline, and says so", async () => {
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const handle = () => {
    begin();
    return new Promise<Response>(() => {});
  };
  await withListener({ handle }, async (listener) => {
    const answer = exchange(listener, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").catch(() => "");
    await begun;
    assert.equal(await listener.close(50), false);
    assert.equal(await answer, "");
  });
});

Deno.test("a client that leaves ends its request", async () => {
  const { promise: begun, resolve: begin } = Promise.withResolvers<Request>();
  const handle = (request: Request) => {
    begin(request);
    return new Promise<Response>(() => {});
  };
  await withListener({ handle }, async (listener) => {
    const connection = await Deno.connect(listener.address);
    await connection.write(new TextEncoder().encode("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    const { signal } = await begun;
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    connection.close();
    await aborted;
  });
});
