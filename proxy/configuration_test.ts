import assert from "node:assert/strict";
import type { Problem } from "@signed-pods/shared/errors";
import { complete, type Configuration, describeError, type Files } from "./configuration.ts";
import { issue, testPki } from "./fixture_test.ts";
import { type Options, parseCommandLine } from "./options.ts";

/** Files and folders in memory. A value that is an error is thrown. */
class FakeFiles implements Files {
  readonly made: string[] = [];
  readonly closed: string[] = [];

  constructor(readonly contents: Record<string, string | Error>, readonly mode = 0o700) {}

  readText(path: string): Promise<string> {
    const content = this.contents[path];
    return typeof content === "string"
      ? Promise.resolve(content)
      : Promise.reject(content ?? new Deno.errors.NotFound());
  }
  stat(
    path: string,
  ): Promise<{ isDirectory: boolean; isFile: boolean; mode: number | null; uid: number | null }> {
    const uid = path.startsWith("/theirs/") ? 7 : 0;
    if (this.contents[path] !== undefined) {
      return Promise.resolve({ isDirectory: false, isFile: true, mode: 0o600, uid });
    }
    return this.made.includes(path) ||
        Object.keys(this.contents).some((name) => name.startsWith(`${path}/`)) ||
        path === "/empty"
      ? Promise.resolve({
        isDirectory: true,
        isFile: false,
        mode: path.startsWith("/shared/") ? 0o1777 : this.mode,
        uid,
      })
      : Promise.reject(new Deno.errors.NotFound());
  }
  list(path: string): Promise<string[]> {
    const names = Object.keys(this.contents).filter((name) => name.startsWith(`${path}/`));
    return Promise.resolve([
      ...new Set(names.map((name) => name.slice(path.length + 1).split("/")[0] ?? "")),
    ]);
  }
  makeFolder(path: string): Promise<void> {
    if (path.startsWith("/forbidden")) {
      return Promise.reject(new Deno.errors.PermissionDenied());
    }
    this.made.push(path);
    return Promise.resolve();
  }
  makePrivate(path: string): Promise<void> {
    this.closed.push(path);
    return Promise.resolve();
  }
  tryWriting(path: string): Promise<{ uid: number | null }> {
    assert.ok(!path.startsWith("/shared/"), "nothing is written where others may have put links");
    return path.startsWith("/read-only/")
      ? Promise.reject(new Deno.errors.NotCapable())
      : Promise.resolve({ uid: 0 });
  }
}

function options(...args: string[]): Options {
  const line = parseCommandLine(args);
  assert.ok(line.kind === "run", JSON.stringify(line));
  return line.options;
}

function kubeconfig(user: Record<string, unknown>, cluster: Record<string, unknown> = {}): string {
  return JSON.stringify({
    "current-context": "x",
    contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
    clusters: [{ name: "x", cluster: { server: "https://api:6443", ...cluster } }],
    users: [{ name: "x", user }],
  });
}

const CA = { "certificate-authority": "ca.pem" };

const KUBECONFIG = kubeconfig({ "client-certificate": "node.pem", "client-key": "node.pem" }, CA);

/** A node as it should be. */
async function goodFiles(): Promise<Record<string, string | Error>> {
  const { authority, server, node } = await testPki();
  return {
    "/etc/k": KUBECONFIG,
    "/etc/ca.pem": authority.certificate,
    "/etc/node.pem": node.certificate + node.key,
    "/etc/server.pem": server.certificate,
    "/etc/server.key": server.key,
    "/trust/a.pem": server.certificate,
    "/trust/b.pem": node.certificate,
    "/trust/..data/c.pem": "hidden",
  };
}

const GOOD = [
  "--kubeconfig=/etc/k",
  "--tls-cert=/etc/server.pem",
  "--tls-key=/etc/server.key",
  "--client-ca=/etc/ca.pem",
  "--signature-verification-cert=/trust",
];

async function good(
  args: string[],
  files: Files,
): Promise<{ configuration: Configuration; warnings: string[] }> {
  const completed = await complete(options(...args), files);
  assert.ok(completed.ok, JSON.stringify(completed));
  return { configuration: completed.configuration, warnings: completed.warnings.map(({ path }) => path) };
}

