import assert from "node:assert/strict";
import { systemKeyFiles } from "./key_files.ts";
import { type KeyFolderOptions, type KeyRing, rotateKey } from "./key_folder.ts";
import { createMemoryKeyStore, EXPIRY_WARNING_DAYS, expiryWarnings, openKeyStore } from "./key_store.ts";
import { createIdentity, DAY_MS } from "./signing_identity.ts";

const NOW = new Date("2024-05-06T07:08:09Z");
const NEW_KEY = { keyType: "ec-p256", certificateLifetimeDays: 100, now: NOW } as const;

Deno.test("a key in memory stays the same, and another store has another", async () => {
  const [store, other] = await Promise.all([createMemoryKeyStore(NEW_KEY), createMemoryKeyStore(NEW_KEY)]);
  assert.equal((await store.ring()).current, (await store.ring()).current);
  assert.notEqual((await store.ring()).current.keyId, (await other.ring()).current.keyId);
});

Deno.test("a store follows its folder, and keeps the last good keys", async () => {
  const parent = await Deno.makeTempDir();
  const folder: KeyFolderOptions = {
    folder: `${parent}/keys`,
    files: systemKeyFiles,
    sleep: () => Promise.resolve(),
  };
  const changes: KeyRing[] = [];
  const failures: unknown[] = [];
  const { store, made } = await openKeyStore(folder, NEW_KEY, {
    onChange: (ring) => void changes.push(ring),
    onFailure: (error) => void failures.push(error),
  });
  assert.ok(made);
  const first = (await store.ring()).current;
  assert.equal((await store.ring()).current, first);
  await rotateKey(folder, NEW_KEY, { stage: false });
  const second = await store.ring();
  assert.notEqual(second.current.keyId, first.keyId);
  assert.deepEqual(second.retired.map(({ keyId }) => keyId), [first.keyId]);
  assert.equal(changes.length, 1);
  const text = await Deno.readTextFile(`${folder.folder}/current.pem`);
  await Deno.writeTextFile(`${folder.folder}/current.pem`, "broken");
  assert.equal((await store.ring()).current, second.current);
  assert.equal((await store.ring()).current, second.current);
  assert.equal(failures.length, 1);
  await Deno.writeTextFile(`${folder.folder}/current.pem`, text);
  assert.equal((await store.ring()).current.keyId, second.current.keyId);
  assert.equal(failures.length, 1);
  await Deno.remove(parent, { recursive: true });
  assert.equal((await store.ring()).current.keyId, second.current.keyId);
  assert.equal(failures.length, 2);
});

Deno.test("the end of every certificate is warned of, from thirty days ahead", async () => {
  const endingIn = (days: number) => createIdentity({ ...NEW_KEY, certificateLifetimeDays: days });
  const near = await endingIn(EXPIRY_WARNING_DAYS);
  const far = await endingIn(EXPIRY_WARNING_DAYS + 1);
  assert.deepEqual(expiryWarnings({ current: far, staged: far, retired: [far] }, NOW), []);
  assert.equal(expiryWarnings({ current: near, retired: [] }, NOW).length, 1);
  const warnings = expiryWarnings({ current: far, staged: near, retired: [far, near] }, NOW);
  assert.equal(warnings.length, 2);
  assert.ok(warnings.every((warning) => warning.includes(near.fingerprint)));
});

Deno.test("a certificate that has ended is warned of while it signs, and not after", async () => {
  const current = await createIdentity({ ...NEW_KEY, certificateLifetimeDays: 1 });
  const other = await createIdentity(NEW_KEY);
  const later = new Date(NOW.getTime() + DAY_MS);
  assert.match(expiryWarnings({ current, retired: [] }, later).join(), / ended on .*signing-server rotate/);
  assert.deepEqual(expiryWarnings({ current: other, retired: [current] }, later), []);
});
