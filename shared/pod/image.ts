/**
 * Image references as Kubernetes reads them (kubernetes `pkg/util/parsers`, distribution/reference 0.6).
 *
 * @module
 */

/** The parts of an image reference. */
export interface ImageReference {
  /** Registry and repository in full: `docker.io/library/nginx` for `nginx`. */
  name: string;
  /** The tag, if one is written. */
  tag?: string;
  /** The digest with its algorithm, if one is written. */
  digest?: string;
}

/** Longer references are not parsed. A repository has at most 255 characters, a tag 128, a digest 135. */
export const MAX_IMAGE_LENGTH = 1024;

const MAX_REPOSITORY_LENGTH = 255;
const DEFAULT_REGISTRY = "docker.io";
const LEGACY_REGISTRY = "index.docker.io";

const REGISTRY =
  /^(?:[0-9A-Za-z]+(?:-+[0-9A-Za-z]+)*(?:\.[0-9A-Za-z]+(?:-+[0-9A-Za-z]+)*)*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?$/;
const PATH_COMPONENT = /^[0-9a-z]+(?:(?:\.|__?|-+)[0-9a-z]+)*$/;
const TAG = /^[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}$/;
const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$/;
const IDENTIFIER = /^[0-9a-f]{64}$/;

/**
 * The parts of an image reference; nothing if Kubernetes cannot read it either.
 *
 * @param text for example `registry.example:5000/team/app:1.2@sha256:…`
 */
export function parseImage(text: string): ImageReference | undefined {
  if (text.length > MAX_IMAGE_LENGTH || IDENTIFIER.test(text)) return undefined;

  const at = text.indexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !DIGEST.test(digest)) return undefined;
  const tagged = at < 0 ? text : text.slice(0, at);

  let registry = DEFAULT_REGISTRY;
  let rest = tagged;
  const slash = tagged.indexOf("/");
  const first = tagged.slice(0, Math.max(slash, 0));
  if (first === "localhost" || /[.:A-Z]/.test(first)) {
    registry = first === LEGACY_REGISTRY ? DEFAULT_REGISTRY : first;
    rest = tagged.slice(slash + 1);
  }
  const colon = rest.indexOf(":");
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  let repository = colon < 0 ? rest : rest.slice(0, colon);
  if (registry === DEFAULT_REGISTRY && !repository.includes("/")) repository = `library/${repository}`;

  // A first part that is no host name is read as a part of the repository, whatever decided that it is a registry.
  const path = REGISTRY.test(registry) ? repository : `${registry}/${repository}`;
  const readable = path.length <= MAX_REPOSITORY_LENGTH &&
    path.split("/").every((component) => PATH_COMPONENT.test(component)) &&
    (tag === undefined || TAG.test(tag));
  if (!readable) return undefined;
  return {
    name: `${registry}/${repository}`,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/**
 * The pull policy that Kubernetes gives an image without one: `Always` for the tag `latest`, written or implied by
 * neither tag nor digest, else `IfNotPresent`, also for what is no image reference
 * (`pkg/apis/core/v1/defaults.go SetDefaults_Container`).
 */
export function defaultPullPolicy(image: string): "Always" | "IfNotPresent" {
  const reference = parseImage(image);
  if (reference === undefined) return "IfNotPresent";
  const implied = reference.digest === undefined ? "latest" : "";
  return (reference.tag ?? implied) === "latest" ? "Always" : "IfNotPresent";
}

/** Whether the reference names its bytes by a digest, and so means the same image wherever it is pulled from. */
export function hasDigest(image: string): boolean {
  return parseImage(image)?.digest !== undefined;
}
