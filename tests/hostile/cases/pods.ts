/** Pods: who they are, their metadata, status, spec and signature. */
import type { JsonObject, JsonValue } from "@signed-pods/shared/json";
import { objectsAt } from "@signed-pods/shared/json";
import { expand } from "@signed-pods/shared/pod/normal-form";
import { SIGNATURE_ANNOTATION, SIGNED_TEMPLATE_ANNOTATION } from "@signed-pods/shared/verdict";
import { podsOf } from "../../fakes/controllers.ts";
import {
  makeMirror,
  makePod,
  NODE_NAME,
  objectOf,
  uidOf,
  withImage,
  withMetadata,
  withSpec,
  withStatus,
} from "../../fakes/owner.ts";
import type { Case, CaseGroup } from "../case.ts";
import { type Setting, signSpecOnly, signTemplate } from "../setting.ts";

type Made = JsonObject | JsonObject[];

/** In a list, a pod and its twin hide each other; then the kubelet may be left without either. */
function mayHideWeb(attack: Case): Case {
  return { ...attack, web: "any" };
}

/** Shows pods among the honest ones. */
function shows(name: string, does: string, make: (setting: Setting) => Made | Promise<Made>): Case {
  return {
    name,
    does,
    async run(setting) {
      const made = await make(setting);
      await setting.show(...Array.isArray(made) ? made : [made]);
    },
  };
}

function annotate(pod: JsonObject, annotations: JsonObject): JsonObject {
  return withMetadata(pod, {
    annotations: { ...objectOf(objectOf(pod.metadata).annotations ?? {}), ...annotations },
  });
}

function label(pod: JsonObject, labels: JsonObject): JsonObject {
  return withMetadata(pod, { labels: { ...objectOf(objectOf(pod.metadata).labels ?? {}), ...labels } });
}

function annotationsOf(pod: JsonObject): JsonObject {
  return objectOf(objectOf(pod.metadata).annotations ?? {});
}

// ---- identity

/** A signed pod with some metadata that the API server chose. */
function metadata(name: string, does: string, changes: JsonObject): Case {
  return shows(name, does, async (setting) => withMetadata(await setting.signed({ name: "odd" }), changes));
}

/** A pod that was signed under an odd name or namespace. */
function named(
  slug: string,
  what: string,
  options: { name?: string; namespace?: string; uid?: string },
): Case {
  return shows(`11-${slug}`, `shows a pod ${what}`, async (setting) => {
    const pod = await setting.signed({ name: "odd" });
    return withMetadata(pod, options);
  });
}

export const identity: CaseGroup = {
  title: "Identity",
  cases: [
    shows("11-two-pods-of-one-uid", "gives two signed pods the same UID", async (setting) => {
      const uid = setting.uid();
      return [await setting.signed({ name: "first", uid }), await setting.signed({ name: "second", uid })];
    }),
    shows("11-two-pods-of-one-name", "gives two signed pods the same name", async (setting) => [
      await setting.signed({ name: "same" }),
      await setting.signed({ name: "same", image: "registry.example/web:2" }),
    ]),
    mayHideWeb(shows(
      "11-uid-of-an-admitted-pod",
      "gives a signed pod the UID of one that runs",
      (setting) => setting.signed({ name: "second", uid: uidOf(1) }),
    )),
    mayHideWeb(shows(
      "11-name-of-an-admitted-pod",
      "gives a signed pod the name of one that runs",
      (setting) => setting.signed({ name: "web", image: "registry.example/web:2" }),
    )),
    mayHideWeb(shows(
      "11-unsigned-under-an-admitted-uid",
      "gives an unsigned pod the UID of one that runs",
      () => makePod({ name: "intruder", uid: uidOf(1), image: "registry.example/evil:1" }),
    )),
    named("uid-path", "whose UID is a path", { uid: "../../x" }),
    named("uid-absolute-path", "whose UID is an absolute path", { uid: "/etc/cron.d/x" }),
    named("uid-upper-case", "whose UID is in capitals", { uid: "ABCDEF00-0000-4000-8000-000000000000" }),
    named("uid-with-line-feed", "whose UID ends in a line feed", { uid: `${uidOf(900)}\n` }),
    named("uid-with-nul", "whose UID ends in a NUL", { uid: `${uidOf(900)}\u0000` }),
    named("uid-in-braces", "whose UID has braces", { uid: `{${uidOf(900)}}` }),
    named("uid-without-dashes", "whose UID has no dashes", { uid: "0".repeat(32) }),
    named("uid-empty", "whose UID is empty", { uid: "" }),
    named("uid-of-full-width-digits", "whose UID has full-width digits", {
      uid: uidOf(900).replaceAll("0", "\uff10"),
    }),
    metadata("11-uid-number", "shows a pod whose UID is a number", { uid: 7 }),
    metadata("11-uid-null", "shows a pod without a UID", { uid: null }),
    metadata("11-uid-list", "shows a pod whose UID is a list", { uid: [uidOf(900)] }),
    named("name-path", "whose name is a path", { name: "../web" }),
    named("name-slash", "whose name has a slash", { name: "a/b" }),
    named("name-upper-case", "whose name is in capitals", { name: "ODD" }),
    named("name-empty", "whose name is empty", { name: "" }),
    named("name-dots", "whose name is two dots", { name: ".." }),
    named("name-with-line-feed", "whose name has a line feed", { name: "odd\nevil" }),
    named("name-with-quote", "whose name has a quote", { name: 'odd"' }),
    named("name-with-terminal-codes", "whose name has terminal codes", { name: "odd\u001b[31m" }),
    named("name-of-254-characters", "whose name is too long", { name: "a".repeat(254) }),
    named("name-homoglyph", "whose name has a Cyrillic letter", { name: "w\u0435b" }),
    named("name-not-signed", "under a name that was not signed", { name: "other" }),
    named("name-longer", "under a name that begins with the signed one", { name: "odd-2" }),
    named("name-with-prefix", "under a name that ends with the signed one", { name: "very-odd" }),
    metadata("11-name-number", "shows a pod whose name is a number", { name: 7 }),
    metadata("11-name-null", "shows a pod without a name", { name: null }),
    named("namespace-not-signed", "in a namespace that was not signed", { namespace: "other" }),
    named("namespace-kube-system", "in kube-system, signed for another namespace", {
      namespace: "kube-system",
    }),
    named("namespace-path", "whose namespace is a path", { namespace: "../default" }),
    named("namespace-with-dot", "whose namespace has a dot", { namespace: "a.b" }),
    named("namespace-empty", "whose namespace is empty", { namespace: "" }),
    named("namespace-pods", "in a namespace named pods", { namespace: "pods" }),
    named("namespace-of-64-characters", "whose namespace is too long", { namespace: "a".repeat(64) }),
    metadata("11-namespace-null", "shows a pod without a namespace", { namespace: null }),
    metadata("11-generate-name", "shows a pod with a name to be generated", {
      generateName: "../../x",
      name: null,
    }),
    shows(
      "11-wrong-node",
      "shows a pod of another node",
      async (setting) => withSpec(await setting.signed({ name: "odd" }), { nodeName: "elsewhere" }),
    ),
    shows(
      "11-node-of-a-shell",
      "shows a pod whose node is a command",
      async (setting) => withSpec(await setting.signed({ name: "odd" }), { nodeName: `${NODE_NAME};reboot` }),
    ),
    shows(
      "11-no-node",
      "shows a pod of no node",
      async (setting) => withSpec(await setting.signed({ name: "odd" }), { nodeName: "" }),
    ),
    {
      name: "11-many-pods",
      does: "shows 300 unsigned pods of one UID and one name",
      run: (setting) =>
        setting.show(
          ...Array.from({ length: 300 }, (_, index) =>
            makePod({ name: "same", uid: uidOf(666), image: `registry.example/evil:${index}` })),
        ),
    },
  ],
};

// ---- metadata

const HASH = "0123456789abcdef0123456789abcdef";

