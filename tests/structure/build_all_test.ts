/**
 * What `make build-all` does around `deno compile`. Deno's base binaries are not to be had everywhere, so `deno compile` itself
 * is played here; that all modules, types and flags are in order is asked of the real one, and of the programs themselves.
 */
import assert from "node:assert/strict";
import { sha256Hex } from "../../shared/algorithms.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const PROGRAMS = ["kubelet-proxy", "signing-server", "podsign"];
const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
];

/** Plays `deno compile` by writing its arguments into the output file; all else is Deno's. PLAY is what it does first. */
const PLAYED_DENO = `#!/bin/bash
if [ "$1" != compile ]; then exec "$REAL_DENO" "$@"; fi
arguments="$*"
eval "$PLAY"
while [ "$1" != --output ]; do shift; done
echo "$arguments" >"$2"
`;

async function buildAll(
  play: string,
  use: (result: { code: number; stderr: string; dist: string }) => Promise<void>,
  env: Record<string, string> = {},
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const dist = `${folder}/dist`;
    await Deno.mkdir(dist);
    await Deno.writeTextFile(`${dist}/before`, "");
    await Deno.writeTextFile(`${folder}/deno`, PLAYED_DENO, { mode: 0o755 });
    const { code, stderr } = await new Deno.Command("tools/build_all.sh", {
      cwd: ROOT,
      env: { DENO: `${folder}/deno`, REAL_DENO: Deno.execPath(), DIST: dist, PLAY: play, ...env },
    }).output();
    await use({ code, stderr: new TextDecoder().decode(stderr), dist });
    const left = [...Deno.readDirSync(ROOT)].map(({ name }) => name).filter((name) =>
      name.startsWith(".build-all-")
    );
    assert.deepEqual(left, []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function filesOf(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

Deno.test("build-all makes each program for each target, checksums and SBOMs, in place of what was there", async () => {
  await buildAll(":", async ({ code, stderr, dist }) => {
    assert.equal(code, 0, stderr);
    const binaries = PROGRAMS.flatMap((program) => TARGETS.map((target) => `${program}-${target}`));
    const sboms = PROGRAMS.map((program) => `${program}.cdx.json`);
    assert.deepEqual(filesOf(dist), ["SHA256SUMS", ...binaries, ...sboms].sort());
    const lines = (await Deno.readTextFile(`${dist}/SHA256SUMS`)).trimEnd().split("\n");
    const expected = [...binaries, ...sboms].sort().map(async (name) =>
      `${await sha256Hex(await Deno.readFile(`${dist}/${name}`))}  ${name}`
    );
    assert.deepEqual(lines.sort(), (await Promise.all(expected)).sort());
    for (const name of binaries) {
      const flags = (await Deno.readTextFile(`${dist}/${name}`)).split(" ");
      for (const flag of ["--frozen", "--no-prompt", "--deny-ffi", "--deny-sys"]) {
        assert.ok(flags.includes(flag), `${name} ${flag}`);
      }
      const broad = flags.filter((flag) => /^(-A|--allow-(all|run|write|env|ffi|sys))$/.test(flag));
      assert.deepEqual(broad, [], name);
      assert.equal(flags.includes("--deny-run"), !name.startsWith("podsign"), name);
    }
  });
});

Deno.test("EXEC_PLUGIN makes a kubelet-proxy that may run that one program", async () => {
  await buildAll(":", async ({ code, stderr, dist }) => {
    assert.equal(code, 0, stderr);
    const flags = (await Deno.readTextFile(`${dist}/kubelet-proxy-x86_64-unknown-linux-gnu`)).split(" ");
    assert.deepEqual(flags.filter((flag) => /^--(allow|deny)-run/.test(flag)), [
      "--allow-run=/usr/bin/kubelogin",
    ]);
    const signer = (await Deno.readTextFile(`${dist}/signing-server-x86_64-unknown-linux-gnu`)).split(" ");
    assert.ok(signer.includes("--deny-run"));
  }, { EXEC_PLUGIN: "/usr/bin/kubelogin", TARGETS: "x86_64-unknown-linux-gnu" });
});

for (const plugin of ["kubelogin", "/usr/bin/a,/bin/sh", "/usr/bin/a b", "/", "/a/ --allow-all"]) {
  Deno.test(`refuses EXEC_PLUGIN="${plugin}", which names not one program by its path`, async () => {
    await buildAll(":", ({ code, dist }) => {
      assert.equal(code, 2);
      assert.deepEqual(filesOf(dist), ["before"]);
      return Promise.resolve();
    }, { EXEC_PLUGIN: plugin });
  });
}

Deno.test("refuses a target that is not supported", async () => {
  await buildAll(":", ({ code, dist }) => {
    assert.equal(code, 2);
    assert.deepEqual(filesOf(dist), ["before"]);
    return Promise.resolve();
  }, { TARGETS: "x86_64-pc-windows-msvc" });
});

Deno.test("refuses half an output: what is missing is named for each target, and the files before stay", async () => {
  const play = `case "$arguments" in *apple*)
    echo "error: Setting up base binary. error sending request for url (https://example.com/denort.zip)" >&2; exit 1 ;; esac`;
  await buildAll(play, ({ code, stderr, dist }) => {
    assert.equal(code, 1);
    for (const program of PROGRAMS) {
      for (const target of TARGETS) {
        const named = stderr.includes(`${program} for ${target}: https://example.com/denort.zip`);
        assert.equal(named, target.includes("apple"), `${program} ${target}`);
      }
    }
    assert.deepEqual(filesOf(dist), ["before"]);
    return Promise.resolve();
  });
});

Deno.test("refuses modules that do not compile, with Deno's own words", async () => {
  await buildAll("echo 'TS2322: wrong type' >&2; exit 1", ({ code, stderr, dist }) => {
    assert.equal(code, 1);
    assert.match(stderr, /cannot compile kubelet-proxy for x86_64-unknown-linux-gnu/);
    assert.match(stderr, /TS2322: wrong type/);
    assert.deepEqual(filesOf(dist), ["before"]);
    return Promise.resolve();
  });
});

Deno.test("refuses an empty file as an output", async () => {
  await buildAll('while [ "$1" != --output ]; do shift; done; : >"$2"; exit 0', ({ code, dist }) => {
    assert.equal(code, 1);
    assert.deepEqual(filesOf(dist), ["before"]);
    return Promise.resolve();
  });
});

for (const program of PROGRAMS) {
  Deno.test(`${program} starts with the permissions that a compiled one has`, async () => {
    const script = `source tools/programs.sh
      exec "$0" run --quiet --frozen --no-prompt $(settings "$1") $(frozen_permissions "$1") "$(folder_of "$1")/main.ts" --version`;
    const { stdout, stderr } = await new Deno.Command("bash", {
      args: ["-euc", script, Deno.execPath(), program],
      cwd: ROOT,
    })
      .output();
    assert.match(
      new TextDecoder().decode(stdout),
      new RegExp(`^${program} \\d`),
      new TextDecoder().decode(stderr),
    );
  });
}
