import assert from "node:assert/strict";
import fc from "fast-check";
import { arbitraryObject, arbitraryPodSpec } from "../../tests/arbitraries.ts";
import type { JsonObject, JsonValue } from "../json.ts";
import {
  decode,
  type Field,
  fieldSegment,
  fieldsOf,
  itemName,
  itemSegment,
  keySegment,
  KUBERNETES_VERSIONS,
  MAX_PROBLEMS,
  type RootType,
} from "./schema.ts";
import table from "./schema.json" with { type: "json" };

function problemsOf(type: RootType, value: JsonValue | undefined, path = "spec"): Record<string, string> {
  return Object.fromEntries(decode(type, value, path).problems.map(({ path, message }) => [path, message]));
}

function pathsOf(type: RootType, value: JsonValue | undefined, path = "spec"): string[] {
  return decode(type, value, path).problems.map((problem) => problem.path);
}

function valueOf(type: RootType, value: JsonValue): JsonObject {
  const { value: decoded, problems } = decode(type, value, "");
  assert.deepEqual(problems, []);
  return decoded;
}

const container = (more: JsonObject): JsonObject => ({ containers: [{ name: "app", image: "x", ...more }] });

Deno.test("admits every field of every type", () => {
  const roots: RootType[] = [
    "PodSpec",
    "PodStatus",
    "ObjectMeta",
    "OwnerReference",
    "Toleration",
    "VolumeMount",
  ];
  for (const root of roots) {
    fc.assert(
      fc.property(arbitraryObject(root, { maxFields: 20 }), (value) => {
        assert.deepEqual(decode(root, value, "").problems, []);
      }),
      { numRuns: 100 },
    );
  }
});

Deno.test("decoding twice changes nothing more, in the schema's order", () => {
  fc.assert(
    fc.property(arbitraryPodSpec(), (spec) => {
      const decoded = valueOf("PodSpec", spec);
      assert.equal(JSON.stringify(valueOf("PodSpec", decoded)), JSON.stringify(decoded));
      const reversed = Object.fromEntries(Object.entries(spec).reverse());
      assert.equal(JSON.stringify(valueOf("PodSpec", reversed)), JSON.stringify(decoded));
    }),
    { numRuns: 500 },
  );
});

Deno.test("the output shares nothing with the input", () => {
  const spec = { containers: [{ name: "app", image: "x", args: ["a"] }], nodeSelector: { a: "b" } };
  const decoded = valueOf("PodSpec", spec);
  assert.deepEqual(decoded, spec);
  assert.notEqual(decoded.containers, spec.containers);
  assert.notEqual(decoded.nodeSelector, spec.nodeSelector);
});

Deno.test("drops what Go holds to be absent, and keeps zeros behind pointers", () => {
  assert.deepEqual(
    valueOf("PodSpec", {
      ...container({
        stdin: false,
        workingDir: "",
        args: [],
        command: ["", "a"],
        resources: { limits: {} },
        ports: [{ containerPort: 0, hostPort: -0 }],
        readinessProbe: { httpGet: { port: 0 }, initialDelaySeconds: 0, terminationGracePeriodSeconds: 0 },
        livenessProbe: { httpGet: { port: "" } },
        startupProbe: null,
        env: [{ name: "", value: "" }, {}],
        securityContext: {},
      }),
      hostNetwork: false,
      hostname: null,
      nodeSelector: { a: "" },
      volumes: [{ name: "a", emptyDir: { sizeLimit: 0 } }],
      runtimeClassName: "",
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: -0,
      tolerations: null,
    }),
    {
      volumes: [{ name: "a", emptyDir: { sizeLimit: "0" } }],
      containers: [{
        name: "app",
        image: "x",
        command: ["", "a"],
        ports: [{}],
        env: [{}, {}],
        livenessProbe: { httpGet: { port: "" } },
        readinessProbe: { httpGet: {}, terminationGracePeriodSeconds: 0 },
        securityContext: {},
      }],
      terminationGracePeriodSeconds: 0,
      nodeSelector: { a: "" },
      automountServiceAccountToken: false,
      runtimeClassName: "",
    },
  );
  const env = [{ name: "A", valueFrom: { resourceFieldRef: { resource: "limits.cpu", divisor: "0m" } } }];
  assert.deepEqual(valueOf("PodSpec", container({ env })), {
    containers: [{
      name: "app",
      image: "x",
      env: [{ name: "A", valueFrom: { resourceFieldRef: { resource: "limits.cpu" } } }],
    }],
  });
  const decoded = valueOf("PodSpec", { terminationGracePeriodSeconds: -0 });
  assert.ok(Object.is(decoded.terminationGracePeriodSeconds, 0));
});

