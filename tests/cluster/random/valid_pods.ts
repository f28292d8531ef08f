/**
 * Random pod specs that the API server accepts: what people write, in every spelling, in combinations that nobody
 * thought of. For specs that need fit the schema only, see tests/arbitraries.ts.
 *
 * @module
 */
import fc from "fast-check";
import type { JsonObject, JsonValue } from "@signed-pods/shared/json";

/** What a spec must do without, or have, because of the workload that it is for. */
export interface SpecOptions {
  /** The restart policies that the workload admits. */
  restartPolicies: readonly string[];
  /** Whether the workload admits `activeDeadlineSeconds`. */
  deadline: boolean;
  /** Whether the spec may say on which nodes it runs. */
  placement: boolean;
  /**
   * Whether the spec may have `resources` of its own. The API server takes requests that are missing from those of the
   * containers before a LimitRange adds to these, and refuses the sum; so where there is one, all have to be there.
   */
  podResources: "none" | "all requests" | "any";
}

/** Objects that random pods refer to; the API server refuses pods if they are not there. */
export const SERVICE_ACCOUNT = "runner";
export const PRIORITY_CLASS = "important";
export const RUNTIME_CLASS = "sandboxed";

const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;
const IMAGES = [
  "nginx",
  "nginx:latest",
  "registry.example:5000/a/b:1.29",
  `registry.example/app@${DIGEST}`,
  `registry.example/app:latest@${DIGEST}`,
];
const TEXTS = [
  "",
  "a",
  "-c",
  "on",
  "0644",
  "$(NAME) $$(NAME)",
  "é\u{1f600}\n\t<&>\"'\\",
  "\u2028",
  "{}",
  " ",
];

type Arbitrary = fc.Arbitrary<JsonValue>;
type Fields = Record<string, fc.Arbitrary<JsonValue>>;

/** An object with some of the fields. */
function some(fields: Fields, always: Fields = {}): fc.Arbitrary<JsonObject> {
  return fc.record<JsonObject>({ ...fields, ...always }, {
    requiredKeys: Object.keys(always),
    noNullPrototype: true,
  });
}

/** An object with one of the fields. */
function one(fields: Record<string, Arbitrary>): fc.Arbitrary<JsonObject> {
  return fc.oneof(
    ...Object.entries(fields).map(([key, value]) => value.map((member): JsonObject => ({ [key]: member }))),
  );
}

const pick = <T extends JsonValue>(...values: T[]): fc.Arbitrary<JsonValue> => fc.constantFrom(...values);
const text = pick(...TEXTS);
const list = (item: Arbitrary, maxLength = 3): Arbitrary => fc.array(item, { maxLength });
const flag = fc.boolean();
const count = (...values: number[]): Arbitrary => pick(...values);
const port = pick<JsonValue>(80, 8080, "http", 65535);
const exec = fc.array(text, { minLength: 1, maxLength: 3 }).map((command): JsonObject => ({ command }));
const httpGet = some({
  path: pick("/", "/healthz?a=b"),
  host: pick("127.0.0.1"),
  scheme: pick("HTTP", "HTTPS"),
  httpHeaders: list(some({}, { name: pick("X-A", "Host"), value: pick("", "b") }), 2),
}, { port });
const tcpSocket = some({ host: pick("127.0.0.1") }, { port });

const probe = (kind: "liveness" | "readiness" | "startup"): Arbitrary =>
  fc.tuple(
    one({
      exec,
      httpGet,
      tcpSocket,
      grpc: some({ service: pick("", "a.b") }, { port: count(80, 9000) }),
    }),
    some({
      initialDelaySeconds: count(0, 5),
      timeoutSeconds: count(0, 1, 7),
      periodSeconds: count(0, 10, 3),
      successThreshold: kind === "readiness" ? count(0, 1, 2) : count(0, 1),
      failureThreshold: count(0, 3, 9),
      ...(kind === "readiness" ? {} : { terminationGracePeriodSeconds: count(1, 60) }),
    }),
  ).map(([handler, numbers]) => ({ ...handler, ...numbers }));

const hook = one({ exec, httpGet, sleep: pick({ seconds: 1 }) });

const PAGES = "hugepages-2Mi";

/** Resources of pairs of a limit and a request, each of which may be missing. */
function amounts(pairs: Record<string, JsonValue>): JsonObject {
  const limits: JsonObject = {};
  const requests: JsonObject = {};
  for (const [name, pair] of Object.entries(pairs)) {
    if (!Array.isArray(pair)) continue;
    // Huge pages need cpu or memory beside them.
    if (name === PAGES && pairs.cpu === null && pairs.memory === null) continue;
    const [limit = null, request = null] = pair;
    if (limit !== null) limits[name] = limit;
    if (request !== null) requests[name] = request;
  }
  return { limits, requests };
}

