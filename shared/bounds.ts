/**
 * Bounds that several modules share. Whatever a peer can make grow has one; each says why it is what it is.
 *
 * @module
 */

/**
 * Longest signed-template annotation, in UTF-8 bytes. Kubernetes caps all annotations of an object together at
 * 256 KiB (apimachinery `pkg/api/validation/objectmeta.go`, TotalAnnotationSizeLimitB), so a longer one cannot
 * have been stored by an honest API server.
 */
export const MAX_SIGNED_TEMPLATE_BYTES: number = 256 * 1024;

/**
 * Longest signature annotation, in characters. The longest signature that is supported, RSA with 4096 bits, is
 * 512 bytes, which is 684 characters of base64.
 */
export const MAX_SIGNATURE_CHARACTERS = 2048;

/** Most differences that one verdict lists. A pod that differs in more places is wrong as a whole. */
export const MAX_DIFFERENCES = 100;

/** Longest value printed in a difference or a message, in characters, so that a denial stays readable. */
export const MAX_PRINTED_CHARACTERS = 80;

/** Deepest nesting of lists of objects in one document. kubectl writes one level; more than a few is no list. */
export const MAX_LIST_DEPTH = 8;