function annotated(slug: string, what: string, annotations: JsonObject): Case {
  return shows(
    `12-${slug}`,
    `adds ${what}`,
    async (setting) => annotate(await setting.signed({ name: "marked" }), annotations),
  );
}

function labelled(slug: string, what: string, labels: JsonObject): Case {
  return shows(
    `12-${slug}`,
    `adds ${what}`,
    async (setting) => label(await setting.signed({ name: "marked" }), labels),
  );
}

export const metadataGroup: CaseGroup = {
  title: "Labels, annotations, other metadata",
  cases: [
    annotated("apparmor", "the annotation that switches AppArmor off", {
      "container.apparmor.security.beta.kubernetes.io/app": "unconfined",
    }),
    annotated("seccomp", "the old annotations of seccomp", {
      "seccomp.security.alpha.kubernetes.io/pod": "unconfined",
      "container.seccomp.security.alpha.kubernetes.io/app": "unconfined",
    }),
    annotated("cri-o", "annotations that CRI-O obeys", {
      "io.kubernetes.cri-o.userns-mode": "host",
      "io.kubernetes.cri-o.Devices": "/dev/sda:/dev/sda:rwm",
      "io.kubernetes.cri-o.TrySkipVolumeSELinuxLabel": "true",
    }),
    annotated("kata", "annotations that Kata Containers obeys", {
      "io.katacontainers.config.hypervisor.kernel_params": "agent.debug_console",
    }),
    annotated("cdi", "an annotation that adds a device", { "cdi.k8s.io/evil": "vendor.example/gpu=all" }),
    annotated("bandwidth", "annotations of bandwidth", {
      "kubernetes.io/ingress-bandwidth": "1",
      "kubernetes.io/egress-bandwidth": "1",
    }),
    annotated("multus", "an annotation that adds networks", { "k8s.v1.cni.cncf.io/networks": "evil" }),
    annotated("nri", "annotations that plugins of the runtime obey", {
      "devices.nri.io/container.app": "[{path: /dev/sda}]",
      "hooks.nri.containerd.io": "x",
    }),
    annotated("checkpoint", "an annotation that restores a checkpoint", {
      "io.kubernetes.cri-o.annotations.checkpoint.name": "x",
    }),
    annotated("config-source", "the annotation that says api for the pod's source", {
      "kubernetes.io/config.source": "file",
      "kubernetes.io/config.hash": HASH,
    }),
    annotated("limit-ranger-that-is-not", "a note of LimitRanger that is none", {
      "kubernetes.io/limit-ranger": "LimitRanger plugin set: $(reboot)",
    }),
    annotated("restarted-at-that-is-no-time", "a time of restart that is none", {
      "kubectl.kubernetes.io/restartedAt": "now; reboot",
    }),
    annotated("completion-index-alone", "an index of a Job to a pod that has none", {
      "batch.kubernetes.io/job-completion-index": "7",
    }),
    annotated("annotation-with-line-feeds", "an annotation with line feeds", { "a.example/b": "x\ny=z\n" }),
    annotated("annotation-of-a-megabyte", "an annotation of a megabyte", {
      "a.example/b": "x".repeat(1024 * 1024),
    }),
    annotated("annotation-that-is-a-number", "an annotation that is a number", { "a.example/b": 7 }),
    annotated("annotation-that-is-null", "an annotation that is null", { "a.example/b": null }),
    annotated("annotation-proto", "an annotation named __proto__", JSON.parse('{"__proto__":"x"}')),
    shows(
      "12-annotations-list",
      "writes the annotations as a list",
      async (setting) =>
        withMetadata(await setting.signed({ name: "marked" }), { annotations: [SIGNATURE_ANNOTATION] }),
    ),
    shows(
      "12-signed-annotation-changed",
      "changes an annotation that was signed",
      async (setting) =>
        annotate(
          await setting.sign(withMetadata(makePod({ name: "marked", uid: setting.uid() }), {
            annotations: { "example.com/team": "a" },
          })),
          { "example.com/team": "b" },
        ),
    ),
    shows("12-signed-annotation-removed", "removes an annotation that was signed", async (setting) => {
      const pod = await setting.sign(withMetadata(makePod({ name: "marked", uid: setting.uid() }), {
        annotations: { "example.com/team": "a" },
      }));
      const { "example.com/team": _removed, ...rest } = annotationsOf(pod);
      return withMetadata(pod, { annotations: rest });
    }),
    labelled("label", "a label that nobody signed", { "app.kubernetes.io/name": "evil" }),
    labelled("label-of-a-controller-that-is-none", "the hash of a template that is none", {
      "pod-template-hash": "../x",
    }),
    labelled("label-zone-with-command", "a zone that is a command", {
      "topology.kubernetes.io/zone": "$(reboot)",
    }),
    labelled("label-pod-name-of-another", "the label of another pod's name", {
      "statefulset.kubernetes.io/pod-name": "web",
    }),
    labelled("label-that-is-an-object", "a label that is an object", { "a.example/b": {} }),
    labelled("label-good", "a zone and the hash of a template, which schedulers and controllers add", {
      "topology.kubernetes.io/zone": "zone-1",
      "pod-template-hash": "7d9c5f8b6",
    }),
    shows("12-signed-label-changed", "changes a label that was signed", async (setting) =>
      label(
        await setting.sign(
          withMetadata(makePod({ name: "marked", uid: setting.uid() }), { labels: { team: "a" } }),
        ),
        { team: "b" },
      )),
    metadata("12-owner-references", "adds owners", {
      ownerReferences: [{ apiVersion: "v1", kind: "Node", name: "../x", uid: "../x", controller: true }],
    }),
    metadata("12-finalizers", "adds finalizers", { finalizers: ["evil.example/x"] }),
    metadata("12-managed-fields", "adds managed fields", {
      managedFields: [{ manager: "evil", fieldsV1: {} }],
    }),
    metadata("12-unknown-metadata", "adds metadata that Kubernetes does not have", {
      evil: "x",
      clusterName: "x",
    }),
    metadata("12-resource-version-text", "gives a pod a resourceVersion that is no number", {
      resourceVersion: "x&y",
    }),
    metadata("12-resource-version-number", "gives a pod a resourceVersion that is not text", {
      resourceVersion: 7,
    }),
    metadata("12-resource-version-missing", "gives a pod no resourceVersion", { resourceVersion: null }),
    metadata("12-creation-in-other-format", "gives a pod a time of creation that is none", {
      creationTimestamp: "yesterday",
    }),
    metadata("12-creation-number", "gives a pod a time of creation that is a number", {
      creationTimestamp: 1,
    }),
    metadata("12-generation-negative", "gives a pod a negative generation", { generation: -1 }),
    metadata("12-grace-period-negative", "deletes a pod with a negative grace period", {
      deletionTimestamp: "2026-01-01T00:00:00Z",
      deletionGracePeriodSeconds: -1,
    }),
    metadata("12-grace-period-endless", "deletes a pod with an endless grace period", {
      deletionTimestamp: "2026-01-01T00:00:00Z",
      deletionGracePeriodSeconds: 9007199254740991,
    }),
  ],
};

// ---- mirror pods

function mirror(name: string, does: string, change: (mirror: JsonObject, setting: Setting) => Made): Case {
  return shows(`14-${name}`, does, (setting) => change(makeMirror({ uid: uidOf(800) }), setting));
}

