/** Effects for tests: files in memory, a fixed clock, and what was written kept. */
import assert from "node:assert/strict";
import { parse } from "@optique/core";
import { createSelfSignedCertificate } from "@signed-pods/shared/self-signed";
import { generateSigningKey, sign, type SigningKey } from "@signed-pods/shared/signing";
import { encodeBase64 } from "@signed-pods/shared/base64";
import type { Effects } from "./effects.ts";
import { PODSIGN_PARSER, spellOut } from "./options.ts";
import { podsign } from "./podsign.ts";

export const NOW = new Date("2024-05-06T07:08:09.500Z");

/** What a run of podsign left behind. */
export interface Outcome {
  code: number;
  out: string;
  errors: string;
}

export interface FakeWorld {
  files?: Record<string, string | Uint8Array>;
  stdin?: string;
  env?: Record<string, string>;
  /** Whether standard error is a terminal. */
  terminal?: boolean;
  /** Whether standard output is a terminal. */
  outputTerminal?: boolean;
  fetch?: Effects["fetch"];
  spawn?: Effects["spawn"];
  now?: Date;
  sleep?: Effects["sleep"];
}

/** Effects on a world that is made up. */
export function fakeEffects(world: FakeWorld): { effects: Effects; outcome: Omit<Outcome, "code"> } {
  const outcome = { out: "", errors: "" };
  const encoder = new TextEncoder();
  const effects: Effects = {
    readFile: (path) => {
      const content = world.files?.[path];
      return content === undefined
        ? Promise.reject(
          new Deno.errors.NotFound(`No such file or directory (os error 2): readfile '${path}'`),
        )
        : Promise.resolve(typeof content === "string" ? encoder.encode(content) : content);
    },
    readStdin: () => Promise.resolve(encoder.encode(world.stdin ?? "")),
    writeOut: (text) => {
      outcome.out += text;
      return Promise.resolve();
    },
    writeError: (text) => {
      outcome.errors += text;
    },
    stdoutIsTerminal: world.outputTerminal ?? false,
    stderrIsTerminal: world.terminal ?? false,
    now: () => world.now ?? NOW,
    randomBytes: (length) => Uint8Array.from({ length }, (_, index) => index),
    sleep: world.sleep ?? (() => Promise.reject(new Error("no time"))),
    env: (name) => world.env?.[name],
    fetch: world.fetch ?? (() => Promise.reject(new Error("no network"))),
    spawn: world.spawn ?? (() => {
      throw new Error("no programs");
    }),
  };
  return { effects, outcome };
}

/** Runs podsign with a command line. */
export async function runPodsign(args: string[], world: FakeWorld): Promise<Outcome> {
  const parsed = parse(PODSIGN_PARSER, spellOut(args));
  assert.ok(parsed.success, `not a command line: ${args.join(" ")}`);
  const { effects, outcome } = fakeEffects(world);
  const code = await podsign(parsed.value, effects);
  return { code, ...outcome };
}

/** A key for tests, with its certificate. */
export async function makeKey(): Promise<{ key: SigningKey; certificate: string }> {
  const key = await generateSigningKey("ec-p256");
  const certificate = await createSelfSignedCertificate({
    key,
    commonName: "test",
    notBefore: new Date("2024-01-01T00:00:00Z"),
    notAfter: new Date("2034-01-01T00:00:00Z"),
  });
  return { key, certificate };
}

/** A signing server as a function. */
export function fakeServer(key: SigningKey, certificate: string, token?: string): Effects["fetch"] {
  return async (url, init) => {
    const { pathname } = new URL(url);
    if (pathname === "/signingcert") return new Response(certificate);
    const headers = new Headers(init.headers);
    if (pathname !== "/sign" || init.method !== "POST" || typeof init.body !== "string") {
      return Response.json({ error: { code: "not-found", message: "no" } }, { status: 404 });
    }
    if (token !== undefined && headers.get("authorization") !== `Bearer ${token}`) {
      return Response.json({ error: { code: "unauthorized", message: "Token needed" } }, { status: 401 });
    }
    const body: unknown = JSON.parse(init.body);
    assert.ok(
      typeof body === "object" && body !== null && "payload" in body && typeof body.payload === "string",
    );
    const signature = await sign(key, new TextEncoder().encode(body.payload));
    return Response.json({ signature: encodeBase64(signature) });
  };
}
