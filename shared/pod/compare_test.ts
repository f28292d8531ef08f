import assert from "node:assert/strict";
import fc from "fast-check";
import { MAX_DIFFERENCES, MAX_PRINTED_CHARACTERS } from "../bounds.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import { type Difference, formatDifference } from "../verdict.ts";
import { compareSpecs, NOT_SHOWN } from "./compare.ts";
import { IMAGE, items, liveSpec, named, ownerSpec, push } from "./fixture_test.ts";
import { expand, SCHEDULING_FIELDS } from "./normal_form.ts";

const app = (spec: JsonObject) => named(spec, "containers", "app");

function differences(change: (live: JsonObject) => void, signed: JsonObject = ownerSpec()): Difference[] {
  const live = liveSpec(structuredClone(signed));
  change(live);
  return compareSpecs(expand(signed), expand(live), { source: "pod", podName: "web" }).differences;
}

// One alteration each that would let something else run on the node.
const ALTERATIONS: [string, (live: JsonObject) => void, string[]][] = [
  ["another image", (s) => app(s).image = "evil:1", ["spec.containers[app].image"]],
  ["another command", (s) => app(s).command = ["/bin/evil"], ["spec.containers[app].command[0]"]],
  ["another argument", (s) => app(s).args = ["--port", "22"], ["spec.containers[app].args[1]"]],
  ["one more argument", (s) => app(s).args = ["--port", "8080", "-x"], ["spec.containers[app].args[2]"]],
  ["one argument fewer", (s) => app(s).args = ["--port"], ["spec.containers[app].args[1]"]],
  ["a second container", (s) => push(s, "containers", { name: "evil", image: "evil:1" }), [
    "spec.containers[evil]",
  ]],
  ["a second container of the same name", (s) => push(s, "containers", { ...app(s) }), [
    "spec.containers[app]",
  ]],
  ["another init container", (s) => push(s, "initContainers", { name: "evil", image: "e:1" }), [
    "spec.initContainers[evil]",
  ]],
  ["a dropped init container", (s) => delete s.initContainers, ["spec.initContainers[prepare]"]],
  [
    "a sidecar made of an init container",
    (s) => named(s, "initContainers", "prepare").restartPolicy = "Always",
    ["spec.initContainers[prepare].restartPolicy"],
  ],
  ["an ephemeral container", (s) => s.ephemeralContainers = [{ name: "debug", image: "sh:1" }], [
    "spec.ephemeralContainers[debug]",
  ]],
  ["another working directory", (s) => app(s).workingDir = "/tmp", ["spec.containers[app].workingDir"]],
  ["a probe that runs a command", (s) => app(s).livenessProbe = { exec: { command: ["evil"] } }, [
    "spec.containers[app].livenessProbe",
  ]],
  ["a hook", (s) => app(s).lifecycle = { preStop: { exec: { command: ["evil"] } } }, [
    "spec.containers[app].lifecycle",
  ]],
  ["variables from a config map", (s) => app(s).envFrom = [{ configMapRef: { name: "evil" } }], [
    "spec.containers[app].envFrom[0]",
  ]],
  ["one more variable", (s) => push(app(s), "env", { name: "LD_PRELOAD", value: "x" }), [
    "spec.containers[app].env[LD_PRELOAD]",
  ]],
  ["another value of a variable", (s) => app(s).env = [{ name: "MODE", value: "x" }], [
    "spec.containers[app].env[MODE].value",
  ]],
  ["a variable twice", (s) => push(app(s), "env", { name: "MODE", value: "x" }), [
    "spec.containers[app].env[MODE]",
  ]],
  ["a host path", (s) => push(s, "volumes", { name: "root", hostPath: { path: "/" } }), [
    "spec.volumes[root]",
  ]],
  ["a host path in place of a volume", (s) => {
    delete named(s, "volumes", "data").emptyDir;
    named(s, "volumes", "data").hostPath = { path: "/" };
  }, ["spec.volumes[data].hostPath", "spec.volumes[data].emptyDir"]],
  [
    "a mount elsewhere",
    (s) =>
      app(s).volumeMounts = items(app(s), "volumeMounts").map((m) =>
        m.name === "data" ? { ...m, mountPath: "/bin" } : m
      ),
    [
      "spec.containers[app].volumeMounts[/data]",
      "spec.containers[app].volumeMounts[/bin]",
    ],
  ],
  [
    "a sub path",
    (s) =>
      app(s).volumeMounts = items(app(s), "volumeMounts").map((m) =>
        m.name === "data" ? { ...m, subPath: "x" } : m
      ),
    ["spec.containers[app].volumeMounts[/data].subPath"],
  ],
  [
    "mount propagation",
    (s) =>
      app(s).volumeMounts = items(app(s), "volumeMounts").map((m) =>
        m.name === "data" ? { ...m, mountPropagation: "Bidirectional" } : m
      ),
    ["spec.containers[app].volumeMounts[/data].mountPropagation"],
  ],
  ["a device", (s) => app(s).volumeDevices = [{ name: "data", devicePath: "/dev/x" }], [
    "spec.containers[app].volumeDevices[/dev/x]",
  ]],
  ["a host port", (s) => app(s).ports = [{ containerPort: 8080, hostPort: 80 }], [
    "spec.containers[app].ports[0].hostPort",
  ]],
  ["the host's network", (s) => s.hostNetwork = true, [
    "spec.containers[app].ports[0].hostPort",
    "spec.hostNetwork",
  ]],
  ["the host's processes", (s) => s.hostPID = true, ["spec.hostPID"]],
  ["the host's IPC", (s) => s.hostIPC = true, ["spec.hostIPC"]],
  ["shared processes", (s) => s.shareProcessNamespace = true, ["spec.shareProcessNamespace"]],
  ["another user", (s) => s.securityContext = { runAsUser: 0 }, ["spec.securityContext.runAsUser"]],
  ["privileges", (s) => app(s).securityContext = { privileged: true }, [
    "spec.containers[app].securityContext",
  ]],
  ["capabilities", (s) => app(s).securityContext = { capabilities: { add: ["SYS_ADMIN"] } }, [
    "spec.containers[app].securityContext",
  ]],
  ["no profile", (s) => s.securityContext = { seccompProfile: { type: "Unconfined" } }, [
    "spec.securityContext.seccompProfile",
  ]],
  ["another runtime class", (s) => s.runtimeClassName = "runc", ["spec.runtimeClassName"]],
  ["other host names", (s) => s.hostAliases = [{ ip: "10.0.0.1", hostnames: ["db"] }], [
    "spec.hostAliases[10.0.0.1]",
  ]],
  ["another resolver", (s) => s.dnsConfig = { nameservers: ["10.0.0.1"] }, ["spec.dnsConfig"]],
  ["another DNS policy", (s) => s.dnsPolicy = "None", ["spec.dnsPolicy"]],
  ["another restart policy", (s) => s.restartPolicy = "Never", ["spec.restartPolicy"]],
  ["another grace period", (s) => s.terminationGracePeriodSeconds = 3600, [
    "spec.terminationGracePeriodSeconds",
  ]],
  ["a deadline", (s) => s.activeDeadlineSeconds = 1, ["spec.activeDeadlineSeconds"]],
  ["no service links", (s) => s.enableServiceLinks = false, ["spec.enableServiceLinks"]],
  ["a terminal", (s) => app(s).tty = true, ["spec.containers[app].tty"]],
  ["a resource claim", (s) => s.resourceClaims = [{ name: "gpu", resourceClaimName: "gpu" }], [
    "spec.resourceClaims[gpu]",
  ]],
  ["a container put before the others", (s) => {
    s.containers = [{ name: "b", image: IMAGE }, ...items(s, "containers")];
  }, ["spec.containers[b]"]],
];

