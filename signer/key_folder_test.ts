import assert from "node:assert/strict";
import { readVerificationKeys } from "@signed-pods/shared/keys";
import { verifySignature } from "@signed-pods/shared/signature";
import { type KeyFiles, systemKeyFiles } from "./key_files.ts";
import {
  type KeyFolderOptions,
  MAX_KEY_FILE_BYTES,
  MAX_RETIRED_CERTIFICATES,
  openKeyFolder,
  readRing,
  rotateKey,
  validCertificates,
} from "./key_folder.ts";
import { KeyFolderError, type KeyFolderErrorCode } from "./key_folder_error.ts";
import { createIdentity, createKeyFile, DAY_MS, type NewKey } from "./signing_identity.ts";

const NOW = new Date("2024-05-06T07:08:09Z");
const NEW_KEY: NewKey = { keyType: "ec-p256", certificateLifetimeDays: 10, now: NOW };

/** Gives a folder that does not exist yet. */
async function withFolder(
  use: (options: KeyFolderOptions, folder: string) => Promise<void>,
): Promise<void> {
  const parent = await Deno.makeTempDir();
  const folder = `${parent}/keys`;
  try {
    await use({ folder, files: systemKeyFiles, sleep: () => Promise.resolve() }, folder);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

async function assertRefused(operation: Promise<unknown>, code: KeyFolderErrorCode): Promise<void> {
  await assert.rejects(operation, (error) => {
    assert.ok(error instanceof KeyFolderError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });
}

const modeOf = async (path: string) => ((await Deno.lstat(path)).mode ?? 0) & 0o777;

async function namesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
}

const rotate = (options: KeyFolderOptions, now = NOW) =>
  rotateKey(options, { ...NEW_KEY, now }, { stage: false });

const stage = (options: KeyFolderOptions) => rotateKey(options, NEW_KEY, { stage: true });

Deno.test("folder and key are made once, for this user only", async () => {
  await withFolder(async (options, folder) => {
    const first = await openKeyFolder(options, NEW_KEY);
    assert.equal(first.made, true);
    assert.equal(await modeOf(folder), 0o700);
    assert.equal(await modeOf(`${folder}/current.pem`), 0o600);
    assert.deepEqual(await namesIn(folder), ["current.pem", "lock"]);
    const second = await openKeyFolder(options, { ...NEW_KEY, keyType: "ec-p384" });
    assert.equal(second.made, false);
    assert.equal(second.ring.current.fingerprint, first.ring.current.fingerprint);
    assert.equal(second.ring.current.keyType, "ec-p256");
  });
});

Deno.test("a folder that is there and empty is used", async () => {
  await withFolder(async (options, folder) => {
    await Deno.mkdir(folder, { mode: 0o700 });
    assert.equal((await openKeyFolder(options, NEW_KEY)).made, true);
  });
});

Deno.test("what the key of a folder signs verifies with its certificate", async () => {
  await withFolder(async (options) => {
    for (const keyType of ["ec-p256", "rsa-3072"] as const) {
      const folder = { ...options, folder: `${options.folder}-${keyType}` };
      const { ring: { current } } = await openKeyFolder(folder, { ...NEW_KEY, keyType });
      assert.equal(current.keyType, keyType);
      const [key] = await readVerificationKeys(current.pem, "certificate");
      assert.ok(key !== undefined);
      const data = new TextEncoder().encode("text");
      assert.ok(await verifySignature(key, await current.sign(data), data));
      assert.equal(key.id, current.keyId);
    }
  });
});

Deno.test("several servers that start at once agree on one key", async () => {
  await withFolder(async (options) => {
    const waiting = {
      ...options,
      sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
    };
    const opened = await Promise.all(Array.from({ length: 4 }, () => openKeyFolder(waiting, NEW_KEY)));
    assert.equal(opened.filter(({ made }) => made).length, 1);
    assert.equal(new Set(opened.map(({ ring }) => ring.current.keyId)).size, 1);
  });
});

Deno.test("a rotation signs with another key, and keeps the certificate of the one before", async () => {
  await withFolder(async (options, folder) => {
    const { ring: { current: first } } = await openKeyFolder(options, NEW_KEY);
    const rotation = await rotate(options);
    const second = await readRing(options);
    assert.ok(rotation.kind === "rotated");
    assert.equal(rotation.current.keyId, second.current.keyId);
    assert.equal(rotation.previous.keyId, first.keyId);
    assert.notEqual(second.current.keyId, first.keyId);
    assert.deepEqual(second.retired.map(({ pem }) => pem), [first.pem]);
    await rotate(options);
    const third = await readRing(options);
    assert.deepEqual(third.retired.map(({ keyId }) => keyId), [second.current.keyId, first.keyId]);
    assert.deepEqual(await namesIn(folder), ["current.pem", "lock", "retired.pem"]);
    assert.equal(await modeOf(`${folder}/retired.pem`), 0o600);
    const texts = await Promise.all(
      ["current.pem", "retired.pem"].map((name) => Deno.readTextFile(`${folder}/${name}`)),
    );
    assert.equal(
      texts.join("").match(/BEGIN PRIVATE KEY/g)?.length,
      1,
      "private keys of earlier keys are gone",
    );
  });
});

Deno.test("a staged key is published, signs nothing, and is taken by the next rotation", async () => {
  await withFolder(async (options) => {
    const { ring: { current: first } } = await openKeyFolder(options, NEW_KEY);
    const staging = await stage(options);
    assert.ok(staging.kind === "staged");
    const between = await readRing(options);
    assert.equal(between.current.keyId, first.keyId);
    assert.equal(between.staged?.keyId, staging.staged.keyId);
    assert.ok(between.staged !== undefined && !("sign" in between.staged));
    assert.deepEqual(validCertificates(between, NOW).map(({ keyId }) => keyId), [
      staging.staged.keyId,
      first.keyId,
    ]);
    await rotate(options);
    const after = await readRing(options);
    assert.equal(after.current.keyId, staging.staged.keyId);
    assert.equal(after.staged, undefined);
    assert.deepEqual(after.retired.map(({ keyId }) => keyId), [first.keyId]);
  });
});

Deno.test("certificates that have ended are dropped by a rotation, and not published before", async () => {
  await withFolder(async (options) => {
    await openKeyFolder(options, NEW_KEY);
    const later = new Date(NOW.getTime() + 10 * DAY_MS);
    await rotate(options, later);
    assert.deepEqual((await readRing(options)).retired, []);
    await rotate(options, later);
    const ring = await readRing(options);
    assert.equal(ring.retired.length, 1);
    assert.equal(validCertificates(ring, later).length, 2);
    assert.equal(validCertificates(ring, new Date(later.getTime() + 10 * DAY_MS)).length, 0);
  });
});

/** Files that stop working after a number of changes, as if the process were killed there. */
function dyingFiles(changes: number): { files: KeyFiles; died: () => boolean } {
  let left = changes;
  let dead = false;
  const step =
    <Args extends unknown[], Result>(run: (...args: Args) => Promise<Result>) => async (...args: Args) => {
      if (left === 0) dead = true;
      if (dead) throw new Error("killed");
      left--;
      return await run(...args);
    };
  const { facts, list, read, lock } = systemKeyFiles;
  return {
    died: () => dead,
    files: {
      facts,
      list,
      read,
      lock,
      makeFolder: step(systemKeyFiles.makeFolder),
      create: step(systemKeyFiles.create),
      rename: step(systemKeyFiles.rename),
      remove: step(systemKeyFiles.remove),
      syncFolder: step(systemKeyFiles.syncFolder),
    },
  };
}

/** Runs an operation that dies after 0, 1, 2, … changes until it does not, and looks at the folder each time. */
async function atEveryStep(
  prepare: (options: KeyFolderOptions) => Promise<void>,
  operation: (options: KeyFolderOptions) => Promise<unknown>,
  look: (options: KeyFolderOptions) => Promise<void>,
): Promise<void> {
  let steps = 0;
  for (let finished = false; !finished; steps++) {
    await withFolder(async (options) => {
      await prepare(options);
      const { files, died } = dyingFiles(steps);
      await operation({ ...options, files }).catch((error) => assert.ok(died(), String(error)));
      finished = !died();
      await look(options);
    });
  }
  assert.ok(steps > 5, `only ${steps} steps were looked at`);
}

Deno.test("a start that is killed anywhere leaves a folder that the next start understands", async () => {
  await atEveryStep(
    () => Promise.resolve(),
    (options) => openKeyFolder(options, NEW_KEY),
    async (options) => {
      const { ring } = await openKeyFolder(options, NEW_KEY);
      assert.deepEqual(ring.retired, []);
      assert.deepEqual(await namesIn(options.folder), ["current.pem", "lock"]);
      assert.equal((await openKeyFolder(options, NEW_KEY)).ring.current.keyId, ring.current.keyId);
    },
  );
});

Deno.test("a rotation that is killed anywhere leaves the state before it or after it, and can be run again", async () => {
  let before = "";
  await atEveryStep(
    async (options) => {
      before = (await openKeyFolder(options, NEW_KEY)).ring.current.keyId;
    },
    rotate,
    async (options) => {
      const { ring } = await openKeyFolder(options, NEW_KEY);
      if (ring.current.keyId === before) {
        assert.deepEqual(ring.retired, []);
        await rotate(options);
      }
      const after = await readRing(options);
      assert.notEqual(after.current.keyId, before);
      if (ring.staged !== undefined) assert.equal(after.current.keyId, ring.staged.keyId);
      assert.equal(after.staged, undefined);
      assert.deepEqual(after.retired.map(({ keyId }) => keyId), [before]);
      assert.deepEqual(await namesIn(options.folder), ["current.pem", "lock", "retired.pem"]);
    },
  );
});

Deno.test("refuses a folder that others can enter, read or write", async () => {
  for (const mode of [0o750, 0o705, 0o720, 0o701, 0o777]) {
    await withFolder(async (options, folder) => {
      await Deno.mkdir(folder);
      await Deno.chmod(folder, mode);
      await assertRefused(openKeyFolder(options, NEW_KEY), "not-private");
      assert.deepEqual(await namesIn(folder), []);
    });
  }
});

Deno.test("refuses a key file that others can read or write", async () => {
  for (const name of ["current.pem", "next.pem", "retired.pem"]) {
    await withFolder(async (options, folder) => {
      await openKeyFolder(options, NEW_KEY);
      await rotate(options);
      await stage(options);
      for (const mode of [0o640, 0o604, 0o620]) {
        await Deno.chmod(`${folder}/${name}`, mode);
        await assertRefused(openKeyFolder(options, NEW_KEY), "not-private");
        await assertRefused(rotate(options), "not-private");
      }
    });
  }
});

Deno.test("refuses symbolic links, of the folder and of files", async () => {
  await withFolder(async (options, folder) => {
    await openKeyFolder(options, NEW_KEY);
    await Deno.symlink(folder, `${folder}-link`);
    await assertRefused(openKeyFolder({ ...options, folder: `${folder}-link` }, NEW_KEY), "symlink");
    await Deno.rename(`${folder}/current.pem`, `${folder}/other.pem`);
    await Deno.symlink(`${folder}/other.pem`, `${folder}/current.pem`);
    await assertRefused(openKeyFolder(options, NEW_KEY), "symlink");
    await Deno.symlink("nowhere", `${folder}-broken`);
    await assertRefused(openKeyFolder({ ...options, folder: `${folder}-broken` }, NEW_KEY), "symlink");
  });
});

Deno.test("refuses what is no folder, and files that are none", async () => {
  await withFolder(async (options, folder) => {
    await Deno.writeTextFile(folder, "", { mode: 0o600 });
    await assertRefused(openKeyFolder(options, NEW_KEY), "wrong-kind");
  });
  await withFolder(async (options, folder) => {
    await Deno.mkdir(folder, { mode: 0o700 });
    await Deno.mkdir(`${folder}/current.pem`, { mode: 0o700 });
    await assertRefused(openKeyFolder(options, NEW_KEY), "wrong-kind");
  });
});

Deno.test("refuses a folder, and a file, that belongs to another user", async () => {
  await withFolder(async (options, folder) => {
    await openKeyFolder(options, NEW_KEY);
    const owned = (test: (path: string) => boolean): KeyFolderOptions => ({
      ...options,
      files: {
        ...systemKeyFiles,
        facts: async (path) => {
          const facts = await systemKeyFiles.facts(path);
          return facts === undefined || !test(path) ? facts : { ...facts, uid: (facts.uid ?? 0) + 1 };
        },
      },
    });
    await assertRefused(openKeyFolder(owned((path) => path === folder), NEW_KEY), "foreign-owner");
    await assertRefused(
      openKeyFolder(owned((path) => path.endsWith("current.pem")), NEW_KEY),
      "foreign-owner",
    );
  });
});

Deno.test("refuses a key that does not belong to its certificate", async () => {
  await withFolder(async (options, folder) => {
    await openKeyFolder(options, NEW_KEY);
    const [key = ""] = (await Deno.readTextFile(`${folder}/current.pem`)).split(/(?=-----BEGIN CERTIFICATE)/);
    const other = await createIdentity(NEW_KEY);
    await Deno.writeTextFile(`${folder}/current.pem`, key + other.pem);
    await assertRefused(openKeyFolder(options, NEW_KEY), "key-mismatch");
  });
});

Deno.test("refuses key files that do not hold one key and one certificate", async () => {
  const text = await createKeyFile(NEW_KEY);
  const [key = "", certificate = ""] = text.split(/(?=-----BEGIN CERTIFICATE)/);
  for (
    const content of [
      "",
      "text",
      key,
      certificate,
      text + certificate,
      text + key,
      certificate + certificate,
      text.slice(0, -40),
    ]
  ) {
    await withFolder(async (options, folder) => {
      await Deno.mkdir(folder, { mode: 0o700 });
      await Deno.writeTextFile(`${folder}/current.pem`, content, { mode: 0o600 });
      await assertRefused(openKeyFolder(options, NEW_KEY), "key-malformed");
      assert.equal(await Deno.readTextFile(`${folder}/current.pem`), content);
    });
  }
});

Deno.test("refuses anything but certificates among those of earlier keys", async () => {
  await withFolder(async (options, folder) => {
    await openKeyFolder(options, NEW_KEY);
    for (const content of ["text", await createKeyFile(NEW_KEY)]) {
      await Deno.writeTextFile(`${folder}/retired.pem`, content, { mode: 0o600 });
      await assertRefused(openKeyFolder(options, NEW_KEY), "key-malformed");
    }
  });
});

Deno.test("refuses files that are larger than any of ours", async () => {
  await withFolder(async (options, folder) => {
    await openKeyFolder(options, NEW_KEY);
    const text = await Deno.readTextFile(`${folder}/current.pem`);
    await Deno.writeTextFile(`${folder}/current.pem`, text.padEnd(MAX_KEY_FILE_BYTES, "\n"));
    await openKeyFolder(options, NEW_KEY);
    await Deno.writeTextFile(`${folder}/current.pem`, text.padEnd(MAX_KEY_FILE_BYTES + 1, "\n"));
    await assertRefused(openKeyFolder(options, NEW_KEY), "too-large");
  });
});

Deno.test("refuses to make a new key where there was one", async () => {
  await withFolder(async (options, folder) => {
    await openKeyFolder(options, NEW_KEY);
    await rotate(options);
    await Deno.remove(`${folder}/current.pem`);
    await assertRefused(openKeyFolder(options, NEW_KEY), "key-missing");
    await assertRefused(readRing(options), "key-missing");
  });
});

Deno.test("refuses to rotate where there is no folder or no key", async () => {
  await withFolder(async (options, folder) => {
    await assertRefused(rotate(options), "folder-missing");
    await Deno.mkdir(folder, { mode: 0o700 });
    await assertRefused(rotate(options), "no-key-yet");
  });
});

Deno.test("refuses a folder below one that does not exist", async () => {
  await withFolder(async (options) => {
    await assertRefused(
      openKeyFolder({ ...options, folder: `${options.folder}/a/b` }, NEW_KEY),
      "folder-missing",
    );
  });
});

Deno.test("refuses to stage a second key", async () => {
  await withFolder(async (options) => {
    await openKeyFolder(options, NEW_KEY);
    await stage(options);
    await assertRefused(stage(options), "already-staged");
  });
});

Deno.test("refuses a rotation when too many certificates are still valid", async () => {
  await withFolder(async (options, folder) => {
    await openKeyFolder(options, NEW_KEY);
    const others = await Promise.all(
      Array.from({ length: MAX_RETIRED_CERTIFICATES - 1 }, async () => (await createIdentity(NEW_KEY)).pem),
    );
    await Deno.writeTextFile(`${folder}/retired.pem`, others.join(""), { mode: 0o600 });
    await rotate(options);
    assert.equal((await readRing(options)).retired.length, MAX_RETIRED_CERTIFICATES);
    await assertRefused(rotate(options), "too-many-certificates");
    assert.deepEqual(await namesIn(folder), ["current.pem", "lock", "retired.pem"]);
  });
});

Deno.test("refuses to write while another process does, after waiting", async () => {
  await withFolder(async (options, folder) => {
    await openKeyFolder(options, NEW_KEY);
    const lock = await systemKeyFiles.lock(`${folder}/lock`);
    assert.ok(lock !== undefined);
    let waitedMs = 0;
    const sleep = (ms: number) => {
      waitedMs += ms;
      return Promise.resolve();
    };
    await assertRefused(rotate({ ...options, sleep, lockTimeoutMs: 1000 }), "locked");
    assert.equal(waitedMs, 1000);
    lock.release();
    await rotate(options);
  });
});

Deno.test("refuses with the system's word for it when the disk is full, and leaves nothing behind", async () => {
  await withFolder(async (options, folder) => {
    await openKeyFolder(options, NEW_KEY);
    const before = await Deno.readTextFile(`${folder}/current.pem`);
    const create = async (path: string, text: string) => {
      await systemKeyFiles.create(path, text.slice(0, 100));
      if (text !== "") throw new Error("No space left on device (os error 28)");
    };
    await assertRefused(rotate({ ...options, files: { ...systemKeyFiles, create } }), "io");
    assert.deepEqual(await namesIn(folder), ["current.pem", "lock"]);
    assert.equal(await Deno.readTextFile(`${folder}/current.pem`), before);
  });
});
