import assert from "node:assert/strict";
import type { JsonObject, JsonValue } from "../json.ts";
import {
  containerMisfits,
  MAX_EXTRA_TEXT_CHARACTERS,
  MAX_PATH_CHARACTERS,
  volumeMisfits,
} from "./confined.ts";
import { IMAGE, named, ownerSpec, part } from "./fixture_test.ts";
import { expand } from "./normal_form.ts";
import { fieldsOf } from "./schema.ts";

/** A mesh's container with everything that an extra one may have. */
const FULL: JsonObject = {
  name: "mesh",
  image: IMAGE,
  args: ["proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc.cluster.local"],
  env: [
    { name: "MODE", value: 'free text: {"a": 1}\n' },
    { name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
    { name: "APP", valueFrom: { fieldRef: { fieldPath: "metadata.labels['app.example.com/name']" } } },
    { name: "CPUS", valueFrom: { resourceFieldRef: { resource: "limits.cpu", containerName: "mesh" } } },
  ],
  ports: [{ name: "http-envoy-prom", containerPort: 15090, protocol: "TCP" }],
  resources: { limits: { cpu: "2", memory: "1Gi" }, requests: { "ephemeral-storage": "1Gi" } },
  volumeMounts: [{ name: "mesh-data", mountPath: "/var/lib/mesh", readOnly: true }],
  readinessProbe: { httpGet: { path: "/healthz/ready", port: 15021 }, periodSeconds: 15 },
  livenessProbe: { tcpSocket: { port: "http-envoy-prom" } },
  startupProbe: { grpc: { port: 15020 } },
  imagePullPolicy: "Always",
  terminationMessagePolicy: "FallbackToLogsOnError",
  securityContext: {
    privileged: false,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    runAsNonRoot: true,
    runAsUser: 1337,
    runAsGroup: 1337,
    capabilities: { drop: ["ALL"] },
    seccompProfile: { type: "RuntimeDefault" },
  },
};

type List = "containers" | "initContainers";

function expandContainer(container: JsonObject, list: List = "containers"): JsonObject {
  const app = { name: "app", image: IMAGE };
  const spec = expand(
    list === "containers" ? { containers: [container] } : { containers: [app], initContainers: [container] },
  );
  const items = spec[list];
  const expanded = Array.isArray(items) ? items[0] : undefined;
  assert.ok(typeof expanded === "object" && expanded !== null && !Array.isArray(expanded));
  return expanded;
}

const SIGNED = expand(ownerSpec());

const pathsOf = (container: JsonObject, list: List = "containers", signed = SIGNED) =>
  containerMisfits(list, expandContainer(container, list), "c", signed).map(({ path }) => path);

Deno.test("a mesh's container fits, with all defaults", () => {
  assert.deepEqual(pathsOf(FULL), []);
  assert.deepEqual(pathsOf({ ...FULL, restartPolicy: "Always" }, "initContainers"), []);
});

/** A value for a field that an extra container may not have; every such field of the schema needs one here. */
const REFUSED_FIELDS: Record<string, JsonValue> = {
  command: ["sh"],
  workingDir: "/",
  envFrom: [{ configMapRef: { name: "a" } }],
  resizePolicy: [{ resourceName: "cpu", restartPolicy: "RestartContainer" }],
  restartPolicy: "Always",
  restartPolicyRules: [{ action: "Restart" }],
  volumeDevices: [{ name: "d", devicePath: "/dev/x" }],
  lifecycle: { preStop: { exec: { command: ["sh"] } } },
  stdin: true,
  stdinOnce: true,
  tty: true,
};

Deno.test("refuses every other field of a container", () => {
  const refused = [...fieldsOf("Container").keys()].filter((name) => !Object.hasOwn(FULL, name));
  const unlisted = refused.filter((name) =>
    name !== "terminationMessagePath" && !Object.hasOwn(REFUSED_FIELDS, name)
  );
  assert.deepEqual(unlisted, []);
  for (const [field, value] of Object.entries(REFUSED_FIELDS)) {
    assert.deepEqual(pathsOf({ ...FULL, [field]: value }), [`c.${field}`], field);
  }
});

const SPOILT: [string, JsonObject, string][] = [
  ["privilege", { securityContext: { privileged: true } }, "c.securityContext.privileged"],
  [
    "escalation",
    { securityContext: { allowPrivilegeEscalation: true } },
    "c.securityContext.allowPrivilegeEscalation",
  ],
  [
    "a capability",
    { securityContext: { capabilities: { add: ["NET_ADMIN"] } } },
    "c.securityContext.capabilities.add",
  ],
  ["another proc mount", { securityContext: { procMount: "Unmasked" } }, "c.securityContext.procMount"],
  [
    "no seccomp",
    { securityContext: { seccompProfile: { type: "Unconfined" } } },
    "c.securityContext.seccompProfile.type",
  ],
  [
    "no AppArmor",
    { securityContext: { appArmorProfile: { type: "Unconfined" } } },
    "c.securityContext.appArmorProfile",
  ],
  [
    "SELinux options",
    { securityContext: { seLinuxOptions: { level: "s0" } } },
    "c.securityContext.seLinuxOptions",
  ],
  ["a negative user", { securityContext: { runAsUser: -1 } }, "c.securityContext.runAsUser"],
  ["a host port", { ports: [{ containerPort: 80, hostPort: 80 }] }, "c.ports[0].hostPort"],
  ["a host address", { ports: [{ containerPort: 80, hostIP: "0.0.0.0" }] }, "c.ports[0].hostIP"],
  ["port 0", { ports: [{ containerPort: 0 }] }, ""],
  ["a probe by command", { livenessProbe: { exec: { command: ["sh"] } } }, "c.livenessProbe.exec"],
  [
    "a probe of another host",
    { livenessProbe: { httpGet: { port: 1, host: "10.0.0.1" } } },
    "c.livenessProbe.httpGet.host",
  ],
  [
    "a probe with headers",
    { livenessProbe: { httpGet: { port: 1, httpHeaders: [{ name: "Host", value: "a" }] } } },
    "c.livenessProbe.httpGet.httpHeaders",
  ],
  [
    "a sub path",
    { volumeMounts: [{ name: "a", mountPath: "/a", subPath: "b" }] },
    "c.volumeMounts[0].subPath",
  ],
  [
    "mount propagation",
    { volumeMounts: [{ name: "a", mountPath: "/a", mountPropagation: "Bidirectional" }] },
    "c.volumeMounts[0].mountPropagation",
  ],
  [
    "a mount path upwards",
    { volumeMounts: [{ name: "a", mountPath: "/a/../b" }] },
    "c.volumeMounts[0].mountPath",
  ],
  [
    "a mount path without end",
    { volumeMounts: [{ name: "a", mountPath: `/${"a".repeat(MAX_PATH_CHARACTERS)}` }] },
    "c.volumeMounts[0].mountPath",
  ],
  ["a relative mount path", { volumeMounts: [{ name: "a", mountPath: "a" }] }, "c.volumeMounts[0].mountPath"],
  [
    "a variable from a Secret",
    { env: [{ name: "A", valueFrom: { secretKeyRef: { name: "s", key: "k" } } }] },
    "c.env[0].valueFrom.secretKeyRef",
  ],
  ["a variable's name with =", { env: [{ name: "A=B", value: "c" }] }, "c.env[0].name"],
  ["a NUL in an argument", { args: ["a\0b"] }, "c.args[0]"],
  ["a text beyond the bound", { args: ["a".repeat(MAX_EXTRA_TEXT_CHARACTERS + 1)] }, "c.args[0]"],
  [
    "a field path of another form",
    { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "metadata.labels['a'] b" } } }] },
    "c.env[0].valueFrom.fieldRef.fieldPath",
  ],
  ["a device", { resources: { limits: { "nvidia.com/gpu": "1" } } }, "c.resources.limits[nvidia.com/gpu]"],
  ["a claim", { resources: { claims: [{ name: "gpu" }] } }, "c.resources.claims"],
  ["a negative amount", { resources: { requests: { cpu: "-1" } } }, "c.resources.requests[cpu]"],
];

