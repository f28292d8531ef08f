/**
 * The serving certificate, its key, and the authorities of clients, as files.
 *
 * @module
 */
import type { Problem } from "@signed-pods/shared/errors";
import { readClientAuthorities } from "./client_certificate.ts";
import { type FileReader, type FileSet, readFiles, textOf } from "./file_set.ts";
import type { ServingTls } from "../listener.ts";
import { readCertificateAuthorities, readTlsIdentity } from "./tls_identity.ts";

/** Where the files are. */
export interface ServingPaths {
  certificateFile: string;
  keyFile: string;
  clientCaFile?: string;
}

/** The files of the serving side, taken together. */
export function servingFiles(paths: ServingPaths, reader: FileReader): FileSet<ServingTls> {
  const { certificateFile, keyFile, clientCaFile } = paths;
  return {
    name: "serving-certificate",
    read: () =>
      readFiles([certificateFile, keyFile, ...(clientCaFile === undefined ? [] : [clientCaFile])], reader),
    parse(contents) {
      const problems: Problem[] = [];
      function attempt<T>(flag: string, place: string, read: () => T): T | undefined {
        try {
          return read();
        } catch (error) {
          problems.push({ path: flag, message: `${place}: ${reader.describe(error)}` });
          return undefined;
        }
      }
      const text = (flag: string, path: string) => attempt(flag, `"${path}"`, () => textOf(contents, path));
      const certificate = text("--tls-cert", certificateFile);
      const key = text("--tls-key", keyFile);
      const clientCa = clientCaFile === undefined
        ? undefined
        : attempt("--client-ca", `"${clientCaFile}"`, () => {
          const authorities = readCertificateAuthorities(textOf(contents, clientCaFile));
          // Throws at what the listener could not check clients with.
          readClientAuthorities(authorities);
          return authorities.join("");
        });
      const identity = certificate === undefined || key === undefined
        ? undefined
        : attempt("--tls-cert", `"${certificateFile}" with "${keyFile}"`, () =>
          readTlsIdentity(certificate, key));
      return Promise.resolve(
        problems.length > 0 || identity === undefined ? { ok: false, problems } : {
          ok: true,
          value: {
            certificate: identity.certificate,
            key: identity.key,
            ...(clientCa === undefined ? {} : { clientCa }),
          },
        },
      );
    },
  };
}
