/**
 * RuntimeClasses. By its handler a RuntimeClass says what runs a pod, so a handler is one that the operator pinned or that
 * owners signed.
 *
 * Source: `pkg/kubelet/runtimeclass/runtimeclass_manager.go` LookupRuntimeHandler of Kubernetes 1.36.3.
 *
 * @module
 */
import { type JsonObject, objectAt } from "@signed-pods/shared/json";
import { isDnsLabel, isDnsSubdomain } from "@signed-pods/shared/pod/grammar";
import { metadata } from "./metadata.ts";
import { byShape, type JudgedObject } from "./object_kind.ts";
import { fields, type Shape, text } from "./shape.ts";

const RUNTIME_CLASS: Shape = fields({
  metadata: metadata({ namespaced: false }),
  handler: text(isDnsLabel, "a DNS label"),
}, ["metadata", "handler"]);

/**
 * The rule of RuntimeClasses: the handler is the one that is pinned for the name, by the operator or else by the owners
 * of pods that are here.
 */
export function judgeRuntimeClass(
  object: JsonObject,
  pins: ReadonlyMap<string, string>,
  signed: (name: string) => ReadonlySet<string>,
): JudgedObject {
  const judged = byShape(RUNTIME_CLASS)(object);
  if (!judged.ok) {
    return judged;
  }
  const { handler } = judged.object;
  const { name } = objectAt(judged.object, "metadata");
  const [pinned] = typeof name === "string" ? [pins.get(name), ...signed(name)].filter(isText) : [];
  if (pinned === undefined) {
    const message = `is not pinned on this node; to pin it, start kubelet-proxy with --runtime-class=${
      String(name)
    }=HANDLER`;
    return { ok: false, code: "object-not-allowed", problems: [{ path: "handler", message }] };
  }
  return pinned === handler ? judged : {
    ok: false,
    code: "object-not-allowed",
    problems: [{ path: "handler", message: `is not "${pinned}", which is pinned on this node` }],
  };
}

function isText(value: string | undefined): value is string {
  return value !== undefined;
}

/** What came out of reading one value of `--runtime-class`. */
export type ParsedRuntimeClass = { ok: true; name: string; handler: string } | { ok: false; message: string };

/** Reads `NAME=HANDLER`, for example `kata=kata-qemu`. */
export function parseRuntimeClass(text: string): ParsedRuntimeClass {
  const equals = text.indexOf("=");
  const name = text.slice(0, Math.max(equals, 0));
  const handler = text.slice(equals + 1);
  return isDnsSubdomain(name) && isDnsLabel(handler)
    ? { ok: true, name, handler }
    : { ok: false, message: `"${text}" is no RuntimeClass and its handler; write NAME=HANDLER` };
}
