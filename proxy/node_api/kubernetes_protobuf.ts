/**
 * Reads messages in the protobuf encoding of Kubernetes: an envelope that names the kind, and the object within. What
 * comes out has the form of the same object in JSON, so that whoever judges it reads one form only.
 *
 * Strict: a field that is not listed, one that comes twice, another wire type than the field's, and text that is not
 * UTF-8 are refused. Generated code would pass over the first and let the last of two win.
 *
 * Source: Kubernetes, "Kubernetes API Concepts", "Protobuf encoding"; `k8s.io/apimachinery/pkg/runtime/generated.proto`
 * (`Unknown`); protobuf.dev, "Encoding".
 *
 * @module
 */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { messageOf } from "@signed-pods/shared/errors";
import { getOwn, isJsonObject, type JsonObject, type JsonValue, setOwn } from "@signed-pods/shared/json";
import type { Read } from "./user_info.ts";

/** Content type of the encoding. */
export const PROTOBUF_CONTENT_TYPE = "application/vnd.kubernetes.protobuf";

/** The four bytes in front of the envelope. */
const MAGIC: readonly number[] = [0x6b, 0x38, 0x73, 0x00];

/** A field of a message, and its name in JSON. All are length-delimited on the wire. */
export type Field =
  | { name: string; kind: "text" }
  /** `repeated string`. */
  | { name: string; kind: "texts" }
  | { name: string; kind: "message"; message: MessageFields }
  /** `map<string, M>` where M is a message with one `repeated string items = 1`. */
  | { name: string; kind: "texts-by-key" }
  /** Admitted once and not read. */
  | { name: string; kind: "ignored" };

/** Fields of a message by their number. */
export type MessageFields = ReadonlyMap<number, Field>;

const TYPE_META: MessageFields = new Map<number, Field>([
  [1, { name: "apiVersion", kind: "text" }],
  [2, { name: "kind", kind: "text" }],
]);

/** `raw` is taken out on its own: it is bytes, which JSON has no form for. */
const RAW_FIELD = 2;
const ENVELOPE: MessageFields = new Map<number, Field>([
  [1, { name: "typeMeta", kind: "message", message: TYPE_META }],
  [3, { name: "contentEncoding", kind: "text" }],
  [4, { name: "contentType", kind: "text" }],
]);

const MAP_KEY = 1;
const MAP_VALUE = 2;
const MAP_VALUE_FIELDS: MessageFields = new Map<number, Field>([[1, { name: "items", kind: "texts" }]]);

/**
 * Reads an object with its envelope.
 *
 * @param fields of the object's own message
 * @returns the object, with `apiVersion` and `kind` as the envelope says
 */
export function parseKubernetesProtobuf(bytes: Uint8Array, fields: MessageFields): Read<JsonObject> {
  if (!MAGIC.every((byte, index) => bytes[index] === byte)) {
    return { ok: false, problem: "it does not begin as protobuf of Kubernetes does" };
  }
  try {
    let raw: Uint8Array | undefined;
    const envelope = readMessage(bytes.subarray(MAGIC.length), ENVELOPE, (number, value) => {
      if (number !== RAW_FIELD || raw !== undefined) return false;
      raw = value;
      return true;
    });
    const type = getOwn(envelope, "contentType") ?? "";
    if (
      (getOwn(envelope, "contentEncoding") ?? "") !== "" || (type !== "" && type !== PROTOBUF_CONTENT_TYPE)
    ) {
      return { ok: false, problem: "its envelope holds another encoding than protobuf" };
    }
    if (raw === undefined) {
      return { ok: false, problem: "its envelope is empty" };
    }
    const typeMeta = getOwn(envelope, "typeMeta");
    const object = readMessage(raw, fields);
    return { ok: true, value: { ...(isJsonObject(typeMeta) ? typeMeta : {}), ...object } };
  } catch (error) {
    return { ok: false, problem: `it is not the protobuf that was expected: ${messageOf(error)}` };
  }
}

/**
 * Reads one message.
 *
 * @param other is asked about fields that are not listed; false refuses them
 */
function readMessage(
  bytes: Uint8Array,
  fields: MessageFields,
  other: (number: number, value: Uint8Array) => boolean = () => false,
): JsonObject {
  const object: JsonObject = {};
  for (const [number, value] of readFields(bytes)) {
    const field = fields.get(number);
    if (field === undefined) {
      if (!other(number, value)) throw new Error(`field ${number} is not known here, or there twice`);
      continue;
    }
    const before = getOwn(object, field.name);
    if (before !== undefined && field.kind !== "texts" && field.kind !== "texts-by-key") {
      throw new Error(`field ${number} is there twice`);
    }
    setOwn(object, field.name, readField(field, value, before));
  }
  return object;
}

function readField(field: Field, value: Uint8Array, before: JsonValue | undefined): JsonValue {
  switch (field.kind) {
    case "text":
      return decodeText(value);
    case "texts":
      return [...(Array.isArray(before) ? before : []), decodeText(value)];
    case "message":
      return readMessage(value, field.message);
    case "texts-by-key":
      return readEntry(value, isJsonObject(before) ? before : {});
    case "ignored":
      return null;
    default: {
      const never: never = field;
      return never;
    }
  }
}

/** An entry of a map: a message of a key and a value. Either may be absent, and is empty then. */
function readEntry(bytes: Uint8Array, map: JsonObject): JsonObject {
  let key: string | undefined;
  let value: JsonObject | undefined;
  for (const [number, part] of readFields(bytes)) {
    if (number === MAP_KEY && key === undefined) {
      key = decodeText(part);
    } else if (number === MAP_VALUE && value === undefined) {
      value = readMessage(part, MAP_VALUE_FIELDS);
    } else {
      throw new Error(`field ${number} of a map is not known here, or there twice`);
    }
  }
  if (getOwn(map, key ?? "") !== undefined) throw new Error("a map has a key twice");
  const copy = { ...map };
  setOwn(copy, key ?? "", getOwn(value ?? {}, "items") ?? []);
  return copy;
}

/** The length-delimited fields of a message, in order. */
function* readFields(bytes: Uint8Array): Generator<[number, Uint8Array]> {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (wireType !== WireType.LengthDelimited) throw new Error(`field ${number} is of another type`);
    yield [number, reader.bytes()];
  }
}

function decodeText(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}
