import assert from "node:assert/strict";
import { writeImages } from "./images.ts";
import { at, listAt, parseObject, textAt } from "./json.ts";
import { Program, run, stopByPidFile, tail } from "./programs.ts";
import { DeadlineError, done, notYet, until } from "./wait.ts";
import { Watch } from "./watch.ts";

// What the cluster's tests stand on. None of this needs root or a cluster.

const onLinux = Deno.build.os === "linux";

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "signed-pods-harness-" });
  try {
    for (const name of ["log", "pid"]) await Deno.mkdir(`${folder}/${name}`);
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("until returns the value once the condition holds", async () => {
  let looks = 0;
  const value = await until("the third look", () => ++looks === 3 ? done("seen") : notYet(`look ${looks}`), {
    intervalMs: 1,
  });
  assert.deepEqual([value, looks], ["seen", 3]);
});

Deno.test("until shows what it waited for, the last state and the explanation when the deadline passes", async () => {
  const waiting = until("pigs fly", () => notYet("on the ground"), {
    timeoutMs: 5,
    intervalMs: 1,
    explain: () => "no wings",
  });
  await assert.rejects(waiting, (error: unknown) => {
    assert.ok(error instanceof DeadlineError);
    for (const part of ["pigs fly", "on the ground", "no wings"]) assert.ok(error.message.includes(part));
    return true;
  });
});

Deno.test("until shows the deadline's error when there is no explanation to be had", async () => {
  const waiting = until("pigs fly", () => notYet("on the ground"), {
    timeoutMs: 5,
    intervalMs: 1,
    explain: () => Promise.reject(new Error("the sty is locked")),
  });
  await assert.rejects(waiting, (error: unknown) => {
    assert.ok(error instanceof DeadlineError);
    for (const part of ["on the ground", "the sty is locked"]) assert.ok(error.message.includes(part));
    return true;
  });
});

Deno.test("until takes a probe that throws as not yet", async () => {
  let looks = 0;
  await until("it stops throwing", () => {
    if (++looks < 3) throw new Error("connection refused");
    return done(undefined);
  }, { intervalMs: 1 });
  assert.equal(looks, 3);
});

Deno.test("paths into JSON end in undefined where nothing is", () => {
  const value = parseObject('{"items":[{"name":"a"}],"count":1}');
  assert.equal(textAt(value, "items", 0, "name"), "a");
  assert.equal(textAt(value, "count"), undefined);
  assert.equal(at(value, "items", 7, "name"), undefined);
  assert.equal(at(value, "constructor"), undefined);
  assert.deepEqual(listAt(value, "nothing"), []);
});

Deno.test({
  name: "a program is stopped by SIGTERM, and by SIGKILL if it does not listen",
  ignore: !onLinux,
  fn: () =>
    withFolder(async (runDir) => {
      const polite = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done";
      const stubborn = "trap '' TERM; echo up; while :; do sleep 0.1; done";
      for (const [name, script, last] of [["polite", polite, "bye"], ["stubborn", stubborn, "up"]] as const) {
        const program = new Program({ name, command: "sh", args: ["-c", script], runDir, graceMs: 300 });
        program.start();
        await until("it is up", () =>
          tail(program.logFile, 1).endsWith("up") ? done(undefined) : notYet("silent"));
        program.assertRunning();
        await program.stop();
        assert.throws(() =>
          program.assertRunning()
        );
        assert.ok(tail(program.logFile, 1).endsWith(last));
      }
    }),
});

Deno.test({
  name: "a program can be stopped by its pid file alone, and a process that got its id later is left alone",
  ignore: !onLinux,
  fn: () =>
    withFolder(async (runDir) => {
      const program = new Program({ name: "sleeper", command: "sleep", args: ["100"], runDir });
      program.start();
      const file = `${runDir}/pid/sleeper`;
      const id = parseObject(await Deno.readTextFile(file));
      await Deno.writeTextFile(file, JSON.stringify({ ...id, startTime: "1" }));
      await stopByPidFile(runDir, "sleeper", 100);
      program.assertRunning();
      await Deno.writeTextFile(file, JSON.stringify(id));
      await stopByPidFile(runDir, "sleeper", 1_000);
      assert.throws(() => program.assertRunning());
      await program.stop();
    }),
});

Deno.test("a watch keeps every event, and begins again without repeating what it knows", async () => {
  const event = (type: string, name: string, version: string) =>
    JSON.stringify({
      type,
      object: { metadata: { uid: name, name, namespace: "n", resourceVersion: version } },
    });
  const lines = [
    event("ADDED", "a", "1"),
    event("MODIFIED", "a", "2"),
    event("ADDED", "b", "3"),
    event("DELETED", "b", "4"),
  ];
  // The second time the server starts with the present state: what it sent before is not new.
  const script = `if [ -e "$1" ]; then echo '${event("ADDED", "a", "2")}'; echo '${
    event("ADDED", "a", "5")
  }'; exec sleep 100; fi
    touch "$1"; printf '%s\\n' '${lines.join("' '")}'`;
  await withFolder(async (folder) => {
    const watch = new Watch(["sh", ["-c", script, "sh", `${folder}/second`]]);
    try {
      await until(
        "both connections were read",
        () => watch.events.length >= 5 ? done(undefined) : notYet("reading"),
      );
      assert.deepEqual(
        watch.events.map(({ type, object }) => [type, textAt(object, "metadata", "resourceVersion")]),
        [["ADDED", "1"], ["MODIFIED", "2"], ["ADDED", "3"], ["DELETED", "4"], ["MODIFIED", "5"]],
      );
      assert.equal(textAt(watch.find("n", "a"), "metadata", "resourceVersion"), "5");
      assert.equal(watch.find("n", "b"), undefined);
      assert.equal(watch.history("b").length, 2);
    } finally {
      await watch.close();
    }
  });
});

Deno.test({
  name: "the image archive is a tar file whose blobs have the digests that they are named by",
  ignore: !onLinux,
  fn: () =>
    withFolder(async (folder) => {
      await Deno.writeTextFile(`${folder}/busybox`, "not really");
      const images = await writeImages(`${folder}/images.tar`, `${folder}/busybox`);
      await run("tar", ["-xf", `${folder}/images.tar`, "-C", folder]);
      const blobs = [...Deno.readDirSync(`${folder}/blobs/sha256`)].map(({ name }) => name);
      for (const name of blobs) {
        assert.ok((await run("sha256sum", [`${folder}/blobs/sha256/${name}`])).startsWith(name));
      }
      assert.equal(blobs.length, 7, "a layer, and a configuration and a manifest for each of three images");
      const names = listAt(parseObject(await Deno.readTextFile(`${folder}/index.json`)), "manifests")
        .map((manifest) => textAt(manifest, "annotations", "io.containerd.image.name"));
      for (const name of Object.values(images)) assert.ok(names.includes(name), name);
      assert.notEqual(images.app.split("@")[1], images.intruder.split("@")[1]);
    }),
});
