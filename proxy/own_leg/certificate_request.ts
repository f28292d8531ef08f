/**
 * A request for a certificate (PKCS #10, RFC 2986), as a kubelet makes it for itself.
 *
 * Source: `k8s.io/kubernetes/pkg/apis/certificates/helpers.go` (ValidateKubeletClientCSR): the organization is
 * `system:nodes`, the common name begins with `system:node:`, and there are no alternative names.
 *
 * @module
 */
import { Attributes, CertificationRequest, CertificationRequestInfo } from "@peculiar/asn1-csr";
import { AsnConvert } from "@peculiar/asn1-schema";
import { SubjectPublicKeyInfo } from "@peculiar/asn1-x509";
import { nameOf, signatureAlgorithmOf } from "@signed-pods/shared/certificate-writing";
import { writePem } from "@signed-pods/shared/pem";
import { MAX_NODE_USER_LENGTH, type OwnKey } from "./own_leg_certificates.ts";

/**
 * A request for the client certificate of a node.
 *
 * @returns one PEM block
 */
export async function makeNodeCertificateRequest(key: OwnKey, nodeName: string): Promise<string> {
  const subject = { organization: "system:nodes", commonName: `system:node:${nodeName}` };
  const certificationRequestInfo = new CertificationRequestInfo({
    subject: nameOf(subject, MAX_NODE_USER_LENGTH),
    subjectPKInfo: AsnConvert.parse(key.spki, SubjectPublicKeyInfo),
    attributes: new Attributes(),
  });
  const signature = await key.sign(new Uint8Array(AsnConvert.serialize(certificationRequestInfo)));
  const request = new CertificationRequest({
    certificationRequestInfo,
    signatureAlgorithm: signatureAlgorithmOf(key.algorithm),
    signature: signature.buffer,
  });
  return writePem("CERTIFICATE REQUEST", new Uint8Array(AsnConvert.serialize(request)));
}
