import assert from "node:assert/strict";
import {
  booleanFlags,
  didYouMean,
  flagHelp,
  flagTable,
  metaWordsToFlags,
  parseBoolean,
  spellOutBooleans,
} from "./command_line.ts";

const FLAGS = [
  { name: "--listen", value: "ADDR", default: ":80", description: "Where to listen: tcp|unix." },
  { name: "--quiet", value: "", default: "false", description: "Say less." },
];

Deno.test("booleans are read as Go's strconv.ParseBool reads them", () => {
  for (const yes of ["1", "t", "T", "true", "True", "TRUE"]) assert.equal(parseBoolean(yes), true);
  for (const no of ["0", "f", "F", "false", "False", "FALSE"]) assert.equal(parseBoolean(no), false);
});

Deno.test("refuses other words as booleans", () => {
  for (const word of ["", "yes", "on", "tRUE", "2"]) assert.equal(parseBoolean(word), undefined);
});

Deno.test("a bare boolean flag gets its value, other arguments stay", () => {
  const args = ["--quiet", "--quiet=false", "--listen", "--quiet2", "file"];
  assert.deepEqual(spellOutBooleans(args, booleanFlags(FLAGS)), [
    "--quiet=true",
    "--quiet=false",
    "--listen",
    "--quiet2",
    "file",
  ]);
});

Deno.test("arguments after -- are left alone", () => {
  assert.deepEqual(spellOutBooleans(["--", "--quiet"], booleanFlags(FLAGS)), ["--", "--quiet"]);
});

Deno.test("the most similar flag is suggested, if there is one", () => {
  assert.equal(didYouMean(["--quiet", "--quick"]), " (did you mean --quiet?)");
  assert.equal(didYouMean([]), "");
});

Deno.test("help texts show description and default", () => {
  assert.equal(flagHelp(FLAGS, "--listen"), "Where to listen: tcp|unix. Default: :80.");
  assert.equal(flagHelp([{ name: "--a", value: "A", default: "", description: "First." }], "--a"), "First.");
  assert.equal(flagHelp(FLAGS, "--unknown"), "");
});

Deno.test("the Markdown table escapes pipes and shows defaults", () => {
  assert.equal(
    flagTable(FLAGS),
    "| flag | default | meaning |\n|---|---|---|\n" +
      "| `--listen ADDR` | `:80` | Where to listen: tcp\\|unix. |\n| `--quiet` | `false` | Say less. |\n",
  );
});

Deno.test("the words that print a text are its flags, in front and alone", () => {
  const cases: [args: string, flags: string][] = [
    ["help", "--help"],
    ["help --help", "--help"],
    ["help make", "make --help"],
    ["make help", "make --help"],
    ["help nonsense --listen=x", "nonsense --listen=x --help"],
    ["version", "--version"],
    ["completion bash", "--completion bash"],
    ["completion", "--completion"],
    ["version 2", "version 2"],
    ["make help now", "make help now"],
    ["other help", "other help"],
    ["--listen help", "--listen help"],
    ["make version", "make version"],
  ];
  for (const [args, flags] of cases) {
    assert.equal(metaWordsToFlags(args.split(" "), new Set(["make"])).join(" "), flags);
  }
  assert.deepEqual(metaWordsToFlags([], new Set()), []);
});
