import assert from "node:assert/strict";
import { type CommandLine, FLAGS, type Options, parseCommandLine } from "./options.ts";

const NEEDED = ["--kubeconfig", "/k", "--signature-verification-cert", "/c"];

function run(...args: string[]): Options {
  const line = parseCommandLine([...NEEDED, ...args]);
  assert.ok(line.kind === "run", JSON.stringify(line));
  return line.options;
}

function problemPaths(line: CommandLine): string[] {
  assert.ok(line.kind === "problems", line.kind);
  return line.problems.map(({ path }) => path);
}

Deno.test("defaults", () => {
  assert.deepEqual(run(), {
    kubeconfig: "/k",
    listenAddress: { hostname: "127.0.0.1", port: 6443 },
    verificationCerts: ["/c"],
    mode: "enforce",
    acceptForms: new Set(["template", "spec"]),
    requireDigests: false,
    objects: {
      allowedVolumes: [],
      runtimeClasses: new Map(),
      deviceDrivers: new Set(),
      references: "enforce",
    },
    allowedPaths: [],
    nodeApiAccess: new Set(["logs", "metrics", "stats"]),
    runtimeDir: "/run/kubelet-proxy",
    operability: {},
    servers: [],
    renewNodeCertificate: false,
    logRequests: true,
    logPodPayloads: false,
    logFormat: "text",
  });
});

Deno.test("every flag", () => {
  assert.deepEqual(
    run(
      "--context=x",
      "--server=https://b:6443",
      "--listen-addr",
      ":16443",
      "--tls-cert=/s",
      "--tls-key=/t",
      "--client-ca=/ca",
      "--renew-node-certificate",
      "--signature-verification-cert=/d",
      "--mode=audit",
      "--node-name=worker.example",
      "--accept-forms=template",
      "--require-digests",
      "--allow-path=GET:/version",
      "--allow-path",
      "GET:/apis/a/*",
      "--allow-volume=nfs:hard",
      "--allow-volume=csi/a.b",
      "--runtime-class=kata=kata-qemu",
      "--allow-device-driver=gpu.example.com",
      "--references=warn",
      "--node-api-access=stats, exec",
      "--runtime-dir=/tmp/x/",
      "--metrics-addr=127.0.0.1:10450",
      "--decision-log=/var/log/decisions",
      "--log-requests=false",
      "--log-pod-payloads=true",
      "--log-format=json",
    ),
    {
      kubeconfig: "/k",
      renewNodeCertificate: true,
      context: "x",
      listenAddress: { hostname: undefined, port: 16443 },
      tls: { certificateFile: "/s", keyFile: "/t", clientCaFile: "/ca" },
      verificationCerts: ["/c", "/d"],
      mode: "audit",
      nodeName: "worker.example",
      acceptForms: new Set(["template"]),
      requireDigests: true,
      allowedPaths: [
        { method: "GET", path: "/version", prefix: false },
        { method: "GET", path: "/apis/a/", prefix: true },
      ],
      objects: {
        allowedVolumes: [
          { plugin: "nfs", mountOptions: new Set(["hard"]) },
          { plugin: "csi", driver: "a.b", mountOptions: new Set() },
        ],
        runtimeClasses: new Map([["kata", "kata-qemu"]]),
        deviceDrivers: new Set(["gpu.example.com"]),
        references: "warn",
      },
      nodeApiAccess: new Set(["stats", "exec"]),
      runtimeDir: "/tmp/x",
      operability: {
        listenAddress: { hostname: "127.0.0.1", port: 10450 },
        decisionLogFile: "/var/log/decisions",
      },
      servers: [new URL("https://b:6443")],
      logRequests: false,
      logPodPayloads: true,
      logFormat: "json",
    },
  );
});

Deno.test("boolean flags as Go writes them", () => {
  assert.equal(run("--log-requests").logRequests, true);
  assert.equal(run("--log-requests=F").logRequests, false);
  assert.equal(run("--require-digests=1").requireDigests, true);
});

Deno.test("refuses all mistakes at once", () => {
  const paths = problemPaths(parseCommandLine([
    "stray",
    "--nope",
    "its value",
    "--listen-addr=x",
    "--tls-key=/t",
    "--mode=on",
    "--node-name=A_B",
    "--accept-forms=template,x",
    "--require-digests=maybe",
    "--allow-path=GET:/api/*",
    "--allow-volume=hostPath",
    "--runtime-class=kata",
    "--allow-device-driver=A",
    "--references=on",
    "--runtime-dir=relative",
    "--log-format=xml",
    "--context=a",
    "--context=b",
    "--tls-cert",
  ]));
  assert.deepEqual(paths.sort(), [
    "",
    "",
    "--accept-forms",
    "--allow-device-driver",
    "--allow-path",
    "--allow-volume",
    "--context",
    "--kubeconfig",
    "--listen-addr",
    "--log-format",
    "--mode",
    "--node-name",
    "--references",
    "--require-digests",
    "--runtime-class",
    "--runtime-dir",
    "--signature-verification-cert",
    "--tls-cert",
  ]);
});

