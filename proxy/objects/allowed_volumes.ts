/**
 * Which volumes a claim may lead to: what the node's operator allowed with `--allow-volume`.
 *
 * @module
 */
import { isDnsSubdomain } from "@signed-pods/shared/pod/grammar";

/** Plugins whose volumes can be allowed, as the fields of a PersistentVolume's spec are named. */
export const VOLUME_PLUGINS = [
  "awsElasticBlockStore",
  "azureDisk",
  "azureFile",
  "cinder",
  "csi",
  "fc",
  "flexVolume",
  "gcePersistentDisk",
  "iscsi",
  "nfs",
  "portworxVolume",
  "vsphereVolume",
] as const;

/** One of them. */
export type VolumePlugin = (typeof VOLUME_PLUGINS)[number];

/** One value of `--allow-volume`. */
export interface AllowedVolume {
  plugin: VolumePlugin;
  /** Of `csi` and `flexVolume`, which are run by a driver. */
  driver?: string;
  /** Mount options that its volumes may have. */
  mountOptions: ReadonlySet<string>;
}

/** What came out of reading one value. */
export type ParsedAllowedVolume = { ok: true; allowed: AllowedVolume } | { ok: false; message: string };

/**
 * Reads `PLUGIN[/DRIVER][:OPTION,OPTION…]`, for example `nfs:nfsvers=4.1,hard` or `csi/ebs.csi.aws.com`.
 */
export function parseAllowedVolume(text: string): ParsedAllowedVolume {
  const colon = text.indexOf(":");
  const [name = "", ...rest] = (colon < 0 ? text : text.slice(0, colon)).split("/");
  const driver = rest.join("/");
  const options = colon < 0 ? [] : text.slice(colon + 1).split(",");
  const plugin = VOLUME_PLUGINS.find((known) => known === name);
  if (plugin === undefined) {
    return refuse(
      name === "hostPath" || name === "local"
        ? `"${name}" would give a claim the node's own files; that cannot be allowed`
        : `"${name}" is no volume plugin; use ${VOLUME_PLUGINS.join(", ")}`,
    );
  }
  if (takesDriver(plugin) !== (driver !== "")) {
    return refuse(
      takesDriver(plugin)
        ? `"${text}" names no driver; write ${plugin}/DRIVER`
        : `"${text}" names a driver, and ${plugin} has none; write ${plugin}`,
    );
  }
  if (driver !== "" && !isDriverName(plugin, driver)) {
    return refuse(`"${driver}" is no name of a driver`);
  }
  if (options.some((option) => !isMountOption(option))) {
    return refuse(`"${text}" holds a mount option that is empty or not one word`);
  }
  return {
    ok: true,
    allowed: { plugin, ...(driver === "" ? {} : { driver }), mountOptions: new Set(options) },
  };

  function refuse(message: string): ParsedAllowedVolume {
    return { ok: false, message };
  }
}

/** Whether a plugin hands its volumes to a driver that the operator has to name. */
export function takesDriver(plugin: VolumePlugin): boolean {
  return plugin === "csi" || plugin === "flexVolume";
}

/** `vendor/driver` of a FlexVolume, or a CSI driver's name. */
export function isDriverName(plugin: VolumePlugin, name: string): boolean {
  const parts = name.split("/");
  return parts.length === (plugin === "flexVolume" ? 2 : 1) && parts.every(isDnsSubdomain);
}

function isMountOption(option: string): boolean {
  return /^[A-Za-z0-9_][\x21-\x2b\x2d-\x7e]*$/.test(option);
}
