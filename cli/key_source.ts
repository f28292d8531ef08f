/**
 * Where signatures and the keys that verify them come from: a key file, or a signing server.
 *
 * @module
 */
import { isBearerToken } from "@signed-pods/shared/bearer-token";
import { SignedPodsError } from "@signed-pods/shared/errors";
import { readVerificationKeys, type VerificationKey } from "@signed-pods/shared/keys";
import { readPemBlocks, writePem } from "@signed-pods/shared/pem";
import { readSigningKey, sign } from "@signed-pods/shared/signing";
import { decodeUtf8 } from "@signed-pods/shared/strict-json";
import { type ClientIdentity, readClientIdentity } from "./client_identity.ts";
import type { Effects } from "./effects.ts";
import { fileProblem } from "@signed-pods/shared/file-error";
import { InputError } from "./input_error.ts";
import { openPortForward } from "./port_forward.ts";
import { createProgress } from "./report.ts";
import { createSigningClient, isSentInTheClear, type SigningClient, type Token } from "./signing_client.ts";

/** Where signing-server listens unless it is told otherwise. */
export const DEFAULT_SERVER = "http://localhost:8080";

/** Environment variable that names the signing server. */
export const SERVER_VARIABLE = "SIGNING_SERVER_URL";

/** Flags that say where the key is. */
export interface KeyOptions {
  readonly key: string | undefined;
  readonly server: string | undefined;
  readonly tokenFile: string | undefined;
  readonly clientCertificate: string | undefined;
  readonly clientKey: string | undefined;
  readonly portForward: string | undefined;
}

/** Signs texts. */
export interface KeySource {
  /** What it is, for messages. */
  readonly description: string;
  /** The keys that verify what it signs. */
  readonly keys: readonly VerificationKey[];
  sign(payload: string): Promise<Uint8Array>;
}

/** Turns what shared code throws about a file into a message that names it. */
async function inFile<T>(name: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SignedPodsError) {
      throw new InputError([error.message.startsWith(name) ? error.message : `${name}: ${error.message}`], {
        cause: error,
      });
    }
    throw error;
  }
}

async function readBytes(effects: Effects, flag: string, file: string): Promise<Uint8Array> {
  try {
    return await effects.readFile(file);
  } catch (error) {
    throw new InputError([`${flag}: ${fileProblem("podsign", file, error)}`], { cause: error });
  }
}

async function readText(effects: Effects, flag: string, file: string): Promise<string> {
  const bytes = await readBytes(effects, flag, file);
  return await inFile(file, () => Promise.resolve(decodeUtf8(bytes)));
}

/** A file that should hold PEM, and what to say if it does not. */
interface PemFile {
  readonly flag: string;
  /** The labels that belong in it. */
  readonly labels: string;
  /** Turns DER into PEM. */
  readonly convert: (file: string) => string;
}

const KEY_FILE: PemFile = {
  flag: "--key",
  labels: "PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY",
  convert: (file) => `openssl pkey -inform DER -in ${file} -out KEY.pem`,
};

const CERTIFICATE_FILE: PemFile = {
  flag: "--cert",
  labels: "CERTIFICATE or PUBLIC KEY",
  convert: (file) =>
    `openssl x509 -inform DER -in ${file} -out CERT.pem (a public key: openssl pkey -pubin -inform DER …)`,
};

const CLIENT_CERTIFICATE_FILE: PemFile = {
  flag: "--client-certificate",
  labels: "CERTIFICATE",
  convert: (file) => `openssl x509 -inform DER -in ${file} -out CERT.pem`,
};

const CLIENT_KEY_FILE: PemFile = { ...KEY_FILE, flag: "--client-key" };

/** Whether bytes are one ASN.1 SEQUENCE (X.690 section 8.1.3), as keys and certificates in DER are. */
function isDer(bytes: Uint8Array): boolean {
  const [tag, first = 0] = bytes;
  const digits = first < 0x80 ? 0 : first & 0x7f;
  const length = digits === 0 ? first : bytes.slice(2, 2 + digits).reduce((sum, byte) => sum * 256 + byte, 0);
  return tag === 0x30 && bytes.length === 2 + digits + length;
}

/** Reads a file whose content must be PEM. */
async function readPem(effects: Effects, { flag, labels, convert }: PemFile, file: string): Promise<string> {
  const bytes = await readBytes(effects, flag, file);
  if (isDer(bytes)) {
    throw new InputError([`${flag}: "${file}" is DER, not PEM: convert it with ${convert(file)}`]);
  }
  const text = await inFile(file, () => Promise.resolve(decodeUtf8(bytes)));
  if (text.includes("-----BEGIN ")) return text;
  throw new InputError([
    `${flag}: "${file}" holds no PEM: expected a line -----BEGIN LABEL----- with the label ${labels}`,
  ]);
}

/** Reads the certificates and public keys of files. */
export async function readCertificates(
  effects: Effects,
  files: readonly string[],
): Promise<VerificationKey[]> {
  const keys: VerificationKey[] = [];
  for (const file of files) {
    const pem = await readPem(effects, CERTIFICATE_FILE, file);
    keys.push(...await inFile(file, () => readVerificationKeys(pem, file)));
  }
  return keys;
}

/**
 * Opens the source that the flags name, uses it, and closes it whatever happens.
 *
 * @throws {InputError} if the flags contradict each other, or a file or server does not give what it should
 */