export const mirrors: CaseGroup = {
  title: "Mirror pods",
  cases: [
    mirror("mirror", "shows a mirror of a static pod, with a spec", (pod) => pod),
    mirror(
      "mirror-with-intruder",
      "shows a mirror with a container of its own",
      (pod) => withImage(pod, "registry.example/evil:1"),
    ),
    mirror(
      "mirror-with-hash-that-is-none",
      "shows a mirror whose hash is a path",
      (pod) => annotate(pod, { "kubernetes.io/config.mirror": "../../x" }),
    ),
    mirror(
      "mirror-with-more-annotations",
      "shows a mirror with more annotations",
      (pod) => annotate(pod, { "container.apparmor.security.beta.kubernetes.io/app": "unconfined" }),
    ),
    mirror("mirror-with-labels", "shows a mirror with labels", (pod) => label(pod, { a: "b" })),
    mirror(
      "mirror-annotation-null",
      "shows a pod whose mirror annotation is null",
      (pod) => annotate(pod, { "kubernetes.io/config.mirror": null }),
    ),
    mirror(
      "mirror-annotation-object",
      "shows a pod whose mirror annotation is an object",
      (pod) => annotate(pod, { "kubernetes.io/config.mirror": {} }),
    ),
    mirror(
      "mirror-of-another-node",
      "shows a mirror of another node",
      (pod) => withSpec(pod, { nodeName: "elsewhere" }),
    ),
    mayHideWeb(mirror(
      "mirror-with-uid-of-an-admitted-pod",
      "gives a mirror the UID of a pod that runs",
      (pod) => withMetadata(pod, { uid: uidOf(1) }),
    )),
    mayHideWeb(mirror(
      "mirror-with-name-of-an-admitted-pod",
      "gives a mirror the name of a pod that runs",
      (pod) => withMetadata(pod, { name: "web", namespace: "default" }),
    )),
    mirror("mirror-that-becomes-a-pod", "turns a mirror into an unsigned pod", (pod) => [
      pod,
      withMetadata(withImage(pod, "registry.example/evil:1"), { annotations: {} }),
    ]),
    shows(
      "14-mirror-annotation-on-a-signed-pod",
      "puts the mirror annotation on a signed pod",
      async (setting) =>
        annotate(await setting.signed({ name: "mirrored" }), { "kubernetes.io/config.mirror": HASH }),
    ),
    {
      name: "14-admitted-pod-turns-into-a-mirror",
      does: "turns a pod that runs into a mirror",
      async run(setting) {
        await setting.startProxy();
        setting.startKubelet();
        await setting.untilHeld("web");
        setting.api.change("default", "web", (pod) => annotate(pod, { "kubernetes.io/config.mirror": HASH }));
        await setting.until(
          "the pod is being deleted",
          () => objectOf(setting.held("web")?.metadata ?? {}).deletionTimestamp !== undefined,
        );
      },
    },
  ],
};

// ---- status

function status(slug: string, does: string, change: JsonObject): Case {
  return shows(slug, does, async (setting) => withStatus(await setting.signed({ name: "posing" }), change));
}

export const podStatuses: CaseGroup = {
  title: "Status of pods",
  cases: [
    status("13-qos-class", "claims another QoS class", { qosClass: "Guaranteed" }),
    status("13-resource-claims", "names resource claims", {
      resourceClaimStatuses: [{ name: "gpu", resourceClaimName: "evil" }],
    }),
    status("13-extended-resource-claim", "names a claim for extended resources", {
      extendedResourceClaimStatus: { requestMappings: [], resourceClaimName: "evil" },
    }),
    status("13-allocatable-claims", "names claims of what the node can allocate", {
      nodeAllocatableResourceClaimStatuses: [{ name: "evil" }],
    }),
    status("13-phase-succeeded", "claims that a pod has succeeded", { phase: "Succeeded" }),
    status("13-phase-unknown-word", "claims a phase that does not exist", { phase: "Evil" }),
    status("13-phase-number", "claims a phase that is a number", { phase: 1 }),
    status("13-running-first", "claims that a new pod runs, so that the kubelet skips its checks", {
      phase: "Running",
      startTime: "2020-01-01T00:00:00Z",
    }),
    status("13-start-in-the-future", "claims that a pod starts next century", {
      startTime: "2126-01-01T00:00:00Z",
    }),
    status("13-status-text", "writes a wrong type into the conditions", { conditions: "x" }),
    status("13-unknown-field", "adds a field to the status", { evil: { containers: [] } }),
    status("13-container-id-path", "names a container by a path", {
      containerStatuses: [{
        name: "app",
        containerID: "containerd://../../etc/shadow",
        image: "x",
        imageID: "",
        ready: true,
        restartCount: 0,
      }],
    }),
    status("13-condition-with-controls", "writes terminal codes into a condition", {
      conditions: [{ type: "Ready\u001b[2J", status: "True" }],
    }),
    status("13-ips", "claims addresses that are none", {
      podIP: "$(reboot)",
      podIPs: [{ ip: "x y" }],
      hostIP: "a;b",
    }),
    status("13-message-of-a-megabyte", "writes a message of a megabyte", {
      message: "x".repeat(1024 * 1024),
    }),
    status("13-resize", "claims a resize", { resize: "InProgress", allocatedResources: { cpu: "99" } }),
    status("13-nominated-node", "nominates another node", { nominatedNodeName: "elsewhere" }),
    shows("13-status-list", "writes the status as a list", async (setting) => ({
      ...await setting.signed({ name: "posing" }),
      status: [],
    })),
    shows("13-status-null", "writes null for the status", async (setting) => ({
      ...await setting.signed({ name: "posing" }),
      status: null,
    })),
    ...["Failed", "Succeeded"].map((phase) =>
      shows(
        `7-${phase.toLowerCase()}-with-a-new-hook`,
        `calls a pod ${phase} and adds a preStop hook`,
        async (setting) => {
          const pod = await setting.signed({ name: "posing" });
          return withStatus(
            changeContainer(pod, { lifecycle: { preStop: { exec: { command: ["evil"] } } } }),
            { phase },
          );
        },
      )
    ),
    ...["Failed", "Succeeded"].map((phase): Case => ({
      name: `7-admitted-then-${phase.toLowerCase()}-with-a-new-hook`,
      does: `calls a pod that runs ${phase} and gives it a preStop hook`,
      web: "ends",
      async run(setting) {
        await setting.startProxy();
        setting.startKubelet();
        await setting.untilHeld("web");
        setting.api.change(
          "default",
          "web",
          (pod) =>
            withStatus(changeContainer(pod, { lifecycle: { preStop: { exec: { command: ["evil"] } } } }), {
              phase,
            }),
        );
        await setting.until(
          "the pod is being deleted",
          () => objectOf(setting.held("web")?.metadata ?? {}).deletionTimestamp !== undefined,
        );
        await setting.ask({
          do: "patch",
          namespace: "default",
          name: "web",
          body: { metadata: { uid: uidOf(1) }, status: { phase } },
        });
        await setting.untilGone("web");
      },
    })),
    shows(
      "7-deleted-with-a-new-hook",
      "deletes a pod and adds a preStop hook",
      async (setting) =>
        withMetadata(
          changeContainer(await setting.signed({ name: "posing" }), {
            lifecycle: { preStop: { sleep: { seconds: 60 } } },
          }),
          { deletionTimestamp: "2026-01-01T00:00:00Z", deletionGracePeriodSeconds: 30 },
        ),
    ),
  ],
};

function changeContainer(pod: JsonObject, changes: JsonObject, index = 0): JsonObject {
  const containers = objectsAt(objectOf(pod.spec), "containers").map((container, place) =>
    place === index ? { ...container, ...changes } : container
  );
  return withSpec(pod, { containers });
}

// ---- spec

/** A pod with something of everything. */
function richPod(setting: Setting): JsonObject {
  const pod = makePod({ name: "rich", uid: setting.uid() });
  return {
    ...pod,
    spec: {
      ...expand({
        containers: [
          {
            name: "app",
            image: `registry.example/app@sha256:${"a".repeat(64)}`,
            command: ["/app"],
            args: ["--serve"],
            env: [{ name: "MODE", value: "production" }],
            ports: [{ containerPort: 8080 }],
            volumeMounts: [{ name: "data", mountPath: "/data", readOnly: true }],
            readinessProbe: { httpGet: { path: "/ready", port: 8080 } },
            securityContext: {
              runAsNonRoot: true,
              allowPrivilegeEscalation: false,
              capabilities: { drop: ["ALL"] },
            },
            resources: { limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "1", memory: "1Gi" } },
          },
          { name: "sidecar", image: "registry.example/sidecar:1" },
        ],
        initContainers: [{ name: "init", image: "registry.example/init:1" }],
        volumes: [{ name: "data", emptyDir: { sizeLimit: "1Gi" } }],
        securityContext: { runAsUser: 1000, fsGroup: 1000 },
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        activeDeadlineSeconds: 3600,
      }),
      nodeName: NODE_NAME,
    },
  };
}

