/**
 * The certificates of the front of the kubelet's API and the kubelet's own settings, as files: checked as a whole, whenever one
 * of them changes, as they were at the start.
 *
 * @module
 */
import { messageOf, type Problem } from "@signed-pods/shared/errors";
import { type FileReader, type FileSet, readFiles, textOf } from "../credentials/file_set.ts";
import { type FrontConfiguration, readFrontConfiguration } from "./front_configuration.ts";
import type { FrontOptions } from "./front_options.ts";
import { clientCaPath, readKubeletConfig } from "./kubelet_config.ts";

/** What is around the front; undefined if it is not known, which was reported. */
export interface FrontPlace {
  nodeName: string | undefined;
  /** PEM texts of the authorities that the API server is checked against. */
  clusterAuthorities: readonly string[];
}

/** The files that the options of the front name, and those that these name. */
export function frontFiles(
  options: FrontOptions,
  { nodeName, clusterAuthorities }: FrontPlace,
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
      ], reader);
      const settings = kubeletConfigFile === undefined ? undefined : contents.get(kubeletConfigFile);
      const named = kubeletConfigFile === undefined || settings?.kind !== "text"
        ? []
        : kubeletFiles(kubeletConfigFile, settings.text, kubelet.port);
      return new Map([...contents, ...await readFiles(named, reader)]);
    },
    async parse(contents) {
      const problems: Problem[] = [];
      const report = (path: string, message: string) => void problems.push({ path, message });
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

function kubeletFiles(path: string, text: string, port: number): string[] {
  try {
    const { clientCaFile } = readKubeletConfig(text, port);
    return clientCaFile === undefined ? [] : [clientCaPath(path, clientCaFile)];
  } catch {
    // What is wrong with it is said when it is parsed.
    return [];
  }
}