/** Pairs of a limit and the request that goes with it, in many spellings. */
const resources: Arbitrary = fc.tuple(
  fc.option(
    pick<JsonValue>(["1", "0.5"], [2, "100m"], ["1500m", "1.5"], ["1e3", null], [null, "0.1"], [
      "0.25",
      null,
    ]),
  ),
  fc.option(
    pick<JsonValue>(["1Gi", "1024Mi"], ["128M", "0.1G"], ["1.5Gi", null], [null, "64Mi"], [1000000, "1e6"]),
  ),
  fc.option(pick<JsonValue>(["2Gi", "1Gi"], [null, "1G"])),
  fc.option(pick<JsonValue>(["4Mi", "4Mi"], ["4194304", null])),
  fc.option(pick<JsonValue>(["1", "1"], [2, null])),
).map(([cpu, memory, storage, pages, devices]) =>
  amounts({
    cpu,
    memory,
    "ephemeral-storage": storage,
    [PAGES]: pages,
    "vendor.example/device": devices,
  })
);

/**
 * Resources of the whole pod: no less than its containers have together, nor than the LimitRange of the tests gives
 * them.
 */
const resourcesOfPod = (which: "all requests" | "any"): Arbitrary =>
  fc.tuple(
    which === "any"
      ? pick<JsonValue>(["8k", "4000"], ["5e3", null], [null, "4000000m"], null)
      : pick<JsonValue>(["8k", "4000"], [null, "4000000m"]),
    which === "any"
      ? pick<JsonValue>(["64Gi", "65536Mi"], ["68719476736", null], [null, "34G"], null)
      : pick<JsonValue>(["64Gi", "65536Mi"], [null, "34G"]),
    fc.option(pick<JsonValue>(["16Mi", "16Mi"], ["16777216", null])),
  ).map(([cpu, memory, pages]) => amounts({ cpu, memory, [PAGES]: pages }));

const envSource = one({
  fieldRef: some({ apiVersion: pick("v1") }, {
    fieldPath: pick("metadata.name", "metadata.labels['app']", "status.podIP", "spec.nodeName"),
  }),
  resourceFieldRef: some({ divisor: pick<JsonValue>("1m", "0", 1, "1000m") }, {
    resource: pick("limits.cpu"),
  }),
  configMapKeyRef: some({ optional: flag }, { name: pick("settings"), key: pick("a.b") }),
  secretKeyRef: some({ optional: flag }, { name: pick("secrets"), key: pick("k") }),
});

const env: Arbitrary = fc.uniqueArray(
  fc.tuple(
    fc.constantFrom("NAME", "a.b-c", "_X", "PATH", "JOB_COMPLETION_INDEX"),
    fc.oneof(
      text.map((value): JsonObject => ({ value })),
      envSource.map((valueFrom): JsonObject => ({ valueFrom })),
    ),
  ),
  { maxLength: 4, selector: ([name]) => name },
).map((items) => items.map(([name, value]) => ({ name, ...value })));

const securityContext = fc.oneof(
  pick<JsonObject>({ privileged: true }, {}),
  some({
    runAsUser: count(0, 1000),
    runAsGroup: count(0, 1000),
    runAsNonRoot: pick(false),
    readOnlyRootFilesystem: flag,
    allowPrivilegeEscalation: flag,
    capabilities: some({ add: list(pick("NET_ADMIN", "CHOWN"), 2), drop: list(pick("ALL", "KILL"), 2) }),
    seccompProfile: pick<JsonObject>({ type: "RuntimeDefault" }, {
      type: "Localhost",
      localhostProfile: "a.json",
    }),
    appArmorProfile: pick<JsonObject>({ type: "Unconfined" }),
    seLinuxOptions: pick<JsonObject>({ level: "s0:c1,c2" }),
    procMount: pick("Default"),
  }),
);

const keyFiles = list(some({ mode: count(0, 0o400, 0o777) }, { key: pick("a"), path: pick("x/a", "b") }), 1);
const podFields = list(
  fc.oneof(
    some({ mode: count(0o400) }, {
      path: pick("labels"),
      fieldRef: pick<JsonObject>({ fieldPath: "metadata.labels" }),
    }),
    pick<JsonObject>({ path: "cpu", resourceFieldRef: { containerName: "app", resource: "requests.cpu" } }),
  ),
  1,
);
const defaultMode = count(0, 0o644, 0o400);

