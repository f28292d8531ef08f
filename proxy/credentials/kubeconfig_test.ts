import assert from "node:assert/strict";
import { encodeBase64 } from "@signed-pods/shared/base64";
import { type Kubeconfig, MAX_KUBECONFIG_CHARACTERS, parseKubeconfig } from "./kubeconfig.ts";

interface Parts {
  cluster?: Record<string, unknown>;
  user?: Record<string, unknown>;
  root?: Record<string, unknown>;
}

function config({ cluster = {}, user = {}, root = {} }: Parts): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "here",
    contexts: [{ name: "here", context: { cluster: "c", user: "u" } }],
    clusters: [{ name: "c", cluster: { server: "https://10.0.0.1:6443", ...cluster } }],
    users: [{ name: "u", user }],
    ...root,
  });
}

function read(parts: Parts, context?: string): Kubeconfig {
  const parsed = parseKubeconfig(config(parts), "/etc/kubernetes", context);
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.join("\n"));
  return parsed.kubeconfig;
}

/** All problems of a kubeconfig; fails if it has none. */
function problems(text: string, context?: string): string[] {
  const parsed = parseKubeconfig(text, "/etc/kubernetes", context);
  assert.ok(!parsed.ok);
  assert.notEqual(parsed.problems.length, 0);
  return parsed.problems;
}

const PLUGIN = {
  apiVersion: "client.authentication.k8s.io/v1",
  command: "/usr/bin/login",
  interactiveMode: "Never",
};

const BAD_PLUGINS: Record<string, unknown>[] = [
  { apiVersion: "client.authentication.k8s.io/v1alpha1" },
  { apiVersion: undefined },
  { command: "login" },
  { command: undefined },
  { interactiveMode: "Always" },
  { interactiveMode: undefined },
  { args: "x" },
  { args: [1] },
  { env: "x" },
  { env: [{ value: "x" }] },
  { env: [{ name: "A", value: 1 }] },
  { env: [{ name: "A=B", value: "x" }] },
  { env: [{ name: "LD_PRELOAD", value: "x" }] },
  { env: [{ name: "A", value: "x" }, { name: "A", value: "y" }] },
  { provideClusterInfo: "yes" },
  { shell: true },
];

Deno.test("a credential plugin, by its full path or relative to the kubeconfig", () => {
  const extension = { audience: "nodes" };
  const { exec } = read({
    cluster: { extensions: [{ name: "client.authentication.k8s.io/exec", extension }, { name: "other" }] },
    user: {
      exec: {
        apiVersion: "client.authentication.k8s.io/v1beta1",
        command: "bin/login",
        args: ["node", "--quiet"],
        env: [{ name: "ZONE", value: "a" }, { name: "EMPTY" }],
        provideClusterInfo: true,
        installHint: "ask the cluster's owner",
      },
    },
  });
  assert.deepEqual(exec, {
    apiVersion: "client.authentication.k8s.io/v1beta1",
    command: "/etc/kubernetes/bin/login",
    args: ["node", "--quiet"],
    env: { ZONE: "a", EMPTY: "" },
    provideClusterInfo: true,
    clusterConfig: extension,
  });
  assert.equal(read({ user: { exec: PLUGIN } }).exec?.command, "/usr/bin/login");
});

Deno.test("a kubelet's kubeconfig in YAML, paths relative to its folder", () => {
  const parsed = parseKubeconfig(
    `apiVersion: v1
kind: Config
preferences: {}
current-context: default
contexts:
- context: {cluster: kubernetes, user: default-auth, namespace: x}
  name: default
clusters:
- cluster: {certificate-authority: pki/ca.crt, server: "https://api.example:6443"}
  name: kubernetes
users:
- name: default-auth
  user:
    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem
    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem
`,
    "/etc/kubernetes",
  );
  assert.deepEqual(parsed, {
    ok: true,
    kubeconfig: {
      context: "default",
      server: new URL("https://api.example:6443"),
      certificateAuthority: { kind: "file", path: "/etc/kubernetes/pki/ca.crt" },
      insecureSkipTlsVerify: false,
      clientCertificate: { kind: "file", path: "/var/lib/kubelet/pki/kubelet-client-current.pem" },
      clientKey: { kind: "file", path: "/var/lib/kubelet/pki/kubelet-client-current.pem" },
    },
  });
});

Deno.test("data wins over files; empty settings count as absent", () => {
  const { certificateAuthority, token } = read({
    cluster: {
      "certificate-authority-data": encodeBase64(new TextEncoder().encode("PEM")),
      "certificate-authority": "x",
      "proxy-url": "",
      "tls-server-name": null,
    },
    user: { token: "" },
  });
  assert.deepEqual(certificateAuthority, { kind: "data", text: "PEM" });
  assert.equal(token, undefined);
});

