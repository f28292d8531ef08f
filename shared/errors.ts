/**
 * What the shared code throws. The code is the contract that callers and tests rely on; the text is for people.
 *
 * @module
 */

/** Every code that shared code throws, with what it means. */
export type ErrorCode =
  /** Text is not one complete JSON document, or breaks a rule of strict JSON. */
  | "json-malformed"
  /** A value has no canonical JSON: a lone surrogate, a number that is not finite, an integer beyond 2^53 - 1. */
  | "json-not-canonicalizable"
  /** Text is not padded standard base64 (RFC 4648 section 4) in its one canonical spelling. */
  | "base64-malformed"
  /** A PEM text (RFC 7468) holds no block, or one that is cut off or not base64. */
  | "pem-malformed"
  /** A key is well-formed, but of a type, curve or size that is not supported. */
  | "key-unsupported"
  /** A key does not parse, or a block of another kind stands where a key belongs. */
  | "key-malformed"
  /** A certificate (RFC 5280) does not parse, or is not meant for signatures. */
  | "certificate-malformed"
  /** Signature bytes are not of the form that the key's algorithm has. */
  | "signature-malformed"
  /** A quantity, for example of memory, is not one that Kubernetes reads. */
  | "quantity-malformed"
  /** A pod spec, template or object does not fit the schema. */
  | "object-malformed"
  /** A kind of object that holds no pod template. */
  | "kind-unsupported"
  /** A signed template is not what podsign writes. */
  | "template-malformed"
  /** The signed content of a ConfigMap is not what podsign writes. */
  | "content-malformed";

/** One thing that is wrong, and where. */
export interface Problem {
  /** Path from the document's root, for example `spec.containers[app].image`; empty for the document itself. */
  path: string;
  /** What is wrong there, in lower case and without a full stop. */
  message: string;
}

/** An error's message, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** An error with a stable code and, where there are several, all problems with their paths. */
export class SignedPodsError extends Error {
  /** What went wrong, as a stable word. */
  readonly code: ErrorCode;
  /** All that is wrong, in document order. At least one. */
  readonly problems: readonly Problem[];

  /**
   * @param code the stable code
   * @param message what is wrong and what to do
   * @param problems the single problems; by default the message, at the document's root
   * @param options the cause, if another error led here
   */
  constructor(code: ErrorCode, message: string, problems?: readonly Problem[], options?: ErrorOptions) {
    super(message, options);
    this.name = "SignedPodsError";
    this.code = code;
    this.problems = problems ?? [{ path: "", message }];
  }
}