const volumeSource: fc.Arbitrary<JsonObject> = fc.oneof(
  pick<JsonObject>({}).map(() => ({})),
  one({
    emptyDir: some({ medium: pick("", "Memory"), sizeLimit: pick<JsonValue>("1Gi", "1.5M", 1000, "0.5Gi") }),
    configMap: some({ name: pick("settings"), optional: flag, defaultMode, items: keyFiles }, {
      name: pick("settings"),
    }),
    secret: some({ optional: flag, defaultMode, items: keyFiles }, { secretName: pick("secrets") }),
    downwardAPI: some({ defaultMode, items: podFields }),
    projected: some({ defaultMode }, {
      sources: list(
        one({
          configMap: some({ optional: flag, items: keyFiles }, { name: pick("settings") }),
          secret: some({ optional: flag }, { name: pick("secrets") }),
          serviceAccountToken: some({ expirationSeconds: count(600, 3600), audience: pick("", "vault") }, {
            path: pick("token"),
          }),
        }),
        1,
      ),
    }),
    hostPath: some({ type: pick("", "Directory", "DirectoryOrCreate") }, { path: pick("/var/lib/x") }),
    persistentVolumeClaim: some({ readOnly: flag }, { claimName: pick("claim") }),
    nfs: some({ readOnly: flag }, { server: pick("nfs.example"), path: pick("/x") }),
    csi: some({ readOnly: flag, volumeAttributes: pick<JsonObject>({ a: "b" }), fsType: pick("ext4") }, {
      driver: pick("csi.example"),
    }),
    ephemeral: pick<JsonObject>({
      volumeClaimTemplate: {
        metadata: { labels: { a: "b" } },
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1024Mi" } } },
      },
    }),
    iscsi: some({ iscsiInterface: pick("eth0"), fsType: pick("ext4"), readOnly: flag }, {
      targetPortal: pick("192.0.2.1:3260"),
      iqn: pick("iqn.2001-04.com.example:storage"),
      lun: count(0, 1),
    }),
    fc: some({ fsType: pick("xfs") }, {
      targetWWNs: pick<JsonValue>(["500a0982991b8dc5"]),
      lun: count(0, 2),
    }),
  }),
);

function container(
  name: string,
  kind: "app" | "init" | "sidecar",
  volumes: number,
): fc.Arbitrary<JsonObject> {
  const probes: Fields = kind === "init" ? {} : {
    livenessProbe: probe("liveness"),
    readinessProbe: probe("readiness"),
    startupProbe: probe("startup"),
    lifecycle: some({ postStart: hook, preStop: hook }),
  };
  return fc.tuple(
    some({
      command: list(text),
      args: list(text),
      workingDir: pick("", "/w"),
      env,
      envFrom: list(
        fc.tuple(
          one({ configMapRef: some({ optional: flag }, { name: pick("settings") }) }),
          some({ prefix: pick("", "A_") }),
        ).map(([source, prefix]) => ({ ...source, ...prefix })),
        2,
      ),
      resources,
      securityContext,
      stdin: flag,
      stdinOnce: flag,
      tty: flag,
      terminationMessagePath: pick("/dev/termination-log", "/x"),
      terminationMessagePolicy: pick("File", "FallbackToLogsOnError"),
      imagePullPolicy: pick("Always", "IfNotPresent", "Never"),
      ...probes,
    }, { image: pick(...IMAGES) }),
    fc.subarray(["tcp", "udp"]),
    fc.subarray([...Array(volumes).keys()]),
    some({ readOnly: flag, subPath: pick("", "a/b"), mountPropagation: pick("None", "HostToContainer") }),
    fc.boolean(),
  ).map(([fields, ports, mounted, mount, token]) => {
    const written: JsonObject = { name, ...fields };
    if (kind === "sidecar") written.restartPolicy = "Always";
    if (ports.length > 0) {
      written.ports = ports.map((protocol, index) =>
        protocol === "udp"
          ? { containerPort: 53, protocol: "UDP", name: "dns" }
          : { containerPort: 8080 + index, name: "http" }
      );
    }
    const mounts: JsonObject[] = mounted.map((volume) => ({
      name: `volume-${volume}`,
      mountPath: `/mnt/${volume}`,
      ...mount,
    }));
    // What stands where the service account's token would be mounted keeps it away.
    const [first] = mounts;
    if (token && first !== undefined && mounted.length > 1) {
      first.mountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
    }
    if (mounts.length > 0) written.volumeMounts = mounts;
    return written;
  });
}

/** Fields of the pod's network and process namespaces, which depend on each other. */
const namespaces: fc.Arbitrary<JsonObject> = fc.constantFrom<JsonObject>(
  {},
  { hostNetwork: true, hostPID: true },
  { hostIPC: true },
  { shareProcessNamespace: true },
  { hostNetwork: false, shareProcessNamespace: false, hostUsers: true },
);