Deno.test("tokens and token files", () => {
  assert.equal(read({ user: { token: "abc.def-_~+/=" } }).token, "abc.def-_~+/=");
  assert.equal(read({ user: { tokenFile: "token" } }).tokenFile, "/etc/kubernetes/token");
  for (const token of ["a b", "a\nb", "ä"]) {
    assert.match(problems(config({ user: { token } })).join(), /token holds characters/);
  }
});

Deno.test("another context", () => {
  const root = {
    contexts: [{ name: "here", context: { cluster: "gone", user: "gone" } }, {
      name: "there",
      context: { cluster: "c", user: "u" },
    }],
  };
  assert.equal(read({ root }, "there").context, "there");
  assert.equal(problems(config({ root })).length, 2);
  assert.match(problems(config({}), "nowhere").join(), /contexts: there is no "nowhere"/);
});

Deno.test("refuses a credential plugin that cannot be run as it is written, or beside another credential", () => {
  for (const change of BAD_PLUGINS) {
    problems(config({ user: { exec: { ...PLUGIN, ...change } } }));
  }
  for (
    const user of [
      { exec: "x" },
      { exec: PLUGIN, token: "x" },
      { exec: PLUGIN, tokenFile: "/t" },
      { exec: PLUGIN, "client-certificate": "/c", "client-key": "/k" },
    ]
  ) {
    assert.equal(problems(config({ user })).length, 1);
  }
});

Deno.test("refuses by name what cannot be obeyed", () => {
  const unsupported: Parts[] = [
    { cluster: { "proxy-url": "http://proxy" } },
    { cluster: { "tls-server-name": "x" } },
    { user: { "auth-provider": { name: "x" } } },
    { user: { username: "x" } },
    { user: { password: "x" } },
    { user: { as: "x" } },
    { user: { "as-uid": "x" } },
    { user: { "as-groups": ["x"] } },
    { user: { "as-user-extra": { a: ["x"] } } },
  ];
  for (const parts of unsupported) {
    const [field] = Object.keys(parts.cluster ?? parts.user ?? {});
    const [problem, ...others] = problems(config(parts));
    assert.deepEqual(others, []);
    assert.ok(problem?.includes(`${field} is not supported: `), problem);
  }
});

Deno.test("refuses fields that are not known", () => {
  assert.match(problems(config({ user: { magic: true } })).join(), /"magic" is not known/);
});

Deno.test("refuses all mistakes at once", () => {
  assert.equal(
    problems(config({
      cluster: { server: "ftp://x", "insecure-skip-tls-verify": "yes", "certificate-authority-data": "%" },
      user: { "client-certificate": "x", token: 5 },
    })).length,
    5,
  );
});

Deno.test("refuses servers that are no plain http or https URL", () => {
  for (
    const server of ["", "10.0.0.1:6443", "unix:///x", "https://u:p@h", "https://h?x=1", "https://h#x", 5]
  ) {
    problems(config({ cluster: { server } }));
  }
  assert.equal(read({ cluster: { server: "https://h/prefix/" } }).server.pathname, "/prefix/");
  assert.equal(read({ cluster: { server: "http://127.0.0.1:8001" } }).server.protocol, "http:");
});

Deno.test("refuses insecure-skip-tls-verify beside a certificate authority", () => {
  assert.equal(read({ cluster: { "insecure-skip-tls-verify": true } }).insecureSkipTlsVerify, true);
  problems(config({ cluster: { "insecure-skip-tls-verify": true, "certificate-authority": "x" } }));
});

Deno.test("refuses what is no kubeconfig", () => {
  for (
    const text of [
      "",
      "[]",
      "text",
      "a: 1\na: 2",
      "a: [",
      "a: !!js/function x",
      "kind: Secret",
      "apiVersion: v2",
      "a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]",
      "kind: Config",
      config({ root: { "current-context": 5 } }),
      config({ root: { contexts: {} } }),
      config({ root: { contexts: [{ name: "here" }] } }),
      config({ root: { contexts: [{ name: "here", context: {} }] } }),
      config({ root: { clusters: [] } }),
      config({ root: { users: [{ name: "u", user: {} }, { name: "u", user: {} }] } }),
      "#".repeat(MAX_KUBECONFIG_CHARACTERS + 1),
    ]
  ) {
    problems(text);
  }
});

Deno.test("refuses to show what stands in the file", () => {
  const text = "users:\n- user: {token: canary}\n  - user: {token: canary\n";
  assert.doesNotMatch(problems(text).join("\n"), /canary/);
  assert.doesNotMatch(problems(config({ user: { token: "canary canary" } })).join("\n"), /canary/);
});