async function problems(args: string[], files: Files): Promise<Problem[]> {
  const completed = await complete(options(...args), files);
  assert.ok(!completed.ok);
  return completed.problems;
}

Deno.test("a node as it should be gives no warning", async () => {
  const files = new FakeFiles(await goodFiles());
  const { configuration, warnings } = await good(GOOD, files);
  assert.deepEqual(warnings, []);
  assert.equal(configuration.nodeName, "worker");
  assert.equal(configuration.socketPath, "/run/kubelet-proxy/http.sock");
  assert.deepEqual(configuration.keys.trusted.map(({ source }) => source), ["/trust/a.pem", "/trust/b.pem"]);
  assert.notEqual(configuration.tls?.clientCa, undefined);
  assert.deepEqual(files.made, ["/run/kubelet-proxy"]);
  assert.deepEqual(files.closed, []);
});

Deno.test("a runtime folder that others can enter is closed", async () => {
  const files = new FakeFiles(await goodFiles(), 0o755);
  await good(GOOD, files);
  assert.deepEqual(files.closed, ["/run/kubelet-proxy"]);
});

Deno.test("what should not stay is warned about", async () => {
  const { server } = await testPki();
  const files = new FakeFiles({
    ...await goodFiles(),
    "/etc/plain": kubeconfig({}, { server: "http://127.0.0.1:8001" }),
    "/etc/insecure": kubeconfig({ token: "x" }, { "insecure-skip-tls-verify": true }),
    "/c": server.certificate,
  });
  assert.deepEqual(
    (await good(["--kubeconfig=/etc/plain", "--mode=audit", "--node-name=worker"], files)).warnings,
    [
      "--tls-cert",
      "--mode",
      "--signature-verification-cert",
      "--kubeconfig",
      "--kubeconfig",
    ],
  );
  assert.deepEqual(
    (await good([
      "--kubeconfig=/etc/insecure",
      "--node-name=worker",
      "--signature-verification-cert=/c",
      "--tls-cert=/etc/server.pem",
      "--tls-key=/etc/server.key",
    ], files)).warnings,
    ["--client-ca", "--kubeconfig"],
  );
});

Deno.test("a front whose kubelet was not checked is warned about", async () => {
  const { authority, node } = await testPki();
  const files = new FakeFiles({
    ...await goodFiles(),
    "/etc/front.pem": node.certificate + node.key,
    "/etc/node-ca.pem": (await issue({ commonName: "node authority", authority: true })).certificate,
  });
  const front = [
    "--kubelet-api-listen=10.0.0.1:10250",
    "--kubelet-api-tls-cert=/etc/server.pem",
    "--kubelet-api-tls-key=/etc/server.key",
    "--kubelet-api-client-ca=/etc/ca.pem",
    "--kubelet-certificate-authority=/etc/node-ca.pem",
    "--kubelet-client-certificate=/etc/front.pem",
    "--kubelet-client-key=/etc/front.pem",
  ];
  const { configuration, warnings } = await good([...GOOD, ...front], files);
  assert.deepEqual(warnings, ["--kubelet-config"]);
  assert.deepEqual(configuration.front?.tls.clientAuthorities, [authority.certificate]);
  assert.deepEqual(
    (await problems([...GOOD, ...front, "--kubelet-config=/gone"], files)).map(({ path }) => path),
    ["--kubelet-config"],
  );
});

Deno.test("the same key is trusted once, however often it is named", async () => {
  const files = new FakeFiles(await goodFiles());
  const { configuration } = await good([...GOOD, "--signature-verification-cert=/trust/a.pem"], files);
  assert.equal(configuration.keys.trusted.length, 2);
});

