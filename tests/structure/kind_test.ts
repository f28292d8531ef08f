/**
 * The kind scripts, where there is neither Docker nor kind: these and kubectl are played by one script that writes down how it is
 * called. What the scripts do on the node and with the API server, the cluster tests do for real.
 */
import assert from "node:assert/strict";
import { parse } from "yaml";

const ROOT = new URL("../../", import.meta.url).pathname;

/** Plays docker, kind and kubectl. Files in WORLD say what there is. */
const PLAYED = `#!/bin/bash
name=\${0##*/}
echo "$name $*" >>"$WORLD/calls"
case "$name $*" in
  "docker info") [ ! -e "$WORLD/no-engine" ] ;;
  "kind get clusters") if [ -e "$WORLD/cluster" ]; then echo signed-pods; else echo other; fi ;;
  "kind create cluster"*) touch "$WORLD/cluster" ;;
  "kind delete cluster"*) rm "$WORLD/cluster" ;;
  "docker image inspect --format"*) echo sha256:1 ;;
  "docker image inspect"*) [ -e "$WORLD/image" ] ;;
  "docker build"*) touch "$WORLD/image" ;;
  "docker image rm"*) rm "$WORLD/image" ;;
  "docker container inspect --format {{.Image}}"*) cat "$WORLD/signer" ;;
  "docker container inspect --format {{.State.Health"*) if [ -e "$WORLD/ill" ]; then echo starting; else echo healthy; fi ;;
  "docker container inspect"*) [ -e "$WORLD/signer" ] ;;
  "docker run"*) echo "sha256:1 true" >"$WORLD/signer"; touch "$WORLD/volume" ;;
  "docker rm"*) rm "$WORLD/signer" ;;
  "docker volume inspect"*) [ -e "$WORLD/volume" ] ;;
  "docker volume rm"*) rm "$WORLD/volume" ;;
  "docker exec signed-pods-worker uname -m") uname -m ;;
  "docker exec signed-pods-worker test -e"*) [ -e "$WORLD/installed" ] ;;
  "docker exec --interactive"*) if [ ! -e "$WORLD/unpack" ]; then cat >/dev/null; exit; fi; mkdir -p "$WORLD/node" && tar -xf - -C "$WORLD/node" ;;
  "docker exec signed-pods-worker /opt/signed-pods/deploy/install.sh"*) touch "$WORLD/installed" ;;
esac
`;

interface World {
  folder: string;
  /** Runs a script of deploy/kind. */
  script(
    name: string,
    env?: Record<string, string>,
  ): Promise<{ code: number; stderr: string; calls: string[] }>;
}

