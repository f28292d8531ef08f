/**
 * Writes the tables in README.md that the programs define: `deno task generate`. With `--check` it writes nothing and
 * fails if a table is out of date.
 */
import { flagTable } from "@signed-pods/shared/command-line";
import { DENY_CODES } from "@signed-pods/shared/verdict";
import { FLAGS as PROXY_FLAGS } from "../proxy/options.ts";
import { SIGNER_FLAGS } from "../signer/options.ts";
import { PODSIGN_FLAGS } from "../cli/options.ts";

const README = new URL("../README.md", import.meta.url);

const tables: Record<string, string> = {
  "flags: kubelet-proxy": flagTable(PROXY_FLAGS),
  "flags: signing-server": flagTable(SIGNER_FLAGS),
  "flags: podsign": flagTable(
    PODSIGN_FLAGS.map((flag) => ({
      ...flag,
      description: `${flag.description} (${flag.commands.join(", ")})`,
    })),
  ),
  "deny-codes": "| code | meaning |\n|---|---|\n" +
    Object.entries(DENY_CODES).map(([code, meaning]) => `| \`${code}\` | ${meaning} |\n`).join(""),
};

const before = await Deno.readTextFile(README);
let after = before;
for (const [name, table] of Object.entries(tables)) {
  const start = `<!-- ${name} -->\n`;
  const [from, to] = [after.indexOf(start), after.indexOf("<!-- end -->", after.indexOf(start))];
  if (from < 0 || to < 0) throw new Error(`README.md has no place for the table "${name}"`);
  after = after.slice(0, from + start.length) + table + after.slice(to);
}
if (Deno.args.includes("--check")) {
  if (before !== after) {
    console.error("README.md: its tables are out of date; run deno task generate");
    Deno.exit(1);
  }
} else {
  await Deno.writeTextFile(README, after);
}