/** The security context of FULL with a change. */
function context(change: JsonObject): JsonObject {
  return { securityContext: { ...part(FULL, "securityContext"), ...change } };
}

SPOILT.push(
  ["root", context({ runAsUser: 0 }), "c.securityContext.runAsUser"],
  ["no user of its own", context({ runAsUser: null }), "c.securityContext.runAsUser"],
  ["a user that may be root", context({ runAsNonRoot: false }), "c.securityContext.runAsNonRoot"],
  ["nothing said about root", context({ runAsNonRoot: null }), "c.securityContext.runAsNonRoot"],
  ["root's group", context({ runAsGroup: 0 }), "c.securityContext.runAsGroup"],
  [
    "nothing said about escalation",
    context({ allowPrivilegeEscalation: null }),
    "c.securityContext.allowPrivilegeEscalation",
  ],
  ["no security context", { securityContext: null }, "c.securityContext.runAsUser"],
  [
    "a path upwards behind a line separator",
    { terminationMessagePath: "/a\u2028/../b" },
    "c.terminationMessagePath",
  ],
  ["a line separator in a path", { terminationMessagePath: "/a\u2029b" }, "c.terminationMessagePath"],
);

Deno.test("refuses an extra container with a user that the signed spec names", () => {
  const user = { runAsUser: 1337 };
  const ofPod = expand({ ...ownerSpec(), securityContext: user });
  assert.deepEqual(pathsOf(FULL, "containers", ofPod), ["c.securityContext.runAsUser"]);
  const ofContainer = ownerSpec();
  named(ofContainer, "initContainers", "prepare").securityContext = user;
  assert.deepEqual(pathsOf(FULL, "containers", expand(ofContainer)), ["c.securityContext.runAsUser"]);
});