/** A machine on which everything that the scripts call is played. */
async function withWorld(
  use: (world: World) => Promise<void>,
  programs = ["docker", "kind", "kubectl"],
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    // A copy of the repository in which podsign gives a certificate without a server.
    const root = `${folder}/repository`;
    await Deno.mkdir(`${root}/bin`, { recursive: true });
    for (const name of ["deploy", "build", ".tools"]) {
      await Deno.symlink(`${ROOT}${name}`, `${root}/${name}`);
    }
    await Deno.remove(`${root}/deploy`);
    await new Deno.Command("cp", { args: ["-R", `${ROOT}deploy`, `${root}/deploy`] }).output();
    await Deno.copyFile(`${ROOT}bin/kubelet-proxy`, `${root}/bin/kubelet-proxy`);
    await Deno.writeTextFile(`${root}/bin/podsign`, "#!/bin/sh\necho certificate\n", { mode: 0o755 });
    const path = `${folder}/path`;
    await Deno.mkdir(path);
    for (const program of programs) await Deno.writeTextFile(`${path}/${program}`, PLAYED, { mode: 0o755 });
    for (
      const tool of [
        "bash",
        "sh",
        "tar",
        "openssl",
        "sed",
        "grep",
        "mkdir",
        "chmod",
        "mv",
        "rm",
        "cp",
        "cat",
        "touch",
      ]
    ) {
      await link(tool, path);
    }
    for (const tool of ["dirname", "basename", "uname", "head", "mktemp", "sleep", "env"]) {
      await link(tool, path);
    }
    await use({
      folder,
      async script(name, env = {}) {
        await Deno.writeTextFile(`${folder}/calls`, "");
        const { code, stderr } = await new Deno.Command(`${root}/deploy/kind/${name}`, {
          clearEnv: true,
          env: { PATH: path, WORLD: folder, HOME: folder, READY_TIMEOUT: "1", ...env },
        }).output();
        const calls = (await Deno.readTextFile(`${folder}/calls`)).trimEnd().split("\n");
        return { code, stderr: new TextDecoder().decode(stderr), calls };
      },
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function link(tool: string, into: string): Promise<void> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", 'command -v "$0"', tool] }).output();
  await Deno.symlink(new TextDecoder().decode(stdout).trim(), `${into}/${tool}`);
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

const isBuilt = exists(`${ROOT}bin/kubelet-proxy`);
if (!isBuilt) {
  console.log("Skipping the tests of the kind scripts: bin/kubelet-proxy is missing; run make build");
}

Deno.test("the kind cluster has a control plane and a worker", async () => {
  const config: unknown = parse(await Deno.readTextFile(`${ROOT}deploy/kind/cluster.yaml`));
  assert.deepEqual(config, {
    kind: "Cluster",
    apiVersion: "kind.x-k8s.io/v1alpha4",
    name: "signed-pods",
    nodes: [{ role: "control-plane" }, { role: "worker" }],
  });
});

Deno.test({
  name:
    "deploy-kind makes cluster, signer and worker in order; again, it changes nothing that is there; teardown removes all",
  ignore: !isBuilt,
  fn: () =>
    withWorld(async ({ folder, script }) => {
      const first = await script("up.sh");
      assert.equal(first.code, 0, first.stderr);
      const order = [
        /^kind create cluster --config deploy\/kind\/cluster.yaml/,
        /^docker build --file Dockerfile.signing-server/,
        /^docker run .*--read-only --cap-drop=ALL --security-opt=no-new-privileges.*--publish 127\.0\.0\.1:8080:8080/,
        /^kubectl get daemonsets,deployments -n kube-system/,
        /^docker exec --interactive signed-pods-worker/,
        /install\.sh --trust \/opt\/signed-pods\/signing\.pem$/,
        /^kubectl wait --for=condition=Ready node\/signed-pods-worker/,
      ].map((call) => first.calls.findIndex((line) => call.test(line)));
      assert.ok(order.every((index) => index >= 0), `${order}\n${first.calls.join("\n")}`);
      assert.deepEqual(order, order.toSorted((a, b) => a - b));
      const state = `${folder}/repository/build/kind`;
      assert.equal(((await Deno.stat(state)).mode ?? 0) & 0o777, 0o700);
      const token = await Deno.readTextFile(`${state}/tokens`);
      assert.match(token, /^[0-9a-f]{64}\n$/);

      const second = await script("up.sh");
      assert.equal(second.code, 0, second.stderr);
      const changes = second.calls.filter((line) => /^(kind create|docker run|docker rm)/.test(line));
      assert.deepEqual(changes, []);
      assert.ok(second.calls.some((line) => /install\.sh$/.test(line)), "an upgrade names no keys");
      assert.equal(await Deno.readTextFile(`${state}/tokens`), token);

      const down = await script("down.sh");
      assert.equal(down.code, 0, down.stderr);
      for (const name of ["cluster", "signer", "volume", "image", "repository/build/kind"]) {
        assert.ok(!exists(`${folder}/${name}`), name);
      }
      const again = await script("down.sh");
      assert.equal(again.code, 0, again.stderr);
      assert.deepEqual(again.calls.filter((line) => / (delete|rm) /.test(line)), []);
    }),
});

Deno.test({
  name: "a signer of another image is replaced, and keeps its key",
  ignore: !isBuilt,
  fn: () =>
    withWorld(async ({ folder, script }) => {
      await Deno.writeTextFile(`${folder}/signer`, "sha256:0 true\n");
      const { code, stderr, calls } = await script("up.sh");
      assert.equal(code, 0, stderr);
      assert.ok(calls.includes("docker rm --force signed-pods-signer"));
      assert.ok(calls.some((line) => line.startsWith("docker run ")));
      assert.deepEqual(calls.filter((line) => line.startsWith("docker volume rm")), []);
    }),
});

Deno.test({
  name: "what the worker gets runs from another folder: the launcher with Deno and the modules",
  ignore: !isBuilt,
  fn: () =>
    withWorld(async ({ folder, script }) => {
      await Deno.writeTextFile(`${folder}/unpack`, "");
      const { code, stderr } = await script("up.sh");
      assert.equal(code, 0, stderr);
      const node = `${folder}/node`;
      assert.ok(exists(`${node}/deploy/kind/up.sh`));
      assert.equal(await Deno.readTextFile(`${node}/signing.pem`), "certificate\n");
      const { stdout, stderr: said } = await new Deno.Command(`${node}/bin/kubelet-proxy`, {
        args: ["--version"],
        clearEnv: true,
        env: { PATH: "/usr/bin:/bin" },
      }).output();
      assert.match(new TextDecoder().decode(stdout), /^kubelet-proxy \d/, new TextDecoder().decode(said));
    }),
});

Deno.test("refuses to begin without Docker and kind, and names both", () =>
  withWorld(async ({ script }) => {
    for (const name of ["up.sh", "down.sh"]) {
      const { code, stderr, calls } = await script(name);
      assert.equal(code, 1);
      assert.match(stderr, /missing: docker/);
      assert.match(stderr, /missing: kind/);
      assert.deepEqual(calls, [""]);
    }
  }, ["kubectl"]));

Deno.test("refuses to begin if the Docker engine does not answer", () =>
  withWorld(async ({ folder, script }) => {
    await Deno.writeTextFile(`${folder}/no-engine`, "");
    for (const name of ["up.sh", "down.sh"]) {
      const { code, stderr, calls } = await script(name);
      assert.equal(code, 1);
      assert.match(stderr, /docker info fails/);
      assert.deepEqual(calls, ["docker info"]);
    }
  }));

Deno.test("refuses to go on with a signer that does not become healthy", () =>
  withWorld(async ({ folder, script }) => {
    await Deno.writeTextFile(`${folder}/ill`, "");
    const { code, stderr, calls } = await script("up.sh");
    assert.equal(code, 1);
    assert.match(stderr, /docker logs signed-pods-signer/);
    assert.deepEqual(calls.filter((line) => line.includes("install.sh")), []);
  }));

Deno.test("refuses to pack a node of another architecture without its binaries", async () => {
  const { code, stderr } = await new Deno.Command(`${ROOT}deploy/kind/pack_node.sh`, {
    args: ["riscv64", `${ROOT}deno.json`],
  }).output();
  assert.equal(code, 1);
  assert.match(
    new TextDecoder().decode(stderr),
    /kubelet-proxy-riscv64-unknown-linux-gnu is missing.*make build-all/,
  );
});

const shellcheck = await new Deno.Command("sh", { args: ["-c", "command -v shellcheck"] }).output();
if (!shellcheck.success) console.log("Skipping shellcheck: it is not installed");
Deno.test({
  name: "shellcheck finds nothing in the scripts of deploy/ and tools/",
  ignore: !shellcheck.success,
  fn: async () => {
    const scripts: string[] = [];
    for (const folder of ["deploy/kind", "deploy/container", "tools"]) {
      for (const { name } of Deno.readDirSync(`${ROOT}${folder}`)) {
        if (name.endsWith(".sh")) scripts.push(`${folder}/${name}`);
      }
    }
    assert.ok(scripts.length >= 8, scripts.join(" "));
    const { code, stdout } = await new Deno.Command("shellcheck", { args: ["-x", ...scripts], cwd: ROOT })
      .output();
    assert.equal(code, 0, new TextDecoder().decode(stdout));
  },
});