function spec(slug: string, does: string, change: (spec: JsonObject) => JsonObject): Case {
  return shows(`15-${slug}`, does, async (setting) => {
    const pod = await setting.sign(richPod(setting));
    return { ...pod, spec: change(objectOf(pod.spec)) };
  });
}

function setsSpec(slug: string, does: string, changes: JsonObject): Case {
  return spec(slug, does, (spec) => ({ ...spec, ...changes }));
}

function container(
  slug: string,
  does: string,
  changes: JsonObject | ((container: JsonObject) => JsonObject),
): Case {
  return spec(slug, does, (spec) => ({
    ...spec,
    containers: objectsAt(spec, "containers").map((container, index) =>
      index > 0
        ? container
        : typeof changes === "function"
        ? changes(container)
        : { ...container, ...changes }
    ),
  }));
}

function volume(slug: string, does: string, source: JsonObject): Case {
  return spec(slug, does, (spec) => ({ ...spec, volumes: [{ name: "data", ...source }] }));
}

function adds(list: string, item: JsonObject): (object: JsonObject) => JsonObject {
  return (object) => ({ ...object, [list]: [...objectsAt(object, list), item] });
}

function drops(list: string, index: number): (object: JsonObject) => JsonObject {
  return (object) => ({ ...object, [list]: objectsAt(object, list).filter((_, place) => place !== index) });
}

const EVIL: JsonObject = { name: "evil", image: "registry.example/evil:1" };
const TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount";
const PROBE: JsonObject = { exec: { command: ["evil"] } };