Deno.test("brings quantities and times to canonical form", () => {
  assert.deepEqual(valueOf("PodSpec", { overhead: { cpu: 0.5, memory: "1024Mi", a: 0 } }), {
    overhead: { cpu: "500m", memory: "1Gi", a: "0" },
  });
  const times: [string, string][] = [
    ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"],
    ["2026-01-31T12:00:00.999999999Z", "2026-01-31T12:00:00Z"],
    ["2026-01-01T00:00:00+14:00", "2025-12-31T10:00:00Z"],
    ["0002-01-01T00:00:00+01:00", "0001-12-31T23:00:00Z"],
  ];
  for (const [input, creationTimestamp] of times) {
    assert.deepEqual(valueOf("ObjectMeta", { creationTimestamp: input }), { creationTimestamp });
  }
  assert.deepEqual(valueOf("ObjectMeta", { creationTimestamp: "0001-01-01T00:00:00Z" }), {});
  assert.deepEqual(valueOf("ObjectMeta", { deletionTimestamp: "0001-01-01T00:00:00Z" }), {
    deletionTimestamp: "0001-01-01T00:00:00Z",
  });
});

Deno.test("keeps odd keys of maps as own properties", () => {
  const metadata: JsonValue = JSON.parse(
    `{"labels":{"__proto__":"a","constructor":"b","toString":"c","":"d"}}`,
  );
  const { labels } = valueOf("ObjectMeta", metadata);
  assert.equal(JSON.stringify(labels), `{"__proto__":"a","constructor":"b","toString":"c","":"d"}`);
  assert.equal(Object.getPrototypeOf(labels), Object.prototype);
});

Deno.test("passes managed fields through", () => {
  const managedFields = [{ manager: "a", fieldsV1: { "f:spec": { ".": {} } } }];
  assert.deepEqual(valueOf("ObjectMeta", { managedFields }), { managedFields });
});

Deno.test("refuses unknown fields, whatever their value, wherever they are", () => {
  const unknown = "unknown to this version of podsign";
  const spec: JsonValue = JSON.parse(
    `{"containers":[{"name":"app","Image":"x","env":[{"name":"A","valueFrom":{"podRef":null}}]}],
      "volumes":[{"name":"data","floppy":{}}],"constructor":1,"__proto__":{},"odd key\\n":null}`,
  );
  assert.deepEqual(problemsOf("PodSpec", spec), {
    "spec.volumes[data].floppy": unknown,
    "spec.containers[app].env[A].valueFrom.podRef": unknown,
    "spec.containers[app].Image": unknown,
    "spec.constructor": unknown,
    "spec.__proto__": unknown,
    [`spec["odd key\\n"]`]: unknown,
  });
});

Deno.test("does not see fields that stand at the prototype only", () => {
  const spec: JsonObject = Object.create({ hostPID: true });
  spec.hostIPC = true;
  assert.deepEqual(valueOf("PodSpec", spec), { hostIPC: true });
});

