import assert from "node:assert/strict";
import { openPrivateFolder } from "./private_folder.ts";

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const modeOf = async (path: string) => ((await Deno.lstat(path)).mode ?? 0) & 0o777;

Deno.test("a folder that is not there is empty, and is made when something is written", () =>
  inFolder(async (above) => {
    const path = `${above}/a/b`;
    const folder = openPrivateFolder(path, ["x", "y"]);
    assert.deepEqual(await folder.read(), new Map());
    await folder.write("x", "1\n");
    await folder.write("x", "2\n");
    assert.deepEqual(await folder.read(), new Map([["x", "2\n"]]));
    assert.deepEqual([await modeOf(path), await modeOf(`${path}/x`)], [0o700, 0o600]);
    assert.deepEqual((await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name), ["x"]);
  }));

Deno.test("refuses links, folders in the place of files, and what is open to others", () =>
  inFolder(async (path) => {
    const folder = openPrivateFolder(path, ["x"]);
    await folder.write("x", "1");
    await Deno.chmod(`${path}/x`, 0o640);
    await assert.rejects(folder.read(), /open to others \(mode 640\)/);
    await Deno.rename(`${path}/x`, `${path}/y`);
    await Deno.symlink(`${path}/y`, `${path}/x`);
    await assert.rejects(folder.read(), /is no file/);
    await Deno.remove(`${path}/x`);
    await Deno.mkdir(`${path}/x`);
    await assert.rejects(folder.read(), /is no file/);
    await Deno.remove(`${path}/x`);
    await Deno.chmod(path, 0o750);
    await assert.rejects(folder.read(), /open to others \(mode 750\)/);
    await assert.rejects(folder.write("x", "1"), /open to others/);
    const link = openPrivateFolder(`${path}/link`, ["x"]);
    await Deno.chmod(path, 0o700);
    await Deno.symlink("/tmp", `${path}/link`);
    await assert.rejects(link.read(), /is no folder/);
  }));

Deno.test("refuses to write into a folder of another user, and leaves nothing there", () =>
  inFolder(async (path) => {
    const { uid } = await Deno.lstat(path);
    if (uid !== 0) {
      console.log("not checked: only root can give a folder away");
      return;
    }
    await Deno.chown(path, 65534, 65534);
    await assert.rejects(openPrivateFolder(path, ["x"]).write("x", "1"), /another user/);
    assert.deepEqual(await Array.fromAsync(Deno.readDir(path)), []);
  }));

Deno.test("what stood there stays if the new text cannot be put in its place", () =>
  inFolder(async (path) => {
    const folder = openPrivateFolder(path, ["x"]);
    await Deno.mkdir(`${path}/x/full`, { recursive: true });
    await assert.rejects(folder.write("x", "1"));
    assert.deepEqual((await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name), ["x"]);
  }));