Deno.test("refuses a front on the proxy's own port", () => {
  const files = [
    "api-tls-cert",
    "api-tls-key",
    "api-client-ca",
    "certificate-authority",
    "client-certificate",
    "client-key",
  ];
  const flags = files.map((name) => `--kubelet-${name}=/${name}`);
  const given = [
    "--mode=audit",
    "--node-name=a",
    "--kubeconfig=/k",
    "--listen-addr=10.0.0.1:10250",
    ...flags,
  ];
  assert.deepEqual(
    problemPaths(parseCommandLine([...given, "--kubelet-api-listen=10.0.0.1:10250"])),
    ["--kubelet-api-listen"],
  );
  assert.equal(parseCommandLine([...given, "--kubelet-api-listen=10.0.0.2:10250"]).kind, "run");
});

Deno.test("refuses to enforce without a trusted key; audit may do without", () => {
  assert.deepEqual(problemPaths(parseCommandLine(["--kubeconfig=/k"])), ["--signature-verification-cert"]);
  assert.equal(parseCommandLine(["--kubeconfig=/k", "--mode=audit"]).kind, "run");
});

Deno.test("refuses a client CA or half a certificate without TLS", () => {
  assert.deepEqual(problemPaths(parseCommandLine([...NEEDED, "--client-ca=/x"])), ["--client-ca"]);
  assert.deepEqual(problemPaths(parseCommandLine([...NEEDED, "--tls-cert=/x"])), ["--tls-key"]);
  assert.deepEqual(problemPaths(parseCommandLine([...NEEDED, "--tls-key=/x"])), ["--tls-cert"]);
  assert.deepEqual(problemPaths(parseCommandLine([...NEEDED, "--tls-cert="])), ["--tls-cert"]);
});

Deno.test("help, version and completions are asked for, whatever else is wrong", () => {
  for (const args of [["--version"], ["--help"], ["-h"], ["--completion", "bash"], ["--version", "--nope"]]) {
    assert.equal(parseCommandLine(args).kind, "print");
  }
});

Deno.test("the table has every default that holds", () => {
  const options = run();
  const defaults = Object.fromEntries(FLAGS.map((flag) => [flag.name, flag.default]));
  assert.equal(defaults["--listen-addr"], `${options.listenAddress.hostname}:${options.listenAddress.port}`);
  assert.equal(defaults["--runtime-dir"], options.runtimeDir);
  assert.equal(defaults["--mode"], options.mode);
  assert.equal(defaults["--accept-forms"], [...options.acceptForms].join(","));
  assert.equal(defaults["--log-requests"], String(options.logRequests));
});

Deno.test("refuses a flag as another flag's value", () => {
  const line = parseCommandLine(["--kubeconfig", "--signature-verification-cert=/c", "--context"]);
  assert.ok(line.kind === "problems");
  assert.deepEqual(line.problems.map(({ path, message }) => [path, message]).slice(0, 2), [
    ["--kubeconfig", "needs a value"],
    ["--context", "needs a value"],
  ]);
  assert.deepEqual(line.options.verificationCerts, ["/c"]);
});

Deno.test("the own leg stands for the certificates that it holds", () => {
  const { tls, ownLegFolder } = run("--own-leg=/var/lib/kubelet-proxy/pki/");
  assert.equal(ownLegFolder, "/var/lib/kubelet-proxy/pki");
  assert.deepEqual(tls, {
    certificateFile: "/var/lib/kubelet-proxy/pki/serving.pem",
    keyFile: "/var/lib/kubelet-proxy/pki/serving.pem",
    clientCaFile: "/var/lib/kubelet-proxy/pki/ca.crt",
  });
});

Deno.test("refuses an own leg beside other certificates, or without a full path", () => {
  const paths = (...args: string[]) => problemPaths(parseCommandLine([...NEEDED, ...args]));
  assert.deepEqual(paths("--own-leg=/x", "--tls-cert=/s", "--tls-key=/t"), ["--own-leg"]);
  assert.deepEqual(paths("--own-leg=pki"), ["--own-leg"]);
});