Deno.test("refuses an extra container that loosens the seccomp profile of the whole pod", () => {
  const strict = { type: "Localhost", localhostProfile: "strict.json" };
  const signed = expand({ ...ownerSpec(), securityContext: { seccompProfile: strict } });
  assert.deepEqual(pathsOf(FULL, "containers", signed), ["c.securityContext.seccompProfile"]);
  assert.deepEqual(pathsOf({ ...FULL, ...context({ seccompProfile: null }) }, "containers", signed), []);
});

for (const [name, change, path] of SPOILT) {
  Deno.test(`refuses an extra container with ${name}`, () => {
    const found = pathsOf({ ...FULL, ...change });
    // A zero that Go cannot tell from nothing is not there any more.
    if (path === "") assert.deepEqual(found, []);
    else assert.ok(found.includes(path), found.join(", "));
  });
}

const VOLUMES: JsonObject[] = [
  { name: "v", emptyDir: {} },
  { name: "v", emptyDir: { medium: "Memory", sizeLimit: "1Gi" } },
  {
    name: "v",
    configMap: {
      name: "mesh-ca",
      items: [{ key: "root", path: "certs/root.pem", mode: 420 }],
      optional: true,
    },
  },
  { name: "v", secret: { secretName: "mesh-certs", defaultMode: 0o400 } },
  { name: "v", downwardAPI: { items: [{ path: "labels", fieldRef: { fieldPath: "metadata.labels" } }] } },
  {
    name: "v",
    projected: {
      sources: [
        { serviceAccountToken: { audience: "mesh-ca", expirationSeconds: 43200, path: "mesh-token" } },
        { configMap: { name: "mesh-ca" } },
        { secret: { name: "mesh-certs" } },
        { downwardAPI: { items: [{ path: "name", fieldRef: { fieldPath: "metadata.name" } }] } },
      ],
    },
  },
];

function volumePaths(volume: JsonObject): string[] {
  const expanded = expand({ containers: [{ name: "app", image: IMAGE }], volumes: [volume] });
  const [first] = Array.isArray(expanded.volumes) ? expanded.volumes : [];
  assert.ok(typeof first === "object" && first !== null && !Array.isArray(first));
  return volumeMisfits(first, "v").map(({ path }) => path);
}

Deno.test("a mesh's volumes fit, with all defaults", () => {
  for (const volume of VOLUMES) assert.deepEqual(volumePaths(volume), [], JSON.stringify(volume));
});

Deno.test("refuses every other source of a volume", () => {
  const admitted = new Set(["name", "emptyDir", "configMap", "secret", "downwardAPI", "projected"]);
  const others = [...fieldsOf("Volume").keys()].filter((field) => !admitted.has(field));
  assert.ok(
    others.includes("hostPath") && others.includes("csi") && others.includes("persistentVolumeClaim"),
  );
  for (const field of others) {
    assert.deepEqual(volumeMisfits({ name: "v", [field]: {} }, "v").map(({ path }) => path), [`v.${field}`]);
  }
});

const SPOILT_VOLUMES: [string, JsonObject, string][] = [
  ["two sources", { emptyDir: {}, configMap: { name: "a" } }, "v"],
  ["huge pages", { emptyDir: { medium: "HugePages" } }, "v.emptyDir.medium"],
  [
    "a file path upwards",
    { configMap: { name: "a", items: [{ key: "k", path: "../x" }] } },
    "v.configMap.items[0].path",
  ],
  [
    "an absolute file path",
    { configMap: { name: "a", items: [{ key: "k", path: "/x" }] } },
    "v.configMap.items[0].path",
  ],
  ["a set-user-ID mode", { configMap: { name: "a", defaultMode: 0o4755 } }, "v.configMap.defaultMode"],
  [
    "a trust bundle",
    { projected: { sources: [{ clusterTrustBundle: { path: "ca.crt", name: "a" } }] } },
    "v.projected.sources[0].clusterTrustBundle",
  ],
];

for (const [name, source, path] of SPOILT_VOLUMES) {
  Deno.test(`refuses an extra volume with ${name}`, () => {
    const found = volumePaths({ name: "v", ...source });
    assert.ok(found.includes(path), found.join(", "));
  });
}