for (const [name, change, paths] of ALTERATIONS) {
  Deno.test(`refuses ${name}`, () => {
    assert.deepEqual(differences(change).map(({ path }) => path), paths);
  });
}

Deno.test("refuses containers in another order", () => {
  const signed = { containers: [{ name: "a", image: IMAGE }, { name: "b", image: IMAGE }] };
  const [difference, ...more] = differences(
    (live) => live.containers = items(live, "containers").toReversed(),
    signed,
  );
  assert.equal(more.length, 0);
  assert.equal(difference?.path, "spec.containers");
  assert.equal(difference.kind, "changed");
});

Deno.test("takes volumes in any order", () => {
  assert.deepEqual(differences((live) => live.volumes = items(live, "volumes").toReversed()), []);
});

Deno.test("takes another notation of the same quantity, and keeps the signed one", () => {
  const signed: JsonObject = {
    containers: [{ name: "a", image: IMAGE, resources: { limits: { memory: "1Gi" } } }],
  };
  const live = { containers: [{ name: "a", image: IMAGE, resources: { limits: { memory: 1073741824 } } }] };
  const { differences: found, spec } = compareSpecs(expand(signed), expand(live), { source: "template" });
  assert.deepEqual(found, []);
  assert.deepEqual(items(spec, "containers")[0]?.resources, {
    limits: { memory: "1Gi" },
    requests: { memory: "1Gi" },
  });
});