function tokenVolume(over: JsonObject = {}): JsonObject {
  return {
    name: "kube-api-access-b2c4d",
    projected: {
      defaultMode: 420,
      sources: [
        { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
        { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
        {
          downwardAPI: {
            items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
          },
        },
      ],
      ...over,
    },
  };
}

/** A signed pod that takes a token, with the volume that admission adds, or something like it. */
function token(slug: string, does: string, change: (spec: JsonObject) => JsonObject): Case {
  return shows(`15-token-${slug}`, does, async (setting) => {
    const pod = await setting.sign({
      ...makePod({ name: "tokened", uid: setting.uid() }),
      spec: {
        ...expand({ containers: [{ name: "app", image: "registry.example/web:1" }] }),
        nodeName: NODE_NAME,
      },
    });
    const mounted = changeContainer(
      withSpec(pod, { volumes: [tokenVolume()] }),
      { volumeMounts: [{ name: "kube-api-access-b2c4d", readOnly: true, mountPath: TOKEN_PATH }] },
    );
    return { ...mounted, spec: change(objectOf(mounted.spec)) };
  });
}

function mountsAt(spec: JsonObject, mount: JsonObject): JsonObject {
  return {
    ...spec,
    containers: objectsAt(spec, "containers").map((container) => ({
      ...container,
      volumeMounts: objectsAt(container, "volumeMounts").map((old) => ({ ...old, ...mount })),
    })),
  };
}

export const specs: CaseGroup = {
  title: "Spec",
  cases: [
    spec("container-added", "adds a container", adds("containers", EVIL)),
    spec(
      "container-first",
      "puts a container first",
      (spec) => ({ ...spec, containers: [EVIL, ...objectsAt(spec, "containers")] }),
    ),
    spec("container-dropped", "drops a sidecar", drops("containers", 1)),
    spec(
      "containers-swapped",
      "changes the order of containers",
      (spec) => ({ ...spec, containers: objectsAt(spec, "containers").toReversed() }),
    ),
    spec(
      "container-twice",
      "repeats a container",
      (spec) => ({
        ...spec,
        containers: [...objectsAt(spec, "containers"), ...objectsAt(spec, "containers").slice(0, 1)],
      }),
    ),
    spec("containers-empty", "empties the list of containers", (spec) => ({ ...spec, containers: [] })),
    spec("init-container-added", "adds an init container", adds("initContainers", EVIL)),
    spec("init-container-dropped", "drops an init container", drops("initContainers", 0)),
    spec(
      "init-container-that-stays",
      "lets an init container stay",
      (spec) => ({
        ...spec,
        initContainers: objectsAt(spec, "initContainers").map((init) => ({
          ...init,
          restartPolicy: "Always",
        })),
      }),
    ),
    spec(
      "ephemeral-container",
      "adds an ephemeral container",
      adds("ephemeralContainers", { ...EVIL, targetContainerName: "app" }),
    ),
    container("image", "changes the image", { image: "registry.example/evil:1" }),
    container("image-without-digest", "takes the digest off an image", { image: "registry.example/app" }),
    container("image-of-another-registry", "takes the image of the same digest elsewhere", {
      image: `evil.example/app@sha256:${"a".repeat(64)}`,
    }),
    container("image-with-tag-before-digest", "adds a tag before the digest", {
      image: `registry.example/app:evil@sha256:${"a".repeat(64)}`,
    }),
    container("command", "changes the command", { command: ["/bin/sh"] }),
    container("command-removed", "removes the command", ({ command: _command, ...rest }) => rest),
    container("args", "changes arguments", { args: ["--serve", "--debug"] }),
    container("args-null", "nulls the arguments", { args: null }),
    container("working-directory", "sets the working directory", { workingDir: "/tmp" }),
    container("env-added", "adds a variable", adds("env", { name: "LD_PRELOAD", value: "/evil.so" })),
    container("env-changed", "changes a variable", { env: [{ name: "MODE", value: "debug" }] }),
    container("env-removed", "removes a variable", { env: [] }),
    container("env-from-secret", "takes a variable from a Secret", {
      env: [{ name: "MODE", valueFrom: { secretKeyRef: { name: "evil", key: "x" } } }],
    }),
    container("env-from", "adds all variables of a ConfigMap", {
      envFrom: [{ configMapRef: { name: "evil" } }],
    }),
    container("readiness-probe", "changes a probe", { readinessProbe: PROBE }),
    container("liveness-probe", "adds a liveness probe", { livenessProbe: PROBE }),
    container("startup-probe", "adds a startup probe", { startupProbe: PROBE }),
    container("probe-removed", "removes a probe", ({ readinessProbe: _probe, ...rest }) => rest),
    container("post-start-hook", "adds a postStart hook", { lifecycle: { postStart: PROBE } }),
    container("pre-stop-hook", "adds a preStop hook", { lifecycle: { preStop: PROBE } }),
    container("stop-signal", "changes the signal that stops", { lifecycle: { stopSignal: "SIGKILL" } }),
    container("privileged", "makes a container privileged", { securityContext: { privileged: true } }),
    container("run-as-root", "runs a container as root", { securityContext: { runAsUser: 0 } }),
    container(
      "security-context-removed",
      "removes the security context",
      ({ securityContext: _context, ...rest }) => rest,
    ),
    container("capabilities", "adds a capability", {
      securityContext: {
        runAsNonRoot: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ["ALL"], add: ["SYS_ADMIN"] },
      },
    }),
    container("seccomp-unconfined", "switches seccomp off", {
      securityContext: { seccompProfile: { type: "Unconfined" } },
    }),
    container("apparmor-unconfined", "switches AppArmor off", {
      securityContext: { appArmorProfile: { type: "Unconfined" } },
    }),
    container("se-linux", "sets SELinux options", { securityContext: { seLinuxOptions: { type: "spc_t" } } }),
    container("proc-mount", "unmasks /proc", { securityContext: { procMount: "Unmasked" } }),
    container("mount-writable", "makes a mount writable", {
      volumeMounts: [{ name: "data", mountPath: "/data" }],
    }),
    container("mount-elsewhere", "mounts a volume elsewhere", {
      volumeMounts: [{ name: "data", mountPath: "/etc", readOnly: true }],
    }),
    container("mount-sub-path", "mounts a part of a volume", {
      volumeMounts: [{ name: "data", mountPath: "/data", readOnly: true, subPath: "../.." }],
    }),
    container("mount-sub-path-expression", "mounts a part named by a variable", {
      volumeMounts: [{ name: "data", mountPath: "/data", readOnly: true, subPathExpr: "$(MODE)" }],
    }),
    container("mount-propagation", "lets mounts propagate", {
      volumeMounts: [{ name: "data", mountPath: "/data", readOnly: true, mountPropagation: "Bidirectional" }],
    }),
    container("mount-added", "adds a mount", adds("volumeMounts", { name: "data", mountPath: "/usr/bin" })),
    container("volume-devices", "adds a block device", {
      volumeDevices: [{ name: "data", devicePath: "/dev/sda" }],
    }),
    container("port-on-host", "opens a port of the host", {
      ports: [{ containerPort: 8080, hostPort: 22, protocol: "TCP" }],
    }),
    container("port-added", "adds a port", adds("ports", { containerPort: 22, protocol: "TCP" })),
    container("name", "renames a container", { name: "evil" }),
    container("name-path", "gives a container a path for a name", { name: "../../x" }),
    container("termination-message-path", "writes the termination message elsewhere", {
      terminationMessagePath: "/etc/passwd",
    }),
    container("standard-input", "opens standard input and a terminal", { stdin: true, tty: true }),
    container("pull-policy-never", "never pulls the image", { imagePullPolicy: "Never" }),
    container("pull-policy-always", "always pulls the image, which has a digest", {
      imagePullPolicy: "Always",
    }),
    container("restart-policy", "gives a container a restart policy of its own", { restartPolicy: "Never" }),
    container("resize-policy", "restarts containers on a resize", {
      resizePolicy: [{ resourceName: "cpu", restartPolicy: "RestartContainer" }],
    }),
    container("limit-raised", "raises a limit", {
      resources: { limits: { cpu: "8", memory: "1Gi" }, requests: { cpu: "1", memory: "1Gi" } },
    }),
    container("limits-removed", "removes limits", { resources: { requests: { cpu: "1", memory: "1Gi" } } }),
    container("device-added", "adds a device", {
      resources: {
        limits: { cpu: "1", memory: "1Gi", "nvidia.com/gpu": "1" },
        requests: { cpu: "1", memory: "1Gi" },
      },
    }),
    container("huge-pages", "adds huge pages", {
      resources: {
        limits: { cpu: "1", memory: "1Gi", "hugepages-2Mi": "1Gi" },
        requests: { cpu: "1", memory: "1Gi" },
      },
    }),
    container("claims", "adds a resource claim", {
      resources: {
        claims: [{ name: "evil" }],
        limits: { cpu: "1", memory: "1Gi" },
        requests: { cpu: "1", memory: "1Gi" },
      },
    }),
    container("quantity-in-other-spelling", "spells a limit in another way, which means the same", {
      resources: { limits: { cpu: "1000m", memory: "1024Mi" }, requests: { cpu: "1000m", memory: "1024Mi" } },
    }),
    container("quantity-that-is-none", "spells a limit in a way that Kubernetes does not read", {
      resources: { limits: { cpu: "1e3m", memory: "1Gi" }, requests: { cpu: "1", memory: "1Gi" } },
    }),
    container("unknown-field", "adds a field to a container", { evil: true }),
    spec(
      "ephemeral-storage-added",
      "adds ephemeral storage to a sidecar, as LimitRanger does",
      (spec) => ({
        ...spec,
        containers: objectsAt(spec, "containers").map((container, index) =>
          index === 0 ? container : {
            ...container,
            resources: { limits: { "ephemeral-storage": "1Gi" }, requests: { "ephemeral-storage": "1Gi" } },
          }
        ),
      }),
    ),
    volume("host-path", "turns a volume into a path of the host", { hostPath: { path: "/", type: "" } }),
    volume("empty-dir-in-memory", "puts an empty folder into memory", {
      emptyDir: { medium: "Memory", sizeLimit: "1Gi" },
    }),
    volume("empty-dir-unbounded", "takes the bound off an empty folder", { emptyDir: {} }),
    volume("config-map", "turns a volume into a ConfigMap", {
      configMap: { name: "evil", defaultMode: 420 },
    }),
    volume("secret", "turns a volume into a Secret", { secret: { secretName: "evil", defaultMode: 420 } }),
    volume("claim", "turns a volume into a claim", { persistentVolumeClaim: { claimName: "evil" } }),
    volume("nfs", "turns a volume into an NFS share", { nfs: { server: "evil", path: "/" } }),
    volume("iscsi", "turns a volume into an iSCSI disk", {
      iscsi: { targetPortal: "evil", iqn: "x", lun: 0, iscsiInterface: "default" },
    }),
    volume("csi", "turns a volume into one of a CSI driver", { csi: { driver: "evil.example" } }),
    volume("image-volume", "turns a volume into an image", {
      image: { reference: "registry.example/evil:1", pullPolicy: "Always" },
    }),
    volume("git-repository", "turns a volume into a Git repository", {
      gitRepo: { repository: "https://evil.example/x.git" },
    }),
    volume("projected", "turns a volume into projected tokens", {
      projected: {
        defaultMode: 420,
        sources: [{ serviceAccountToken: { path: "token", audience: "evil", expirationSeconds: 3600 } }],
      },
    }),
    volume("two-sources", "gives a volume two sources", {
      emptyDir: { sizeLimit: "1Gi" },
      hostPath: { path: "/", type: "" },
    }),
    spec(
      "volume-added",
      "adds a volume",
      adds("volumes", { name: "evil", hostPath: { path: "/", type: "" } }),
    ),
    spec("volume-removed", "removes a volume", drops("volumes", 0)),
    spec(
      "volume-twice",
      "repeats a volume with another source",
      adds("volumes", { name: "data", hostPath: { path: "/", type: "" } }),
    ),
    spec(
      "volume-name-path",
      "gives a volume a path for a name",
      adds("volumes", { name: "../../x", emptyDir: {} }),
    ),
    setsSpec("host-network", "uses the network of the host", { hostNetwork: true }),
    setsSpec("host-pid", "sees the processes of the host", { hostPID: true }),
    setsSpec("host-ipc", "shares memory with the host", { hostIPC: true }),
    setsSpec("host-users", "uses the users of the host", { hostUsers: true }),
    setsSpec("shared-processes", "shares processes between containers", { shareProcessNamespace: true }),
    setsSpec("pod-run-as-root", "runs the pod as root", { securityContext: { runAsUser: 0, fsGroup: 0 } }),
    setsSpec("pod-security-context-removed", "removes the pod's security context", { securityContext: {} }),
    setsSpec("sysctls", "sets sysctls", {
      securityContext: {
        runAsUser: 1000,
        fsGroup: 1000,
        sysctls: [{ name: "kernel.shm_rmid_forced", value: "1" }],
      },
    }),
    setsSpec("supplemental-groups", "adds a group", {
      securityContext: { runAsUser: 1000, fsGroup: 1000, supplementalGroups: [0] },
    }),
    setsSpec("restart-policy-of-the-pod", "restarts nothing", { restartPolicy: "Never" }),
    setsSpec("service-account", "uses another service account", {
      serviceAccountName: "admin",
      serviceAccount: "admin",
    }),
    setsSpec("service-account-by-old-name", "names another service account by the old field alone", {
      serviceAccount: "admin",
    }),
    setsSpec("token-mounted", "mounts a token where none is wanted", { automountServiceAccountToken: true }),
    setsSpec("service-links", "puts services into the environment", { enableServiceLinks: true }),
    setsSpec("dns-policy", "changes how names are looked up", {
      dnsPolicy: "None",
      dnsConfig: { nameservers: ["192.0.2.1"] },
    }),
    setsSpec("host-aliases", "adds names of hosts", {
      hostAliases: [{ ip: "192.0.2.1", hostnames: ["registry.example"] }],
    }),
    setsSpec("hostname", "changes the hostname", { hostname: "evil" }),
    setsSpec("subdomain", "sets a subdomain", { subdomain: "evil" }),
    setsSpec("hostname-override", "overrides the hostname", { hostnameOverride: "evil" }),
    setsSpec("fqdn-as-hostname", "takes the full name for the hostname", { setHostnameAsFQDN: true }),
    setsSpec("runtime-class", "names another runtime", { runtimeClassName: "runc" }),
    setsSpec("grace-period", "changes the grace period", { terminationGracePeriodSeconds: 0 }),
    setsSpec("deadline", "changes the deadline", { activeDeadlineSeconds: 1 }),
    setsSpec("operating-system", "names an operating system", { os: { name: "windows" } }),
    setsSpec("pod-resource-claims", "adds resource claims", {
      resourceClaims: [{ name: "gpu", resourceClaimName: "evil" }],
    }),
    setsSpec("pod-resources", "adds resources of the pod", { resources: { limits: { cpu: "99" } } }),
    setsSpec("pull-secrets", "adds pull secrets, as a service account does", {
      imagePullSecrets: [{ name: "registry" }],
    }),
    setsSpec("pull-secret-path", "adds a pull secret that is a path", {
      imagePullSecrets: [{ name: "../../x" }],
    }),
    setsSpec("unknown-field-of-the-spec", "adds a field to the spec", { evil: true }),
    setsSpec("future-field-of-the-spec", "adds a field of a later version", { microVM: { enabled: false } }),
    setsSpec("tolerations", "adds tolerations, which only schedule", {
      tolerations: [{
        key: "node.kubernetes.io/not-ready",
        operator: "Exists",
        effect: "NoExecute",
        tolerationSeconds: 300,
      }],
    }),
    setsSpec("tolerations-with-command", "adds a toleration that is a command", {
      tolerations: [{ key: "$(reboot)", operator: "Exists" }],
    }),
    setsSpec("priority", "changes the priority, which only schedules", {
      priority: 2000001000,
      priorityClassName: "system-node-critical",
    }),
    setsSpec("priority-text", "writes the priority as text", { priority: "high" }),
    setsSpec("node-selector", "selects nodes", { nodeSelector: { "kubernetes.io/os": "linux" } }),
    setsSpec("node-selector-with-controls", "selects nodes by terminal codes", {
      nodeSelector: { a: "\u001b[2J" },
    }),
    setsSpec("overhead-device", "counts a device as overhead", { overhead: { "nvidia.com/gpu": "1" } }),
    token("good", "adds the volume of the service account's token, as admission does", (spec) => spec),
    token(
      "other-sources",
      "adds such a volume with other contents",
      (spec) => ({ ...spec, volumes: [tokenVolume({ sources: [{ secret: { name: "evil" } }] })] }),
    ),
    token(
      "more-sources",
      "adds such a volume with one more source",
      (spec) => ({
        ...spec,
        volumes: [
          tokenVolume({
            sources: [
              ...(tokenVolume().projected && objectsAt(objectOf(tokenVolume().projected), "sources") || []),
              { secret: { name: "evil" } },
            ],
          }),
        ],
      }),
    ),
    token(
      "other-mode",
      "adds such a volume with other permissions",
      (spec) => ({ ...spec, volumes: [tokenVolume({ defaultMode: 511 })] }),
    ),
    token(
      "other-audience",
      "adds such a volume for another audience",
      (spec) => ({
        ...spec,
        volumes: [
          tokenVolume({
            sources: [{ serviceAccountToken: { audience: "evil", expirationSeconds: 3607, path: "token" } }],
          }),
        ],
      }),
    ),
    token(
      "mounted-elsewhere",
      "mounts such a volume elsewhere",
      (spec) => mountsAt(spec, { mountPath: "/usr/bin" }),
    ),
    token("mounted-writable", "mounts such a volume writable", (spec) => mountsAt(spec, { readOnly: false })),
    token(
      "mounted-in-part",
      "mounts a part of such a volume",
      (spec) => mountsAt(spec, { subPath: "token" }),
    ),
    token(
      "twice",
      "adds two such volumes",
      (spec) => ({ ...spec, volumes: [tokenVolume(), { ...tokenVolume(), name: "kube-api-access-zzzzz" }] }),
    ),
    token(
      "not-mounted",
      "adds such a volume and mounts it nowhere",
      (spec) => ({
        ...spec,
        containers: objectsAt(spec, "containers").map(({ volumeMounts: _mounts, ...rest }) => rest),
      }),
    ),
    token(
      "mounted-without-volume",
      "mounts such a volume that is not there",
      ({ volumes: _volumes, ...spec }) => spec,
    ),
    token(
      "name-without-prefix",
      "adds such a volume under another name",
      (spec) => mountsAt({ ...spec, volumes: [{ ...tokenVolume(), name: "evil" }] }, { name: "evil" }),
    ),
    token(
      "name-too-long",
      "adds such a volume under a longer name",
      (spec) =>
        mountsAt({ ...spec, volumes: [{ ...tokenVolume(), name: "kube-api-access-b2c4dx" }] }, {
          name: "kube-api-access-b2c4dx",
        }),
    ),
    token(
      "beside-host-path",
      "adds a path of the host beside such a volume",
      adds("volumes", { name: "evil", hostPath: { path: "/", type: "" } }),
    ),
  ],
};

// ---- changes of a pod that was admitted

function changes(slug: string, does: string, change: (pod: JsonObject) => JsonObject): Case {
  return {
    name: `10-${slug}`,
    does,
    web: "ends",
    async run(setting) {
      await setting.startProxy();
      setting.startKubelet();
      await setting.untilHeld("web");
      setting.api.change("default", "web", change);
      await setting.until(
        "the pod is being deleted",
        () => objectOf(setting.held("web")?.metadata ?? {}).deletionTimestamp !== undefined,
      );
      // What a kubelet does when the containers have ended.
      const reported = await setting.ask({
        do: "patch",
        namespace: "default",
        name: "web",
        body: { metadata: { uid: uidOf(1) }, status: { phase: "Failed" } },
      });
      if (!reported.ok) throw new Error(`the report was refused: ${reported.message}`);
      await setting.untilGone("web");
      const left = setting.api.pod("default", "web");
      if (left === undefined) return;
      if (objectOf(left.metadata).deletionTimestamp !== undefined) {
        await setting.until(
          "the proxy has finished the deletion",
          () => setting.api.pod("default", "web") === undefined,
        );
        return;
      }
      if (objectOf(left.status).reason !== "NodeAdmissionRejected") {
        throw new Error("the pod does not say why it was stopped");
      }
      setting.notes.add("status NodeAdmissionRejected");
    },
  };
}

export const changed: CaseGroup = {
  title: "Pods that change after admission",
  cases: [
    changes(
      "image",
      "changes the image of a pod that runs",
      (pod) => withImage(pod, "registry.example/evil:1"),
    ),
    changes(
      "ephemeral-container",
      "adds an ephemeral container to a pod that runs",
      (pod) =>
        withSpec(pod, {
          ephemeralContainers: [{ name: "debugger", image: "busybox", targetContainerName: "app" }],
        }),
    ),
    changes(
      "container",
      "adds a container to a pod that runs",
      (pod) => withSpec(pod, { containers: [...objectsAt(objectOf(pod.spec), "containers"), EVIL] }),
    ),
    changes(
      "hook",
      "adds a preStop hook to a pod that runs",
      (pod) => changeContainer(pod, { lifecycle: { preStop: { exec: { command: ["evil"] } } } }),
    ),
    changes(
      "probe",
      "adds a probe to a pod that runs",
      (pod) => changeContainer(pod, { livenessProbe: PROBE }),
    ),
    changes(
      "grace-period",
      "lengthens the grace period of a pod that runs",
      (pod) => withSpec(pod, { terminationGracePeriodSeconds: 99999 }),
    ),
    changes(
      "node",
      "moves a pod that runs to another node's name",
      (pod) => withSpec(pod, { nodeName: `${NODE_NAME}`, hostPID: true }),
    ),
    changes(
      "signature-removed",
      "takes the signature off a pod that runs",
      (pod) => withMetadata(pod, { annotations: {} }),
    ),
    changes(
      "signature-broken",
      "breaks the signature of a pod that runs",
      (pod) => annotate(pod, { [SIGNATURE_ANNOTATION]: "MEUCIQ==" }),
    ),
    changes("spec-emptied", "takes everything out of the spec of a pod that runs", (pod) => ({
      ...pod,
      spec: { nodeName: NODE_NAME },
    })),
    changes(
      "deleted-and-changed",
      "deletes and changes a pod that runs at once",
      (pod) =>
        withMetadata(withImage(pod, "registry.example/evil:1"), {
          deletionTimestamp: "2026-01-01T00:00:00Z",
          deletionGracePeriodSeconds: 30,
        }),
    ),
  ],
};

// ---- signature

async function resigned(
  setting: Setting,
  change: (signature: string, text: string) => { signature?: JsonValue; text?: JsonValue },
): Promise<JsonObject> {
  const pod = await setting.signed({ name: "resigned" });
  const annotations = annotationsOf(pod);
  const { signature, text } = change(
    String(annotations[SIGNATURE_ANNOTATION]),
    String(annotations[SIGNED_TEMPLATE_ANNOTATION]),
  );
  return annotate(pod, {
    ...(signature === undefined ? {} : { [SIGNATURE_ANNOTATION]: signature }),
    ...(text === undefined ? {} : { [SIGNED_TEMPLATE_ANNOTATION]: text }),
  });
}

function signature(slug: string, does: string, change: (signature: string) => JsonValue): Case {
  return shows(
    `16-${slug}`,
    does,
    (setting) => resigned(setting, (signature) => ({ signature: change(signature) })),
  );
}

function text(slug: string, does: string, change: (text: string) => JsonValue): Case {
  return shows(
    `16-${slug}`,
    does,
    (setting) => resigned(setting, (_signature, text) => ({ text: change(text) })),
  );
}

/** A text that the owner signed for something else, or that another program had signed. */
function ownText(slug: string, does: string, change: (template: JsonObject) => string): Case {
  return shows(`16-${slug}`, does, async (setting) => {
    const pod = await setting.owner.signedPod({ name: "other-text", uid: setting.uid() });
    const template: JsonObject = JSON.parse(String(annotationsOf(pod)[SIGNED_TEMPLATE_ANNOTATION]));
    const signedText = change(template);
    return annotate(pod, {
      [SIGNED_TEMPLATE_ANNOTATION]: signedText,
      [SIGNATURE_ANNOTATION]: await setting.owner.signText(signedText),
    });
  });
}

function base64Of(signature: string, change: (bytes: Uint8Array) => Uint8Array): string {
  const bytes = change(Uint8Array.from(atob(signature), (character) => character.charCodeAt(0)));
  return btoa(String.fromCharCode(...bytes));
}

const DEPLOYMENT: JsonObject = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "shop", namespace: "default" },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: "shop" } },
    template: {
      metadata: { labels: { app: "shop" } },
      spec: {
        automountServiceAccountToken: false,
        containers: [{ name: "app", image: "registry.example/shop:1" }],
      },
    },
  },
};

