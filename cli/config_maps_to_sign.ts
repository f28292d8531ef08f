/**
 * ConfigMaps that get a signature of their own: those of the manifest that `--allow signed-config=NAME` names.
 *
 * @module
 */
import { parsePermission } from "@signed-pods/shared/pod/permissions";
import { pinContent } from "@signed-pods/shared/pod/pins";
import { encodeSignedContent } from "@signed-pods/shared/signed-content";
import { type ConfigObject, type ConfigObjects, contentOf, placeOfObject } from "./config_objects.ts";
import { InputError } from "./input_error.ts";

/** One ConfigMap with the text that is signed for it. */
export interface ConfigMapToSign {
  readonly object: ConfigObject;
  /** The namespace that it is signed for. */
  readonly namespace: string;
  /** The exact text over which the signature is made. */
  readonly text: string;
}

/**
 * The ConfigMaps to sign, in the order of the permissions.
 *
 * @param allow the owner's permissions, as they were written
 * @param namespace of --namespace
 * @throws {InputError} if one has no namespace, or content that cannot be read
 */
export async function configMapsToSign(
  objects: ConfigObjects,
  allow: readonly string[],
  namespace: string | undefined,
  now: Date,
): Promise<ConfigMapToSign[]> {
  const signedAt = new Date(Math.floor(now.getTime() / 1000) * 1000);
  const names = new Set(allow.flatMap((text) => {
    const parsed = parsePermission(text);
    return parsed.ok && parsed.permission.kind === "signed-config" ? [parsed.permission.name] : [];
  }));
  const found: ConfigMapToSign[] = [];
  for (const object of [...names].flatMap((name) => objects.inInput(name))) {
    const own = object.namespace ?? namespace;
    const place = placeOfObject(object);
    if (own === undefined) {
      throw new InputError([
        `${place}: ConfigMap ${object.name} has no namespace, for which it would be signed: give --namespace NAMESPACE, or ` +
        "write it into the manifest",
      ]);
    }
    if (namespace !== undefined && own !== namespace) {
      throw new InputError([
        `${place}: ConfigMap ${object.name} has the namespace "${own}", but --namespace says "${namespace}": leave one of ` +
        "them out",
      ]);
    }
    const content = await pinContent(contentOf(object));
    found.push({
      object,
      namespace: own,
      text: encodeSignedContent({ namespace: own, name: object.name, content, signedAt }),
    });
  }
  return found;
}
