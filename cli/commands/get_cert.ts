/**
 * `podsign get-cert`: prints the signing server's certificate.
 *
 * @module
 */
import { fingerprint } from "@signed-pods/shared/certificate";
import { SignedPodsError } from "@signed-pods/shared/errors";
import { readVerificationKeys } from "@signed-pods/shared/keys";
import { readPemBlocks, writePem } from "@signed-pods/shared/pem";
import type { Effects } from "../effects.ts";
import { InputError } from "../input_error.ts";
import { withSigningClient } from "../key_source.ts";
import type { GetCertOptions } from "../options.ts";
import { EXIT_OK, jsonText } from "../report.ts";

/**
 * Prints the certificate on standard output and, to compare with what the server printed when it started, its
 * fingerprint on standard error.
 *
 * @returns the exit code
 */
export async function getCert(options: GetCertOptions, effects: Effects): Promise<number> {
  const { url, pem } = await withSigningClient(effects, options, async (client) => ({
    url: client.url,
    pem: await (options.all === true ? client.certificates() : client.certificate()),
  }));
  const certificates = await readCertificates(pem, url);
  if (options.output === "json") {
    await effects.writeOut(jsonText({ server: url, certificates }));
    return EXIT_OK;
  }
  // Written anew: what else the server may have sent between the blocks does not reach a terminal or a file.
  await effects.writeOut(certificates.map(({ certificate }) => certificate).join(""));
  for (const certificate of certificates) {
    effects.writeError(`SHA-256 fingerprint ${certificate.fingerprint}\n`);
  }
  effects.writeError(
    certificates.length === 1
      ? "Compare it with the one that the signing server printed when it started\n"
      : "Compare them with those that the signing server printed\n",
  );
  return EXIT_OK;
}

interface PrintedCertificate {
  certificate: string;
  fingerprint: string;
  keyId: string;
  notBefore?: string;
  notAfter?: string;
}

async function readCertificates(pem: string, url: string): Promise<PrintedCertificate[]> {
  try {
    const keys = await readVerificationKeys(pem, `${url}/signingcert`);
    const blocks = readPemBlocks(pem);
    return await Promise.all(keys.map(async (key, index) => {
      const block = blocks[index];
      if (block === undefined || key.notAfter === undefined || key.notBefore === undefined) {
        throw new InputError([`${url}: sent a bare public key where a certificate belongs`]);
      }
      return {
        certificate: writePem(block.label, block.bytes),
        fingerprint: await fingerprint(block.bytes),
        keyId: key.id,
        notBefore: key.notBefore.toISOString(),
        notAfter: key.notAfter.toISOString(),
      };
    }));
  } catch (error) {
    if (error instanceof SignedPodsError) {
      throw new InputError([`${url} does not answer like a signing server: ${error.message}`], {
        cause: error,
      });
    }
    throw error;
  }
}
