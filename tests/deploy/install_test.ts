/** install.sh and uninstall.sh on a node in a folder. */
import assert from "node:assert/strict";
import { type Node, withNode } from "./node.ts";

const POD = `apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
spec:
  containers:
  - name: app
    image: registry.example/app@sha256:${"a".repeat(64)}
`;

/** A test on a node of its own, as root. */
function test(name: string, body: (node: Node) => Promise<void>): void {
  const ignore = Deno.build.os !== "linux" || Deno.uid() !== 0;
  if (ignore) console.log(`Skipping "${name}": it needs root on Linux`);
  Deno.test({ name, ignore, fn: () => withNode(body) });
}

async function assertRuns(node: Node, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await node.deploy("install", ...args);
  assert.equal(code, 0, stdout + stderr);
  return stdout;
}

async function assertActive(node: Node, service: string, active: boolean): Promise<void> {
  assert.equal((await node.systemctl("is-active", service)).code === 0, active, service);
}

test("a dry run checks, previews, says every step, and changes nothing", async (node) => {
  await node.setPods([{ name: "web", yaml: await node.sign(POD) }]);
  const before = await node.files();
  const said = await assertRuns(node, ...node.first(await node.program("1.0.0"), "--dry-run"));
  assert.deepEqual(await node.files(), before);
  assert.deepEqual(await node.calls(), []);
  assert.match(said, /preview: the node would run all of them/);
  for (
    const step of [
      "would install version 1.0.0-",
      "would hand the node's credential",
      "would restart kubelet",
    ]
  ) {
    assert.ok(said.includes(step), `${step}\n${said}`);
  }
});

test("refuses names of pods that are none: they would be flags of kubectl", async (node) => {
  for (const name of ["--profile=cpu", "web -o=json", ".web"]) {
    await node.setPods([{ name, yaml: await node.sign(POD) }]);
    const { code, stderr } = await node.deploy(
      "install",
      ...node.first(await node.program("1.0.0"), "--dry-run"),
    );
    assert.equal(code, 1);
    assert.match(stderr, /names a pod that is none/);
  }
});

test("after installing the node is Ready through the proxy; uninstalling puts every byte back", async (node) => {
  const before = await node.files();
  await assertRuns(node, ...node.first(await node.program("1.0.0")));
  await assertActive(node, "kubelet-proxy.service", true);
  await node.untilReady();
  const installed = await node.files();
  assert.match(installed["etc/kubernetes/kubelet.conf"] ?? "", /server: https:\/\/127\.0\.0\.1/);
  assert.notEqual(installed["etc/kubernetes/kubelet.conf"], before["etc/kubernetes/kubelet.conf"]);
  const flags = await Deno.readTextFile(`${node.root}/etc/kubelet-proxy/flags.env`);
  assert.match(flags, /^KUBELET_PROXY_FLAGS=--kubeconfig=\S+ .* --mode=enforce --renew-node-certificate$/m);
  const state = "var/lib/kubelet-proxy/node";
  assert.match(installed[`${state}/kubelet-client.pem`] ?? "", /^file 600 .* a certificate and a key\n$/);
  assert.match(
    installed[`${state}/upstream.kubeconfig`] ?? "",
    /--client-certificate=\S+\/node\/kubelet-client\.pem$/m,
  );
  // Whatever its configuration says, it asks for no credential of its own.
  // Deno itself may read /proc only with every permission.
  const shown = await new Deno.Command("cat", {
    args: [`/proc/${await node.pid("kubelet.service")}/cmdline`],
  }).output();
  const kubelet = new TextDecoder().decode(shown.stdout);
  assert.match(
    kubelet,
    /\0--pod-infra-container-image=[^\0]+\0--rotate-certificates=false\0--bootstrap-kubeconfig=\0$/,
  );
  assert.equal(
    installed["etc/systemd/system/multi-user.target.wants/kubelet-proxy.service"],
    "link ../kubelet-proxy.service",
  );
  // The kubelet hears of nobody but the proxy.
  await node.systemctl("stop", "kubelet-proxy.service");
  const lease = await Deno.readTextFile(`${node.root}/lease`);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(await Deno.readTextFile(`${node.root}/lease`), lease);

  const dry = await node.deploy("uninstall", "--dry-run");
  assert.equal(dry.code, 0, dry.stderr);
  assert.match(dry.stdout, /kubelet\.conf is put back/);
  const { code, stdout, stderr } = await node.deploy("uninstall");
  assert.equal(code, 0, stdout + stderr);
  assert.deepEqual(await node.files(), before);
  await assertActive(node, "kubelet-proxy.service", false);
  await assertActive(node, "kubelet.service", true);
  await node.untilReady();
  const again = await node.deploy("uninstall");
  assert.deepEqual([again.code, again.stdout], [
    0,
    "kubelet-proxy is not installed; there is nothing to do\n",
  ]);
});

