/**
 * The flags by which the node's operator decides about objects other than pods.
 *
 * @module
 */
import { isDnsSubdomain } from "@signed-pods/shared/pod/grammar";
import type { ReferencesMode } from "@signed-pods/shared/pod/verify";
import { type AllowedVolume, parseAllowedVolume } from "./allowed_volumes.ts";
import type { ObjectPolicy } from "./object_kinds.ts";
import { parseRuntimeClass } from "./runtime_classes.ts";

/** In the order of the help text. */
export const OBJECT_FLAGS = [
  {
    name: "--allow-volume",
    value: "PLUGIN",
    default: "",
    description:
      "Let claims lead to volumes of this plugin: `nfs`, `iscsi`, `fc`, `csi/DRIVER`, `flexVolume/DRIVER` and others; `:OPTION,OPTION` behind it allows mount options. hostPath and local volumes cannot be allowed. Repeatable.",
  },
  {
    name: "--runtime-class",
    value: "NAME=HANDLER",
    default: "",
    description:
      "Pin the handler of a RuntimeClass. Without a pin it is the one that the owners of pods on this node signed; a class of which " +
      "nobody names the handler is unknown to the kubelet. Repeatable.",
  },
  {
    name: "--allow-device-driver",
    value: "DRIVER",
    default: "",
    description: "Let ResourceClaims hold devices of this driver (dynamic resource allocation). Repeatable.",
  },
  {
    name: "--pin-root-ca",
    value: "FILE",
    default: "",
    description:
      "Certificates (PEM) of the cluster's authority. Pods get a kube-root-ca.crt that holds these only; without the flag, the API server's.",
  },
  {
    name: "--references",
    value: "MODE",
    default: "enforce",
    description:
      "What becomes of ConfigMaps, Secrets, claims and others that pods refer to without their owner's signed word, and of content that is not what was signed: `enforce` refuses, `warn` only logs, `off` does not look.",
  },
] as const;

/** What the flags were given. */
export interface ObjectFlags {
  allowVolumes: readonly string[];
  runtimeClasses: readonly string[];
  deviceDrivers: readonly string[];
  rootCa?: string | undefined;
  references: string;
}

const MODES: readonly ReferencesMode[] = ["enforce", "warn", "off"];

/** What they mean. */
export type ObjectOptions = Omit<ObjectPolicy, "nodeName" | "signedHandlers"> & {
  /** The file of certificates that kube-root-ca.crt may hold. */
  rootCaFile?: string;
  /** What becomes of references about which the owner says nothing. */
  references: ReferencesMode;
};

/** Reads the flags, and reports all that is wrong with them. */
export function readObjectOptions(
  flags: ObjectFlags,
  report: (flag: (typeof OBJECT_FLAGS)[number]["name"], problem: string) => void,
): ObjectOptions {
  const allowedVolumes: AllowedVolume[] = [];
  for (const text of flags.allowVolumes) {
    const parsed = parseAllowedVolume(text);
    if (parsed.ok) {
      allowedVolumes.push(parsed.allowed);
    } else {
      report("--allow-volume", parsed.message);
    }
  }
  const runtimeClasses = new Map<string, string>();
  for (const text of flags.runtimeClasses) {
    const parsed = parseRuntimeClass(text);
    if (!parsed.ok) {
      report("--runtime-class", parsed.message);
    } else if (runtimeClasses.has(parsed.name)) {
      report("--runtime-class", `"${parsed.name}" is pinned more than once; leave one`);
    } else {
      runtimeClasses.set(parsed.name, parsed.handler);
    }
  }
  for (const driver of flags.deviceDrivers) {
    if (!isDnsSubdomain(driver)) {
      report("--allow-device-driver", `"${driver}" is no name of a driver`);
    }
  }
  const references = MODES.find((mode) => mode === flags.references);
  if (references === undefined) {
    report("--references", `"${flags.references}" is no mode; use ${MODES.join(", ")}`);
  }
  return {
    allowedVolumes,
    runtimeClasses,
    deviceDrivers: new Set(flags.deviceDrivers),
    ...(flags.rootCa === undefined ? {} : { rootCaFile: flags.rootCa }),
    references: references ?? "enforce",
  };
}