Deno.test("refuses all files that are wrong, at once, together with the flags", async () => {
  const { node } = await testPki();
  const files = new FakeFiles({
    ...await goodFiles(),
    "/etc/node.pem": "nothing",
    "/etc/ca.pem": "nothing",
    "/etc/server.key": node.key,
    "/trust/a.pem": node.key,
  });
  const completed = await complete(
    options(
      ...GOOD,
      "--signature-verification-cert=/gone",
      "--signature-verification-cert=/empty",
      `--runtime-dir=/read-only/${"x".repeat(100)}`,
    ),
    files,
    [{ path: "--mode", message: "was wrong" }],
  );
  assert.ok(!completed.ok);
  assert.deepEqual(completed.problems.map(({ path }) => path), [
    "--mode",
    "--kubeconfig",
    "--kubeconfig",
    "--client-ca",
    "--tls-cert",
    "--signature-verification-cert",
    "--signature-verification-cert",
    "--signature-verification-cert",
    "--runtime-dir",
    "--runtime-dir",
  ]);
});

Deno.test("refuses a kubeconfig that is missing or wrong", async () => {
  const files = new FakeFiles({ ...await goodFiles(), "/etc/wrong": "a: [" });
  assert.deepEqual(
    (await problems([...GOOD.slice(1), "--kubeconfig=/gone"], files)).map(({ path }) => path),
    ["--kubeconfig"],
  );
  assert.deepEqual(
    (await problems([...GOOD.slice(1), "--kubeconfig=/etc/wrong"], files)).map(({ path }) => path),
    ["--kubeconfig"],
  );
});

Deno.test("refuses an API server over TLS of which no certificate authority is known", async () => {
  const user = { "client-certificate": "node.pem", "client-key": "node.pem" };
  const files = new FakeFiles({
    ...await goodFiles(),
    "/etc/none": kubeconfig(user),
    "/etc/unchecked": kubeconfig(user, { "insecure-skip-tls-verify": true }),
  });
  assert.deepEqual(
    (await problems([...GOOD.slice(1), "--kubeconfig=/etc/none"], files)).map(({ path }) => path),
    [
      "--kubeconfig",
    ],
  );
  await good([...GOOD.slice(1), "--kubeconfig=/etc/unchecked"], files);
});

Deno.test("refuses a kubeconfig that names the proxy itself", async () => {
  const user = { "client-certificate": "node.pem", "client-key": "node.pem" };
  for (
    const [server, listen, own] of [
      ["https://127.0.0.1:6444", "127.0.0.1:6444", true],
      ["https://localhost:6444", ":6444", true],
      ["https://[::1]:6444", "localhost:6444", true],
      ["https://127.0.0.1:6443", "127.0.0.1:6444", false],
      ["https://10.0.0.1:6444", "127.0.0.1:6444", false],
      ["https://10.0.0.1:6444", "10.0.0.1:6444", true],
    ] as const
  ) {
    const files = new FakeFiles({ ...await goodFiles(), "/etc/own": kubeconfig(user, { ...CA, server }) });
    const args = [...GOOD.slice(1), "--kubeconfig=/etc/own", `--listen-addr=${listen}`];
    if (own) {
      assert.deepEqual(
        (await problems(args, files)).map(({ path }) => path),
        ["--kubeconfig"],
        `${server} ${listen}`,
      );
    } else {
      await good(args, files);
    }
  }
});

Deno.test("refuses serving certificates that cannot be read", async () => {
  const contents = await goodFiles();
  delete contents["/etc/server.pem"];
  contents["/etc/server.key"] = new Deno.errors.PermissionDenied();
  assert.deepEqual((await problems(GOOD, new FakeFiles(contents))).map(({ path }) => path), [
    "--tls-cert",
    "--tls-key",
  ]);
});

Deno.test("refuses a node name that is not known, not one, or of another node", async () => {
  const odd = await issue({ commonName: "system:node:Not_A_Name" });
  const files = new FakeFiles({
    ...await goodFiles(),
    "/etc/token": kubeconfig({ token: "x" }, CA),
    "/etc/odd": kubeconfig({ "client-certificate": "odd.pem", "client-key": "odd.pem" }, CA),
    "/etc/odd.pem": odd.certificate + odd.key,
  });
  for (
    const args of [["--kubeconfig=/etc/token"], ["--kubeconfig=/etc/odd"], [
      "--kubeconfig=/etc/k",
      "--node-name=other",
    ]]
  ) {
    assert.deepEqual((await problems([...GOOD.slice(1), ...args], files)).map(({ path }) => path), [
      "--node-name",
    ]);
  }
});