test("installing the same again changes and restarts nothing", async (node) => {
  const program = await node.program("1.0.0");
  await assertRuns(node, ...node.first(program));
  const [before, proxy] = [await node.files(), await node.pid("kubelet-proxy.service")];
  await node.calls();
  assert.match(await assertRuns(node, "--program", program), /there is nothing to do/);
  assert.deepEqual(await node.files(), before);
  assert.deepEqual(await node.calls(), []);
  assert.equal(await node.pid("kubelet-proxy.service"), proxy);
});

test("installing another version keeps the configuration and the kubelet; only the proxy is restarted", async (node) => {
  const before = await node.files();
  await assertRuns(node, ...node.first(await node.program("1.0.0")));
  const flags = `${node.root}/etc/kubelet-proxy/flags.env`;
  await Deno.writeTextFile(flags, (await Deno.readTextFile(flags)).replace("--mode=enforce", "--mode=audit"));
  const [configured, kubelet] = [await node.files(), await node.pid("kubelet.service")];
  await node.calls();
  const program = await node.program("1.1.0");
  const dry = await assertRuns(node, "--program", program, "--dry-run");
  assert.match(dry, /would install version 1\.1\.0/);
  assert.deepEqual(await node.files(), configured);
  await assertRuns(node, "--program", program);
  assert.deepEqual((await node.calls()).filter((call) => /start|stop/.test(call)), [
    "restart kubelet-proxy.service",
  ]);
  const upgraded = await node.files();
  for (const path of ["etc/kubelet-proxy/flags.env", "etc/kubernetes/kubelet.conf"]) {
    assert.equal(upgraded[path], configured[path]);
  }
  assert.match(upgraded["usr/local/lib/kubelet-proxy/current"] ?? "", /^link 1\.1\.0-/);
  assert.equal(await node.pid("kubelet.service"), kubelet);
  await node.untilReady();
  // A third one leaves the second to go back to, and no more.
  await assertRuns(node, "--program", await node.program("1.2.0"));
  const versions = Object.keys(await node.files()).flatMap((path) =>
    /^usr\/local\/lib\/kubelet-proxy\/(\d[^/-]*)-[^/]*$/.exec(path)?.[1] ?? []
  );
  assert.deepEqual(versions.sort(), ["1.1.0", "1.2.0"]);
  assert.equal((await node.deploy("uninstall")).code, 0);
  assert.deepEqual(await node.files(), before);
});

