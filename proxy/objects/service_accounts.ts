/**
 * ServiceAccounts and their tokens.
 *
 * Source: `pkg/kubelet/token/token_manager.go` and `pkg/credentialprovider/plugin` of Kubernetes 1.36.3.
 *
 * @module
 */
import { isBearerToken } from "@signed-pods/shared/bearer-token";
import { ANY_ANNOTATIONS, LABEL, metadata, SUBDOMAIN, UID } from "./metadata.ts";
import { anyText, fields, integer, list, type Shape, text, TIME, word } from "./shape.ts";

/** The fields of a ServiceAccount that a kubelet reads; credential providers see its annotations. */
export const SERVICE_ACCOUNT: Shape = fields({
  metadata: metadata({ namespaced: true, annotations: ANY_ANNOTATIONS }),
}, ["metadata"]);

/** The answer to a TokenRequest. It has no UID and no version. */
export const TOKEN_REQUEST: Shape = fields({
  metadata: fields({ name: SUBDOMAIN, namespace: LABEL, creationTimestamp: TIME }),
  spec: fields({
    audiences: list(anyText(1024)),
    expirationSeconds: integer(0, Number.MAX_SAFE_INTEGER),
    boundObjectRef: fields({
      kind: word("Pod", "Secret", "Node"),
      apiVersion: word("v1"),
      name: SUBDOMAIN,
      uid: UID,
    }),
  }),
  status: fields({
    token: text(isBearerToken, "a token"),
    expirationTimestamp: TIME,
  }, ["token", "expirationTimestamp"]),
}, ["status"]);