Deno.test("refuses values of the wrong type", () => {
  const wrong: [string, JsonValue[]][] = [
    ["hostname", [1, true, [], {}, 2n ** 60n]], // string
    ["hostPID", [0, 1, "true", [], {}]], // bool
    ["priority", ["1", true, 1.5, 2 ** 31, -(2 ** 31) - 1, 2n ** 60n, NaN, Infinity, []]], // int32
    ["activeDeadlineSeconds", ["1", 0.5, 2 ** 53, -(2 ** 53), 2n ** 53n, 1e300, {}]], // int64
    ["securityContext", ["", [], 1, true]], // object
    ["containers", [{}, "", 1, false]], // list
    ["nodeSelector", [[], "", 1, true]], // map
  ];
  for (const [field, values] of wrong) {
    for (const value of values) {
      assert.deepEqual(
        pathsOf("PodSpec", { [field]: value }),
        [`spec.${field}`],
        `${field}: ${String(value)}`,
      );
    }
  }
});

Deno.test("refuses values of the wrong type in lists and maps", () => {
  assert.deepEqual(
    pathsOf("PodSpec", {
      ...container({
        args: ["a", 1],
        ports: [{ containerPort: "80" }, { containerPort: 80, protocol: 1 }],
        readinessProbe: { httpGet: { port: 1.5 }, tcpSocket: { port: true }, exec: [] },
        livenessProbe: { httpGet: { port: 2 ** 31 } },
        resources: { limits: { cpu: "1 Gi", memory: true, "a b": {} } },
      }),
      nodeSelector: { "a.test/b": 1, "a b": false },
      tolerations: ["x"],
    }),
    [
      "spec.containers[app].args[1]",
      "spec.containers[app].ports[0].containerPort",
      "spec.containers[app].ports[1].protocol",
      "spec.containers[app].resources.limits[cpu]",
      "spec.containers[app].resources.limits[memory]",
      `spec.containers[app].resources.limits["a b"]`,
      "spec.containers[app].livenessProbe.httpGet.port",
      "spec.containers[app].readinessProbe.exec",
      "spec.containers[app].readinessProbe.httpGet.port",
      "spec.containers[app].readinessProbe.tcpSocket.port",
      "spec.nodeSelector[a.test/b]",
      `spec.nodeSelector["a b"]`,
      "spec.tolerations[0]",
    ],
  );
});

Deno.test("refuses nulls in lists and maps", () => {
  assert.deepEqual(
    pathsOf("PodSpec", {
      ...container({ args: [null], env: [null, { name: "A" }], resources: { limits: { cpu: null } } }),
      volumes: [null],
      nodeSelector: { a: null },
    }),
    [
      "spec.volumes[0]",
      "spec.containers[app].args[0]",
      "spec.containers[app].env[0]",
      "spec.containers[app].resources.limits[cpu]",
      "spec.nodeSelector[a]",
    ],
  );
});

Deno.test("refuses what are no times", () => {
  for (const creationTimestamp of ["", "yesterday", "2026-02-30T00:00:00Z", 0, {}]) {
    assert.deepEqual(pathsOf("ObjectMeta", { creationTimestamp }, "metadata"), [
      "metadata.creationTimestamp",
    ]);
  }
  // Years of five or of no digits in UTC
  for (const creationTimestamp of ["9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00"]) {
    assert.deepEqual(pathsOf("ObjectMeta", { creationTimestamp }, ""), ["creationTimestamp"]);
  }
});

Deno.test("refuses what are no objects", () => {
  for (const value of [undefined, null, [], "", 0, 1.5, true, 1n]) {
    assert.deepEqual(pathsOf("PodSpec", value), ["spec"]);
    assert.deepEqual(pathsOf("PodSpec", value, ""), [""]);
    assert.deepEqual(decode("PodSpec", value, "spec").value, {});
  }
});

Deno.test("refuses hostile documents with a bounded number of problems, at once", () => {
  const args = Array.from({ length: 100_000 }, () => null);
  const { problems } = decode("PodSpec", { ...container({ args }), volumes: args }, "spec");
  assert.equal(problems.length, MAX_PROBLEMS);
});

