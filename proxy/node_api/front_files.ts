/**
 * The certificates of the front of the kubelet's API and the kubelet's own settings, as files: checked as a whole, whenever one
 * of them changes, as they were at the start.
 *
 * @module
 */
import { messageOf, type Problem } from "@signed-pods/shared/errors";
import {
  type FileContents,
  type FileReader,
  type FileSet,
  readFiles,
  textOf,
} from "../credentials/file_set.ts";
import { folderOf, parseKubeconfig, type PemSource } from "../credentials/kubeconfig.ts";
import { readCertificateAuthorities } from "../credentials/tls_identity.ts";
import { type FrontConfiguration, readFrontConfiguration } from "./front_configuration.ts";
import type { FrontOptions } from "./front_options.ts";
import { clientCaPath, readKubeletConfig } from "./kubelet_config.ts";

/** Which kubeconfig, and which context of it. */
interface KubeconfigPlace {
  path: string;
  context: string | undefined;
}

/** What is around the front; undefined if it is not known, which was reported. */
export interface FrontPlace {
  nodeName: string | undefined;
  /** The kubeconfig, which names the authority that the API server is checked against. */
  kubeconfig: KubeconfigPlace | undefined;
}

/** The files that the options of the front name, and those that these name. */
export function frontFiles(
  options: FrontOptions,
  { nodeName, kubeconfig }: FrontPlace,
  reader: FileReader,
): FileSet<FrontConfiguration> {
  const { tls, kubelet, kubeletConfigFile } = options;
  return {
    name: "front-certificates",
    async read() {
      const contents = await readFiles([
        tls.certificateFile,
        tls.keyFile,
        tls.clientCaFile,
        kubelet.certificateAuthorityFile,
        kubelet.certificateFile,
        kubelet.keyFile,
        ...(kubeletConfigFile === undefined ? [] : [kubeletConfigFile]),
        // The cluster's authority may change, too, to one that the kubelet must not trust.
        ...(kubeconfig === undefined ? [] : [kubeconfig.path]),
      ], reader);
      const settings = kubeletConfigFile === undefined ? undefined : contents.get(kubeletConfigFile);
      const named = kubeletConfigFile === undefined || settings?.kind !== "text"
        ? []
        : kubeletFiles(kubeletConfigFile, settings.text, kubelet.port);
      if (kubeconfig !== undefined) named.push(...authorityFiles(contents, kubeconfig));
      return new Map([...contents, ...await readFiles(named, reader)]);
    },
    async parse(contents) {
      const problems: Problem[] = [];
      const report = (path: string, message: string) => void problems.push({ path, message });
      let clusterAuthorities: string[] = [];
      if (kubeconfig !== undefined) {
        try {
          const source = authorityOf(contents, kubeconfig);
          const text = source?.kind === "file" ? textOf(contents, source.path) : source?.text;
          clusterAuthorities = text === undefined ? [] : readCertificateAuthorities(text);
        } catch (error) {
          report("--kubeconfig", `"${kubeconfig.path}": certificate-authority: ${messageOf(error)}`);
        }
      }
      const value = await readFrontConfiguration(options, {
        nodeName,
        clusterAuthorities,
        report,
        async readFile(flag, path, parse) {
          try {
            return await Promise.resolve(parse(textOf(contents, path)));
          } catch (error) {
            report(flag, `"${path}": ${messageOf(error)}`);
            return undefined;
          }
        },
      });
      return problems.length > 0 || value === undefined ? { ok: false, problems } : { ok: true, value };
    },
  };
}

/**
 * Where the cluster's authority is; undefined if the kubeconfig names none.
 *
 * @throws {Error} if the kubeconfig cannot be read
 */
function authorityOf(contents: FileContents, { path, context }: KubeconfigPlace): PemSource | undefined {
  const parsed = parseKubeconfig(textOf(contents, path), folderOf(path), context);
  if (parsed.ok) return parsed.kubeconfig.certificateAuthority;
  throw new Error(parsed.problems.join("; "));
}

/** The file of it, if it is one. */
function authorityFiles(contents: FileContents, kubeconfig: KubeconfigPlace): string[] {
  try {
    const source = authorityOf(contents, kubeconfig);
    return source?.kind === "file" ? [source.path] : [];
  } catch {
    // What is wrong with it is said when it is parsed.
    return [];
  }
}

function kubeletFiles(path: string, text: string, port: number): string[] {
  try {
    const { clientCaFile } = readKubeletConfig(text, port);
    return clientCaFile === undefined ? [] : [clientCaPath(path, clientCaFile)];
  } catch {
    // What is wrong with it is said when it is parsed.
    return [];
  }
}
