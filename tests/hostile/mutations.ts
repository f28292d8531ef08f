/**
 * Random changes of what an API server says, at every layer: bytes, lines, tokens of JSON, its tree, and what a pod means.
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";

/** Random numbers that come again with their seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to, but not including, a number. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("there is nothing to pick from");
    return item;
  }
}

/** What an API server would answer to a list and to a watch. */
export interface Input {
  list: Uint8Array;
  watch: Uint8Array;
  /** Size of the pieces in which both are sent, in bytes. */
  chunkBytes: number;
}

type Document = "list" | "watch";
type Mutation = (random: Random, bytes: Uint8Array, other: Uint8Array, document: Document) => Uint8Array;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function text(change: (random: Random, text: string, other: string) => string): Mutation {
  return (random, bytes, other) =>
    encoder.encode(change(random, decoder.decode(bytes), decoder.decode(other)));
}

function join(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function range(random: Random, length: number): [number, number] {
  const from = random.below(length + 1);
  return [from, Math.min(length, from + random.below(random.pick([2, 8, 64, 1024])))];
}

const BYTES: readonly Mutation[] = [
  (random, bytes) => {
    const copy = bytes.slice();
    const at = random.below(copy.length || 1);
    copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
    return copy;
  },
  (random, bytes) => {
    const copy = bytes.slice();
    copy[random.below(copy.length || 1)] = random.pick([
      0,
      0x0a,
      0x0d,
      0x22,
      0x5c,
      0x7b,
      0x7d,
      0x80,
      0xc0,
      0xff,
    ]);
    return copy;
  },
  (random, bytes) => {
    const [from, to] = range(random, bytes.length);
    return join(bytes.slice(0, from), bytes.slice(to));
  },
  (random, bytes) => {
    const [from, to] = range(random, bytes.length);
    return join(bytes.slice(0, to), bytes.slice(from));
  },
  (random, bytes, other) => {
    const at = random.below(bytes.length + 1);
    const [from, to] = range(random, other.length);
    return join(bytes.slice(0, at), other.slice(from, to), bytes.slice(at));
  },
  (random, bytes) => bytes.slice(0, random.below(bytes.length + 1)),
];

function lines(change: (random: Random, lines: string[]) => string[]): Mutation {
  return text((random, before) => {
    const ended = before.endsWith("\n");
    const parts = (ended ? before.slice(0, -1) : before).split("\n");
    return change(random, parts).join("\n") + (ended ? "\n" : "");
  });
}

const LINES: readonly Mutation[] = [
  lines((random, lines) => lines.toSpliced(random.below(lines.length), 1)),
  lines((random, lines) => lines.toSpliced(random.below(lines.length + 1), 0, random.pick(lines))),
  lines((random, lines) => {
    const [one, two] = [random.below(lines.length), random.below(lines.length)];
    return lines.with(one, lines[two] ?? "").with(two, lines[one] ?? "");
  }),
  lines((_random, lines) => lines.toReversed()),
  lines((random, lines) => {
    const at = random.below(lines.length);
    return lines.toSpliced(at, 2, (lines[at] ?? "") + (lines[at + 1] ?? ""));
  }),
  lines((random, lines) =>
    lines.toSpliced(random.below(lines.length + 1), 0, random.pick(["", "{}", "null", " ", "{"]))
  ),
  text((random, before) => before.slice(0, -1 - random.below(3))),
  text((_random, before) => before.replaceAll("\n", "\r\n")),
];

const TOKEN = /"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null|[{}[\]:,]/g;
const TOKENS = [
  "null",
  "true",
  "false",
  "0",
  "-0",
  "1e999",
  "-1",
  "1.5",
  "9007199254740993",
  "030",
  "[]",
  "{}",
  '""',
  '"\\u0000"',
  '"\\ud800"',
  '"../../x"',
  '"spec"',
  '"Spec"',
  '"\u017fpec"',
  '"__proto__"',
  ",",
  ":",
  "{",
  "}",
  "[",
  "]",
  "NaN",
  "// x\n",
];

function tokens(change: (random: Random, tokens: string[]) => string[]): Mutation {
  return text((random, before) => {
    const found = before.match(TOKEN) ?? [];
    return found.length === 0 ? before : change(random, found).join("");
  });
}

const TOKEN_MUTATIONS: readonly Mutation[] = [
  tokens((random, tokens) => tokens.with(random.below(tokens.length), random.pick(TOKENS))),
  tokens((random, tokens) => tokens.toSpliced(random.below(tokens.length), 1)),
  tokens((random, tokens) => tokens.toSpliced(random.below(tokens.length), 0, random.pick(TOKENS))),
  tokens((random, tokens) => tokens.toSpliced(random.below(tokens.length), 0, random.pick(tokens))),
  // A key once more, with another value.
  tokens((random, tokens) => {
    const keys = tokens.flatMap((token, index) =>
      tokens[index + 1] === ":" && token.startsWith('"') ? [index] : []
    );
    const at = random.pick(keys);
    return tokens.toSpliced(at, 0, tokens[at] ?? '""', ":", random.pick(TOKENS), ",");
  }),
];

const VALUES: readonly JsonValue[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  2 ** 53,
  "",
  "x",
  "../../x",
  "default",
  "kube-system",
  "plain",
  "db-0",
  "worker",
  "other",
  "registry.example/evil:1",
  "00000000-0000-4000-8000-000000000001",
  "$(reboot)",
  "a\nb",
  "Failed",
  "Succeeded",
  "Running",
  "Always",
  "2026-01-01T00:00:00Z",
  "1",
  [],
  {},
  [null],
  { name: "evil", image: "registry.example/evil:1" },
  "x".repeat(5000),
];

const KEYS = [
  "spec",
  "metadata",
  "status",
  "kind",
  "apiVersion",
  "items",
  "type",
  "object",
  "uid",
  "name",
  "namespace",
  "annotations",
  "labels",
  "containers",
  "initContainers",
  "ephemeralContainers",
  "image",
  "command",
  "env",
  "volumes",
  "hostPath",
  "hostPID",
  "hostNetwork",
  "securityContext",
  "privileged",
  "lifecycle",
  "nodeName",
  "deletionTimestamp",
  "phase",
  "qosClass",
  "resourceVersion",
  "kubernetes.io/config.mirror",
  "kubelet-proxy.io/signature",
  "kubelet-proxy.io/signed-template",
  "__proto__",
  "evil",
  "Spec",
  "IMAGE",
];

/** A place in a tree: the thing that holds a value, and where. */
interface Place {
  holder: JsonValue[] | JsonObject;
  key: string | number;
}

function places(value: JsonValue): Place[] {
  const found: Place[] = [];
  const walk = (holder: JsonValue) => {
    if (Array.isArray(holder)) {
      for (const [key, item] of holder.entries()) {
        found.push({ holder, key });
        walk(item);
      }
    } else if (isJsonObject(holder)) {
      for (const [key, item] of Object.entries(holder)) {
        found.push({ holder, key });
        walk(item);
      }
    }
  };
  walk(value);
  return found;
}

function read({ holder, key }: Place): JsonValue {
  return (Array.isArray(holder) ? holder[Number(key)] : holder[key]) ?? null;
}

function write({ holder, key }: Place, value: JsonValue): void {
  if (Array.isArray(holder)) holder[Number(key)] = value;
  else holder[key] = value;
}

function remove({ holder, key }: Place): void {
  if (Array.isArray(holder)) holder.splice(Number(key), 1);
  else delete holder[key];
}

type TreeChange = (random: Random, root: JsonValue, all: Place[]) => void;

/** Changes the tree of the documents that can be read: one for a list, one for each line of a watch. */
function tree(change: TreeChange): Mutation {
  return (random, bytes, _other, document) => {
    const before = decoder.decode(bytes);
    try {
      const root: JsonValue = document === "list"
        ? JSON.parse(before)
        : before.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
      const all = places(root);
      if (all.length > 0) change(random, root, all);
      return encoder.encode(
        Array.isArray(root) && document === "watch"
          ? root.map((event) => `${JSON.stringify(event)}\n`).join("")
          : `${JSON.stringify(root)}\n`,
      );
    } catch {
      // It is no JSON any more.
      return random.pick(BYTES)(random, bytes, bytes, document);
    }
  };
}

/** The values at the same key of other things. */
function namesakes(all: readonly Place[], key: string | number): Place[] {
  return all.filter((place) => place.key === key);
}

const SPLICED = [
  "metadata",
  "spec",
  "status",
  "annotations",
  "labels",
  "uid",
  "name",
  "namespace",
  "containers",
  "image",
  "volumes",
  "object",
  "type",
  "kubelet-proxy.io/signature",
  "kubelet-proxy.io/signed-template",
  "resourceVersion",
  "nodeName",
  "hostname",
];

const TREE: readonly Mutation[] = [
  tree((random, _root, all) => write(random.pick(all), structuredClone(random.pick(VALUES)))),
  tree((random, _root, all) => remove(random.pick(all))),
  tree((random, _root, all) => write(random.pick(all), structuredClone(read(random.pick(all))))),
  tree((random, _root, all) => {
    const objects = all.map(read).filter(isJsonObject);
    if (objects.length > 0) random.pick(objects)[random.pick(KEYS)] = structuredClone(random.pick(VALUES));
  }),
  tree((random, _root, all) => {
    const lists = all.map(read).filter((value) => Array.isArray(value));
    if (lists.length === 0) return;
    const list = random.pick(lists);
    list.splice(
      random.below(list.length + 1),
      0,
      structuredClone(list.length > 0 ? random.pick(list) : random.pick(VALUES)),
    );
  }),
  tree((random, _root, all) => {
    const place = random.pick(all);
    write(place, random.pick([[read(place)], { "0": read(place) }]));
  }),
  tree((random, _root, all) => {
    const place = random.pick(all);
    if (Array.isArray(place.holder)) return;
    const key = String(place.key);
    const value = read(place);
    remove(place);
    place
      .holder[
        random.pick([
          key.toUpperCase(),
          `${key}\u0000`,
          ` ${key}`,
          key.replace("s", "\u017f"),
          random.pick(KEYS),
        ])
      ] = value;
  }),
  // What belongs to one pod goes to another: more often than anything else, since this is what attacks are made of.
  ...Array.from({ length: 5 }, () =>
    tree((random, _root, all) => {
      const same = namesakes(all, random.pick(SPLICED));
      if (same.length > 1) write(random.pick(same), structuredClone(read(random.pick(same))));
    })),
  tree((random, _root, all) => {
    const types = namesakes(all, "type").filter(({ holder }) => !Array.isArray(holder) && "object" in holder);
    if (types.length > 0) {
      write(random.pick(types), random.pick(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "added"]));
    }
  }),
  tree((random, _root, all) => {
    const specs = namesakes(all, "containers");
    if (specs.length === 0) return;
    const containers = read(random.pick(specs));
    if (Array.isArray(containers)) containers.push({ name: "evil", image: "registry.example/evil:1" });
  }),
];