Deno.test("refuses runtime folders that cannot be used", async () => {
  const files = new FakeFiles({ ...await goodFiles(), "/file": "x" });
  for (const folder of ["/forbidden/x", "/read-only/x", "/file", "/shared/x", "/theirs/x"]) {
    assert.deepEqual((await problems([...GOOD, `--runtime-dir=${folder}`], files)).map(({ path }) => path), [
      "--runtime-dir",
    ]);
  }
});

Deno.test("refuses a folder of certificates that is no such folder", async () => {
  const contents = await goodFiles();
  for (let index = 0; index <= 1000; index++) {
    contents[`/many/${index}.pem`] = "x";
  }
  const found = await problems(
    [...GOOD.slice(0, 4), "--signature-verification-cert=/many"],
    new FakeFiles(contents),
  );
  assert.deepEqual(found.map(({ path }) => path), ["--signature-verification-cert"]);
});

Deno.test("relative kubeconfigs have relative files", async () => {
  const contents = await goodFiles();
  const { authority, node } = await testPki();
  const files = new FakeFiles({
    ...contents,
    k: KUBECONFIG,
    "./ca.pem": authority.certificate,
    "./node.pem": node.certificate + node.key,
  });
  assert.equal((await good([...GOOD.slice(1), "--kubeconfig=k"], files)).configuration.nodeName, "worker");
});

Deno.test("errors of the file system say what to do", () => {
  const texts = [
    new Deno.errors.NotCapable(),
    new Deno.errors.NotFound(),
    new Deno.errors.PermissionDenied(),
    new Deno.errors.IsADirectory(),
    new Error("as it is"),
    "text",
  ].map(describeError);
  assert.equal(new Set(texts).size, texts.length);
  assert.match(texts[0] ?? "", /--allow-read/);
});

Deno.test("refuses other API servers that cannot stand in for the kubeconfig's", async () => {
  const files = new FakeFiles({
    ...await goodFiles(),
    "/etc/insecure": kubeconfig({ token: "x" }, { "insecure-skip-tls-verify": true }),
  });
  const { configuration } = await good([...GOOD, "--server=https://b:6443", "--server=https://c"], files);
  assert.deepEqual(configuration.options.servers.map(({ host }) => host), ["b:6443", "c"]);
  for (const server of ["http://b", "https://api:6443", "https://127.0.0.1:6443"]) {
    const found = await problems([...GOOD, `--server=${server}`], files);
    assert.deepEqual(found.map(({ path }) => path), ["--server"], server);
  }
  const insecure = [
    "--kubeconfig=/etc/insecure",
    "--node-name=worker",
    ...GOOD.slice(1),
    "--server=https://b",
  ];
  assert.deepEqual((await problems(insecure, files)).map(({ path }) => path), ["--server"]);
  for (const server of ["b:6443", "https://me@b", "https://b?x", "ftp://b"]) {
    const line = parseCommandLine([...GOOD, `--server=${server}`]);
    assert.ok(line.kind === "problems");
    assert.deepEqual(line.problems.map(({ path }) => path), ["--server"], server);
  }
});

Deno.test("refuses to renew a node's certificate that is not in one file with its key", async () => {
  const files = await goodFiles();
  const flags = ["--kubeconfig=/etc/k", "--mode=audit", "--runtime-dir=/run/p", "--renew-node-certificate"];
  const problemPaths = async () => {
    const completed = await complete(options(...flags), new FakeFiles(files));
    return completed.ok ? [] : completed.problems.map(({ path }) => path);
  };
  assert.deepEqual(await problemPaths(), []);
  files["/etc/other.pem"] = files["/etc/node.pem"] ?? "";
  files["/etc/k"] = kubeconfig({ "client-certificate": "node.pem", "client-key": "other.pem" }, CA);
  assert.deepEqual(await problemPaths(), ["--renew-node-certificate"]);
});
