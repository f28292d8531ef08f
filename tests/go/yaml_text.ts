/**
 * Random YAML for tests: what people write, what they should not, and what is broken.
 *
 * @module
 */
import fc from "fast-check";

/** Plain scalars that readers of YAML 1.1, 1.2 or kubectl's library may take for something else than text. */
export const ODD_SCALARS: readonly string[] = [
  ..."y Y yes Yes YES yEs n N no No NO on On ON oN off Off OFF true True TRUE tRUE false False FALSE".split(
    " ",
  ),
  ..."null Null NULL nULL ~ = << - -- ? : .".split(" "),
  ..."0 -0 +0 00 7 +1 -1 0644 -0644 +0644 08 0o644 0O7 -0o7 0x1F 0X1f -0x1 +0x1 0x 0xg 0x-1".split(" "),
  ..."0b101 0B1 -0b1 +0b1 0b 0b2 0b-1 0b+1 -0b-1 -0b+1 0b1_0 0x1_F 0_x1 0_b1".split(" "),
  ..."1_000 1__0 1_ _1 -_1 +_1 +_ -1_0 _ __ 1_0.5 -_.5 ._1 .1_0 0_8 1_e3 1e_3".split(" "),
  ..."1:30 22:22 1:30:00 -1:30 +1:30 1:60 1:99 01:30 1:30.5 0:0".split(" "),
  ..."1e3 1E3 1e+3 1e-3 -1e3 1e 1e+ e3 .e3 1.e3 .5e3 1e400 -1e400 1e-400 1e22 12e03".split(" "),
  ...".5 -.5 +.5 5. -5. 0.5 00.5 01.5 -0.0 0.0 1.50 .0 +.0 1.2.3 ..5 5.. 0.1e1".split(" "),
  ..."9007199254740991 9007199254740992 9007199254740993 -9007199254740993 9223372036854775808".split(" "),
  ..."18446744073709551615 18446744073709551616 1e21 123456789012345678901234567890 0.1234567890123456789"
    .split(" "),
  ...".inf .Inf .INF -.inf +.inf +.Inf .nan .NaN .NAN -.nan inf nan Infinity NaN .iNF".split(" "),
  ..."2024-01-02 2024-1-2 2024-01-02T03:04:05Z 2024-01-02t03:04:05z 2024-13-01 0001-01-01 20240102".split(
    " ",
  ),
  "2024-01-02 03:04:05",
  "2001-12-14 21:59:43.10 -5",
  ..."500m 1Gi 10.0.0.1 ::1 80/TCP nginx:1.29 a:b a#b http://x.test/ -a - a.b/c $(VAR) 100% a,b [a] {a}"
    .split(" "),
  "a: b",
  "a #b",
  "a b",
  "é\u{1f600}",
  "!a",
  "&a",
  "*a",
  "@a",
  "`a",
  "%a",
  "'",
  '"',
  "|",
  ">",
];

const KEYS: readonly string[] = ["a", "b", "app", "metadata", "annotations", "spec", "x.test/y", "__proto__"];
const PIECES: readonly string[] = [
  ..."\n \t - : , # & * ! | > ' \" % @ ` ? [ ] { } ~ _ . + 0 1 9 e x b o y n \\ = <".split(" "),
  "",
  "\r",
  "\u0085",
  "\u2028",
  "\ufeff",
  "\u00a0",
  "\0",
  "\n---\n",
  "\n...\n",
  "\n--- a\n",
  "<<: ",
  "&a ",
  "*a",
  "!!str ",
  "? ",
  " #",
  "\n\t",
  "\\u2028",
  "\r\n",
];

/** Makes one text out of random choices. */
class Writer {
  readonly #value: fc.GeneratorValue;

  constructor(value: fc.GeneratorValue) {
    this.#value = value;
  }

  pick<T>(...choices: readonly T[]): T {
    return this.#value(() => fc.constantFrom(...choices));
  }

  chance(percent: number): boolean {
    return this.#value(fc.nat, 99) < percent;
  }