for (const behaviour of ["silent", "deaf", "no-init"] as const) {
  test(`refuses to stay installed when the proxy is ${behaviour}: every byte is put back`, async (node) => {
    const before = await node.files();
    node.patient = false;
    const { code, stderr } = await node.deploy(
      "install",
      ...node.first(await node.program("1.0.0", behaviour)),
    );
    node.patient = true;
    assert.notEqual(code, 0);
    assert.match(stderr, /putting back what was found/);
    assert.deepEqual(await node.files(), before);
    await assertActive(node, "kubelet-proxy.service", false);
    await assertActive(node, "kubelet.service", true);
    await node.untilReady();
    // The next attempt is not in its way.
    await assertRuns(node, ...node.first(await node.program("1.0.0")));
  });

  if (behaviour === "no-init") continue;
  test(`refuses to stay upgraded when the new proxy is ${behaviour}: the old one serves again`, async (node) => {
    await assertRuns(node, ...node.first(await node.program("1.0.0")));
    node.patient = false;
    const { code, stderr } = await node.deploy(
      "install",
      "--program",
      await node.program("1.1.0", behaviour),
    );
    node.patient = true;
    assert.notEqual(code, 0);
    assert.match(stderr, /going back to 1\.0\.0-/);
    assert.match((await node.files())["usr/local/lib/kubelet-proxy/current"] ?? "", /^link 1\.0\.0-/);
    await assertActive(node, "kubelet-proxy.service", true);
    await node.untilReady();
  });
}

test("refuses to install while pods run that the node would stop, and says which; copies of static pods pass", async (node) => {
  const program = await node.program("1.0.0");
  const signed = await node.sign(POD);
  const unsigned = POD.replace("name: web", "name: stranger");
  await node.setPods([
    { name: "web", yaml: signed },
    { name: "stranger", yaml: unsigned },
    { name: "etcd-worker", yaml: unsigned, mirror: true },
  ]);
  const before = await node.files();
  const refused = await node.deploy("install", ...node.first(program));
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /would be stopped; sign them first/);
  assert.match(refused.stdout + refused.stderr, /stranger/);
  assert.doesNotMatch(refused.stdout + refused.stderr, /etcd/);
  assert.deepEqual(await node.files(), before);
  assert.equal((await node.deploy("install", ...node.first(program, "--dry-run"))).code, 0);
  await assertRuns(node, ...node.first(program, "--mode", "audit"));
  assert.match(
    await Deno.readTextFile(`${node.root}/etc/kubelet-proxy/flags.env`),
    / --mode=audit --renew-node-certificate$/m,
  );
});

test("refuses to install while pods run that the flags of the node would refuse", async (node) => {
  const program = await node.program("1.0.0");
  const yaml = await node.sign(`${POD}    envFrom: [{configMapRef: {name: settings}}]\n`);
  await node.setPods([{ name: "web", yaml }]);
  const preview = (...flags: string[]) =>
    node.deploy("install", ...node.first(program, "--dry-run", "--", ...flags));
  for (const flags of [[], ["--references=warn", "--accept-forms", "spec"]]) {
    const { stdout } = await preview(...flags);
    assert.match(stdout, /the refused ones would be stopped/, flags.join(" "));
  }
  assert.match((await preview()).stdout, /reference-not-signed.*\n.*ConfigMap settings/);
  const refused = await node.deploy("install", ...node.first(program));
  assert.equal(refused.code, 1, refused.stdout);
  for (const flags of [["--references=warn"], ["--references", "off", "--accept-forms=template"]]) {
    const { stdout } = await preview(...flags);
    assert.match(stdout, /the node would run all of them/, flags.join(" "));
  }
});

