/**
 * Asks the cluster for a new client certificate of this node, as a kubelet with `rotateCertificates` does.
 *
 * Source: Kubernetes, "Certificates and Certificate Signing Requests"; `k8s.io/client-go/util/certificate/csr/csr.go`.
 *
 * @module
 */
import { decodeBase64, encodeBase64 } from "@signed-pods/shared/base64";
import { messageOf } from "@signed-pods/shared/errors";
import { getOwn, isJsonObject, type JsonObject } from "@signed-pods/shared/json";
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

/** Answers of the API server that say no to a request, rather than that it cannot answer now (RFC 9110 section 15.5). */
function saysNo(status: number): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

/** The API server has what was asked for under this name already. */
const CONFLICT = 409;

const NOT_FOUND = 404;

/** The cluster said no: the same request will not be answered otherwise. */
export class CertificateRefusedError extends Error {
  override name = "CertificateRefusedError";
}

/** The cluster did not answer, or with what means nothing: the same request may be answered later. */
export class CertificateUnansweredError extends Error {
  override name = "CertificateUnansweredError";
}

/** What has become of a request. */
export type RequestState =
  | { kind: "pending" }
  /** PEM text, not looked into. */
  | { kind: "issued"; certificate: string }
  | { kind: "refused"; problem: string };

/** Makes requests and asks what has become of them. */
export interface NodeCertificateClient {
  /**
   * Makes a request. Making it again, when it is not known whether the first time came through, makes no second one.
   *
   * @param name of the object; another one for each key
   * @param request PEM
   * @throws {CertificateRefusedError | CertificateUnansweredError}
   */
  request(name: string, request: string): Promise<void>;
  /** @throws {CertificateUnansweredError} if the API server does not say */
  state(name: string): Promise<RequestState>;
}

/** Makes the client of one API server. */
export function createNodeCertificateClient(upstream: Upstream, log: Log): NodeCertificateClient {
  async function ask(method: string, path: string, body?: JsonObject): Promise<Response> {
    const headers = podRequestHeaders();
    if (body !== undefined) headers.set("content-type", "application/json");
    try {
      const answer = await upstream.send({
        method,
        path,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return (await checkAnswer(answer, CERTIFICATE_REQUESTS_PATH, log, [200, 201])).response;
    } catch (cause) {
      throw new CertificateUnansweredError(messageOf(cause), { cause });
    }
  }

  return {
    async request(name, request) {
      const { status, body } = await ask("POST", CERTIFICATE_REQUESTS_PATH, {
        apiVersion: "certificates.k8s.io/v1",
        kind: "CertificateSigningRequest",
        metadata: { name },
        spec: {
          request: encodeBase64(new TextEncoder().encode(request)),
          signerName: SIGNER,
          usages: ["digital signature", "client auth"],
        },
      });
      await body?.cancel();
      if (status < 400 || status === CONFLICT) return;
      const problem = `the API server answers ${status} to POST ${CERTIFICATE_REQUESTS_PATH}`;
      throw saysNo(status) ? new CertificateRefusedError(problem) : new CertificateUnansweredError(problem);
    },
    async state(name) {
      const { status, body } = await ask("GET", `${CERTIFICATE_REQUESTS_PATH}/${name}`);
      if (status >= 400) {
        await body?.cancel();
        // Requests are deleted by the cluster, pending ones after a day (`pkg/controller/certificates/cleaner`).
        if (status === NOT_FOUND) return { kind: "refused", problem: "it was deleted" };
        throw new CertificateUnansweredError(
          `the API server answers ${status} to GET ${CERTIFICATE_REQUESTS_PATH}/NAME`,
        );
      }
      const read = await readObject(body, MAX_CERTIFICATE_ANSWER_BYTES);
      if (!read.ok) {
        throw new CertificateUnansweredError(`the API server's answer is unusable: ${read.problem}`);
      }
      const state = getOwn(read.object, "status");
      return isJsonObject(state) ? readState(state) : { kind: "pending" };
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
  if (typeof certificate !== "string" || certificate === "") return { kind: "pending" };
  try {
    return { kind: "issued", certificate: new TextDecoder().decode(decodeBase64(certificate)) };
  } catch (cause) {
    throw new CertificateUnansweredError(`the API server's answer is unusable: ${messageOf(cause)}`, {
      cause,
    });
  }
}
