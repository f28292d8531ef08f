/** What can be said of deploy/ without a service manager: scripts and units as their own checkers see them. */
import assert from "node:assert/strict";

const DEPLOY = new URL("../../deploy/", import.meta.url).pathname;

/** Of ten; systemd calls everything below 2 "OK". The rest is the network, sockets and compiled code, which the proxy needs. */
const HIGHEST_EXPOSURE = 1.3;

async function attempt(command: string, args: string[]): Promise<{ code: number; said: string }> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, stdin: "null" }).output();
  return { code, said: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

/** Whether a program is there; if not, says what is skipped and which package has it. */
async function has(command: string, packageName: string): Promise<boolean> {
  try {
    await attempt(command, ["--version"]);
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log(`Skipping the tests that need ${command}: it is not there (Debian's package ${packageName})`);
    return false;
  }
}

const hasShellcheck = await has("shellcheck", "shellcheck");
const hasSystemdAnalyze = await has("systemd-analyze", "systemd");

/** The unit as it is installed, but for a program that every machine has. */
async function withUnit(test: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const unit = await Deno.readTextFile(`${DEPLOY}systemd/kubelet-proxy.service`);
    const path = `${folder}/kubelet-proxy.service`;
    await Deno.writeTextFile(path, unit.replace(/^ExecStart=\S+/m, "ExecStart=/bin/true"));
    await test(path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test({
  name: "shellcheck finds nothing in the scripts",
  ignore: !hasShellcheck,
  async fn() {
    const scripts = [...Deno.readDirSync(DEPLOY)].map(({ name }) => name).filter((name) =>
      name.endsWith(".sh")
    );
    const { code, said } = await attempt("shellcheck", [
      "--external-sources",
      `--source-path=${DEPLOY}`,
      ...scripts.map((name) => DEPLOY + name),
    ]);
    assert.equal(code, 0, said);
    assert.ok(scripts.includes("install.sh") && scripts.includes("uninstall.sh"));
  },
});

Deno.test({
  name: "systemd knows everything that the unit says",
  ignore: !hasSystemdAnalyze,
  fn: () =>
    withUnit(async (path) => {
      const { code, said } = await attempt("systemd-analyze", ["verify", "--man=no", path]);
      assert.deepEqual({ code, said }, { code: 0, said: "" });
    }),
});

Deno.test({
  name: "the unit's exposure, by systemd's count, stays low",
  ignore: !hasSystemdAnalyze,
  fn: () =>
    withUnit(async (path) => {
      const { code, said } = await attempt("systemd-analyze", [
        "security",
        "--offline=true",
        "--no-pager",
        `--threshold=${HIGHEST_EXPOSURE * 10}`,
        path,
      ]);
      assert.equal(code, 0, said);
      assert.match(said, /Overall exposure level/);
    }),
});

Deno.test("the unit keeps the ledger over restarts, tells systemd how it does, and comes before the kubelet", async () => {
  const unit = (await Deno.readTextFile(`${DEPLOY}systemd/kubelet-proxy.service`)).split("\n");
  for (
    const line of [
      "Type=notify",
      "Restart=always",
      "RuntimeDirectoryPreserve=yes",
      "NoNewPrivileges=yes",
      "ProtectSystem=strict",
      "User=kubelet-proxy",
      "Before=kubelet.service",
      "StartLimitIntervalSec=0",
      "LimitCORE=0",
    ]
  ) {
    assert.ok(unit.includes(line), line);
  }
  assert.ok(unit.some((line) => /^WatchdogSec=\d+$/.test(line)));
  assert.ok(unit.some((line) => /^MemoryMax=/.test(line)));
  const dropIn = await Deno.readTextFile(`${DEPLOY}systemd/90-kubelet-proxy.conf`);
  assert.match(dropIn, /^Wants=kubelet-proxy\.service\nAfter=kubelet-proxy\.service$/m);
});