const dns = fc.constantFrom<JsonObject>({}, { dnsPolicy: "Default" }, {
  dnsPolicy: "ClusterFirstWithHostNet",
}, {
  dnsPolicy: "None",
  dnsConfig: {
    nameservers: ["192.0.2.53"],
    searches: ["a.example"],
    options: [{ name: "ndots", value: "2" }],
  },
});

/** A pod spec that the API server accepts. */
export function arbitraryValidSpec(
  { restartPolicies, deadline, placement, podResources }: SpecOptions,
): fc.Arbitrary<JsonObject> {
  const placing: Fields = placement
    ? {
      nodeSelector: pick<JsonObject>({ "kubernetes.io/os": "linux" }),
      affinity: pick<JsonObject>({
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: "a", operator: "Exists" }] }],
          },
        },
      }),
      topologySpreadConstraints: pick<JsonValue>([
        { maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "ScheduleAnyway" },
      ]),
    }
    : {};
  const fields = some({
    ...placing,
    ...(deadline ? { activeDeadlineSeconds: count(1, 3600) } : {}),
    ...(podResources === "none" ? {} : { resources: resourcesOfPod(podResources) }),
    terminationGracePeriodSeconds: count(0, 5, 30, 3600),
    serviceAccountName: pick("", "default", SERVICE_ACCOUNT),
    automountServiceAccountToken: flag,
    enableServiceLinks: flag,
    imagePullSecrets: pick<JsonValue>([{ name: "own-registry" }], []),
    hostname: pick("", "host-a"),
    subdomain: pick("", "sub"),
    setHostnameAsFQDN: flag,
    hostAliases: list(pick<JsonObject>({ ip: "192.0.2.7", hostnames: ["a.example", "b"] }), 1),
    schedulerName: pick("default-scheduler", "other"),
    tolerations: pick<JsonValue>([{ operator: "Exists" }], [{
      key: "a",
      operator: "Exists",
      effect: "NoSchedule",
    }]),
    priorityClassName: pick(PRIORITY_CLASS),
    runtimeClassName: pick(RUNTIME_CLASS),
    readinessGates: pick<JsonValue>([{ conditionType: "example.com/ready" }]),
    os: pick<JsonObject>({ name: "linux" }),
    securityContext: some({
      runAsUser: count(0, 1000),
      runAsGroup: count(0),
      runAsNonRoot: pick(false),
      supplementalGroups: list(count(1, 2, 2000)),
      fsGroup: count(0, 3000),
      fsGroupChangePolicy: pick("Always", "OnRootMismatch"),
      supplementalGroupsPolicy: pick("Merge", "Strict"),
      sysctls: pick<JsonValue>([{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }]),
      seccompProfile: pick<JsonObject>({ type: "RuntimeDefault" }),
    }),
  }, { restartPolicy: pick(...restartPolicies) });

  return fc.array(volumeSource, { maxLength: 3 }).chain((sources) =>
    fc.tuple(
      fields,
      namespaces,
      dns,
      container("app", "app", sources.length),
      fc.option(container("second", "app", sources.length)),
      fc.option(container("prepare", "init", sources.length)),
      fc.option(container("sidecar", "sidecar", sources.length)),
    ).map(([spec, shared, resolver, app, second, prepare, sidecar]) => {
      const written: JsonObject = {
        ...spec,
        ...shared,
        ...resolver,
        containers: second === null ? [app] : [app, second],
      };
      const init = [prepare, sidecar].filter((item) => item !== null);
      if (init.length > 0) written.initContainers = init;
      if (sources.length > 0) {
        written.volumes = sources.map((source, index) => ({ name: `volume-${index}`, ...source }));
      }
      return mended(written, [app, ...(second === null ? [] : [second]), ...init]);
    })
  );
}

/** Takes back what the API server refuses in combination. */
function mended(spec: JsonObject, containers: JsonObject[]): JsonObject {
  const onHost = spec.hostNetwork === true;
  if (spec.hostNetwork === true) {
    // A port of the host's network can be had once, and the sysctls are the host's.
    const { securityContext } = spec;
    if (typeof securityContext === "object" && securityContext !== null && "sysctls" in securityContext) {
      const { sysctls: _sysctls, ...rest } = securityContext;
      spec.securityContext = rest;
    }
    delete spec.setHostnameAsFQDN;
  }
  for (const [index, container] of containers.entries()) {
    if (onHost && index > 0) delete container.ports;
    if (container.stdin !== true) delete container.stdinOnce;
    // Hooks must not sleep longer than the pod is given to stop.
    if (spec.terminationGracePeriodSeconds === 0) delete container.lifecycle;
  }
  if (typeof spec.hostname === "string" && spec.hostname === "") delete spec.hostname;
  return spec;
}
