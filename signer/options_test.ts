import assert from "node:assert/strict";
import { parse } from "@optique/core";
import { CERTIFICATE_LIFETIME_DAYS, MAX_CERTIFICATE_LIFETIME_DAYS } from "./signing_identity.ts";
import {
  completeOptions,
  completeRotateOptions,
  parseListenAddress,
  SIGNER_FLAGS,
  SIGNER_PARSER,
  type SignerOptions,
  spellOut,
} from "./options.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";

async function complete(
  args: string[],
  files: Record<string, string> = {},
): ReturnType<typeof completeOptions> {
  const result = parse(SIGNER_PARSER, spellOut(args));
  assert.ok(result.success, args.join(" "));
  return await completeOptions(result.value, {
    readText: (path) => {
      const content = files[path];
      return content === undefined ? Promise.reject(new Error("no such file")) : Promise.resolve(content);
    },
  });
}

async function accepted(args: string[], files?: Record<string, string>): Promise<SignerOptions> {
  const options = await complete(args, files);
  assert.ok(!("problems" in options), JSON.stringify(options));
  return options;
}

async function problems(args: string[], files?: Record<string, string>): Promise<string[]> {
  const options = await complete(args, files);
  assert.ok("problems" in options, args.join(" "));
  return options.problems;
}

Deno.test("without flags the server listens on loopback with an ECDSA P-256 key", async () => {
  const { warnings, ...options } = await accepted([]);
  assert.deepEqual(options, {
    listen: { hostname: "127.0.0.1", port: 8080, loopback: true },
    keyType: "ec-p256",
    certificateLifetimeDays: CERTIFICATE_LIFETIME_DAYS,
    policy: { templatesOnly: false },
  });
  assert.equal(warnings.length, 1);
  assert.ok(warnings[0]?.includes("in memory only"));
});

Deno.test("the flags' defaults in the table are those that are used", async () => {
  const args = SIGNER_FLAGS.filter((flag) => flag.default !== "" && flag.commands.includes("serve")).map((
    flag,
  ) => `${flag.name}=${flag.default}`);
  assert.deepEqual(await accepted(args), await accepted([]));
});

Deno.test("the parser takes exactly the flags of the table", () => {
  const values: Record<string, string> = {
    ADDRESS: ":1",
    TYPE: "ec-p384",
    FILE: "f",
    FOLDER: "k",
    DAYS: "1",
    NAMES: "a",
    "": "true",
  };
  for (const flag of SIGNER_FLAGS) {
    assert.ok(parse(SIGNER_PARSER, [`${flag.name}=${values[flag.value]}`]).success, flag.name);
  }
  assert.equal(parse(SIGNER_PARSER, ["--unknown=1"]).success, false);
});

Deno.test("every key type is taken", async () => {
  for (const keyType of ["ec-p256", "ec-p384", "ec-p521", "rsa-3072"]) {
    assert.equal((await accepted(["--key-type", keyType])).keyType, keyType);
  }
});

Deno.test("refuses key types that are not supported", () => {
  for (const keyType of ["rsa-1024", "ed25519", ""]) {
    assert.equal(parse(SIGNER_PARSER, ["--key-type", keyType]).success, false);
  }
});

Deno.test("listen addresses have Go's forms", () => {
  const cases: [string, string, number, boolean][] = [
    ["127.0.0.1:8080", "127.0.0.1", 8080, true],
    ["127.8.9.1:0", "127.8.9.1", 0, true],
    ["localhost:1", "localhost", 1, true],
    ["[::1]:8080", "::1", 8080, true],
    [":8080", "::", 8080, false],
    ["0.0.0.0:8080", "0.0.0.0", 8080, false],
    ["[::]:65535", "::", 65535, false],
    ["[::ffff:127.0.0.1]:1", "::ffff:127.0.0.1", 1, false],
    ["signer.example:443", "signer.example", 443, false],
    ["localhost.example:1", "localhost.example", 1, false],
    ["192.168.1.1:1", "192.168.1.1", 1, false],
  ];
  for (const [address, hostname, port, loopback] of cases) {
    assert.deepEqual(parseListenAddress(address), { hostname, port, loopback }, address);
  }
});

Deno.test("refuses what is no listen address", () => {
  const addresses = [
    "",
    "8080",
    "localhost",
    "127.0.0.1:",
    "127.0.0.1:65536",
    "::1:8080",
    "[::1]",
    "[::g]:1",
  ];
  for (
    const address of [
      ...addresses,
      "127.0.0:1",
      "127.0.0.256:1",
      "127.0.0.01:1",
      "a b:1",
      "http://x:1",
      "-a:1",
    ]
  ) {
    assert.equal(parseListenAddress(address), undefined, address);
  }
});

Deno.test("refuses to listen beyond loopback without authentication", async () => {
  for (const address of [":8080", "0.0.0.0:8080", "[::]:8080", "signer.example:8080"]) {
    assert.equal((await problems(["--listen-addr", address])).length, 1, address);
  }
  assert.equal((await problems(["--listen-addr=:1", "--insecure-allow-unauthenticated=false"])).length, 1);
});

Deno.test("beyond loopback a token file or the insecure flag is enough, the latter with a warning", async () => {
  const withToken = await accepted(["--listen-addr=:8080", "--token-file=t"], { t: `${TOKEN}\n` });
  assert.equal(await withToken.tokenFile?.tokens.clientOf(TOKEN), "token");
  assert.equal(withToken.warnings.length, 2, "one about the key in memory, one about tokens in the clear");
  const insecure = await accepted(["--listen-addr=:8080", "--insecure-allow-unauthenticated"]);
  assert.equal(insecure.tokenFile, undefined);
  assert.equal(insecure.warnings.length, 2);
});

