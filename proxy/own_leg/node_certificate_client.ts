/**
 * Asks the cluster for a new client certificate of this node, as a kubelet with `rotateCertificates` does.
 *
 * Source: Kubernetes, "Certificates and Certificate Signing Requests"; `k8s.io/client-go/util/certificate/csr/csr.go`.
 *
 * @module
 */
import { decodeBase64, encodeBase64 } from "@signed-pods/shared/base64";
import { getOwn, isJsonObject, type JsonObject } from "@signed-pods/shared/json";
import { isDnsSubdomain } from "@signed-pods/shared/pod/grammar";
import { cleanMessage } from "../status.ts";
import type { Log } from "../log.ts";
import { checkAnswer, podRequestHeaders, readObject } from "../pods/pod_answer.ts";
import type { Upstream } from "../upstream.ts";

/** Where requests for certificates are made. */
export const CERTIFICATE_REQUESTS_PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/** Most bytes of an answer: a request with its certificate chain has a few thousand. */
export const MAX_CERTIFICATE_ANSWER_BYTES = 256 * 1024;

const SIGNER = "kubernetes.io/kube-apiserver-client-kubelet";

/** Conditions after which no certificate comes. */
const FINAL_CONDITIONS: ReadonlySet<unknown> = new Set(["Denied", "Failed"]);

/** What has become of a request. */
export type RequestState =
  | { kind: "pending" }
  /** PEM text, not looked into. */
  | { kind: "issued"; certificate: string }
  | { kind: "refused"; problem: string };

/** Makes requests and asks what has become of them. */
export interface NodeCertificateClient {
  /**
   * @param request PEM
   * @returns the name by which to ask
   * @throws {Error} if the API server does not take it
   */
  request(request: string): Promise<string>;
  /** @throws {Error} if the API server does not say */
  state(name: string): Promise<RequestState>;
}

/** Makes the client of one API server. */
export function createNodeCertificateClient(upstream: Upstream, log: Log): NodeCertificateClient {
  async function ask(method: string, path: string, body?: JsonObject): Promise<JsonObject> {
    const headers = podRequestHeaders();
    if (body !== undefined) headers.set("content-type", "application/json");
    const answer = await upstream.send({
      method,
      path,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const checked = await checkAnswer(answer, CERTIFICATE_REQUESTS_PATH, log, [200, 201]);
    if (!checked.ok) {
      await checked.response.body?.cancel();
      throw new Error(`the API server answers ${checked.response.status} to ${method} ${path}`);
    }
    const read = await readObject(checked.response.body, MAX_CERTIFICATE_ANSWER_BYTES);
    if (!read.ok) {
      throw new Error(`the API server's answer to ${method} ${path} is unusable: ${read.problem}`);
    }
    return read.object;
  }

  return {
    async request(request) {
      const answer = await ask("POST", CERTIFICATE_REQUESTS_PATH, {
        apiVersion: "certificates.k8s.io/v1",
        kind: "CertificateSigningRequest",
        metadata: { generateName: "csr-" },
        spec: {
          request: encodeBase64(new TextEncoder().encode(request)),
          signerName: SIGNER,
          usages: ["digital signature", "client auth"],
        },
      });
      const metadata = getOwn(answer, "metadata");
      const name = isJsonObject(metadata) ? getOwn(metadata, "name") : undefined;
      if (typeof name !== "string" || !isDnsSubdomain(name)) {
        throw new Error("the API server gives the request no name");
      }
      return name;
    },
    async state(name) {
      const status = getOwn(await ask("GET", `${CERTIFICATE_REQUESTS_PATH}/${name}`), "status");
      return isJsonObject(status) ? readState(status) : { kind: "pending" };
    },
  };
}

function readState(status: JsonObject): RequestState {
  const conditions = getOwn(status, "conditions");
  for (const condition of Array.isArray(conditions) ? conditions : []) {
    if (isJsonObject(condition) && FINAL_CONDITIONS.has(getOwn(condition, "type"))) {
      const message = getOwn(condition, "message");
      return { kind: "refused", problem: typeof message === "string" ? cleanMessage(message) : "" };
    }
  }
  const certificate = getOwn(status, "certificate");
  return typeof certificate === "string" && certificate !== ""
    ? { kind: "issued", certificate: new TextDecoder().decode(decodeBase64(certificate)) }
    : { kind: "pending" };
}