export async function withKeySource<T>(
  effects: Effects,
  options: KeyOptions,
  use: (source: KeySource) => Promise<T>,
): Promise<T> {
  if (options.key !== undefined) {
    requireNoServer(options);
    return await use(await readKeyFile(effects, options.key));
  }
  return await withSigningClient(effects, options, async (client) => {
    // What was signed before a rotation verifies on nodes, too.
    const pem = await client.certificates();
    const name = `${client.url}/signingcert`;
    const keys = await inFile(name, () => readVerificationKeys(pem, name));
    return await use({
      description: `signing server ${client.url}`,
      keys,
      sign: (payload) => client.sign(payload),
    });
  });
}

function requireNoServer(options: KeyOptions): void {
  const others: [string, string | undefined][] = [
    ["--server", options.server],
    ["--token-file", options.tokenFile],
    ["--client-certificate", options.clientCertificate],
    ["--client-key", options.clientKey],
    ["--port-forward", options.portForward],
  ];
  const lines = others.filter(([, value]) => value !== undefined)
    .map(([flag]) => `--key and ${flag} contradict each other: with a key file no server is asked`);
  if (lines.length > 0) throw new InputError(lines);
}

/** Blocks that verify and cannot sign. */
const PUBLIC_LABELS: ReadonlySet<string> = new Set(["PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE"]);

async function readKeyFile(effects: Effects, file: string): Promise<KeySource> {
  const pem = await readPem(effects, KEY_FILE, file);
  const labels = await inFile(file, () => Promise.resolve(readPemBlocks(pem).map(({ label }) => label)));
  if (labels.every((label) => PUBLIC_LABELS.has(label))) {
    const what = labels.includes("CERTIFICATE") ? "a certificate" : "a public key";
    throw new InputError([
      `--key: "${file}" holds ${what}: give the private key that belongs to it; verify-spec takes the public half ` +
      "with --cert",
    ]);
  }
  const key = await inFile(file, () => readSigningKey(pem));
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", key.publicKey));
  const keys = await inFile(file, () => readVerificationKeys(writePem("PUBLIC KEY", spki), file));
  return {
    description: `key ${file}`,
    keys,
    sign: (payload) => sign(key, new TextEncoder().encode(payload)),
  };
}

async function readToken(effects: Effects, file: string): Promise<Token> {
  const value = (await readText(effects, "--token-file", file)).trim();
  if (isBearerToken(value)) return { value, file };
  throw new InputError([
    `--token-file: "${file}" must hold one token of letters, digits and -._~+/, and nothing else: of a line NAME: TOKEN in ` +
    "the server's own file, it is what stands behind the colon",
  ]);
}

/** Reads the certificate that is shown to the server, and its key; undefined if none is named. */
async function readIdentity(
  effects: Effects,
  { clientCertificate, clientKey, portForward }: Omit<KeyOptions, "key">,
): Promise<ClientIdentity | undefined> {
  if (clientCertificate === undefined && clientKey === undefined) return undefined;
  if (clientCertificate === undefined || clientKey === undefined) {
    throw new InputError([
      "--client-certificate and --client-key belong together: give both, the same file twice if it holds both",
    ]);
  }
  if (portForward !== undefined) {
    throw new InputError([
      "--client-certificate and --port-forward contradict each other: the way through kubectl has no TLS of its own",
    ]);
  }
  const read = async (kind: PemFile, name: string) => ({ name, text: await readPem(effects, kind, name) });
  const certificates = await read(CLIENT_CERTIFICATE_FILE, clientCertificate);
  const keys = await read(CLIENT_KEY_FILE, clientKey);
  return await inFile(certificates.name, () => Promise.resolve(readClientIdentity(certificates, keys)));
}

/** Reaches the signing server that the flags or the environment name. */
export async function withSigningClient<T>(
  effects: Effects,
  options: Omit<KeyOptions, "key">,
  use: (client: SigningClient) => Promise<T>,
): Promise<T> {
  const token = options.tokenFile === undefined ? undefined : await readToken(effects, options.tokenFile);
  const identity = await readIdentity(effects, options);
  const fetch = (url: string, init: RequestInit) => effects.fetch(url, init, identity);
  const progress = createProgress(effects);
  const wait = async (seconds: number) => {
    progress.show(`the signing server is busy; asking again in ${seconds} s`);
    await effects.sleep(seconds * 1000);
    progress.clear();
  };
  if (options.portForward === undefined) {
    const server = options.server ?? effects.env(SERVER_VARIABLE) ?? DEFAULT_SERVER;
    const client = createSigningClient(server, { token, identity }, fetch, wait);
    if (identity !== undefined && !client.url.startsWith("https:")) {
      throw new InputError([
        `--client-certificate: ${client.url} has no TLS, in which certificates are shown: write https://`,
      ]);
    }
    if (isSentInTheClear(client.url)) {
      const what = token === undefined ? "what is signed" : "the token";
      effects.writeError(
        `podsign: warning: ${client.url} is neither https nor on this machine: ${what} can be read and changed on ` +
          "the way\n",
      );
    }
    return await use(client);
  }
  if (options.server !== undefined) {
    throw new InputError(["--server and --port-forward contradict each other: give one of them"]);
  }
  effects.writeError(
    "podsign: warning: --port-forward crosses the API server, which can read and change everything on the way. A " +
      "certificate is the right one if its fingerprint is the one that the signing server printed; but with a token, or " +
      "through a server that needs none, whoever controls the API server can have anything signed. Sign this way only " +
      "if you trust it\n",
  );
  const forward = await openPortForward(effects, options.portForward);
  try {
    return await use(createSigningClient(forward.url, { token }, fetch, wait));
  } finally {
    await forward.close();
  }
}
