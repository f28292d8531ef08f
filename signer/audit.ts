/**
 * The audit log: one JSON line for each signature, written before the signature is given out.
 *
 * @module
 */
import type { WorkloadReference } from "@signed-pods/shared/verdict";

/** One signature. */
export interface AuditRecord {
  /** When it was made. */
  time: Date;
  /** Who asked, if they had to say so. */
  client?: string;
  authenticatedBy: "token" | "certificate" | "nothing";
  /** Address and port of the client. */
  peer: string;
  /** Lower-case hexadecimal SHA-256 of the payload's UTF-8 bytes. */
  payloadSha256: string;
  payloadBytes: number;
  /** If the payload is a signed template: whose. */
  workload?: WorkloadReference;
  /** Lower-case hexadecimal SHA-256 of the public key, as nodes log it. */
  keyId: string;
}

/** Keeps audit lines. */
export interface AuditLog {
  /** Returns when the record is where it is kept. If it throws, no signature may be given out. */
  write(record: AuditRecord): Promise<void>;
}

/** A record as a line. */
export function formatAuditLine(record: AuditRecord): string {
  const { time, client, authenticatedBy, peer, payloadSha256, payloadBytes, workload, keyId } = record;
  return `${
    JSON.stringify({
      time: time.toISOString(),
      event: "signed",
      client: client ?? null,
      authenticatedBy,
      peer,
      payloadSha256,
      payloadBytes,
      workload: workload ?? null,
      keyId,
    })
  }\n`;
}

/** Lets one write run at a time, in the order of the calls. */
export function inOrder(write: (text: string) => Promise<void>): AuditLog {
  let last: Promise<void> = Promise.resolve();
  return {
    write(record) {
      const line = formatAuditLine(record);
      const result = last.then(() => write(line));
      last = result.catch(() => {});
      return result;
    },
  };
}