Deno.test("paths name items by their key where it is plain and their own", () => {
  const names = ["a", "b", "b", "A name]\n", "", 1];
  const containers = names.map((name) => ({ name, tty: 1 }));
  assert.deepEqual(
    pathsOf("PodSpec", { containers }).filter((path) => path.endsWith("tty")),
    [
      "spec.containers[a].tty",
      "spec.containers[1].tty",
      "spec.containers[2].tty",
      "spec.containers[3].tty",
      "spec.containers[4].tty",
      "spec.containers[5].tty",
    ],
  );
  assert.deepEqual(
    pathsOf("PodSpec", {
      ...container({ volumeMounts: [{ name: "a", mountPath: "/data", readOnly: 1 }] }),
      hostAliases: [{ ip: "10.0.0.1", hostnames: [1] }],
    }, ""),
    ["containers[app].volumeMounts[/data].readOnly", "hostAliases[10.0.0.1].hostnames[0]"],
  );
});

Deno.test("path segments quote and shorten what is not plain", () => {
  assert.equal(fieldSegment("image"), ".image");
  assert.equal(fieldSegment("a b"), `["a b"]`);
  assert.equal(keySegment("a.test/b"), "[a.test/b]");
  assert.equal(keySegment("]"), `["]"]`);
  assert.equal(keySegment("é".repeat(65)), `["${"é".repeat(64)}…"]`);
  const env = fieldsOf("Container").get("env");
  assert.ok(env !== undefined);
  assert.equal(itemSegment(env, [{ name: "A" }, { name: "B" }], 1), "[B]");
  assert.equal(itemSegment(env, [{ name: "A" }, { name: "A" }], 1), "[1]");
  assert.equal(itemName(env, { name: "A" }), "A");
  assert.equal(itemName(env, "A"), undefined);
  assert.equal(itemName(env, undefined), undefined);
});

Deno.test("refuses types that the schema does not have", () => {
  for (const type of ["Pod", "toString", "__proto__", ""]) assert.throws(() => fieldsOf(type), RangeError);
});

Deno.test("the table knows the fields that came and went", () => {
  const field = (type: string, name: string): Field => {
    const found = fieldsOf(type).get(name);
    assert.ok(found !== undefined, `${type}.${name}`);
    return found;
  };
  assert.equal(field("PodSpec", "hostnameOverride").since, "1.34");
  assert.equal(field("PodSpec", "workloadRef").until, "1.35");
  assert.equal(field("PodSpec", "schedulingGroup").since, "1.36");
  assert.equal(field("HTTPGetAction", "protocol").since, "1.37");
  assert.equal(field("PodSpec", "hostNetwork").pointer, false);
  assert.equal(field("PodSpec", "hostUsers").pointer, true);
  assert.equal(field("Container", "volumeMounts").key, "mountPath");
  assert.equal(field("ContainerPort", "containerPort").scalar, "int32");
  for (const type of Object.keys(table.types)) {
    for (const { since, until } of fieldsOf(type).values()) {
      assert.ok(since === undefined || KUBERNETES_VERSIONS.indexOf(since) > 0);
      assert.ok(until === undefined || KUBERNETES_VERSIONS.indexOf(until) < KUBERNETES_VERSIONS.length - 1);
    }
  }
});

Deno.test("every type that a field names is in the table, and no map holds objects", () => {
  let types = 0;
  for (const type of Object.keys(table.types)) {
    types++;
    for (const field of fieldsOf(type).values()) {
      assert.ok((field.type === undefined) !== (field.scalar === undefined));
      if (field.type === undefined) continue;
      assert.ok(fieldsOf(field.type).size >= 0);
      assert.notEqual(field.shape, "map");
    }
  }
  assert.equal(types, 135);
});