Deno.test("tells signed and found values, and an extra container's image", () => {
  assert.deepEqual(differences((live) => app(live).image = "evil:1"), [{
    path: "spec.containers[app].image",
    kind: "changed",
    signed: JSON.stringify(IMAGE).slice(0, MAX_PRINTED_CHARACTERS - 1) + "…",
    found: '"evil:1"',
  }]);
  assert.deepEqual(
    differences((live) => push(live, "containers", { name: "evil", image: "evil:1", args: ["x"] })),
    [{
      path: "spec.containers[evil]",
      kind: "unexpected",
      found: '{"name":"evil","image":"evil:1"}',
    }],
  );
  assert.deepEqual(differences((live) => delete app(live).args), [{
    path: "spec.containers[app].args",
    kind: "missing",
    signed: '["--port","8080"]',
  }]);
});

Deno.test("never shows values of the environment and the like", () => {
  const canary = "canary-secret";
  const signed: JsonObject = {
    containers: [{
      name: "app",
      image: IMAGE,
      env: [{ name: "MODE", value: canary }],
      livenessProbe: { httpGet: { port: 1, httpHeaders: [{ name: "Authorization", value: canary }] } },
    }],
    volumes: [
      { name: "csi", csi: { driver: "d", volumeAttributes: { password: canary } } },
      { name: "flex", flexVolume: { driver: "d", options: { password: canary } } },
    ],
  };
  const bare = { containers: [{ name: "app", image: IMAGE }] };
  const other = JSON.parse(JSON.stringify(signed).replaceAll(canary, `${canary}-too`));
  for (const [a, b] of [[signed, bare], [bare, signed], [signed, other]] as const) {
    const found = compareSpecs(expand(a), expand(b), { source: "template" }).differences;
    assert.ok(found.length >= 4);
    const text = JSON.stringify(found) + found.map(formatDifference).join("\n");
    assert.equal(text.includes(canary), false, text);
    assert.ok(text.includes(NOT_SHOWN), text);
  }
});

Deno.test("lists no more differences than the bound", () => {
  const found = differences((live) => {
    app(live).args = Array.from({ length: MAX_DIFFERENCES * 3 }, (_, index) => `${index}`);
  });
  assert.equal(found.length, MAX_DIFFERENCES);
});

Deno.test("refuses a field that no schema knows, should decoding ever leave one", () => {
  const signed = expand(ownerSpec());
  const { differences: found } = compareSpecs(signed, { ...signed, evil: true }, { source: "template" });
  assert.deepEqual(found, [{ path: "spec.evil", kind: "unexpected", found: NOT_SHOWN }]);
});

// Properties

/** Every path to a leaf or to a list item of a value. */
function places(value: JsonValue, path: (string | number)[] = []): (string | number)[][] {
  const below = Array.isArray(value)
    ? value.flatMap((item, index) => places(item, [...path, index]))
    : isJsonObject(value)
    ? Object.entries(value).flatMap(([key, item]) => places(item, [...path, key]))
    : [];
  return path.length === 0 ? below : [path, ...below];
}

