/**
 * The signing-server's container, without a builder and a registry: Dockerfile.signing-server is read, its build step is run
 * as it stands on the files that .dockerignore lets through, Debian's own libraries take the place of the base image, and
 * containerd runs the image as the Dockerfile says.
 *
 * @module
 */
import assert from "node:assert/strict";
import { parseObject, textAt } from "./json.ts";
import { attempt, run } from "./programs.ts";
import { done, notYet, until } from "./wait.ts";
import type { Cluster } from "./cluster.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
/** containerd's namespace for these containers; the kubelet's ones are in another. */
const NAMESPACE = "signer-image";
const IMAGE = "localhost/signing-server:1";
/** What the base image says in its name, `nonroot`. */
const USER = 65532;
/** As owners write it into /etc/signing-server/tokens. */
const TOKEN = "builder: 0123456789abcdef0123456789abcdef";

/** One instruction of a Dockerfile. */
interface Instruction {
  keyword: string;
  text: string;
}

/** The instructions; a line that ends with a backslash goes on in the next, as the Dockerfile reference says. */
function readDockerfile(text: string): Instruction[] {
  const lines = text.replace(/\\\n/g, " ").split("\n").filter((line) => !/^\s*(#|$)/.test(line));
  return lines.map((line) => {
    const match = /^([A-Z]+)\s+(.*)$/.exec(line);
    assert.ok(match?.[1] !== undefined && match[2] !== undefined, `not an instruction: ${line}`);
    return { keyword: match[1], text: match[2].trim() };
  });
}

/** Words of a JSON list, the form in which no shell is involved. */
function wordsOf(text: string): string[] {
  const words: unknown = JSON.parse(text);
  assert.ok(Array.isArray(words));
  return words.map((word) => {
    assert.ok(typeof word === "string");
    return word;
  });
}

/** Whether .dockerignore lets a file into the build: the last line that matches the file or a folder of it decides. */
function isAdmitted(rules: readonly string[], path: string): boolean {
  let admitted = true;
  for (const rule of rules) {
    const negated = rule.startsWith("!");
    const pattern = (negated ? rule.slice(1) : rule).replace(/[.+^${}()|[\]\\]/g, "\\$&")
      .replaceAll("**/", "\u0000").replaceAll("*", "[^/]*").replaceAll("\u0000", "(?:.*/)?");
    if (new RegExp(`^${pattern}(?:/|$)`).test(path)) admitted = negated;
  }
  return admitted;
}

/** Copies what the builder would be sent. */
async function copyContext(to: string): Promise<void> {
  const rules = (await Deno.readTextFile(`${ROOT}.dockerignore`)).split("\n").filter((line) =>
    !/^(#|$)/.test(line)
  );
  const files =
    (await run("git", ["-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z"])).split(
      "\0",
    );
  for (const file of files.filter((file) => file !== "" && isAdmitted(rules, file))) {
    await Deno.mkdir(`${to}/${file}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.copyFile(`${ROOT}${file}`, `${to}/${file}`);
  }
}

/** Debian's files that stand for the base image: the C library and what Deno links beside it, and the user's name. */
async function layOutBase(root: string): Promise<void> {
  const deno = await Deno.realPath(Deno.execPath());
  const libraries = [...(await run("ldd", [deno])).matchAll(/(\/\S+) \(0x/g)].map(([, file = ""]) => file);
  assert.ok(libraries.length > 3, "Deno's libraries");
  for (const file of libraries) {
    await Deno.mkdir(`${root}${file}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.copyFile(file, `${root}${file}`);
  }
  for (const folder of ["dev", "proc", "sys", "etc"]) {
    await Deno.mkdir(`${root}/${folder}`, { recursive: true });
  }
  await Deno.writeTextFile(
    `${root}/etc/passwd`,
    `nonroot:x:${USER}:${USER}:nonroot:/home/nonroot:/sbin/nologin\n`,
  );
}

/** What an image says about how to run it. */
interface Settings {
  user: string;
  workingDir: string;
  env: string[];
  entrypoint: string[];
  command: string[];
  healthCheck: string[];
  volumes: string[];
}

/** Does what the Dockerfile says, and returns the root folder and the settings of its last stage. */
async function build(folder: string): Promise<{ root: string; settings: Settings }> {
  const [context, root] = [`${folder}/context`, `${folder}/root`];
  await Deno.mkdir(context, { recursive: true });
  await Deno.mkdir(root, { recursive: true });
  await copyContext(context);
  await layOutBase(root);
  const settings: Settings = {
    user: "",
    workingDir: "",
    env: [],
    entrypoint: [],
    command: [],
    healthCheck: [],
    volumes: [],
  };
  let stage = 0;
  // The builder's own folder /out is in the run's folder here.
  const place = (path: string) => path.replace(/^\/out\b/, `${folder}/out`);
  for (
    const { keyword, text } of readDockerfile(await Deno.readTextFile(`${ROOT}Dockerfile.signing-server`))
  ) {
    switch (keyword) {
      case "ARG":
        break;
      case "FROM":
        stage++;
        break;
      case "RUN": {
        assert.equal(stage, 1, "the last stage runs nothing");
        const [command = "", ...args] = wordsOf(text).map(place);
        const env = { DENO: Deno.execPath() };
        await run("env", [
          "-C",
          context,
          ...Object.entries(env).map(([key, value]) => `${key}=${value}`),
          command,
          ...args,
        ]);
        break;
      }
      case "COPY": {
        if (text === ". .") break;
        const match = /^--from=build (?:--chown=(\d+:\d+) )?(\/out\/\S+\/) (\/\S*)$/.exec(text);
        assert.ok(match !== null, `COPY ${text}`);
        const [, owner = "0:0", from = "", to = ""] = match;
        await Deno.mkdir(`${root}${to}`, { recursive: true });
        await run("cp", ["-R", `${place(from)}.`, `${root}${to}`]);
        if (to !== "/") await run("chown", ["-R", owner, `${root}${to}`]);
        break;
      }
      case "ENV":
        settings.env.push(...text.split(" "));
        break;
      case "USER":
        settings.user = text;
        break;
      case "WORKDIR":
        settings.workingDir = text;
        break;
      case "VOLUME":
        settings.volumes = wordsOf(text);
        break;
      case "EXPOSE":
        break;
      case "HEALTHCHECK":
        settings.healthCheck = wordsOf(text.slice(text.indexOf("CMD ") + 4));
        break;
      case "ENTRYPOINT":
        settings.entrypoint = wordsOf(text);
        break;
      case "CMD":
        settings.command = wordsOf(text);
        break;
      default:
        assert.fail(`this test does not know ${keyword}`);
    }
  }
  assert.equal(stage, 2);
  return { root, settings };
}

async function digestOf(file: string): Promise<string> {
  return (await run("sha256sum", [file])).slice(0, 64);
}

/** Packs the image as an archive of the OCI image layout, with Debian's tar. */
async function pack(folder: string, root: string, settings: Settings): Promise<string> {
  const blobs = `${folder}/image/blobs/sha256`;
  await Deno.mkdir(blobs, { recursive: true });
  const addBlob = async (mediaType: string, file: string) => {
    const [digest, { size }] = [await digestOf(file), await Deno.stat(file)];
    await Deno.rename(file, `${blobs}/${digest}`);
    return { mediaType, digest: `sha256:${digest}`, size };
  };
  const addJson = async (mediaType: string, value: unknown) => {
    await Deno.writeTextFile(`${folder}/blob`, JSON.stringify(value));
    return await addBlob(mediaType, `${folder}/blob`);
  };
  await run("tar", ["--numeric-owner", "-C", root, "-cf", `${folder}/layer`, "."]);
  const layer = await addBlob("application/vnd.oci.image.layer.v1.tar", `${folder}/layer`);
  const config = await addJson("application/vnd.oci.image.config.v1+json", {
    architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
    os: "linux",
    config: {
      User: settings.user,
      WorkingDir: settings.workingDir,
      Env: settings.env,
      Entrypoint: settings.entrypoint,
      Cmd: settings.command,
    },
    rootfs: { type: "layers", diff_ids: [layer.digest] },
  });
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = await addJson(mediaType, { schemaVersion: 2, mediaType, config, layers: [layer] });
  await Deno.writeTextFile(`${folder}/image/oci-layout`, JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  await Deno.writeTextFile(
    `${folder}/image/index.json`,
    JSON.stringify({
      schemaVersion: 2,
      manifests: [{ ...manifest, annotations: { "io.containerd.image.name": IMAGE } }],
    }),
  );
  await run("tar", ["-C", `${folder}/image`, "-cf", `${folder}/image.tar`, "."]);
  return `${folder}/image.tar`;
}

/** Builds the image, runs it in the cluster's containerd and looks at what runs. */
export async function testSignerImage(cluster: Cluster): Promise<void> {
  const { runDir } = cluster.options;
  const folder = `${runDir}/signer-image`;
  const { root, settings } = await build(folder);
  assert.deepEqual([settings.user, settings.volumes], [`${USER}:${USER}`, ["/var/lib/signing-server"]]);
  for (const shell of ["bin/sh", "bin/bash", "bin/busybox", "usr/bin/sh"]) {
    assert.ok(await Deno.lstat(`${root}/${shell}`).then(() => false, () => true), `the image has ${shell}`);
  }
  const tests = (await run("find", [root, "-name", "*_test.ts", "-not", "-path", "*/npm/*"])).trim();
  assert.equal(tests, "", "tests are in the image");

  const ctr = (...args: string[]) =>
    run("ctr", ["--address", `${runDir}/containerd.sock`, "--namespace", NAMESPACE, ...args], {
      timeoutMs: 60_000,
    });
  await ctr("images", "import", await pack(folder, root, settings));
  await Deno.writeTextFile(`${folder}/tokens`, `${TOKEN}\n`);
  await run("chown", [`${USER}:${USER}`, `${folder}/tokens`]);
  await Deno.chmod(`${folder}/tokens`, 0o400);
  // A new named volume begins as a copy of the image's folder.
  const volume = `${folder}/volume`;
  await run("cp", ["-a", `${root}/var/lib/signing-server`, volume]);
  // Its folders in the run folder are closed to others.
  await Deno.chmod(runDir, 0o711);

  const start = async (name: string): Promise<number> => {
    const mount = (source: string, target: string, mode: string) => [
      "--mount",
      `type=bind,src=${source},dst=${target},options=rbind:${mode}`,
    ];
    await ctr(
      "run",
      "--detach",
      "--read-only",
      "--net-host",
      ...mount(volume, "/var/lib/signing-server", "rw"),
      ...mount(`${folder}/tokens`, "/etc/signing-server/tokens", "ro"),
      "--log-uri",
      `file://${runDir}/log/signer-image.log`,
      IMAGE,
      name,
    );
    const task = (await ctr("tasks", "list")).split("\n").find((line) => line.startsWith(`${name} `));
    const pid = Number(task?.trim().split(/\s+/)[1]);
    assert.ok(pid > 1, `${name} runs: ${task}`);
    await until("the container's health check is content", async () => {
      const id = crypto.randomUUID().slice(0, 8);
      const { code, stderr } = await attempt("ctr", [
        "--address",
        `${runDir}/containerd.sock`,
        "--namespace",
        NAMESPACE,
        "tasks",
        "exec",
        "--exec-id",
        id,
        name,
        ...settings.healthCheck,
      ], { timeoutMs: 20_000 });
      return code === 0 ? done(undefined) : notYet(stderr);
    }, { explain: () => Deno.readTextFile(`${runDir}/log/signer-image.log`) });
    return pid;
  };
  const stop = async (name: string): Promise<void> => {
    await ctr("tasks", "kill", "--signal", "SIGTERM", name);
    await until(`${name} has ended`, async () => {
      const line = (await ctr("tasks", "list")).split("\n").find((line) => line.startsWith(`${name} `));
      return line?.includes("STOPPED") ? done(undefined) : notYet(line ?? "");
    });
    await ctr("tasks", "delete", name);
    await ctr("containers", "delete", name);
  };
  const ask = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await cluster.attemptInNetwork("curl", [
      "--silent",
      "--show-error",
      ...args,
    ]);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const address = "http://127.0.0.1:8080";

  try {
    const pid = await start("first");
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    assert.match(status, new RegExp(`^Uid:(\t${USER}){4}$`, "m"));
    assert.match(status, new RegExp(`^Gid:(\t${USER}){4}$`, "m"));
    assert.match(status, /^CapEff:\t0+$/m);
    const mounts = await Deno.readTextFile(`/proc/${pid}/mounts`);
    assert.match(mounts, /^\S+ \/ \S+ ro[, ]/m, "the root file system is read-only");
    assert.equal(textAt(parseObject(await ask(`${address}/health`)), "status"), "ok");
    const certificate = await ask(`${address}/signingcert`);
    assert.match(certificate, /-----BEGIN CERTIFICATE-----/);

    const sign = [
      "--output",
      "/dev/null",
      "--write-out",
      "%{http_code}",
      "--json",
      '{"payload":"{}"}',
      `${address}/sign`,
    ];
    assert.equal(await ask(...sign), "401", "without a token nothing is signed");
    const bearer = `Authorization: Bearer ${TOKEN.split(" ")[1]}`;
    assert.equal(await ask("--header", bearer, ...sign), "200");

    await stop("first");
    await start("second");
    assert.equal(await ask(`${address}/signingcert`), certificate, "the key after a restart");
    await stop("second");
  } finally {
    for (const name of ["first", "second"]) {
      const where = ["--address", `${runDir}/containerd.sock`, "--namespace", NAMESPACE];
      await attempt("ctr", [...where, "tasks", "delete", "--force", name]);
      await attempt("ctr", [...where, "containers", "delete", name]);
    }
  }
}