const LAYERS: readonly (readonly Mutation[])[] = [BYTES, LINES, TOKEN_MUTATIONS, TREE, TREE, TREE];

/** Changes an input some times. */
export function mutate(random: Random, input: Input): Input {
  let { list, watch } = input;
  for (let left = 1 + random.below(5); left > 0; left--) {
    const mutation = random.pick(random.pick(LAYERS));
    try {
      if (random.below(2) === 0) list = mutation(random, list, watch, "list");
      else watch = mutation(random, watch, list, "watch");
    } catch (error) {
      // A change that finds nothing to change.
      if (!(error instanceof Error) || error.message !== "there is nothing to pick from") throw error;
    }
  }
  // Single bytes are slow, so they come seldom.
  return { list, watch, chunkBytes: random.below(200) === 0 ? 1 : random.pick([500, 5000, 100_000]) };
}

/** Changes the bytes of a whole HTTP answer. */
export function mutateAnswer(random: Random, bytes: Uint8Array): Uint8Array {
  let changed = bytes;
  for (let left = 1 + random.below(3); left > 0; left--) {
    // Mostly near the beginning, where the header and the first chunk's size are.
    const cut = random.below(2) === 0 ? Math.min(changed.length, 300) : changed.length;
    const head = random.pick(BYTES)(random, changed.slice(0, cut), bytes, "list");
    changed = join(head, changed.slice(cut));
  }
  return changed;
}
