/** What a signed pod refers to: Services, ConfigMaps, Secrets, volumes, classes, tokens. */
import type { JsonObject, JsonValue } from "@signed-pods/shared/json";
import { expand } from "@signed-pods/shared/pod/normal-form";
import { contentDigest, SALT_ANNOTATION, SALT_BYTES, saltedDigest } from "@signed-pods/shared/pod/pins";
import type { SignOptions } from "@signed-pods/shared/signed-template";
import { issue } from "../../../proxy/fixture_test.ts";
import { makeMetadata, makeService } from "../../fakes/objects.ts";
import { makePod, NODE_NAME, objectOf, withSpec, withStatus } from "../../fakes/owner.ts";
import { answer, chunk, type Received, type Wire } from "../api_server.ts";
import type { Case, CaseGroup } from "../case.ts";
import type { Followed } from "../kubelets.ts";
import type { ProxyOptions } from "../proxy.ts";
import type { Setting } from "../setting.ts";

/** Stands in every object that must not reach the kubelet, where what is wrong with it stands. */
const INTRUDER = "intruder";

/** Stands in the object by whose arrival a case knows that the kubelet has taken in all that came before. */
const LAST = "sentinel";

async function started(setting: Setting): Promise<void> {
  await setting.startProxy();
  setting.startKubelet();
  await setting.untilHeld("web");
}

// ---- what informers hold

/** Objects that a kubelet follows, and how they look when nobody lies. */
interface Subject {
  followed: Followed;
  kind: string;
  honest: JsonObject;
  last: JsonObject;
  /** Stands in the store when the last object has come; by default its name. */
  sign?: string;
  /** Must never stand in the store; by default {@linkcode INTRUDER}. */
  intruder?: string;
  /** Brings the node to where the case begins. */
  start?: (setting: Setting) => Promise<void>;
}

const SERVICES: Subject = {
  followed: { resource: "services" },
  kind: "Service",
  honest: makeService("honest"),
  last: makeService(LAST, {}, { resourceVersion: "49" }),
};

function content(resource: "configmaps" | "secrets", kind: string, value: (text: string) => string): Subject {
  const make = (text: string, resourceVersion: string): JsonObject => ({
    kind,
    apiVersion: "v1",
    metadata: makeMetadata("web", { namespace: "default", resourceVersion }),
    data: { value: value(text) },
  });
  return {
    followed: { resource, namespace: "default", name: "web" },
    kind,
    honest: make("honest", "41"),
    last: make(LAST, "49"),
  };
}

const CONFIG_MAP = content("configmaps", "ConfigMap", (text) => text);
const SECRET = content("secrets", "Secret", btoa);

function service(name: string, spec: JsonObject = {}, metadata: JsonObject = {}): JsonObject {
  return makeService(name, spec, metadata);
}

function changed({ honest }: Subject, change: JsonObject, metadata: JsonObject = {}): JsonObject {
  return { ...honest, ...change, metadata: { ...objectOf(honest.metadata), ...metadata } };
}

/** Shows objects that must not be held, first among the first objects, then in an event. */
function shows(slug: string, does: string, subject: Subject, bad: JsonObject): Case {
  return followCase(slug, does, subject, [bad], [line("MODIFIED", bad)]);
}

function line(type: string, object: JsonValue): string {
  return `${JSON.stringify({ type, object })}\n`;
}

function bookmark({ kind }: Subject, initialEventsEnd: boolean): string {
  const annotations = initialEventsEnd ? { annotations: { "k8s.io/initial-events-end": "true" } } : {};
  return line("BOOKMARK", {
    kind,
    apiVersion: "v1",
    metadata: { resourceVersion: "45", creationTimestamp: null, ...annotations },
  });
}

/**
 * Has the kubelet follow objects, lies about them, and is honest then.
 *
 * @param initial objects beside the honest one that the first list, or the first initial events, hold
 * @param events lines that come then, before the last object
 */
