import assert from "node:assert/strict";
import { type AuditLog, type AuditRecord, formatAuditLine } from "./audit.ts";
import {
  AUDIT_FILE_MAX_BYTES,
  AUDIT_FILES_KEPT,
  auditFilePaths,
  type AuditFiles,
  createAuditFile,
  systemAuditFiles,
} from "./audit_file.ts";

const RECORD: AuditRecord = {
  time: new Date("2024-05-06T07:08:09Z"),
  client: "alice",
  authenticatedBy: "token",
  peer: "127.0.0.1:5555",
  payloadSha256: "ab".repeat(32),
  payloadBytes: 10,
  workload: { apiVersion: "v1", kind: "Pod", namespace: "shop", name: "web" },
  keyId: "cd".repeat(32),
};
const LINE = formatAuditLine(RECORD);

async function withFile(use: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(`${folder}/audit.jsonl`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const linesOf = async (path: string) => (await Deno.readTextFile(path)).split("\n").slice(0, -1);

async function fill(log: AuditLog, lines: number): Promise<void> {
  await Promise.all(
    Array.from({ length: lines }, (_, index) => log.write({ ...RECORD, payloadBytes: index })),
  );
}

const numberIn = (line: string): unknown => JSON.parse(line).payloadBytes;

Deno.test("a line says who, what, whose, with which key and when; what is not known is null", () => {
  assert.deepEqual(JSON.parse(LINE), {
    time: "2024-05-06T07:08:09.000Z",
    event: "signed",
    client: "alice",
    authenticatedBy: "token",
    peer: "127.0.0.1:5555",
    payloadSha256: "ab".repeat(32),
    payloadBytes: 10,
    workload: { apiVersion: "v1", kind: "Pod", namespace: "shop", name: "web" },
    keyId: "cd".repeat(32),
  });
  const { client: _client, workload: _workload, ...rest } = RECORD;
  const { client, workload } = JSON.parse(formatAuditLine(rest));
  assert.deepEqual([client, workload], [null, null]);
  assert.equal(formatAuditLine({ ...RECORD, client: "a\nb\u2028" }).split("\n").length, 2);
});

Deno.test("lines are in the order of the calls, in a file of this user only", async () => {
  await withFile(async (path) => {
    await fill(createAuditFile(path, systemAuditFiles), 50);
    assert.deepEqual((await linesOf(path)).map(numberIn), Array.from({ length: 50 }, (_, index) => index));
    assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
  });
});

Deno.test("a file that would become too large is rotated, and no line is lost but the oldest", async () => {
  await withFile(async (path) => {
    const perFile = 3;
    const lines = perFile * (AUDIT_FILES_KEPT + 3);
    await fill(createAuditFile(path, systemAuditFiles, LINE.length * perFile), lines);
    const kept = (await Promise.all(auditFilePaths(path).toReversed().map(linesOf))).flat().map(numberIn);
    assert.equal(kept.length, perFile * (AUDIT_FILES_KEPT + 1));
    assert.deepEqual(kept, Array.from({ length: kept.length }, (_, index) => lines - kept.length + index));
  });
});

Deno.test("the bound of a file holds for its last byte", async () => {
  for (
    const [size, rotated] of [[AUDIT_FILE_MAX_BYTES - LINE.length, false], [
      AUDIT_FILE_MAX_BYTES,
      true,
    ]] as const
  ) {
    const renamed: string[] = [];
    const files: AuditFiles = {
      size: () => Promise.resolve(size),
      byteAt: () => Promise.resolve(0x0a),
      append: () => Promise.resolve(),
      truncate: () => Promise.resolve(),
      rename: (from) => {
        renamed.push(from);
        return Promise.resolve();
      },
    };
    await createAuditFile("a", files).write(RECORD);
    assert.equal(renamed.length, rotated ? AUDIT_FILES_KEPT : 0);
  }
});

Deno.test("a line that a power failure cut off does not spoil the next one", async () => {
  await withFile(async (path) => {
    await Deno.writeTextFile(path, `${LINE}{"time":"20`);
    await createAuditFile(path, systemAuditFiles).write(RECORD);
    assert.deepEqual(await linesOf(path), [LINE.trim(), '{"time":"20', LINE.trim()]);
  });
});

Deno.test("a file that was moved away is begun again", async () => {
  await withFile(async (path) => {
    const log = createAuditFile(path, systemAuditFiles);
    await log.write(RECORD);
    await Deno.rename(path, `${path}.old`);
    await log.write(RECORD);
    assert.deepEqual(await linesOf(path), [LINE.trim()]);
  });
});

Deno.test("refuses a record when the disk is full, takes the half line back, and goes on later", async () => {
  await withFile(async (path) => {
    let full = false;
    const log = createAuditFile(path, {
      ...systemAuditFiles,
      append: async (file, text) => {
        await systemAuditFiles.append(file, full ? text.slice(0, 20) : text);
        if (full) throw new Error("No space left on device");
      },
    });
    await log.write(RECORD);
    full = true;
    await assert.rejects(log.write(RECORD), /No space left/);
    await assert.rejects(log.write(RECORD), /No space left/);
    assert.equal(await Deno.readTextFile(path), LINE);
    full = false;
    await log.write(RECORD);
    assert.equal(await Deno.readTextFile(path), LINE + LINE);
  });
});

Deno.test("refuses a record when the file cannot be rotated", async () => {
  await withFile(async (path) => {
    const log = createAuditFile(path, {
      ...systemAuditFiles,
      rename: () => Promise.reject(new Error("Read-only file system")),
    }, LINE.length);
    await log.write(RECORD);
    await assert.rejects(log.write(RECORD), /Read-only/);
    assert.equal(await Deno.readTextFile(path), LINE);
  });
});
