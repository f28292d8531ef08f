/**
 * Makes the vectors of keys and signatures with OpenSSL, so that another implementation has the say:
 *
 *     deno run --allow-run=openssl --allow-read --allow-write tests/vectors/generate.ts [TARGET...]
 *
 * Targets are `keys`, `signing-keys` and `signatures`; without one, all are made. Every run makes new keys: the
 * files differ, the tests hold for each. The private keys in the vectors protect nothing.
 *
 * @module
 */
import { encodeBase64 } from "../../shared/base64.ts";
import type { JsonValue } from "../../shared/json.ts";
import { writePem } from "../../shared/pem.ts";

const LICENSE = "MIT";
const EC = { "ec-p256": "prime256v1", "ec-p384": "secp384r1", "ec-p521": "secp521r1" } as const;
const DATA = '{"containers":[{"image":"registry.example/app@sha256:00","name":"app"}]}';

const folder = await Deno.makeTempDir();
const source = text(await openssl("version")).trim().split(" ").slice(0, 2).join(" ");
let files = 0;

type Vector = { name: string; source: string; input: JsonValue; expected?: JsonValue; error?: string };

/** A key pair in files, with what OpenSSL says about it. */
interface Pair {
  algorithm: string;
  privateFile: string;
  publicPem: string;
  spki: Uint8Array;
  id: string;
}

const targets: Record<string, () => Promise<void>> = {
  "keys": async () =>
    await write(
      "keys.json",
      "Files with verification keys: input is the PEM text, expected the keys.",
      await keys(),
    ),
  "signing-keys": async () =>
    await write(
      "signing_keys.json",
      "Files with private keys: input is the PEM text, expected the key.",
      await signingKeys(),
    ),
  "signatures": async () =>
    await write(
      "signatures.json",
      "Signatures over the UTF-8 bytes of data: expected is whether they verify.",
      await signatures(),
    ),
};
for (const name of Deno.args.length > 0 ? Deno.args : Object.keys(targets)) {
  const target = targets[name];
  if (target === undefined) {
    throw new Error(`Unknown target "${name}", use: ${Object.keys(targets).join(", ")}`);
  }
  await target();
}
await Deno.remove(folder, { recursive: true });

// Verification keys