const STATEFUL_SET: JsonObject = {
  ...DEPLOYMENT,
  kind: "StatefulSet",
  metadata: { name: "db", namespace: "default" },
  spec: { ...objectOf(DEPLOYMENT.spec), serviceName: "db" },
};

/** The pod of a signed workload, changed. */
function workload(
  slug: string,
  does: string,
  manifest: JsonObject,
  change: (pod: JsonObject, setting: Setting) => Made,
): Case {
  return shows(`16-${slug}`, does, async (setting) => {
    const isSet = manifest.kind === "StatefulSet";
    const signed = isSet
      ? await setting.signWorkload(manifest, "default", (name) => name === "db-0", {
        hostname: "db-0",
        subdomain: "db",
      })
      : await setting.signWorkload(
        manifest,
        "default",
        (name) => /^shop-[a-z0-9]{9}-[a-z0-9]{5}$/.test(name),
      );
    const [pod] = podsOf(signed, { nodeName: NODE_NAME, namespace: "default" });
    return change(withMetadata(pod ?? {}, { resourceVersion: "1" }), setting);
  });
}

function withValidity(slug: string, does: string, options: { notBefore?: Date; notAfter?: Date }): Case {
  return shows(
    `16-${slug}`,
    does,
    (setting) => setting.owner.signedPod({ name: "untimely", uid: setting.uid() }, options),
  );
}

