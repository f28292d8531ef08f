/**
 * Random pods for property tests, made from the schema: every field of every type occurs, in every spelling that
 * Kubernetes reads (nulls, zeros, empty lists, quantities in odd forms), with the values that defaults and rewrites
 * look at more often than others.
 *
 * @module
 */
import fc from "fast-check";
import { isJsonObject, type JsonObject, type JsonValue, setOwn } from "../shared/json.ts";
import { DEFAULT_ROWS } from "../shared/pod/defaults.ts";
import { type Field, fieldsOf, KUBERNETES_VERSIONS, type RootType } from "../shared/pod/schema.ts";

/** What the arbitrary objects look like. */
export interface ArbitraryOptions {
  /** Only fields of this Kubernetes minor version: `1.36`. Default: fields of all versions. */
  version?: string;
  /** Also nulls, zeros, empty lists and maps. Default true. */
  messy?: boolean;
  /** Most fields that one object has, besides those that are always there. Default 6. */
  maxFields?: number;
}

const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;
const IMAGES = [
  "nginx",
  "nginx:latest",
  "nginx:1.29",
  `nginx@${DIGEST}`,
  `nginx:latest@${DIGEST}`,
  "A",
  "r.test:5000/a/b",
];
const WORDS = ["", "a", "b", "app", "data", "default", "HTTP1", "NotRequired", "true", "é\u{1f600}", "x y"];
const NAMES = ["a", "b", "app", "data", "web"];
const KEYS = [
  "cpu",
  "memory",
  "ephemeral-storage",
  "hugepages-2Mi",
  "vendor.test/gpu",
  "a",
  "constructor",
  "__proto__",
];
const INTEGERS = [-1, 0, 1, 3, 10, 30, 80, 420, 3600, 2 ** 31 - 1];
const SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "E-2"];

/** Fields that an object of a type always has, so that there is something to look at. */
const ALWAYS: Record<string, readonly string[]> = {
  PodSpec: ["containers"],
  Container: ["name", "image"],
  EphemeralContainer: ["name", "image"],
  EnvVar: ["name"],
  Volume: ["name"],
  VolumeMount: ["name", "mountPath"],
  ContainerPort: ["containerPort"],
};

/** A quantity in any spelling, as a string or a number. */
export function arbitraryQuantity(): fc.Arbitrary<string | number> {
  return fc.oneof(
    {
      weight: 4,
      arbitrary: fc.constantFrom("0", "1", "500m", "1000m", "0.5", "1Gi", "1024Mi", "100k", "0.0001"),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(
        fc.constantFrom("", "", "+"),
        fc.nat(2_000_000),
        fc.option(fc.nat(99_999)),
        fc.constantFrom(...SUFFIXES),
      ).map(([sign, whole, fraction, suffix]) =>
        `${sign}${whole}${fraction === null ? "" : `.${fraction}`}${suffix}`
      ),
    },
    { weight: 1, arbitrary: fc.constantFrom(0, 1, 2, 0.5, 1.25, 100, 1000000) },
  );
}

/** An object of a type that the schema admits. */
export function arbitraryObject(type: RootType, options: ArbitraryOptions = {}): fc.Arbitrary<JsonObject> {
  return new Arbitraries(options).object(type);
}

/** A pod spec that the schema admits; not one that the API server would (names clash, volumes have two sources). */
export function arbitraryPodSpec(options: ArbitraryOptions = {}): fc.Arbitrary<JsonObject> {
  return arbitraryObject("PodSpec", options);
}

class Arbitraries {
  readonly #messy: boolean;
  readonly #maxFields: number;
  readonly #version: string | undefined;
  readonly #objects = new Map<string, fc.Arbitrary<JsonObject>>();

  constructor(options: ArbitraryOptions) {
    this.#messy = options.messy ?? true;
    this.#maxFields = options.maxFields ?? 6;
    this.#version = options.version;
    if (this.#version !== undefined && !KUBERNETES_VERSIONS.includes(this.#version)) {
      throw new RangeError(`The schema does not know Kubernetes ${this.#version}`);
    }
  }

  object(type: string): fc.Arbitrary<JsonObject> {
    const known = this.#objects.get(type);
    if (known !== undefined) return known;
    const always = ALWAYS[type] ?? [];
    const fields = [...fieldsOf(type).values()].filter((field) => this.#exists(field));
    const values = new Map(fields.map((field) => [field.name, this.#field(type, field)]));
    const optional = [...values.keys()].filter((name) => !always.includes(name));
    const arbitrary = fc.subarray(optional, { maxLength: Math.min(optional.length, this.#maxFields) })
      .chain((chosen) => {
        const shape: Record<string, fc.Arbitrary<JsonValue>> = {};
        for (const name of [...chosen, ...always]) {
          const value = values.get(name);
          if (value !== undefined) shape[name] = value;
        }
        return fc.record<JsonObject>(shape, { noNullPrototype: true });
      });
    this.#objects.set(type, arbitrary);
    return arbitrary;
  }

  #exists({ since, until }: Field): boolean {
    if (this.#version === undefined) return true;
    const index = (version: string) => KUBERNETES_VERSIONS.indexOf(version);
    const at = index(this.#version);
    return (since === undefined || index(since) <= at) && (until === undefined || at <= index(until));
  }

  #field(type: string, field: Field): fc.Arbitrary<JsonValue> {
    const element = this.#element(type, field);
    const value = field.shape === "list"
      ? fc.array(element, { maxLength: 3 })
      : field.shape === "map"
      ? this.#map(element)
      : element;
    if (!this.#messy || (ALWAYS[type] ?? []).includes(field.name)) return value;
    return fc.oneof({ weight: 9, arbitrary: value }, { weight: 1, arbitrary: fc.constant(null) });
  }

  #map(element: fc.Arbitrary<JsonValue>): fc.Arbitrary<JsonValue> {
    return fc.uniqueArray(fc.tuple(fc.constantFrom(...KEYS), element), {
      maxLength: 3,
      selector: ([key]) => key,
    })
      .map((entries) => {
        const map: JsonObject = {};
        for (const [key, value] of entries) setOwn(map, key, value);
        return map;
      });
  }

  #element(type: string, field: Field): fc.Arbitrary<JsonValue> {
    const { name, scalar } = field;
    if (field.type !== undefined) return this.object(field.type);
    switch (scalar) {
      case "string":
        return this.#string(type, name);
      case "bool":
        return fc.boolean();
      case "int32":
      case "int64":
        return fc.constantFrom(...INTEGERS);
      case "intOrString":
        return fc.constantFrom<JsonValue>(0, 80, "", "80", "http");
      case "quantity":
        return arbitraryQuantity();
      case "time":
        return fc.constantFrom("2026-01-31T12:00:00Z", "2024-02-29T23:59:59.123456789+14:00");
      default:
        return fc.constant({ "f:spec": {} });
    }
  }

  #string(type: string, name: string): fc.Arbitrary<JsonValue> {
    if (name === "image" || name === "reference") return fc.constantFrom(...IMAGES);
    if (name === "name" && type !== "EnvVar") return fc.constantFrom(...NAMES);
    const defaults = DEFAULT_ROWS.filter((row) => row.type === type && row.field === name)
      .flatMap(({ value }) => typeof value === "function" ? ["Always", "IfNotPresent"] : [value])
      .filter((value) => !isJsonObject(value));
    return fc.constantFrom<JsonValue>(...WORDS, ...defaults, ...defaults);
  }
}
