/** The owner of workloads: makes pods, and signs them with a key of their own. */
import { encodeBase64 } from "@signed-pods/shared/base64";
import type { JsonObject } from "@signed-pods/shared/json";
import type { VerificationKey } from "@signed-pods/shared/keys";
import { expand } from "@signed-pods/shared/pod/normal-form";
import { createVerifier, type Verifier } from "@signed-pods/shared/pod/verify";
import { findPodTemplates } from "@signed-pods/shared/pod/workload";
import {
  buildSignedTemplate,
  encodeSignedTemplate,
  type SignOptions,
} from "@signed-pods/shared/signed-template";
import { writePem } from "@signed-pods/shared/pem";
import { generateSigningKey, sign, type SigningKey } from "@signed-pods/shared/signing";
import { SIGNATURE_ANNOTATION, SIGNED_TEMPLATE_ANNOTATION } from "@signed-pods/shared/verdict";

export const NODE_NAME = "worker";

/** What a pod of a test has that matters. */
export interface PodOptions {
  name?: string;
  namespace?: string;
  uid?: string;
  image?: string;
  nodeName?: string;
  /** UID of a controller. */
  controller?: string;
  resourceVersion?: string;
}

/** A UID that is told by a number. */
export function uidOf(number: number): string {
  return `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;
}

/** A pod as an API server shows it, unsigned. */
export function makePod(options: PodOptions = {}): JsonObject {
  const { name = "web", namespace = "default", uid = uidOf(1), image = "registry.example/web:1" } = options;
  const { nodeName = NODE_NAME, controller, resourceVersion = "1" } = options;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace,
      uid,
      resourceVersion,
      creationTimestamp: "2026-01-01T00:00:00Z",
      ...(controller === undefined ? {} : {
        ownerReferences: [{
          apiVersion: "apps/v1",
          kind: "ReplicaSet",
          name: "web",
          uid: controller,
          controller: true,
        }],
      }),
    },
    spec: {
      ...expand({ automountServiceAccountToken: false, containers: [{ name: "app", image }] }),
      nodeName,
    },
    status: { phase: "Pending" },
  };
}

/** A mirror pod as a kubelet makes it. */
export function makeMirror(options: PodOptions = {}): JsonObject {
  return withMetadata(makePod({ name: `static-${NODE_NAME}`, namespace: "kube-system", ...options }), {
    annotations: {
      "kubernetes.io/config.mirror": "0123456789abcdef0123456789abcdef",
      "kubernetes.io/config.hash": "0123456789abcdef0123456789abcdef",
      "kubernetes.io/config.seen": "2026-01-01T00:00:00Z",
      "kubernetes.io/config.source": "file",
    },
  });
}

/** The pod with other metadata. */
export function withMetadata(pod: JsonObject, changes: JsonObject): JsonObject {
  return { ...pod, metadata: { ...objectOf(pod.metadata), ...changes } };
}

/** The pod with other fields in its spec. */
export function withSpec(pod: JsonObject, changes: JsonObject): JsonObject {
  return { ...pod, spec: { ...objectOf(pod.spec), ...changes } };
}

/** The pod with another image in its only container, as `kubectl set image` makes it. */
export function withImage(pod: JsonObject, image: string): JsonObject {
  const spec = objectOf(pod.spec);
  const [container] = Array.isArray(spec.containers) ? spec.containers : [];
  return withSpec(pod, { containers: [{ ...objectOf(container), image }] });
}

/** The pod with another status. */
export function withStatus(pod: JsonObject, status: JsonObject): JsonObject {
  return { ...pod, status: { ...objectOf(pod.status), ...status } };
}

/** The object that a value is; a test that expects one where there is none fails here. */
export function objectOf(value: unknown): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`not an object: ${JSON.stringify(value)}`);
  }
  return Object.fromEntries(Object.entries(value));
}

/** Signs pods. */
export class Owner {
  readonly #key: SigningKey;
  readonly verificationKey: VerificationKey;
  readonly verifier: Verifier;

  private constructor(key: SigningKey) {
    this.#key = key;
    this.verificationKey = {
      algorithm: key.algorithm,
      key: key.publicKey,
      id: key.id,
      source: "the owner of this test",
    };
    this.verifier = createVerifier({
      keys: [this.verificationKey],
      acceptForms: new Set(["template", "spec"]),
      requireDigests: false,
    });
  }

  /** What a node is given to verify with. */
  async publicKeyPem(): Promise<string> {
    return writePem("PUBLIC KEY", new Uint8Array(await crypto.subtle.exportKey("spki", this.#key.publicKey)));
  }

  /** An owner with this key, or with one of their own. */
  static async create(key?: SigningKey): Promise<Owner> {
    return new Owner(key ?? await generateSigningKey("ec-p256"));
  }

  /** The pod with its signature, as podsign writes it. */
  async sign(pod: JsonObject, options: SignOptions = {}): Promise<JsonObject> {
    const { nodeName: _nodeName, ...spec } = objectOf(pod.spec);
    const { name = null, namespace = null, labels, annotations } = objectOf(pod.metadata);
    const manifest: JsonObject = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name,
        namespace,
        ...(labels === undefined ? {} : { labels }),
        ...(annotations === undefined ? {} : { annotations }),
      },
      spec,
    };
    const [location] = findPodTemplates(manifest);
    if (location === undefined) {
      throw new TypeError("the manifest holds no pod");
    }
    const text = encodeSignedTemplate(buildSignedTemplate(location, options));
    return withMetadata(pod, {
      annotations: {
        ...(annotations === undefined ? {} : objectOf(annotations)),
        [SIGNATURE_ANNOTATION]: await this.signText(text),
        [SIGNED_TEMPLATE_ANNOTATION]: text,
      },
    });
  }

  /** The signature over a text as it stands in an annotation. */
  async signText(text: string): Promise<string> {
    return encodeBase64(await sign(this.#key, new TextEncoder().encode(text)));
  }

  /** A pod that this owner has signed. */
  signedPod(options: PodOptions = {}, signOptions: SignOptions = {}): Promise<JsonObject> {
    return this.sign(makePod(options), signOptions);
  }
}