const DAY_MS = 86_400_000;

export const signatures: CaseGroup = {
  title: "Signature",
  cases: [
    shows(
      "16-unsigned",
      "shows a pod that nobody signed",
      (setting) => makePod({ name: "intruder", uid: setting.uid() }),
    ),
    shows(
      "16-signed-by-a-stranger",
      "shows a pod that somebody else signed",
      (setting) => setting.stranger.signedPod({ name: "intruder", uid: setting.uid() }),
    ),
    shows(
      "16-signature-of-another-pod",
      "puts another pod's signature and template on a pod",
      async (setting) => {
        const other = await setting.signed({ name: "other", image: "registry.example/other:1" });
        return withMetadata(
          makePod({ name: "intruder", uid: setting.uid(), image: "registry.example/evil:1" }),
          {
            annotations: annotationsOf(other),
          },
        );
      },
    ),
    shows(
      "16-signature-of-another-name",
      "gives another name to a signed pod",
      async (setting) => withMetadata(await setting.signed({ name: "other" }), { name: "web-2" }),
    ),
    shows(
      "16-signature-of-one-with-template-of-another",
      "joins one pod's signature and another's template",
      async (setting) => {
        const one = annotationsOf(await setting.signed({ name: "one" }));
        return annotate(await setting.signed({ name: "two" }), {
          [SIGNATURE_ANNOTATION]: one[SIGNATURE_ANNOTATION] ?? null,
        });
      },
    ),
    signature("signature-empty", "empties the signature", () => ""),
    signature("signature-cut", "cuts the signature off", (signature) => signature.slice(0, 40)),
    signature(
      "signature-flipped",
      "flips a bit of the signature",
      (signature) =>
        base64Of(signature, (bytes) => bytes.map((byte, index) => index === 20 ? byte ^ 1 : byte)),
    ),
    signature(
      "signature-with-trailing-bytes",
      "adds a byte to the signature",
      (signature) => base64Of(signature, (bytes) => new Uint8Array([...bytes, 0])),
    ),
    signature(
      "signature-with-line-feed",
      "adds a line feed to the signature",
      (signature) => `${signature}\n`,
    ),
    signature(
      "signature-with-blank",
      "puts a blank into the signature",
      (signature) => `${signature.slice(0, 10)} ${signature.slice(10)}`,
    ),
    signature(
      "signature-unpadded",
      "takes the padding off the signature",
      (signature) => signature.replace(/=+$/, "").slice(0, -1),
    ),
    signature(
      "signature-in-url-alphabet",
      "spells the signature in base64url",
      (signature) => `${signature.replaceAll("+", "-").replaceAll("/", "_")}_`,
    ),
    signature("signature-twice", "repeats the signature", (signature) => signature + signature),
    signature("signature-raw", "sends r and s without DER", () => btoa("\u0001".repeat(64))),
    signature(
      "signature-zero",
      "sends r and s of zero",
      () => btoa("\u0030\u0006\u0002\u0001\u0000\u0002\u0001\u0000"),
    ),
    signature("signature-of-a-megabyte", "sends a signature of a megabyte", () => "A".repeat(1024 * 1024)),
    signature("signature-number", "sends a number for a signature", () => 7),
    signature("signature-null", "sends null for a signature", () => null),
    signature("signature-list", "sends a list of signatures", (signature) => [signature]),
    text("template-empty", "empties the template", () => ""),
    text("template-with-blank", "adds a blank to the template", (text) => `${text} `),
    text("template-with-line-feed", "adds a line feed to the template", (text) => `${text}\n`),
    text(
      "template-spread",
      "spreads the template over lines, with the same meaning",
      (text) => JSON.stringify(JSON.parse(text), null, 2),
    ),
    text(
      "template-other-key-order",
      "changes the order of the template's keys",
      (text) => JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(text)).toReversed())),
    ),
    text(
      "template-other-image",
      "changes the image in the template too",
      (text) => text.replace("web:1", "evil:1"),
    ),
    text(
      "template-wildcard",
      "puts a pattern into the template",
      (text) => text.replace("registry.example/web:1", ".*"),
    ),
    text(
      "template-escaped",
      "spells the template with escapes",
      (text) => text.replace("registry", "\\u0072egistry"),
    ),
    text(
      "template-of-a-megabyte",
      "sends a template of two megabytes",
      (text) => text + " ".repeat(2 * 1024 * 1024),
    ),
    text("template-object", "sends the template as an object", (text) => JSON.parse(text)),
    text("template-null", "sends null for the template", () => null),
    ownText(
      "template-not-canonical",
      "shows a text that the owner signed with blanks in it",
      (template) => JSON.stringify(template, null, 1),
    ),
    ownText(
      "template-with-duplicate-keys",
      "shows a text that the owner signed with two specs",
      (template) => JSON.stringify(template).replace('"spec":', '"spec":{"containers":[]},"spec":'),
    ),
    ownText(
      "template-of-another-version",
      "shows a signed text of another version",
      (template) => JSON.stringify({ ...template, apiVersion: "kubelet-proxy.io/v2" }),
    ),
    ownText(
      "template-of-another-kind",
      "shows a signed text of another kind",
      (template) => JSON.stringify({ ...template, kind: "Receipt" }),
    ),
    ownText(
      "template-with-more-fields",
      "shows a signed text with a field that this version does not know",
      (template) => JSON.stringify({ ...template, zzz: 1 }),
    ),
    ownText(
      "template-that-is-a-spec",
      "shows a signed text that is a spec alone",
      (template) => JSON.stringify(template.spec),
    ),
    ownText(
      "template-that-is-prose",
      "shows a signed text that is no JSON",
      () => "I hereby sign everything",
    ),
    ownText("template-null-text", "shows a signed text that is null", () => "null"),
    ownText(
      "template-without-name",
      "shows a signed text that names no workload",
      ({ workload: _workload, ...template }) => JSON.stringify(template),
    ),
    shows(
      "16-downgrade-to-the-spec-form",
      "takes the template off a pod, so that its signature is over something else",
      async (setting) => {
        const pod = await setting.signed({ name: "downgraded" });
        const { [SIGNED_TEMPLATE_ANNOTATION]: _text, ...rest } = annotationsOf(pod);
        return withMetadata(pod, { annotations: rest });
      },
    ),
    shows(
      "16-spec-form",
      "shows a pod that is signed in the spec form",
      (setting) => setting.signSpec(makePod({ name: "spec-form", uid: setting.uid() })),
    ),
    shows(
      "16-spec-form-changed",
      "changes a pod that is signed in the spec form",
      async (setting) =>
        withImage(
          await setting.signSpec(makePod({ name: "spec-form", uid: setting.uid() })),
          "registry.example/evil:1",
        ),
    ),
    shows(
      "16-spec-form-with-annotations",
      "adds annotations to a pod that is signed in the spec form",
      async (setting) =>
        annotate(await setting.signSpec(makePod({ name: "spec-form", uid: setting.uid() })), {
          "container.apparmor.security.beta.kubernetes.io/app": "unconfined",
        }),
    ),
    shows(
      "16-spec-form-by-a-stranger",
      "shows a pod that somebody else signed in the spec form",
      (setting) => signSpecOnly(setting.stranger, makePod({ name: "spec-form", uid: setting.uid() })),
    ),
    shows(
      "16-spec-form-with-foreign-template",
      "adds a stranger's template to a pod in the spec form",
      async (setting) =>
        annotate(await setting.signSpec(makePod({ name: "spec-form", uid: setting.uid() })), {
          [SIGNED_TEMPLATE_ANNOTATION]: "{}",
        }),
    ),
    withValidity("expired", "shows a pod whose signature has expired", {
      notAfter: new Date(Date.now() - DAY_MS),
    }),
    withValidity("not-yet-valid", "shows a pod whose signature is not valid yet", {
      notBefore: new Date(Date.now() + DAY_MS),
    }),
    workload("deployment", "shows a Deployment's pod, as it is", DEPLOYMENT, (pod) => pod),
    workload(
      "deployment-other-name",
      "gives a Deployment's pod a name that its controller does not give",
      DEPLOYMENT,
      (pod) => withMetadata(pod, { name: "shop-evil" }),
    ),
    workload(
      "deployment-bare-name",
      "gives a Deployment's pod the name of the Deployment",
      DEPLOYMENT,
      (pod) => withMetadata(pod, { name: "shop" }),
    ),
    workload(
      "deployment-name-not-anchored",
      "puts something before the name of a Deployment's pod",
      DEPLOYMENT,
      (pod) => withMetadata(pod, { name: `x-${String(objectOf(pod.metadata).name)}` }),
    ),
    workload(
      "deployment-name-with-line-feed",
      "ends the name of a Deployment's pod in a line feed",
      DEPLOYMENT,
      (pod) => withMetadata(pod, { name: `${String(objectOf(pod.metadata).name)}\n` }),
    ),
    workload(
      "deployment-in-another-namespace",
      "runs a Deployment's pod in another namespace",
      DEPLOYMENT,
      (pod) => withMetadata(pod, { namespace: "prod" }),
    ),
    workload("stateful-set", "shows a StatefulSet's pod, as it is", STATEFUL_SET, (pod) => pod),
    workload(
      "stateful-set-name-without-ordinal",
      "gives a StatefulSet's pod a name without ordinal",
      STATEFUL_SET,
      (pod) => withMetadata(pod, { name: "db" }),
    ),
    workload(
      "stateful-set-ordinal-with-zeros",
      "gives a StatefulSet's pod an ordinal with zeros",
      STATEFUL_SET,
      (pod) => withMetadata(pod, { name: "db-00" }),
    ),
    workload(
      "stateful-set-hostname",
      "gives a StatefulSet's pod another hostname",
      STATEFUL_SET,
      (pod) => withSpec(pod, { hostname: "evil" }),
    ),
    workload(
      "stateful-set-claim",
      "gives a StatefulSet's pod a claim that was not signed",
      STATEFUL_SET,
      (pod) =>
        withSpec(pod, { volumes: [{ name: "data", persistentVolumeClaim: { claimName: "data-db-0" } }] }),
    ),
    shows(
      "16-template-of-another-kind-of-workload",
      "uses a Deployment's template for a bare pod of that name",
      async (setting) => {
        const signed = await signTemplate(setting.owner, DEPLOYMENT);
        const [pod] = podsOf(signed, { nodeName: NODE_NAME, namespace: "default" });
        return withMetadata(pod ?? {}, { name: "shop", resourceVersion: "1", uid: setting.uid() });
      },
    ),
  ],
};
