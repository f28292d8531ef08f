import assert from "node:assert/strict";
import { readObjectOptions } from "./object_options.ts";

function read(
  allowVolumes: string[],
  runtimeClasses: string[] = [],
  deviceDrivers: string[] = [],
  references = "enforce",
) {
  const problems: string[] = [];
  const options = readObjectOptions(
    { allowVolumes, runtimeClasses, deviceDrivers, references },
    (flag) => void problems.push(flag),
  );
  return { options, problems };
}

Deno.test("volumes are allowed by plugin, driver and mount option; classes are pinned, drivers named", () => {
  const { options, problems } = read(
    ["nfs:nfsvers=4.1,hard", "csi/ebs.csi.aws.com", "flexVolume/example.com/dir", "iscsi"],
    ["kata=kata-qemu", "a.b=runc"],
    ["gpu.example.com"],
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(options, {
    allowedVolumes: [
      { plugin: "nfs", mountOptions: new Set(["nfsvers=4.1", "hard"]) },
      { plugin: "csi", driver: "ebs.csi.aws.com", mountOptions: new Set() },
      { plugin: "flexVolume", driver: "example.com/dir", mountOptions: new Set() },
      { plugin: "iscsi", mountOptions: new Set() },
    ],
    runtimeClasses: new Map([["kata", "kata-qemu"], ["a.b", "runc"]]),
    deviceDrivers: new Set(["gpu.example.com"]),
    references: "enforce",
  });
});

Deno.test("the file of --pin-root-ca is named, if there is one", () => {
  const flags = { allowVolumes: [], runtimeClasses: [], deviceDrivers: [], references: "enforce" };
  assert.equal(readObjectOptions({ ...flags, rootCa: "/ca" }, () => {}).rootCaFile, "/ca");
  assert.equal(readObjectOptions(flags, () => {}).rootCaFile, undefined);
});

Deno.test("refuses volumes of the node itself, unknown plugins, and drivers where they do not belong", () => {
  for (
    const text of [
      "hostPath",
      "local",
      "",
      "rbd",
      "csi",
      "csi/",
      "csi/a/b",
      "csi/A_B",
      "flexVolume",
      "flexVolume/a",
      "nfs/x",
      "nfs:",
      "nfs:hard,,soft",
      "nfs:a b",
      "nfs:-o",
    ]
  ) {
    assert.deepEqual(read([text]).problems, ["--allow-volume"], text);
  }
});

Deno.test("refuses classes without a handler, and two pins of one", () => {
  for (const text of ["kata", "kata=", "=runc", "kata=Runc", "A=runc", "kata=../x"]) {
    assert.deepEqual(read([], [text]).problems, ["--runtime-class"], text);
  }
  assert.deepEqual(read([], ["kata=a", "kata=b"]).problems, ["--runtime-class"]);
});

Deno.test("refuses drivers that are no names", () => {
  assert.deepEqual(read([], [], ["a/b", ""]).problems, ["--allow-device-driver", "--allow-device-driver"]);
});

Deno.test("refuses modes of references that are none", () => {
  for (const mode of ["enforce", "warn", "off"]) {
    const { options, problems } = read([], [], [], mode);
    assert.deepEqual([options.references, problems], [mode, []]);
  }
  const { options, problems } = read([], [], [], "on");
  assert.deepEqual([options.references, problems], ["enforce", ["--references"]]);
});
