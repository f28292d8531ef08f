/**
 * The kubeconfig and what it names, as files: where the API server is, whom to trust, and with what credential to ask.
 *
 * @module
 */
import type { Problem } from "@signed-pods/shared/errors";
import { type Credentials, loadCredentials, nodeNameInCertificate } from "./credentials.ts";
import { type FileReader, type FileSet, readFiles, textOf } from "./file_set.ts";
import type { TlsIdentity } from "./tls_identity.ts";
import { filesOf, folderOf, type Kubeconfig, parseKubeconfig } from "./kubeconfig.ts";

/** What the files mean. */
export interface UpstreamSettings {
  kubeconfig: Kubeconfig;
  credentials: Credentials;
}

const FLAG = "--kubeconfig";

/** @param path of the kubeconfig */
export function upstreamFiles(
  path: string,
  context: string | undefined,
  reader: FileReader,
): FileSet<UpstreamSettings> {
  const report = (problems: readonly string[]): { ok: false; problems: Problem[] } => ({
    ok: false,
    problems: problems.map((problem) => ({ path: FLAG, message: `"${path}": ${problem}` })),
  });
  return {
    name: "credentials",
    async read() {
      const own = await readFiles([path], reader);
      const content = own.get(path);
      const parsed = content?.kind === "text"
        ? parseKubeconfig(content.text, folderOf(path), context)
        : undefined;
      const named = parsed?.ok ? filesOf(parsed.kubeconfig) : [];
      return new Map([...own, ...await readFiles(named, reader)]);
    },
    async parse(contents) {
      let text: string;
      try {
        text = textOf(contents, path);
      } catch (error) {
        return report([reader.describe(error)]);
      }
      const parsed = parseKubeconfig(text, folderOf(path), context);
      if (!parsed.ok) {
        return report(parsed.problems);
      }
      const { kubeconfig } = parsed;
      const { credentials, problems } = await loadCredentials(
        kubeconfig,
        (file) => Promise.resolve().then(() => textOf(contents, file)),
        reader.describe,
      );
      return problems.length > 0 ? report(problems) : { ok: true, value: { kubeconfig, credentials } };
    },
  };
}

/**
 * What cannot change while the proxy runs: to whom it speaks, and which node it is.
 *
 * @throws {Error} with what has changed and what to do
 */
export function checkUnchanged(before: Kubeconfig, nodeName: string, after: UpstreamSettings): void {
  const { kubeconfig, credentials } = after;
  if (
    kubeconfig.server.href !== before.server.href ||
    JSON.stringify(kubeconfig.exec) !== JSON.stringify(before.exec) ||
    kubeconfig.insecureSkipTlsVerify !== before.insecureSkipTlsVerify
  ) {
    throw new Error(
      `${FLAG}: names another API server or credential plugin; restart kubelet-proxy to use it`,
    );
  }
  if ((kubeconfig.certificateAuthority === undefined) !== (before.certificateAuthority === undefined)) {
    throw new Error(`${FLAG}: its certificate-authority came or went; restart kubelet-proxy to use it`);
  }
  checkNode(credentials.identity, nodeName);
}

/** @throws {Error} if a client certificate is another node's */
export function checkNode(identity: TlsIdentity | undefined, nodeName: string): void {
  const own = identity === undefined ? undefined : nodeNameInCertificate(identity.der);
  if (own !== undefined && own !== nodeName) {
    throw new Error(`${FLAG}: the client certificate is for node "${own}", this is "${nodeName}"`);
  }
}
