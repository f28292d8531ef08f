/**
 * Certificates: the kubelet's own requests, those of podCertificate volumes, and bundles of trusted authorities.
 *
 * Source: `pkg/kubelet/certificate`, `pkg/kubelet/podcertificate` and `pkg/kubelet/clustertrustbundle` of Kubernetes
 * 1.36.3; client-go `util/certificate/csr`.
 *
 * @module
 */
import { isDnsSubdomain } from "@signed-pods/shared/pod/grammar";
import { LABELS, metadata, SUBDOMAIN, UID } from "./metadata.ts";
import { anyText, COUNT, fields, integer, list, map, type Shape, text, TIME } from "./shape.ts";
import { BYTES, CERTIFICATES, CONDITION, ENCODED_CERTIFICATES } from "./texts.ts";

/** `domain/name` of a signer; a bundle may have none. */
const SIGNER: Shape = text((found) => {
  const [domain = "", path = "", ...more] = found.split("/");
  return found === "" || (more.length === 0 && isDnsSubdomain(domain) && path.length <= 571 &&
    path.split(".").every((part) => /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?$/.test(part)));
}, "a signer's name");

/** The fields of a CertificateSigningRequest that a kubelet reads. */
export const SIGNING_REQUEST: Shape = fields({
  metadata: metadata({ namespaced: false }),
  spec: fields({
    request: BYTES,
    signerName: SIGNER,
    expirationSeconds: COUNT,
    usages: list(anyText(100)),
    username: anyText(1024),
    groups: list(anyText(1024)),
  }, ["request", "signerName"]),
  status: fields({ conditions: list(CONDITION), certificate: ENCODED_CERTIFICATES }),
}, ["metadata", "spec"]);

/** The fields of a ClusterTrustBundle; volumes choose bundles by their labels. */
export const CLUSTER_TRUST_BUNDLE: Shape = fields({
  metadata: metadata({
    namespaced: false,
    name: text(
      (found) => /^[a-z0-9](?:[a-z0-9.:-]{0,251}[a-z0-9])?$/.test(found),
      "a name of a trust bundle",
    ),
    labels: LABELS,
  }),
  spec: fields({ signerName: SIGNER, trustBundle: CERTIFICATES }, ["trustBundle"]),
}, ["metadata", "spec"]);

/** The fields of a PodCertificateRequest. */
export const POD_CERTIFICATE_REQUEST: Shape = fields({
  metadata: metadata({ namespaced: true, owners: true }),
  spec: fields({
    signerName: SIGNER,
    podName: SUBDOMAIN,
    podUID: UID,
    serviceAccountName: SUBDOMAIN,
    serviceAccountUID: UID,
    nodeName: SUBDOMAIN,
    nodeUID: UID,
    maxExpirationSeconds: COUNT,
    pkixPublicKey: BYTES,
    proofOfPossession: BYTES,
    stubPKCS10Request: BYTES,
    unverifiedUserAnnotations: map((key) => key.length <= 316, "a name", anyText(64 * 1024)),
  }),
  status: fields({
    conditions: list(fieldsOfCondition()),
    certificateChain: CERTIFICATES,
    notBefore: TIME,
    beginRefreshAt: TIME,
    notAfter: TIME,
  }),
}, ["metadata", "spec"]);

/** Conditions of newer kinds also say which generation they are of. */
function fieldsOfCondition(): Shape {
  const generation = fields({ observedGeneration: integer(0, Number.MAX_SAFE_INTEGER) });
  return (value, path, report) => {
    const condition = CONDITION(value, path, report);
    const more = generation(value, path, report);
    return typeof condition === "object" && condition !== null && !Array.isArray(condition) &&
        typeof more === "object" && more !== null && !Array.isArray(more)
      ? { ...condition, ...more }
      : condition;
  };
}