/** A copy in which the value at the path is another one, or gone. */
function altered(
  value: JsonValue,
  [head, ...rest]: (string | number)[],
  alter: (found: JsonValue) => JsonValue | undefined,
): JsonValue {
  if (head === undefined) throw new Error("no path");
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => {
      if (index !== head) return [item];
      const next = rest.length === 0 ? alter(item) : altered(item, rest, alter);
      return next === undefined ? [] : [next];
    });
  }
  assert.ok(isJsonObject(value));
  const next = rest.length === 0 ? alter(value[head] ?? null) : altered(value[head] ?? null, rest, alter);
  const { [head]: _old, ...others } = value;
  return next === undefined ? others : { ...others, [head]: next };
}

function otherValue(found: JsonValue): JsonValue {
  switch (typeof found) {
    case "string":
      return /^[0-9]+(?:Mi|m)?$/.test(found) ? `9${found}` : `${found}x`;
    case "number":
      return found + 1;
    case "boolean":
      return !found;
    default:
      return [];
  }
}

Deno.test("refuses every leaf of a live spec that is altered or removed", () => {
  const signed: JsonObject = {
    ...ownerSpec(),
    securityContext: { runAsUser: 1000, seccompProfile: { type: "RuntimeDefault" } },
    containers: [
      ...items(ownerSpec(), "containers"),
      {
        name: "second",
        image: IMAGE,
        resources: { limits: { cpu: "500m", memory: "64Mi" } },
        livenessProbe: { httpGet: { port: 80, path: "/live" } },
        lifecycle: { preStop: { exec: { command: ["/bin/stop"] } } },
      },
    ],
  };
  const live = expand(liveSpec(signed));
  const expanded = expand(signed);
  const accepted: string[] = [];
  for (const path of places(live)) {
    if (typeof path[0] === "string" && SCHEDULING_FIELDS.has(path[0])) continue;
    for (const alter of [otherValue, () => undefined]) {
      const candidate = altered(live, path, alter);
      assert.ok(isJsonObject(candidate));
      const { differences: found } = compareSpecs(expanded, candidate, { source: "pod", podName: "web" });
      if (found.length === 0) {
        accepted.push(`${path.join(".")} ${alter === otherValue ? "altered" : "removed"}`);
      }
    }
  }
  assert.deepEqual(accepted, []);
});

Deno.test("whatever is accepted equals what is forwarded", () => {
  const live = liveSpec();
  const all = places(live);
  fc.assert(
    fc.property(
      fc.array(fc.record({ place: fc.constantFrom(...all), remove: fc.boolean() }), {
        minLength: 1,
        maxLength: 3,
      }),
      (changes) => {
        let candidate: JsonValue = live;
        for (const { place, remove } of changes) {
          try {
            candidate = altered(candidate, place, remove ? () => undefined : otherValue);
          } catch {
            // An earlier change has taken this place away.
          }
        }
        let expanded: JsonObject;
        try {
          expanded = expand(candidate);
        } catch {
          return;
        }
        const { differences: found, spec } = compareSpecs(expand(ownerSpec()), expanded, {
          source: "pod",
          podName: "web",
        });
        if (found.length > 0) return;
        const again = compareSpecs(spec, expanded, { source: "template" });
        assert.deepEqual(again.differences, []);
        assert.deepEqual(Object.keys(spec).filter((key) => SCHEDULING_FIELDS.has(key)), []);
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("managed fields, which have no type, are compared as JSON", () => {
  const withFields = (fieldsV1: JsonObject) =>
    expand({
      containers: [{ name: "app", image: "a" }],
      volumes: [{
        name: "v",
        ephemeral: {
          volumeClaimTemplate: { metadata: { managedFields: [{ manager: "m", fieldsV1 }] }, spec: {} },
        },
      }],
    });
  const signed = withFields({ "f:spec": { "f:a": {} } });
  const context = { source: "template" } as const;
  assert.deepEqual(compareSpecs(signed, withFields({ "f:spec": { "f:a": {} } }), context).differences, []);
  assert.equal(compareSpecs(signed, withFields({ "f:spec": { "f:b": {} } }), context).differences.length, 1);
});
