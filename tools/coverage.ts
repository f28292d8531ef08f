/**
 * Runs the tests given on the command line with line coverage and fails if shared/ or proxy/ is covered by less than
 * {@linkcode REQUIRED_PERCENT}. Prints a line per file that is not fully covered. Programs that the tests start count
 * too; test files do not.
 */
const REQUIRED_PERCENT = 95;
const FOLDERS = ["shared", "proxy"] as const;

interface Lines {
  found: number;
  hit: number;
}

/** Reads LCOV's `SF`, `LF` and `LH` records: lines found and lines hit, by file. */
function readLcov(lcov: string, root: string): Map<string, Lines> {
  const files = new Map<string, Lines>();
  let file = "";
  for (const line of lcov.split("\n")) {
    const [key, value = ""] = [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)];
    if (key === "SF") {
      file = value.startsWith(root) ? value.slice(root.length + 1) : value;
      files.set(file, { found: 0, hit: 0 });
    } else if (key === "LF" || key === "LH") {
      const lines = files.get(file);
      if (lines !== undefined) lines[key === "LF" ? "found" : "hit"] = Number(value);
    }
  }
  return files;
}

async function run(args: string[]): Promise<void> {
  const { success } = await new Deno.Command(Deno.execPath(), { args, stdout: "inherit", stderr: "inherit" })
    .output();
  if (!success) Deno.exit(1);
}

const permissions = ["read", "write", "net", "run", "env", "sys"].map((name) => `--allow-${name}`);
await run([
  "test",
  "--frozen",
  "--no-prompt",
  ...permissions,
  "--coverage=coverage/raw",
  "--clean",
  ...Deno.args,
]);
await run(["coverage", "--quiet", "--lcov", "--output=coverage/lcov.info", "coverage/raw"]);

const files = readLcov(await Deno.readTextFile("coverage/lcov.info"), Deno.cwd());
let failed = false;
for (const folder of FOLDERS) {
  const total: Lines = { found: 0, hit: 0 };
  for (const [file, lines] of [...files].sort(([a], [b]) => a.localeCompare(b))) {
    if (!file.startsWith(`${folder}/`) || file.endsWith("_test.ts")) continue;
    total.found += lines.found;
    total.hit += lines.hit;
    if (lines.hit < lines.found) {
      console.log(`  ${file}: ${lines.hit} of ${lines.found} lines`);
    }
  }
  const percent = total.found === 0 ? 0 : (100 * total.hit) / total.found;
  console.log(`${folder}/: ${percent.toFixed(1)} % of ${total.found} lines`);
  if (percent < REQUIRED_PERCENT) {
    console.log(`${folder}/: below the required ${REQUIRED_PERCENT} %`);
    failed = true;
  }
}
Deno.exit(failed ? 1 : 0);