async function keys(): Promise<Vector[]> {
  const vectors: Vector[] = [];
  const p256 = await ecPair("ec-p256");
  const rsa = await rsaPair(2048);
  const plain = await certificate(p256, "/CN=owner", []);

  for (const algorithm of ["ec-p256", "ec-p384", "ec-p521"] as const) {
    const pair = await ecPair(algorithm);
    vectors.push(good(`public key ${algorithm}`, pair.publicPem, [expected(pair)]));
    const pem = await certificate(pair, `/CN=${algorithm}`, []);
    vectors.push(good(`certificate ${algorithm}`, pem, [await expectedCertificate(pair, pem)]));
  }
  for (const bits of [2048, 3072, 4096]) {
    const pair = await rsaPair(bits);
    vectors.push(good(`public key rsa ${bits}`, pair.publicPem, [expected(pair)]));
    const pem = await certificate(pair, `/CN=rsa ${bits}`, []);
    vectors.push(good(`certificate rsa ${bits}`, pem, [await expectedCertificate(pair, pem)]));
  }
  const pkcs1 = text(await openssl("rsa", "-in", rsa.privateFile, "-RSAPublicKey_out"));
  vectors.push(good("PKCS#1 RSA public key", pkcs1, [expected(rsa)]));
  const compressed = text(
    await openssl("ec", "-in", p256.privateFile, "-pubout", "-conv_form", "compressed"),
  );
  vectors.push(good("public key as a compressed point", compressed, [expected(p256)]));

  const meant: [string, string, string[]][] = [
    ["certificate with digitalSignature", "/CN=a", ["keyUsage=critical,digitalSignature"]],
    ["certificate of an authority that also signs", "/CN=a", [
      "basicConstraints=critical,CA:TRUE",
      "keyUsage=digitalSignature,keyCertSign",
    ]],
    ["certificate with a name of many parts", "/C=DE/O=Example, Inc./OU=a+b/CN=owner", []],
    ["certificate without a name", "/", []],
    ["certificate with an unknown extension", "/CN=a", ["1.2.3.4=ASN1:NULL"]],
    ["certificate with critical names and purposes", "/CN=a", [
      "subjectAltName=critical,DNS:a.example",
      "extendedKeyUsage=critical,codeSigning",
    ]],
  ];
  for (const [name, subject, extensions] of meant) {
    const pem = await certificate(p256, subject, extensions);
    vectors.push(good(name, pem, [await expectedCertificate(p256, pem)]));
  }
  const long = await certificate(p256, "/CN=long", [], 20_000);
  vectors.push(good("certificate with GeneralizedTime", long, [await expectedCertificate(p256, long)]));
  const first = await versionOne(p256);
  vectors.push(good("certificate of version 1", first, [await expectedCertificate(p256, first)]));

  vectors.push(
    good("several blocks", plain + rsa.publicPem + pkcs1, [
      await expectedCertificate(p256, plain),
      expected(rsa),
      expected(rsa),
    ]),
  );
  vectors.push(
    good(
      "text between blocks",
      `The owner's key:\n${plain}\nand --- an older one\n\n${rsa.publicPem}that is all`,
      [
        await expectedCertificate(p256, plain),
        expected(rsa),
      ],
    ),
  );
  vectors.push(
    good("Windows line ends", plain.replaceAll("\n", "\r\n"), [await expectedCertificate(p256, plain)]),
  );

  // The keyUsage is there and lacks digitalSignature.
  vectors.push(
    bad(
      "certificate without digitalSignature",
      await certificate(p256, "/CN=a", ["keyUsage=critical,keyCertSign"]),
      "certificate-malformed",
    ),
  );
  vectors.push(
    bad(
      "certificate with a critical unknown extension",
      await certificate(p256, "/CN=a", ["1.2.3.4=critical,ASN1:NULL"]),
      "certificate-malformed",
    ),
  );
  vectors.push(
    bad(
      "certificate with critical name constraints",
      await certificate(p256, "/CN=a", ["nameConstraints=critical,permitted;DNS:a.example"]),
      "certificate-malformed",
    ),
  );
  const der = await certificateDer(plain);
  vectors.push(
    bad(
      "certificate with a trailing byte",
      writePem("CERTIFICATE", bytes(der, [0])),
      "certificate-malformed",
    ),
  );
  vectors.push(
    bad(
      "certificate that is cut off",
      writePem("CERTIFICATE", der.subarray(0, der.length - 1)),
      "certificate-malformed",
    ),
  );
  vectors.push(
    bad("certificate that is a public key", writePem("CERTIFICATE", p256.spki), "certificate-malformed"),
  );
  vectors.push(
    bad(
      "certificate of an RSA-1024 key",
      await certificate(await rsaPair(1024), "/CN=a", []),
      "key-unsupported",
    ),
  );

  vectors.push(bad("RSA of 1024 bits", (await rsaPair(1024)).publicPem, "key-unsupported"));
  vectors.push(bad("RSA of 5120 bits", (await rsaPair(5120)).publicPem, "key-unsupported"));
  vectors.push(bad("RSA with public exponent 3", (await rsaPair(2048, "3")).publicPem, "key-unsupported"));
  vectors.push(
    bad(
      "RSA key for PSS alone",
      await publicPem(await generate("RSA-PSS", "rsa_keygen_bits:2048")),
      "key-unsupported",
    ),
  );
  vectors.push(bad("Ed25519", await publicPem(await generate("ED25519")), "key-unsupported"));
  vectors.push(bad("X25519", await publicPem(await generate("X25519")), "key-unsupported"));
  vectors.push(
    bad(
      "curve secp256k1",
      await publicPem(await generate("EC", "ec_paramgen_curve:secp256k1")),
      "key-unsupported",
    ),
  );
  vectors.push(
    bad("curve P-224", await publicPem(await generate("EC", "ec_paramgen_curve:P-224")), "key-unsupported"),
  );
  vectors.push(
    bad(
      "P-256 with its parameters spelled out",
      await publicPem(await generate("EC", "ec_paramgen_curve:P-256", "ec_param_enc:explicit")),
      "key-unsupported",
    ),
  );
  for (const algorithm of ["ec-p256", "ec-p384", "ec-p521"] as const) {
    // The point's y is off by one bit.
    const { spki } = await ecPair(algorithm);
    spki[spki.length - 1] = (spki.at(-1) ?? 0) ^ 1;
    vectors.push(
      bad(`point that is not on the curve ${algorithm}`, writePem("PUBLIC KEY", spki), "key-malformed"),
    );
  }
  vectors.push(
    bad("public key with a trailing byte", writePem("PUBLIC KEY", bytes(p256.spki, [0])), "key-malformed"),
  );
  vectors.push(bad("public key that is a certificate", writePem("PUBLIC KEY", der), "key-malformed"));
  vectors.push(
    bad("PKCS#1 block with a SubjectPublicKeyInfo", writePem("RSA PUBLIC KEY", p256.spki), "key-malformed"),
  );

  for (const [name, pem] of await privateForms()) {
    vectors.push(bad(`private key ${name}`, pem, "key-malformed"));
  }
  vectors.push(
    bad(
      "private key behind a good certificate",
      plain + await Deno.readTextFile(p256.privateFile),
      "key-malformed",
    ),
  );
  const request = text(await openssl("req", "-new", "-key", p256.privateFile, "-subj", "/CN=a"));
  vectors.push(bad("certificate request", request, "key-malformed"));

  const base64 = encodeBase64(der);
  for (
    const [name, pem] of [
      ["empty file", ""],
      ["text alone", "hello\n"],
      ["DER instead of PEM", String.fromCharCode(...der)],
      ["block without END", plain.replace(/-----END.*\n/, "")],
      ["block without BEGIN", plain.replace(/-----BEGIN.*\n/, "")],
      ["END of another label", plain.replace("END CERTIFICATE", "END PUBLIC KEY")],
      ["BEGIN inside a block", plain.replace(/-----END.*\n/, "") + plain],
      ["boundary with four hyphens", plain.replace("CERTIFICATE-----", "CERTIFICATE----")],
      ["boundary with text behind", plain.replace("CERTIFICATE-----", "CERTIFICATE----- x")],
      ["good block and one with a broken boundary", plain + plain.replace("BEGIN", "BEGIN ")],
      ["boundary without label", "-----BEGIN -----\nAAAA\n-----END -----\n"],
      ["content that is not base64", plain.replace(base64.slice(0, 4), "M*I*")],
      ["content without its padding", `-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----\n`],
      ["empty block", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"],
      ["headers without an empty line", "-----BEGIN PUBLIC KEY-----\nA: b\nAAAA\n-----END PUBLIC KEY-----\n"],
    ] as const
  ) vectors.push(bad(name, pem, "pem-malformed"));
  return vectors;
}

// Private keys

async function signingKeys(): Promise<Vector[]> {
  const vectors: Vector[] = [];
  for (const algorithm of ["ec-p256", "ec-p384", "ec-p521"] as const) {
    const pair = await ecPair(algorithm);
    const key = pair.privateFile;
    const sec1 = text(await openssl("ec", "-in", key));
    const sec1Bare = text(await openssl("ec", "-in", key, "-no_public"));
    const parameters = text(await openssl("ecparam", "-name", EC[algorithm]));
    const bareFile = await save(sec1Bare);
    const pkcs8Bare = text(await openssl("pkcs8", "-topk8", "-nocrypt", "-in", bareFile));
    vectors.push(good(`PKCS#8 ${algorithm}`, await Deno.readTextFile(key), expected(pair)));
    vectors.push(good(`PKCS#8 ${algorithm} without public key`, pkcs8Bare, expected(pair)));
    vectors.push(good(`SEC1 ${algorithm}`, sec1, expected(pair)));
    vectors.push(good(`SEC1 ${algorithm} without public key`, sec1Bare, expected(pair)));
    vectors.push(good(`SEC1 ${algorithm} behind its parameters`, parameters + sec1, expected(pair)));
  }
  const rsa = await rsaPair(2048);
  const rsaPem = await Deno.readTextFile(rsa.privateFile);
  vectors.push(good("PKCS#8 RSA", rsaPem, expected(rsa)));
  vectors.push(
    good("PKCS#1 RSA", text(await openssl("rsa", "-in", rsa.privateFile, "-traditional")), expected(rsa)),
  );
  const p256 = await ecPair("ec-p256");
  const p256Pem = await Deno.readTextFile(p256.privateFile);
  const plain = await certificate(p256, "/CN=owner", []);
  vectors.push(good("key with its certificate", p256Pem + plain, expected(p256)));

  const password = ["-passout", "pass:secret"];
  const encrypted: [string, Uint8Array][] = [
    ["PKCS#8 EC", await openssl("pkcs8", "-topk8", "-in", p256.privateFile, ...password)],
    ["PKCS#8 RSA", await openssl("pkcs8", "-topk8", "-in", rsa.privateFile, ...password)],
    ["SEC1", await openssl("ec", "-in", p256.privateFile, "-aes256", ...password)],
    ["PKCS#1", await openssl("rsa", "-in", rsa.privateFile, "-traditional", "-aes256", ...password)],
  ];
  for (const [name, pem] of encrypted) vectors.push(bad(`encrypted ${name}`, text(pem), "key-unsupported"));
  vectors.push(
    bad("RSA of 1024 bits", await Deno.readTextFile((await rsaPair(1024)).privateFile), "key-unsupported"),
  );
  vectors.push(bad("Ed25519", await Deno.readTextFile(await generate("ED25519")), "key-unsupported"));
  const k1 = await generate("EC", "ec_paramgen_curve:secp256k1");
  vectors.push(bad("PKCS#8 on secp256k1", await Deno.readTextFile(k1), "key-unsupported"));
  vectors.push(bad("SEC1 on secp256k1", text(await openssl("ec", "-in", k1)), "key-unsupported"));
  vectors.push(
    bad(
      "SEC1 with its curve spelled out",
      text(await openssl("ec", "-in", p256.privateFile, "-param_enc", "explicit")),
      "key-unsupported",
    ),
  );
  // ECPrivateKey { 1, 32 bytes } and nothing else.
  const nameless = new Uint8Array([0x30, 0x25, 2, 1, 1, 4, 32, ...new Uint8Array(32).fill(1)]);
  vectors.push(bad("SEC1 without its curve", writePem("EC PRIVATE KEY", nameless), "key-unsupported"));

  const other = await ecPair("ec-p256");
  const mixed = await pkcs8Der(p256);
  mixed.set(other.spki.subarray(-64), mixed.length - 64);
  vectors.push(bad("public half of another key", writePem("PRIVATE KEY", mixed), "key-malformed"));
  const zero = await pkcs8Der(p256);
  zero.fill(0, 36, 68);
  vectors.push(bad("private number 0", writePem("PRIVATE KEY", zero), "key-malformed"));
  vectors.push(
    bad("trailing byte", writePem("PRIVATE KEY", bytes(await pkcs8Der(p256), [0])), "key-malformed"),
  );
  vectors.push(bad("garbage", writePem("PRIVATE KEY", new Uint8Array([1, 2, 3])), "key-malformed"));
  vectors.push(bad("SEC1 garbage", writePem("EC PRIVATE KEY", new Uint8Array([0x30, 0])), "key-malformed"));
  vectors.push(
    bad("PKCS#1 garbage", writePem("RSA PRIVATE KEY", new Uint8Array([0x30, 0])), "key-malformed"),
  );
  // PKCS#1: 12 bytes in front of the modulus of 256, 9 more in front of the private exponent.
  for (
    const [name, position] of [["modulus", 112], ["public exponent", 272], ["private exponent", 300]] as const
  ) {
    const der = await openssl("rsa", "-in", rsa.privateFile, "-traditional", "-outform", "DER");
    der[position] = (der[position] ?? 0) ^ 2;
    vectors.push(bad(`RSA with another ${name}`, writePem("RSA PRIVATE KEY", der), "key-malformed"));
  }
  vectors.push(bad("two private keys", p256Pem + rsaPem, "key-malformed"));
  vectors.push(bad("certificate alone", plain, "key-malformed"));
  vectors.push(bad("public key", p256.publicPem, "key-malformed"));
  vectors.push(bad("empty file", "", "pem-malformed"));
  return vectors;
}

// Signatures

async function signatures(): Promise<Vector[]> {
  const vectors: Vector[] = [];
  const judge = (name: string, pair: Pair, signature: Uint8Array, verdict: boolean | string, data = DATA) => {
    const input = { key: pair.publicPem, data, signature: encodeBase64(signature) };
    const outcome = typeof verdict === "boolean" ? { expected: verdict } : { error: verdict };
    vectors.push({ name, source, input, ...outcome });
  };
  const MALFORMED = "signature-malformed";

  const pairs = [await ecPair("ec-p256"), await ecPair("ec-p384"), await ecPair("ec-p521")];
  for (const pair of pairs) {
    const { algorithm } = pair;
    const good = await signature(pair);
    judge(`${algorithm}`, pair, good, true);
    judge(`${algorithm}, empty data`, pair, await signature(pair, ""), true, "");
    judge(`${algorithm}, data beyond ASCII`, pair, await signature(pair, "pod «é😀»\n"), true, "pod «é😀»\n");
    judge(`${algorithm}, changed data`, pair, good, false, DATA + "\n");
    judge(`${algorithm}, another key`, await ecPair(algorithmOf(algorithm)), good, false);
    judge(`${algorithm}, SHA-512`, pair, await signature(pair, DATA, "-sha512"), false);

    const { r, s } = integers(good);
    const order = await curveOrder(algorithmOf(algorithm));
    // s and order - s are both signatures; one of them is in the upper half.
    judge(`${algorithm}, other half of s`, pair, sequence(r, positive(order - number(s))), true);
    judge(`${algorithm}, r and s exchanged`, pair, sequence(s, r), false);
    judge(`${algorithm}, trailing byte`, pair, bytes(good, [0]), MALFORMED);
    judge(`${algorithm}, trailing byte inside the sequence`, pair, sequence(r, s, [0]), MALFORMED);
    judge(`${algorithm}, third integer`, pair, sequence(r, s, positive(1n)), MALFORMED);
    judge(`${algorithm}, r alone`, pair, sequence(r), MALFORMED);
    judge(`${algorithm}, empty sequence`, pair, sequence(), MALFORMED);
    judge(`${algorithm}, nothing`, pair, new Uint8Array(), MALFORMED);
    judge(`${algorithm}, one byte`, pair, new Uint8Array([0x30]), MALFORMED);
    judge(`${algorithm}, cut off`, pair, good.subarray(0, good.length - 1), MALFORMED);
    judge(`${algorithm}, needless zero in r`, pair, sequence(element(2, [0, ...content(r)]), s), MALFORMED);
    judge(`${algorithm}, needless zero in s`, pair, sequence(r, element(2, [0, ...content(s)])), MALFORMED);
    judge(`${algorithm}, r is zero`, pair, sequence(positive(0n), s), MALFORMED);
    judge(`${algorithm}, s is zero`, pair, sequence(r, positive(0n)), MALFORMED);
    judge(
      `${algorithm}, r is zero of full length`,
      pair,
      sequence(element(2, new Array(content(r).length).fill(0)), s),
      MALFORMED,
    );
    judge(`${algorithm}, r without content`, pair, sequence(element(2, []), s), MALFORMED);
    judge(`${algorithm}, negative r`, pair, sequence(negative(r), s), MALFORMED);
    judge(`${algorithm}, negative s`, pair, sequence(r, negative(s)), MALFORMED);
    judge(`${algorithm}, r is the order`, pair, sequence(positive(order), s), MALFORMED);
    judge(`${algorithm}, s is the order`, pair, sequence(r, positive(order)), MALFORMED);
    judge(`${algorithm}, s is the order plus one`, pair, sequence(r, positive(order + 1n)), MALFORMED);
    judge(`${algorithm}, s plus the order`, pair, sequence(r, positive(number(s) + order)), MALFORMED);
    judge(`${algorithm}, r too long`, pair, sequence(element(2, [1, ...content(r)]), s), MALFORMED);
    const body = [...r, ...s];
    judge(
      `${algorithm}, BER length of two bytes`,
      pair,
      new Uint8Array([0x30, 0x82, 0, body.length, ...body]),
      MALFORMED,
    );
    judge(
      `${algorithm}, BER indefinite length`,
      pair,
      new Uint8Array([0x30, 0x80, ...body, 0, 0]),
      MALFORMED,
    );
    judge(
      `${algorithm}, BER length of r`,
      pair,
      sequence([2, 0x81, content(r).length, ...content(r)], s),
      MALFORMED,
    );
    judge(`${algorithm}, length beyond the end`, pair, new Uint8Array([0x30, 0x7f, ...body]), MALFORMED);
    judge(`${algorithm}, set instead of sequence`, pair, bytes([0x31], good.subarray(1)), MALFORMED);
    judge(`${algorithm}, octet string instead of integer`, pair, sequence([4, ...r.slice(1)], s), MALFORMED);
    const size = Math.ceil(order.toString(16).length / 2);
    judge(`${algorithm}, r and s side by side`, pair, bytes(fixed(r, size), fixed(s, size)), MALFORMED);
    judge(`${algorithm}, smallest r and s`, pair, sequence(positive(1n), positive(1n)), false);
    judge(`${algorithm}, largest r and s`, pair, sequence(positive(order - 1n), positive(order - 1n)), false);
  }
  // Below 128 bytes, one length byte is due; P-256 never needs the second.
  const p256 = await ecPair("ec-p256");
  const short = await signature(p256);
  judge("ec-p256, BER length of one byte", p256, bytes([0x30, 0x81], short.subarray(1)), MALFORMED);

  for (const bits of [2048, 3072]) {
    const pair = await rsaPair(bits);
    const good = await signature(pair);
    judge(`rsa ${bits}`, pair, good, true);
    judge(`rsa ${bits}, empty data`, pair, await signature(pair, ""), true, "");
    judge(`rsa ${bits}, changed data`, pair, good, false, DATA + " ");
    judge(`rsa ${bits}, another key`, await rsaPair(bits), good, false);
    judge(`rsa ${bits}, SHA-1`, pair, await signature(pair, DATA, "-sha1"), false);
    judge(
      `rsa ${bits}, PSS`,
      pair,
      await signature(pair, DATA, "-sha256", "-sigopt", "rsa_padding_mode:pss"),
      false,
    );
    judge(`rsa ${bits}, a bit flipped`, pair, bytes(good.subarray(0, -1), [(good.at(-1) ?? 0) ^ 1]), false);
    judge(`rsa ${bits}, all ones`, pair, new Uint8Array(bits / 8).fill(0xff), false);
    judge(`rsa ${bits}, zero`, pair, new Uint8Array(bits / 8), false);
    judge(`rsa ${bits}, too short`, pair, good.subarray(1), MALFORMED);
    judge(`rsa ${bits}, too long`, pair, bytes([0], good), MALFORMED);
    judge(`rsa ${bits}, trailing byte`, pair, bytes(good, [0]), MALFORMED);
    judge(`rsa ${bits}, nothing`, pair, new Uint8Array(), MALFORMED);
    judge(`rsa ${bits}, an ECDSA signature`, pair, short, MALFORMED);
  }
  const rsa = await rsaPair(2048);
  judge("ec-p256, an RSA signature", p256, await signature(rsa), MALFORMED);
  return vectors;
}

// OpenSSL

async function openssl(...args: string[]): Promise<Uint8Array<ArrayBuffer>> {
  const { success, stdout, stderr } = await new Deno.Command("openssl", { args }).output();
  if (!success) throw new Error(`openssl ${args.join(" ")}: ${text(stderr)}`);
  return new Uint8Array(stdout);
}

async function generate(algorithm: string, ...options: string[]): Promise<string> {
  const flags = options.flatMap((option) => ["-pkeyopt", option]);
  return await save(await openssl("genpkey", "-quiet", "-algorithm", algorithm, ...flags));
}

async function ecPair(algorithm: keyof typeof EC): Promise<Pair> {
  return await pairOf(algorithm, await generate("EC", `ec_paramgen_curve:${EC[algorithm]}`));
}

async function rsaPair(bits: number, exponent = "65537"): Promise<Pair> {
  return await pairOf(
    "rsa",
    await generate("RSA", `rsa_keygen_bits:${bits}`, `rsa_keygen_pubexp:${exponent}`),
  );
}

async function pairOf(algorithm: string, privateFile: string): Promise<Pair> {
  const spki = await openssl("pkey", "-in", privateFile, "-pubout", "-outform", "DER");
  const id = new Uint8Array(await crypto.subtle.digest("SHA-256", spki)).toHex();
  return { algorithm, privateFile, publicPem: await publicPem(privateFile), spki, id };
}

async function publicPem(privateFile: string): Promise<string> {
  return text(await openssl("pkey", "-in", privateFile, "-pubout"));
}

async function pkcs8Der(pair: Pair): Promise<Uint8Array<ArrayBuffer>> {
  return await openssl("pkcs8", "-topk8", "-nocrypt", "-in", pair.privateFile, "-outform", "DER");
}

/** The same key in every form that holds a private key. */
async function privateForms(): Promise<[string, string][]> {
  const ec = (await ecPair("ec-p256")).privateFile;
  const rsa = (await rsaPair(2048)).privateFile;
  return [
    ["in PKCS#8", await Deno.readTextFile(ec)],
    ["in SEC1", text(await openssl("ec", "-in", ec))],
    ["in PKCS#1", text(await openssl("rsa", "-in", rsa, "-traditional"))],
    ["in PKCS#8, encrypted", text(await openssl("pkcs8", "-topk8", "-in", ec, "-passout", "pass:secret"))],
  ];
}

/** A self-signed certificate with these extensions and no others. */
async function certificate(pair: Pair, subject: string, extensions: string[], days = 3650): Promise<string> {
  const config = await save("[req]\ndistinguished_name=dn\n[dn]\n");
  const flags = extensions.flatMap((extension) => ["-addext", extension]);
  const args = ["-key", pair.privateFile, "-subj", subject, "-days", String(days), "-config", config];
  return text(await openssl("req", "-x509", "-new", "-sha256", ...args, ...flags));
}

async function versionOne(pair: Pair): Promise<string> {
  const request = await save(await openssl("req", "-new", "-key", pair.privateFile, "-subj", "/CN=old"));
  return text(await openssl("x509", "-req", "-in", request, "-signkey", pair.privateFile, "-days", "3650"));
}

async function certificateDer(pem: string): Promise<Uint8Array<ArrayBuffer>> {
  return await openssl("x509", "-in", await save(pem), "-outform", "DER");
}

async function signature(
  pair: Pair,
  data = DATA,
  digest = "-sha256",
  ...options: string[]
): Promise<Uint8Array<ArrayBuffer>> {
  return await openssl("dgst", digest, ...options, "-sign", pair.privateFile, await save(data));
}

async function curveOrder(algorithm: keyof typeof EC): Promise<bigint> {
  const parameters = text(
    await openssl("ecparam", "-name", EC[algorithm], "-param_enc", "explicit", "-text", "-noout"),
  );
  const hex = /Order:\s*((?:\s*[0-9a-f]{2}:?)+)/.exec(parameters)?.[1] ?? "";
  return BigInt(`0x${hex.replace(/[^0-9a-f]/g, "")}`);
}

// DER of signatures, written a second time and without the rules that the reader enforces.

function element(tag: number, body: number[]): number[] {
  return [tag, ...(body.length < 128 ? [body.length] : [0x81, body.length]), ...body];
}

function sequence(...items: number[][]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(element(0x30, items.flat()));
}

function positive(value: bigint): number[] {
  const hex = value.toString(16);
  const body = [...Uint8Array.fromHex(hex.length % 2 === 0 ? hex : `0${hex}`)];
  return element(2, (body[0] ?? 0) >= 0x80 ? [0, ...body] : body);
}

/** The same content with its highest bit set, and without a zero in front of it. */
function negative(integer: number[]): number[] {
  const body = content(integer);
  const rest = body[0] === 0 ? body.slice(1) : body;
  return element(2, [(rest[0] ?? 0) | 0x80, ...rest.slice(1)]);
}

function content(integer: number[]): number[] {
  return integer.slice(2);
}

function number(integer: number[]): bigint {
  return BigInt(`0x${new Uint8Array(content(integer)).toHex()}`);
}

function fixed(integer: number[], size: number): Uint8Array {
  return Uint8Array.fromHex(number(integer).toString(16).padStart(2 * size, "0"));
}

function integers(der: Uint8Array): { r: number[]; s: number[] } {
  const body = [...der.subarray(der[1] === 0x81 ? 3 : 2)];
  const end = 2 + (body[1] ?? 0);
  return { r: body.slice(0, end), s: body.slice(end) };
}

// Vectors

function good(name: string, input: string, expected: JsonValue): Vector {
  return { name, source, input, expected };
}

function bad(name: string, input: string, error: string): Vector {
  return { name, source, input, error };
}

function expected({ algorithm, id }: Pair): { algorithm: string; id: string } {
  return { algorithm, id };
}

async function expectedCertificate(pair: Pair, pem: string): Promise<JsonValue> {
  const file = await save(pem);
  const facts = text(
    await openssl(
      "x509",
      "-in",
      file,
      "-noout",
      "-subject",
      "-nameopt",
      "RFC2253",
      "-dates",
      "-dateopt",
      "iso_8601",
    ),
  );
  const fact = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(facts)?.[1] ?? "";
  const date = (name: string) => new Date(fact(name).replace(" ", "T")).toISOString();
  return {
    ...expected(pair),
    subject: fact("subject"),
    notBefore: date("notBefore"),
    notAfter: date("notAfter"),
  };
}

async function write(file: string, description: string, vectors: Vector[]): Promise<void> {
  const document = { description, license: LICENSE, count: vectors.length, vectors };
  await Deno.writeTextFile(new URL(file, import.meta.url), JSON.stringify(document, undefined, 2) + "\n");
  console.log(`${file}: ${vectors.length} vectors`);
}

async function save(data: string | Uint8Array): Promise<string> {
  const file = `${folder}/${++files}`;
  await Deno.writeFile(file, typeof data === "string" ? new TextEncoder().encode(data) : data);
  return file;
}

function bytes(...parts: (Uint8Array | number[])[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

function text(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}

function algorithmOf(name: string): keyof typeof EC {
  if (name === "ec-p256" || name === "ec-p384" || name === "ec-p521") return name;
  throw new Error(`"${name}" is no curve`);
}