Deno.test("a token file is used on loopback too", async () => {
  const { tokenFile } = await accepted(["--token-file", "t"], { t: `alice: ${TOKEN}` });
  assert.equal(await tokenFile?.tokens.clientOf(TOKEN), "alice");
  assert.equal(tokenFile?.text, `alice: ${TOKEN}`);
});

Deno.test("refuses token files that are missing, empty, short, long or hold more than a token", async () => {
  const files = {
    empty: "\n",
    short: "0123456789abcde",
    long: "a".repeat(4097),
    two: `${TOKEN}\n${TOKEN}`,
    odd: `${TOKEN} x`,
    umlaut: `${TOKEN}ä`,
  };
  for (const file of [...Object.keys(files), "missing"]) {
    assert.equal((await problems(["--token-file", file], files)).length, 1, file);
  }
});

Deno.test("refuses a boolean that is none", () => {
  assert.equal(parse(SIGNER_PARSER, ["--insecure-allow-unauthenticated=maybe"]).success, false);
});

Deno.test("refuses several mistakes at once, each by name", async () => {
  const found = await problems([
    "--listen-addr=x",
    "--token-file=missing",
    "--insecure-allow-unauthenticated",
  ]);
  assert.deepEqual(found.map((problem) => problem.split(/[: ]/)[0]), [
    "--listen-addr",
    "--token-file",
    "--token-file",
  ]);
});

const CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const KEY = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
const TLS_FILES = { c: CERTIFICATE, k: KEY, ca: CERTIFICATE };
const TLS_FLAGS = ["--tls-cert=c", "--tls-key=k"];

Deno.test("TLS takes certificate and key, and authorities of clients", async () => {
  assert.deepEqual((await accepted(TLS_FLAGS, TLS_FILES)).tls, { certificate: CERTIFICATE, key: KEY });
  const { tls, warnings } = await accepted(["--listen-addr=:1", ...TLS_FLAGS, "--client-ca=ca"], TLS_FILES);
  assert.deepEqual(tls, { certificate: CERTIFICATE, key: KEY, clientCa: CERTIFICATE });
  assert.equal(warnings.length, 1, "the one about the key in memory");
});

Deno.test("refuses half of TLS, and client certificates without it", async () => {
  for (const args of [["--tls-cert=c"], ["--tls-key=k"], ["--client-ca=ca"]]) {
    assert.equal((await problems(args, TLS_FILES)).length, 1, args.join(" "));
  }
});

Deno.test("refuses files that hold something else than their flag says", async () => {
  for (
    const args of [["--tls-cert=k", "--tls-key=k"], ["--tls-cert=c", "--tls-key=c"], [
      ...TLS_FLAGS,
      "--client-ca=k",
    ]]
  ) {
    assert.equal((await problems(args, TLS_FILES)).length, 1, args.join(" "));
  }
  assert.equal((await problems(TLS_FLAGS, { c: "text", k: "-----BEGIN" })).length, 2);
});

Deno.test("refuses authentication together with its opposite", async () => {
  const args = ["--insecure-allow-unauthenticated", "--token-file=t", ...TLS_FLAGS, "--client-ca=ca"];
  assert.equal((await problems(args, { ...TLS_FILES, t: TOKEN })).length, 2);
});

Deno.test("a key folder silences the warning, and a slash at its end does not count", async () => {
  const { keyDir, warnings } = await accepted(["--key-dir=keys//"]);
  assert.equal(keyDir, "keys");
  assert.deepEqual(warnings, []);
  assert.equal((await accepted(["--key-dir=/"])).keyDir, "/");
});

Deno.test("namespaces and lifetimes are read", async () => {
  const { policy } = await accepted(["--allow-namespaces=shop,prod", "--templates-only"]);
  assert.deepEqual(policy, { templatesOnly: true, namespaces: new Set(["shop", "prod"]) });
  for (const days of [1, MAX_CERTIFICATE_LIFETIME_DAYS]) {
    assert.equal((await accepted([`--certificate-days=${days}`])).certificateLifetimeDays, days);
  }
});

Deno.test("refuses namespaces and lifetimes that are none", () => {
  for (const names of ["a,,b", "a, b", "A", "a_b", "-a", "a".repeat(64)]) {
    assert.equal(parse(SIGNER_PARSER, [`--allow-namespaces=${names}`]).success, false, names);
  }
  for (const days of ["0", "-1", "1.5", "1e3", String(MAX_CERTIFICATE_LIFETIME_DAYS + 1)]) {
    assert.equal(parse(SIGNER_PARSER, [`--certificate-days=${days}`]).success, false, days);
  }
});

Deno.test("refuses an address of metrics that is none", async () => {
  assert.equal((await problems(["--metrics-addr=9090"])).length, 1);
});

Deno.test("rotate takes the folder, and refuses to run without one", () => {
  const complete = (args: string[]) => {
    const result = parse(SIGNER_PARSER, spellOut(args));
    assert.ok(result.success);
    return completeRotateOptions(result.value);
  };
  assert.deepEqual(complete(["--key-dir=k/", "--stage", "--key-type=rsa-3072"]), {
    keyDir: "k",
    stage: true,
    keyType: "rsa-3072",
    certificateLifetimeDays: CERTIFICATE_LIFETIME_DAYS,
  });
  const refused = complete([]);
  assert.ok("problems" in refused && refused.problems.length === 1);
});