test("refuses what the checks find, all of it at once, and touches nothing", async (node) => {
  const program = await node.program("1.0.0");
  const bootstrap = `${node.root}/etc/kubernetes/bootstrap-kubelet.conf`;
  await Deno.writeTextFile(bootstrap, "a token");
  const unit = `${node.root}/etc/systemd/system/kubelet-proxy.service`;
  await Deno.writeTextFile(unit, "somebody else's");
  const before = await node.files();
  const { code, stderr } = await node.deploy("install", "--program", program);
  assert.equal(code, 1);
  for (const problem of [/--trust is needed/, /bootstrap-kubelet\.conf/, /kubelet-proxy\.service is there/]) {
    assert.match(stderr, problem);
  }
  assert.deepEqual(await node.files(), before);
  await Deno.remove(bootstrap);
  await Deno.remove(unit);
  const key = node.trust.replace(".pem", ".key");
  const withTrust = (file: string) => node.first(program).map((arg) => arg === node.trust ? file : arg);
  assert.match((await node.deploy("install", ...withTrust(key))).stderr, /holds a private key/);
  assert.match(
    (await node.deploy("install", ...withTrust("missing.pem"))).stderr,
    /missing\.pem does not exist/,
  );
  for (const words of [["--mode", "lenient"], ["--mode=lenient"], ["--trust"], ["--trust="], ["--unknown"]]) {
    assert.equal((await node.deploy("install", ...words)).code, 2, words.join(" "));
  }
  assert.equal((await node.deploy("uninstall", "--unknown")).code, 2);
});

test("refuses to put back an old kubeconfig over one that somebody has changed since, unless told to", async (node) => {
  const before = await node.files();
  await assertRuns(node, ...node.first(await node.program("1.0.0")));
  await Deno.writeTextFile(`${node.root}/etc/kubernetes/kubelet.conf`, "# edited\n", { append: true });
  const { code, stderr } = await node.deploy("uninstall");
  assert.equal(code, 1);
  assert.match(stderr, /was changed since the installation/);
  await assertActive(node, "kubelet-proxy.service", true);
  assert.equal((await node.deploy("uninstall", "--force")).code, 0);
  assert.deepEqual(await node.files(), before);
});

test("a credential that the proxy has renewed is handed back to the kubelet, as one that it has renewed itself", async (node) => {
  const before = await node.files();
  await assertRuns(node, ...node.first(await node.program("1.0.0")));
  await Deno.writeTextFile(`${node.root}/var/lib/kubelet-proxy/node/kubelet-client.pem`, "a new one\n");
  const { code, stdout, stderr } = await node.deploy("uninstall");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /was renewed since/);
  const pki = "var/lib/kubelet/pki";
  const { [`${pki}/kubelet-client-current.pem`]: current = "", ...after } = await node.files();
  const newest = current.replace("link /", "");
  assert.match(newest, /^var\/lib\/kubelet\/pki\/kubelet-client-\d{4}(-\d\d){5}\.pem$/);
  assert.match(after[newest] ?? "", /^file 600 .*a new one\n$/);
  delete after[newest];
  delete before[`${pki}/kubelet-client-current.pem`];
  assert.deepEqual(after, before);
});

test("refuses to install where a later drop-in would take the kubelet's command line back", async (node) => {
  await Deno.writeTextFile(
    `${node.root}/usr/lib/systemd/system/kubelet.service.d/99-late.conf`,
    `[Service]\nExecStart=\nExecStart=kubelet --kubeconfig=${node.root}/etc/kubernetes/kubelet.conf\n`,
  );
  const before = await node.files();
  const { code, stderr } = await node.deploy("install", ...node.first(await node.program("1.0.0")));
  assert.equal(code, 1);
  assert.match(stderr, /sets ExecStart= after/);
  assert.deepEqual(await node.files(), before);
});

test("an installation that was killed half-way is undone by uninstall.sh", async (node) => {
  const before = await node.files();
  const program = await node.program("1.0.0", "silent");
  const child = new Deno.Command(new URL("../../deploy/install.sh", import.meta.url).pathname, {
    args: node.first(program),
    env: node.environment,
    stdout: "null",
    stderr: "null",
  }).spawn();
  // The proxy never says that it is ready, so the installer waits for it.
  while (!(await node.calls()).includes("restart kubelet-proxy.service")) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  child.kill("SIGKILL");
  await child.status;
  const refused = await node.deploy("install", ...node.first(program));
  assert.match(refused.stderr, /broken off; run uninstall\.sh first/);
  const { code, stderr } = await node.deploy("uninstall");
  assert.equal(code, 0, stderr);
  assert.deepEqual(await node.files(), before);
});