function followCase(
  slug: string,
  does: string,
  subject: Subject,
  initial: readonly JsonValue[],
  events: readonly string[],
): Case {
  return {
    name: `17-${slug}`,
    does,
    async run(setting) {
      const { followed, kind, honest, last, start = started } = subject;
      await start(setting);
      const { resource, namespace, name } = followed;
      const { sign = resource === "secrets" ? btoa(LAST) : LAST, intruder = INTRUDER } = subject;
      const path = `/api/v1/${namespace === undefined ? "" : `namespaces/${namespace}/`}${resource}`;
      let lists = 0;
      let watches = 0;
      const objects = () => lists++ === 0 ? [...initial, honest] : [honest, last];
      const lines = () => watches++ === 0 ? [...events, line("MODIFIED", last)] : [];
      setting.server.lie = (request) =>
        request.target.split("?")[0] === path
          ? (wire) => tell(request, wire, { subject, kind, objects, lines })
          : undefined;
      let held = "";
      setting.follow(followed, (store) => {
        held = JSON.stringify(store);
        const shown = resource === "secrets" ? held + store.map(decoded).join() : held;
        if (shown.includes(intruder)) {
          setting.violations.push(`the kubelet holds what it must not: ${shown.slice(0, 500)}`);
        }
      });
      await setting.until(
        `the kubelet holds the last of ${resource} ${name ?? ""}`,
        () => held.includes(sign),
      );
    },
  };
}

function decoded(secret: JsonObject): string {
  return Object.values(objectOf(secret.data ?? {})).map((value) => atob(String(value))).join();
}

