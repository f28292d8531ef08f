/**
 * The cluster's certificate authority, as pods get it: the ConfigMap `kube-root-ca.crt` of every namespace. With
 * `--pin-root-ca` it holds no certificate that the node's operator did not name.
 *
 * Source: `pkg/controller/certificates/rootcacertpublisher` of Kubernetes 1.36.3, which writes the ConfigMaps.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import { getOwn, type JsonObject, objectAt } from "@signed-pods/shared/json";
import { readPemBlocks, writePem } from "@signed-pods/shared/pem";
import { ROOT_CA_CONFIG_MAP } from "@signed-pods/shared/pod/reference-answer";
import type { Difference } from "@signed-pods/shared/verdict";
import { readCertificateAuthorities } from "../credentials/tls_identity.ts";
import { type FileReader, type FileSet, readFiles, textOf } from "../credentials/file_set.ts";

/** The only key that the ConfigMap has. */
const KEY = "ca.crt";

const FLAG = "--pin-root-ca";

/** The certificates that were pinned, each as PEM. */
export type RootCa = ReadonlySet<string>;

/** What comes of the ConfigMap. */
export type PinnedRootCa = { ok: true; object: JsonObject } | { ok: false; difference: Difference };

/** Whether a ConfigMap is the one that holds the authority. */
export function isRootCa(object: JsonObject): boolean {
  return getOwn(objectAt(object, "metadata"), "name") === ROOT_CA_CONFIG_MAP;
}

/**
 * The ConfigMap with the certificates that it holds, written anew, if all of them were pinned. While authorities are
 * rotated, it may hold any of several. Text around certificates is left out, and so are other keys.
 */
export function pinRootCa(object: JsonObject, rootCa: RootCa): PinnedRootCa {
  const text = getOwn(objectAt(object, "data"), KEY);
  if (typeof text !== "string") {
    return refuse("is missing");
  }
  let certificates: string[];
  try {
    const blocks = readPemBlocks(text);
    // Other readers take other labels for certificates, too.
    if (blocks.some(({ label }) => label !== "CERTIFICATE")) {
      return refuse("holds something else than certificates");
    }
    certificates = blocks.map(({ label, bytes }) => writePem(label, bytes));
  } catch (error) {
    return refuse(`is not PEM: ${messageOf(error)}`);
  }
  if (!certificates.every((certificate) => rootCa.has(certificate))) {
    return refuse(`holds a certificate that is not in the file of ${FLAG}`);
  }
  const { binaryData: _left, ...rest } = object;
  return { ok: true, object: { ...rest, data: { [KEY]: [...new Set(certificates)].join("") } } };
}

function refuse(detail: string): PinnedRootCa {
  return { ok: false, difference: { path: `data[${KEY}]`, kind: "invalid", detail } };
}

/** The file of the certificates. */
export function rootCaFiles(path: string, reader: FileReader): FileSet<RootCa> {
  return {
    name: "root-ca",
    read: () => readFiles([path], reader),
    parse(contents) {
      try {
        return Promise.resolve({
          ok: true,
          value: new Set(readCertificateAuthorities(textOf(contents, path))),
        });
      } catch (error) {
        const message = `"${path}": ${reader.describe(error)}`;
        return Promise.resolve({ ok: false, problems: [{ path: FLAG, message }] });
      }
    },
  };
}
