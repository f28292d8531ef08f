import assert from "node:assert/strict";
import { initOwnLeg } from "./init.ts";
import {
  INIT_FLAGS,
  type InitOptions,
  MAX_OWN_LEG_DAYS,
  OWN_LEG_FOLDER,
  parseInitCommandLine,
} from "./init_options.ts";
import { DAY_MS, OWN_LEG_FILES } from "./own_leg_files.ts";
import { openPrivateFolder } from "./private_folder.ts";

function optionsOf(...args: string[]): InitOptions {
  const line = parseInitCommandLine(args);
  assert.ok(line.kind === "run", JSON.stringify(line));
  return line.options;
}

function problemsOf(...args: string[]): string[] {
  const line = parseInitCommandLine(args);
  assert.ok(line.kind === "problems", line.kind);
  return line.problems.map(({ path }) => path);
}

Deno.test("defaults, and every flag", () => {
  assert.deepEqual(optionsOf("--node-name=n"), {
    nodeName: "n",
    folder: OWN_LEG_FOLDER,
    port: 6443,
    lifetimes: { leafMs: 90 * DAY_MS, authorityMs: 3650 * DAY_MS },
    dryRun: false,
  });
  const all = [
    "--node-name=n",
    "--dir=/d/",
    "--listen-addr=:7443",
    "--certificate-days",
    "2",
    "--authority-days=3",
  ];
  assert.deepEqual(optionsOf(...all, "--dry-run"), {
    nodeName: "n",
    folder: "/d",
    port: 7443,
    lifetimes: { leafMs: 2 * DAY_MS, authorityMs: 3 * DAY_MS },
    dryRun: true,
  });
});

Deno.test("help shows every flag", () => {
  const line = parseInitCommandLine(["--help"]);
  assert.ok(line.kind === "print");
  for (const { name } of INIT_FLAGS) assert.ok(line.text.includes(name), name);
});

Deno.test("refuses what cannot be made", () => {
  const cases: [args: string[], problems: string[]][] = [
    [[], ["--node-name"]],
    [["--node-name=A"], ["--node-name"]],
    [["--node-name=n", "--dir=pki"], ["--dir"]],
    [["--node-name=n", "--listen-addr=x"], ["--listen-addr"]],
    [["--node-name=n", "--listen-addr=10.0.0.1:6443"], ["--listen-addr"]],
    [["--node-name=n", "--listen-addr=[::1]:6443"], ["--listen-addr"]],
    [["--node-name=n", "--listen-addr=127.0.0.1:0"], ["--listen-addr"]],
    [["--node-name=n", "--certificate-days=0"], ["--certificate-days"]],
    [["--node-name=n", `--authority-days=${MAX_OWN_LEG_DAYS + 1}`], ["--authority-days"]],
    [["--node-name=n", "--certificate-days=9", "--authority-days=8"], ["--certificate-days"]],
    [["--node-name=n", "--dry-run=perhaps"], ["--dry-run"]],
    [["--node-name=n", "--other"], ["init"]],
  ];
  for (const [args, problems] of cases) assert.deepEqual(problemsOf(...args), problems, args.join(" "));
});

Deno.test("makes everything once; a dry run and a refusal write nothing", async () => {
  const above = await Deno.makeTempDir();
  try {
    const path = `${above}/pki`;
    const folder = openPrivateFolder(path, OWN_LEG_FILES);
    const options = optionsOf("--node-name=n", `--dir=${path}`);
    const now = new Date();
    const dry = await initOwnLeg({ ...options, dryRun: true }, folder, now);
    assert.ok(dry.ok);
    assert.equal(dry.lines.length, OWN_LEG_FILES.length);
    assert.match(dry.lines[0] ?? "", /^would write .*\/ca\.pem \(is not there\), holds until 20/);
    await assert.rejects(Deno.stat(path), Deno.errors.NotFound);

    const done = await initOwnLeg(options, folder, now);
    assert.ok(done.ok, JSON.stringify(done));
    assert.match(done.lines[0] ?? "", /^wrote /);
    const before = await folder.read();
    assert.equal(before.size, OWN_LEG_FILES.length);
    assert.deepEqual(await initOwnLeg(options, folder, now), {
      ok: true,
      lines: [`${path} is complete; nothing to do`],
    });

    // One foreign file: nothing is written, although another one is missing.
    await folder.write("serving.pem", "somebody's");
    await Deno.remove(`${path}/ca.crt`);
    const refused = await initOwnLeg(options, folder, now);
    assert.ok(!refused.ok);
    assert.deepEqual(refused.problems.map(({ path }) => path), [`${path}/serving.pem`]);
    await assert.rejects(Deno.stat(`${path}/ca.crt`), Deno.errors.NotFound);

    await Deno.chmod(path, 0o755);
    assert.equal((await initOwnLeg(options, folder, now)).ok, false);
  } finally {
    await Deno.remove(above, { recursive: true });
  }
});