  below(limit: number): number {
    return this.#value(fc.nat, limit - 1);
  }

  text(): string {
    let text = this.chance(70) ? "" : this.pick(
      "# one\n",
      "---\n",
      "--- # two\n",
      "\n",
      "\ufeff",
      ...(this.chance(10) ? ["%YAML 1.1\n---\n"] : []),
    );
    const count = this.pick(1, 1, 1, 2, 3);
    for (let index = 0; index < count; index++) {
      if (index > 0) {
        text += this.chance(95)
          ? this.pick("---\n", "--- # x\n", "---  \n", "...\n---\n")
          : this.pick("...\n", "----\n", "--- a\n", "... # x\n");
      }
      text += this.#document();
    }
    if (this.chance(15)) text = text.replaceAll("\n", "\r\n");
    if (this.chance(25)) text = this.#damaged(text);
    if (this.chance(5)) text = text.replace(/\s+$/, "");
    return text;
  }

  #document(): string {
    if (this.chance(5)) return this.pick("", "\n", "# nothing\n", "null\n", "~\n");
    if (this.chance(10)) return `${this.#flow(0)}\n`;
    if (this.chance(2)) return this.#block(0, 0).replace(/^[ \n]/, "");
    return this.#map(0, 0);
  }

  #damaged(text: string): string {
    let damaged = text;
    for (let count = this.pick(1, 1, 2); count > 0; count--) {
      const at = this.below(damaged.length + 1);
      damaged = damaged.slice(0, at) + this.pick(...PIECES) + damaged.slice(at + this.pick(0, 0, 1, 2));
    }
    return damaged;
  }

  #lineEnd(): string {
    return this.chance(10)
      ? this.pick(" # note\n", "  \n", "\n\n", "\n# note\n", "\t# note\n", " \n  # deep\n")
      : "\n";
  }

  #map(indent: number, depth: number): string {
    const pad = " ".repeat(indent);
    const unique = this.chance(97);
    const used = new Set<string>();
    let lines = "";
    for (let count = 1 + this.below(3); count > 0; count--) {
      const key = this.#key();
      if (unique && used.has(key)) continue;
      used.add(key);
      lines += pad;
      lines += this.chance(1) ? `? ${key}\n${pad}:` : `${key}${this.chance(3) ? " " : ""}:`;
      lines += this.#block(indent, depth);
    }
    return lines;
  }

  #key(): string {
    if (this.chance(1)) return "<<";
    const text = this.chance(97) ? this.pick(...KEYS) : this.pick(...ODD_SCALARS);
    return this.chance(85) ? text : this.#quoted(text);
  }

  /** A value behind `key:` or `-` in a collection of this indentation, with its line end. */
  #block(indent: number, depth: number): string {
    const choice = this.below(depth > 3 ? 60 : 100);
    if (choice < 45) return this.#afterIndicator(this.#scalar(indent)) + this.#lineEnd();
    if (choice < 53) return ` ${this.#properties()}${this.#blockScalar(indent)}`;
    if (choice < 60) return this.#afterIndicator(this.#flow(depth)) + this.#lineEnd();
    const step = this.pick(1, 2, 2, 2, 4);
    const properties = this.#properties();
    const head = properties === "" ? "" : ` ${properties.trimEnd()}`;
    if (choice < 80) return `${head}${this.#lineEnd()}${this.#map(indent + step, depth + 1)}`;
    const listIndent = this.chance(50) ? indent : indent + step;
    return `${head}${this.#lineEnd()}${this.#list(listIndent, depth + 1)}`;
  }

  #afterIndicator(value: string): string {
    return value === "" ? "" : `${this.chance(3) ? "\t" : this.pick(" ", " ", "  ")}${value}`;
  }

  #list(indent: number, depth: number): string {
    const pad = " ".repeat(indent);
    let lines = "";
    for (let count = 1 + this.below(3); count > 0; count--) {
      if (depth <= 3 && this.chance(30)) {
        lines += `${pad}- ${this.#map(indent + 2, depth + 1).trimStart()}`;
      } else lines += `${pad}-${this.#block(indent, depth)}`;
    }
    return lines;
  }

  #properties(): string {
    if (!this.chance(1)) return "";
    return this.pick(
      "&a ",
      "&b ",
      "!!str ",
      "!!int ",
      "!!float ",
      "!!bool ",
      "!!null ",
      "!!binary ",
      "! ",
      "!x ",
      "!!map ",
    );
  }

  #scalar(indent: number): string {
    const properties = this.#properties();
    if (this.chance(1)) return this.pick("*a", "*b");
    const choice = this.below(100);
    if (choice < 10) return properties + this.pick(...ODD_SCALARS);
    if (choice < 15) return properties + this.#numberLike();
    if (choice < 20) return properties;
    if (choice < 50) return properties + this.#quoted(this.pick(...ODD_SCALARS));
    if (choice < 53) {
      const pad = " ".repeat(indent + 1 + this.below(3));
      return `${properties}${this.pick("one", "1", '"one', "'one")}\n${pad}${
        this.pick("two", "# three", "two: x", "- 2")
      }${this.pick("", "", '"', "'")}`;
    }
    return properties + this.pick("web", "nginx:1.29", "/bin/sh", "-c", "a b c", "it's", "8080");
  }

  #numberLike(): string {
    let text = "";
    for (let count = 1 + this.below(6); count > 0; count--) {
      text += this.pick(..."0 0 1 7 8 9 _ . : - + e E x X o b a F".split(" "));
    }
    return text;
  }

  #quoted(text: string): string {
    if (this.chance(50)) return `'${text.replaceAll("'", "''")}'`;
    if (this.chance(20)) {
      return this.pick(
        '"\\x41\\u00e9\\U0001F600"',
        '"\\0\\a\\b\\t\\n\\v\\f\\r\\e\\ \\"\\/\\\\\\N\\_\\L\\P"',
        '"a\\\n  b"',
        '"a\n\n  b"',
        "'a\n\n  b'",
        '"\\ud83d\\ude00"',
        '"a\tb"',
        '" a "',
        '""',
        "''",
      );
    }
    return JSON.stringify(text);
  }

  #blockScalar(indent: number): string {
    const pad = " ".repeat(indent + this.pick(1, 2, 2, 2, 4));
    const head = this.pick("|", "|", ">", ">") + this.pick("", "", "-", "+", "2", "1-", "+2");
    let text = `${head}${this.pick("", "", "", " # note", " ")}\n`;
    for (let count = this.below(4); count > 0; count--) {
      text += this.pick(
        `${pad}${this.pick(...ODD_SCALARS)}\n`,
        `${pad}line\n`,
        `${pad}  more\n`,
        `${pad}# text\n`,
        `${pad}tab\there\t\n`,
        `${pad}trailing  \n`,
        "\n",
        `${pad}\n`,
        `${pad} \n`,
      );
    }
    return text;
  }

  #flow(depth: number): string {
    const properties = this.#properties();
    const space = this.pick("", " ", "", " ", "\n  ", "\t");
    if (depth > 2 || this.chance(30)) {
      return this.chance(80) ? this.pick("x", "'y'", '"z"', "80", "a b") : this.pick(...ODD_SCALARS);
    }
    const items: string[] = [];
    const isMap = this.chance(50);
    for (let count = this.below(4); count > 0; count--) {
      const value = this.#flow(depth + 1);
      if (!isMap) items.push(value);
      else {items.push(
          this.chance(5) ? this.#key() : `${this.#key()}:${this.chance(3) ? "" : " "}${value}`,
        );}
    }
    const inside = items.join(`,${space}`) + (this.chance(5) ? "," : "");
    return properties + (isMap ? `{${inside}${space}}` : `[${space}${inside}]`);
  }
}

/** A text in YAML, or nearly so. */
export function arbitraryYaml(): fc.Arbitrary<string> {
  return fc.gen().map((value) => new Writer(value).text());
}