async function tell(
  { query }: Received,
  wire: Wire,
  { subject, kind, objects, lines }: {
    subject: Subject;
    kind: string;
    objects: () => readonly JsonValue[];
    lines: () => readonly string[];
  },
): Promise<void> {
  if (query.get("watch") !== "true") {
    const list = {
      kind: `${kind}List`,
      apiVersion: "v1",
      metadata: { resourceVersion: "45" },
      items: [...objects()],
    };
    await wire.write(answer(JSON.stringify(list)));
    return;
  }
  await wire.write("HTTP/1.1 200 X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
  if (query.get("sendInitialEvents") === "true") {
    for (const object of objects()) {
      await wire.write(chunk(line("ADDED", object)));
    }
    await wire.write(chunk(bookmark(subject, true)));
  }
  for (const text of lines()) {
    await wire.write(chunk(text));
  }
  await wire.closed;
}

const LONG = "a".repeat(300);

/** Objects that informers hold. */
export const followed: CaseGroup = {
  title: "Services, ConfigMaps and Secrets",
  cases: [
    shows(
      "service-name-variable",
      "names a Service so that it is another variable",
      SERVICES,
      service(`bash_env=${INTRUDER}`),
    ),
    shows(
      "service-name-upper-case",
      "names a Service like a variable",
      SERVICES,
      service("LD_PRELOAD", {}, { uid: INTRUDER }),
    ),
    shows(
      "service-name-line",
      "puts a line feed into a Service's name",
      SERVICES,
      service(`a\n${INTRUDER}=x`),
    ),
    shows("service-name-digit", "begins a Service's name with a digit", SERVICES, service(`1${INTRUDER}`)),
    shows("service-name-long", "names a Service with 300 letters", SERVICES, service(`${INTRUDER}${LONG}`)),
    shows(
      "service-namespace",
      "puts a path into a Service's namespace",
      SERVICES,
      service("a", {}, { namespace: `../${INTRUDER}` }),
    ),
    shows(
      "service-address-command",
      "puts a command into a Service's address",
      SERVICES,
      service("honest", { clusterIP: `$(${INTRUDER})` }),
    ),
    shows(
      "service-address-host",
      "puts a host into a Service's address",
      SERVICES,
      service("honest", { clusterIP: `${INTRUDER}.example` }),
    ),
    shows(
      "service-address-list",
      "gives a Service's address as a list",
      SERVICES,
      service("honest", { clusterIP: [INTRUDER] }),
    ),
    shows(
      "service-port-name",
      "puts a variable into the name of a Service's port",
      SERVICES,
      service("honest", { ports: [{ port: 80, name: `a=${INTRUDER}` }] }),
    ),
    shows(
      "service-protocol",
      "puts something else into the protocol of a Service's port",
      SERVICES,
      service("honest", { ports: [{ port: 80, protocol: INTRUDER }] }),
    ),
    shows(
      "service-port-text",
      "gives a Service's port as a text",
      SERVICES,
      service("honest", { ports: [{ port: `80 ${INTRUDER}` }] }),
    ),
    shows(
      "service-without-ports",
      "takes away a Service's ports, which would end the kubelet",
      SERVICES,
      service(`${INTRUDER}-without`, { ports: [] }),
    ),
    shows(
      "service-unknown-fields",
      "puts more into a Service than a kubelet reads",
      SERVICES,
      service("plain", { externalIPs: [INTRUDER] }, {
        annotations: { a: INTRUDER },
        labels: { a: INTRUDER },
      }),
    ),
    followCase("service-of-another-kind", "puts a Pod among the Services", SERVICES, [{
      kind: "Pod",
      metadata: { name: INTRUDER },
    }], [
      line("ADDED", { kind: "Pod", apiVersion: "v1", metadata: { name: INTRUDER, namespace: "default" } }),
    ]),
    followCase("service-twice", "writes a Service's name twice", SERVICES, [], [
      line("ADDED", service("twice")).replace('"name":"twice"', `"name":"twice","name":"${INTRUDER}"`),
    ]),
    shows(
      "config-map-path",
      "puts a path into a ConfigMap's key",
      CONFIG_MAP,
      changed(CONFIG_MAP, { data: { "../x": INTRUDER } }),
    ),
    shows(
      "config-map-dots",
      "names a ConfigMap's key like the kubelet's own folder",
      CONFIG_MAP,
      changed(CONFIG_MAP, { data: { "..data": INTRUDER } }),
    ),
    shows(
      "config-map-variable",
      "puts a variable and its value into a ConfigMap's key",
      CONFIG_MAP,
      changed(CONFIG_MAP, { data: { "a=b": INTRUDER } }),
    ),
    shows(
      "config-map-both",
      "has one key as text and as bytes",
      CONFIG_MAP,
      changed(CONFIG_MAP, { data: { value: INTRUDER }, binaryData: { value: "AAAA" } }),
    ),
    shows(
      "config-map-number",
      "gives a number as a value",
      CONFIG_MAP,
      changed(CONFIG_MAP, { data: { a: INTRUDER, b: 1 } }),
    ),
    shows(
      "config-map-of-another-name",
      "answers with another ConfigMap",
      CONFIG_MAP,
      changed(CONFIG_MAP, {}, { name: INTRUDER }),
    ),
    shows(
      "config-map-of-another-namespace",
      "answers with a ConfigMap of another namespace",
      CONFIG_MAP,
      changed(CONFIG_MAP, {}, { namespace: INTRUDER }),
    ),
    shows(
      "secret-path",
      "puts a path into a Secret's key",
      SECRET,
      changed(SECRET, { data: { "a/../../b": btoa(INTRUDER) } }),
    ),
    shows(
      "secret-no-base64",
      "gives bytes that are no base64",
      SECRET,
      changed(SECRET, { data: { value: `${INTRUDER}=` } }),
    ),
    shows(
      "secret-string-data",
      "gives a Secret's content as stringData",
      SECRET,
      changed(SECRET, { stringData: { value: INTRUDER } }),
    ),
  ],
};

// ---- what is read once

/** Answers to a request that must not come through. */
function reads(
  slug: string,
  does: string,
  request: string,
  object: JsonObject,
  init: RequestInit = {},
): Case {
  return {
    name: `17-${slug}`,
    does,
    async run(setting) {
      await started(setting);
      setting.server.lie = ({ target }) =>
        target === request ? (wire) => wire.write(answer(JSON.stringify(object))) : undefined;
      const { status, text } = await setting.fetch(request, init);
      if (status < 400) {
        throw new Error(`it came through: ${text.slice(0, 300)}`);
      }
    },
  };
}

/** Answers to a list of a kind with one object that must not be in it when it comes through. */
function hides(slug: string, does: string, apiVersion: string, kind: string, item: JsonObject): Case {
  const path = `/apis/${apiVersion}/${kind.toLowerCase()}${kind.endsWith("s") ? "es" : "s"}`;
  const list = { kind: `${kind}List`, apiVersion, metadata: { resourceVersion: "1" }, items: [item] };
  return {
    name: `17-${slug}`,
    does,
    async run(setting) {
      await started(setting);
      setting.server.lie = ({ target }) =>
        target === path ? (wire) => wire.write(answer(JSON.stringify(list))) : undefined;
      const { status, text } = await setting.fetch(path);
      if (status !== 200 || text.includes(INTRUDER)) throw new Error(`${status} ${text}`);
    },
  };
}

function volume(spec: JsonObject, metadata: JsonObject = {}): JsonObject {
  return { kind: "PersistentVolume", apiVersion: "v1", metadata: makeMetadata("pv", metadata), spec };
}

const VOLUME = "/api/v1/persistentvolumes/pv";
const CLAIM = "/api/v1/namespaces/default/persistentvolumeclaims/data";
const ATTACHMENT = "/apis/storage.k8s.io/v1/volumeattachments/csi-x";
const NODE = `/api/v1/nodes/${NODE_NAME}`;
const TOKEN = "/api/v1/namespaces/default/serviceaccounts/app/token";
const RESOURCE_CLAIM = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims/gpu";

function claim(spec: JsonObject, name = "data"): JsonObject {
  return {
    kind: "PersistentVolumeClaim",
    apiVersion: "v1",
    metadata: makeMetadata(name, { namespace: "default" }),
    spec,
    status: { phase: "Bound" },
  };
}

function node(more: JsonObject): JsonObject {
  return { kind: "Node", apiVersion: "v1", metadata: makeMetadata(NODE_NAME), ...more };
}

/** Objects that a kubelet asks for when it needs them. */
export const read: CaseGroup = {
  title: "Volumes, claims, nodes, tokens",
  cases: [
    reads(
      "volume-host-path",
      "switches a volume to a folder of the node",
      VOLUME,
      volume({ hostPath: { path: "/" } }),
    ),
    reads(
      "volume-local",
      "switches a volume to a disk of the node",
      VOLUME,
      volume({ local: { path: "/" } }),
    ),
    reads(
      "volume-not-allowed",
      "switches a volume to NFS, which is not allowed",
      VOLUME,
      volume({ nfs: { server: "a", path: "/" } }),
    ),
    reads(
      "volume-csi",
      "switches a volume to a CSI driver that is not allowed",
      VOLUME,
      volume({ csi: { driver: "a.b", volumeHandle: "x" } }),
    ),
    reads(
      "volume-two-sources",
      "gives a volume two sources",
      VOLUME,
      volume({ nfs: {}, hostPath: { path: "/" } }),
    ),
    reads(
      "volume-of-the-future",
      "gives a volume a source that nobody knows",
      VOLUME,
      volume({ future: { path: "/" } }),
    ),
    reads("volume-without-source", "gives a volume no source", VOLUME, volume({})),
    reads("volume-of-another-name", "answers with another volume", VOLUME, {
      ...volume({}),
      metadata: makeMetadata("other"),
    }),
    reads("claim-path", "leads a claim to a path", CLAIM, claim({ volumeName: "../../x" })),
    reads("claim-of-another-name", "answers with another claim", CLAIM, claim({ volumeName: "pv" }, "other")),
    reads("attachment-driver", "attaches by a driver that is not allowed", ATTACHMENT, {
      kind: "VolumeAttachment",
      apiVersion: "storage.k8s.io/v1",
      metadata: makeMetadata("csi-x"),
      spec: { attacher: "a.b", source: { persistentVolumeName: "pv" }, nodeName: NODE_NAME },
      status: { attached: true },
    }),
    reads("node-network", "gives the node a network that is none", NODE, node({ spec: { podCIDR: "$(x)" } })),
    reads(
      "node-device",
      "attaches a device outside of the node's devices",
      NODE,
      node({ status: { volumesAttached: [{ name: "a", devicePath: "/dev/../etc" }] } }),
    ),
    reads("token-lines", "answers with a token of several lines", TOKEN, {
      kind: "TokenRequest",
      apiVersion: "authentication.k8s.io/v1",
      status: { token: "a\nb", expirationTimestamp: "2026-01-01T00:00:00Z" },
    }, { method: "POST", body: "{}" }),
    reads("device-driver", "allocates a device of a driver that is not allowed", RESOURCE_CLAIM, {
      kind: "ResourceClaim",
      apiVersion: "resource.k8s.io/v1",
      metadata: makeMetadata("gpu", { namespace: "default" }),
      status: {
        allocation: { devices: { results: [{ request: "a", driver: "a.b", pool: "p", device: "d" }] } },
      },
    }),
    hides("runtime-class", "tells of a RuntimeClass that nobody pinned", "node.k8s.io/v1", "RuntimeClass", {
      metadata: makeMetadata("kata"),
      handler: INTRUDER,
    }),
    hides(
      "csi-driver",
      "gives a CSI driver a way of calling that nobody knows",
      "storage.k8s.io/v1",
      "CSIDriver",
      {
        metadata: makeMetadata("a.b"),
        spec: { volumeLifecycleModes: [INTRUDER] },
      },
    ),
    hides(
      "trust-bundle",
      "puts something else than certificates into a trust bundle",
      "certificates.k8s.io/v1beta1",
      "ClusterTrustBundle",
      { metadata: makeMetadata("roots"), spec: { trustBundle: INTRUDER } },
    ),
    reads(
      "csi-node",
      "names a CSI driver of the node in two lines",
      `/apis/storage.k8s.io/v1/csinodes/${NODE_NAME}`,
      {
        kind: "CSINode",
        apiVersion: "storage.k8s.io/v1",
        metadata: makeMetadata(NODE_NAME),
        spec: { drivers: [{ name: "a\nb", nodeID: "x", topologyKeys: [] }] },
      },
    ),
    reads(
      "service-account",
      "answers with another service account",
      "/api/v1/namespaces/default/serviceaccounts/app",
      { kind: "ServiceAccount", apiVersion: "v1", metadata: makeMetadata("other", { namespace: "default" }) },
    ),
    reads(
      "signing-request",
      "issues something else than a certificate to the kubelet",
      "/apis/certificates.k8s.io/v1/certificatesigningrequests/csr-x",
      {
        kind: "CertificateSigningRequest",
        apiVersion: "certificates.k8s.io/v1",
        metadata: makeMetadata("csr-x"),
        spec: { request: btoa("request"), signerName: "kubernetes.io/kube-apiserver-client-kubelet" },
        status: { certificate: btoa(INTRUDER) },
      },
    ),
  ],
};

// ---- content that owners signed

/** A node on which the pod `first` refers to an object, and its owner says something of it. */
function startedWithPod(
  pinned: Pick<ProxyOptions, "rootCa">,
  spec: JsonObject,
  options: SignOptions,
): (setting: Setting) => Promise<void> {
  return async (setting) => {
    setting.proxyOptions = { references: "enforce", ...pinned };
    await started(setting);
    setting.api.put(await referring(setting, "first", spec, options));
    await setting.untilHeld("first");
  };
}

function referring(
  setting: Setting,
  name: string,
  spec: JsonObject,
  options: SignOptions,
): Promise<JsonObject> {
  const whole = expand({ automountServiceAccountToken: false, ...spec });
  return setting.sign(withSpec(makePod({ name, uid: setting.uid() }), whole), options);
}

function variablesOf(source: JsonObject): JsonObject {
  return { containers: [{ name: "app", image: "registry.example/web:1", envFrom: [source] }] };
}

const BY_CONFIG_MAP = variablesOf({ configMapRef: { name: "web" } });
const BY_SECRET = variablesOf({ secretRef: { name: "web" } });

const bytesOf = (text: string) => new TextEncoder().encode(text);
const pinOf = async (text: string) => ({
  pins: { configMaps: { web: { data: { value: await contentDigest(bytesOf(text)) } } } },
});
const SALTS = [1, 2].map((first) => new Uint8Array(SALT_BYTES).fill(first));
const [SALT = new Uint8Array(), OTHER_SALT = new Uint8Array()] = SALTS;
const HONEST_PIN = await pinOf("honest");
const OTHER_PIN = await pinOf("other");
const SECRET_PIN = {
  pins: { secrets: { web: { data: { value: await saltedDigest(SALT, "value", bytesOf("honest")) } } } },
};

/** The same objects; the last one is told by its version, for its content is signed. */
function signedContent(subject: Subject, start: (setting: Setting) => Promise<void>): Subject {
  return {
    ...subject,
    last: changed(subject, {}, { resourceVersion: "49" }),
    sign: '"resourceVersion":"49"',
    start,
  };
}

const PINNED = signedContent(CONFIG_MAP, startedWithPod({}, BY_CONFIG_MAP, HONEST_PIN));
const MUTABLE = signedContent(
  CONFIG_MAP,
  startedWithPod({}, BY_CONFIG_MAP, { allow: ["mutable-config=web"] }),
);

function salted(salt: Uint8Array, value: string): JsonObject {
  const annotations = { [SALT_ANNOTATION]: salt.toBase64() };
  return changed(SECRET, { data: { value: btoa(value) } }, { annotations });
}

const PINNED_SECRET = signedContent(
  { ...SECRET, honest: salted(SALT, "honest") },
  startedWithPod({}, BY_SECRET, SECRET_PIN),
);

// ---- the cluster's authority

const ROOT = await issue({ commonName: "root", authority: true });
const OTHER_ROOT = await issue({ commonName: INTRUDER, authority: true });

function rootCa(...texts: readonly string[]): JsonObject {
  return {
    kind: "ConfigMap",
    apiVersion: "v1",
    metadata: makeMetadata("kube-root-ca.crt", { namespace: "default" }),
    data: { "ca.crt": texts.join("") },
  };
}

const BY_VOLUME: JsonObject = {
  containers: [{ name: "app", image: "registry.example/web:1" }],
  volumes: [{ name: "ca", configMap: { name: "kube-root-ca.crt" } }],
};

const ROOT_CA: Subject = {
  ...signedContent(
    {
      followed: { resource: "configmaps", namespace: "default", name: "kube-root-ca.crt" },
      kind: "ConfigMap",
      honest: rootCa(ROOT.certificate),
      last: {},
    },
    startedWithPod({ rootCa: new Set([ROOT.certificate]) }, BY_VOLUME, {}),
  ),
  intruder: OTHER_ROOT.certificate.split("\n").at(-3) ?? INTRUDER,
};

/** What pods pin, and what the kubelet holds. */
export const pinned: CaseGroup = {
  title: "Content that was signed with pods, and the cluster's authority",
  cases: [
    {
      name: "17-pinned-pod-by-itself",
      does: "shows a pod that was signed with other content to a GET alone, where no list can refuse it",
      async run(setting) {
        await PINNED.start?.(setting);
        const path = "/api/v1/namespaces/default/configmaps/web";
        const object = JSON.stringify(PINNED.honest);
        setting.server.lie = ({ target }) =>
          target === path ? (wire) => wire.write(answer(object)) : undefined;
        const { status, text } = await setting.fetch(path);
        if (status !== 200) throw new Error(`the honest content did not come through: ${text}`);
        const second = await referring(setting, "second", BY_CONFIG_MAP, OTHER_PIN);
        setting.server.lie = ({ target }) =>
          target.startsWith("/api/v1/namespaces/default/pods/second")
            ? (wire) => wire.write(answer(JSON.stringify(second)))
            : undefined;
        const asked = await setting.ask({ do: "get", namespace: "default", name: "second" });
        if (asked.ok) throw new Error("the pod came through");
      },
    },
    {
      name: "17-pinned-made-up-end",
      does:
        "says of a running pod that it has failed, so that content of another pod may take the place of its own",
      web: "stays",
      async run(setting) {
        await PINNED.start?.(setting);
        const path = "/api/v1/namespaces/default/configmaps/web";
        let value = "honest";
        setting.server.lie = ({ target }) =>
          target === path
            ? (wire) => wire.write(answer(JSON.stringify(changed(CONFIG_MAP, { data: { value } }))))
            : undefined;
        await setting.fetch(path);
        setting.api.change("default", "first", (pod) => withStatus(pod, { phase: "Failed" }));
        await setting.until(
          "the kubelet is told",
          () => objectOf(setting.held("first")?.status).phase === "Failed",
        );
        setting.api.put(
          await referring(setting, "second", BY_CONFIG_MAP, { allow: ["mutable-config=web"] }),
        );
        await setting.untilHeld("second");
        value = INTRUDER;
        const { status, text } = await setting.fetch(path);
        if (status !== 403) throw new Error(`other content came through: ${status} ${text}`);
      },
    },
    shows(
      "pinned-config-map",
      "changes a ConfigMap that was signed with a pod",
      PINNED,
      changed(CONFIG_MAP, { data: { value: INTRUDER } }),
    ),
    shows(
      "pinned-config-map-key",
      "adds a variable to a ConfigMap that was signed with a pod",
      PINNED,
      changed(CONFIG_MAP, { data: { value: "honest", LD_PRELOAD: INTRUDER } }),
    ),
    shows(
      "pinned-config-map-bytes",
      "gives the content that was signed as a text in bytes, and more",
      PINNED,
      changed(CONFIG_MAP, { data: {}, binaryData: { value: btoa("honest"), [INTRUDER]: "AAAA" } }),
    ),
    shows(
      "pinned-secret",
      "changes a Secret that was signed with a pod",
      PINNED_SECRET,
      salted(SALT, INTRUDER),
    ),
    shows(
      "pinned-secret-salt",
      "changes a Secret that was signed with a pod, and its salt",
      PINNED_SECRET,
      salted(OTHER_SALT, INTRUDER),
    ),
    shows(
      "pinned-secret-no-salt",
      "changes a Secret that was signed with a pod, and takes its salt away",
      PINNED_SECRET,
      changed(SECRET, { data: { value: btoa(INTRUDER) } }),
    ),
    shows(
      "mutable-config-map-loader",
      "adds LD_PRELOAD to a ConfigMap that its owner lets change",
      MUTABLE,
      changed(CONFIG_MAP, { data: { value: "honest", LD_PRELOAD: INTRUDER } }),
    ),
    shows(
      "root-ca",
      "swaps the cluster's authority in kube-root-ca.crt",
      ROOT_CA,
      rootCa(OTHER_ROOT.certificate),
    ),
    shows(
      "root-ca-added",
      "adds an authority to kube-root-ca.crt",
      ROOT_CA,
      rootCa(ROOT.certificate, OTHER_ROOT.certificate),
    ),
    shows(
      "root-ca-trusted",
      "adds an authority to kube-root-ca.crt in OpenSSL's own form",
      ROOT_CA,
      rootCa(ROOT.certificate, OTHER_ROOT.certificate.replaceAll("CERTIFICATE", "TRUSTED CERTIFICATE")),
    ),
    shows(
      "root-ca-key",
      "adds an authority to kube-root-ca.crt under another key",
      ROOT_CA,
      { ...rootCa(), data: { "ca.crt": ROOT.certificate, "extra.crt": OTHER_ROOT.certificate } },
    ),
  ],
};
