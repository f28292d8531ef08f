/**
 * Renews the node's own client certificate, the one that the cluster knows the node by. The kubelet did this before; behind
 * the proxy it never sees that certificate, so that who holds the kubelet's files opens the proxy and nothing else.
 *
 * The cluster issues the certificate, and the cluster is not trusted: what it sends is used only if it belongs to the key that
 * was made here, names this node, and holds now and longer than the one that it replaces.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import { formatTime } from "@signed-pods/shared/time";
import type { Clock } from "../clock.ts";
import { nodeNameInCertificate } from "../credentials/credentials.ts";
import type { Log } from "../log.ts";
import type { ReloadCounts } from "../credentials/reload_counts.ts";
import { readTlsIdentity } from "../credentials/tls_identity.ts";
import { makeNodeCertificateRequest } from "./certificate_request.ts";
import {
  CertificateRefusedError,
  CertificateUnansweredError,
  type NodeCertificateClient,
} from "./node_certificate_client.ts";
import { makeOwnKey, type OwnKey, type ReadCertificate, readCertificatesOf } from "./own_leg_certificates.ts";
import { isOld } from "./own_leg_plan.ts";
import type { PrivateFolder } from "./private_folder.ts";
import { createRenewalAttempts, type RenewalOutcome } from "./renewal_attempt.ts";
import { RenewalPace } from "./renewal_pace.ts";

/** Time between two looks at the certificate, in milliseconds. */
export const NODE_CERTIFICATE_INTERVAL_MS = 60_000;

/** Time between two questions whether the certificate was issued, in milliseconds. */
export const ISSUE_POLL_MS = 2_000;

/**
 * How long a request is asked for every two seconds, in milliseconds: a kubelet waits as long. Then it is told, and asked for
 * every minute; another one would only lie beside it.
 */
export const ISSUE_TIMEOUT_MS: number = 15 * 60_000;

/** What renews. */
export interface NodeCertificateRenewal {
  nodeName: string;
  /** Name of the file in `folder`. */
  file: string;
  folder: PrivateFolder<string>;
  client: NodeCertificateClient;
  clock: Clock;
  log: Log;
  counts: ReloadCounts;
  /** Gives numbers from 0 up to, but not including, 1. */
  random: () => number;
}

/** A request that the cluster has not answered. There is one at most. */
interface OpenRequest {
  key: OwnKey;
  name: string;
  /** Undefined until the cluster has taken it. */
  deadlineMs?: number;
}

/** Looks at once, and then again and again, and renews what has lived two thirds of its life. */
export function renewNodeCertificate(options: NodeCertificateRenewal): { close(): void } {
  const { nodeName, file, folder, client, clock, log, counts, random } = options;
  const count = counts.of("node-certificate");
  const pace = new RenewalPace(random);
  let closed = false;
  let open: OpenRequest | undefined;
  /** How long the certificate holds, as it was last seen. */
  let restMs = 0;
  const attempt = createRenewalAttempts({
    count,
    log,
    event: "node-certificate-not-renewed",
    fields: { file },
  });
  let wake = () => {};

  /** Waits, or until it is closed. */
  function pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = clock.after(delayMs, resolve);
      wake = () => {
        cancel();
        resolve();
      };
    });
  }

  async function readOwn(): Promise<ReadCertificate> {
    const [own] = readCertificatesOf((await folder.read()).get(file) ?? "");
    if (own === undefined) throw new Error("holds no certificate");
    return own;
  }

  async function renew(): Promise<void> {
    const old = await readOwn();
    restMs = old.notAfter.getTime() - clock.now().getTime();
    // One that has not begun shows a clock that is wrong, and the cluster's next one would not have begun either.
    if (!isOld(old, clock.now())) {
      open = undefined;
      return;
    }
    open ??= await newRequest();
    const { key, name } = open;
    open.deadlineMs ??= await send(open);
    const certificate = await untilIssued(name, open.deadlineMs);
    if (certificate === undefined) return;
    const { notAfter } = checkIssued(certificate, key.pem, nodeName, old, clock.now());
    await folder.write(file, readTlsIdentity(certificate, key.pem).certificate + key.pem);
    open = undefined;
    count.taken++;
    log.info("node-certificate-renewed", "the node has a new client certificate", {
      name,
      notAfter: formatTime(notAfter),
    });
  }

  /** A key, and the name of the request for it: the key's own, so that the request is there once, however often it is sent. */
  async function newRequest(): Promise<OpenRequest> {
    const key = await makeOwnKey();
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", key.spki));
    return { key, name: `node-csr-${digest.toHex()}` };
  }

  /** @returns until when it is waited for */
  async function send({ key, name }: OpenRequest): Promise<number> {
    await client.request(name, await makeNodeCertificateRequest(key, nodeName));
    pace.answered();
    log.info("node-certificate-requested", "a new client certificate of this node was asked for", { name });
    return clock.now().getTime() + ISSUE_TIMEOUT_MS;
  }

  /** The certificate; undefined if the proxy stops. */
  async function untilIssued(name: string, deadlineMs: number): Promise<string | undefined> {
    while (!closed) {
      const state = await client.state(name);
      pace.answered();
      switch (state.kind) {
        case "issued":
          return state.certificate;
        case "refused":
          throw new CertificateRefusedError(`the request was refused: ${state.problem}`);
        case "pending":
          break;
        default: {
          const never: never = state;
          return never;
        }
      }
      if (clock.now().getTime() >= deadlineMs) {
        throw new Error(
          `the request "${name}" was not answered within ${ISSUE_TIMEOUT_MS / 60_000} minutes; ` +
            "approve it, or see why the controller of the cluster does not",
        );
      }
      await pause(ISSUE_POLL_MS);
    }
    return undefined;
  }

  /** How long to wait after an attempt. What was refused is over: the next request is another one. */
  function delayAfter(outcome: RenewalOutcome): number {
    if (outcome.ok) pace.done();
    else if (outcome.error instanceof CertificateUnansweredError) return pace.unanswered();
    else if (outcome.error instanceof CertificateRefusedError) {
      open = undefined;
      return pace.refused(restMs);
    }
    return NODE_CERTIFICATE_INTERVAL_MS;
  }

  async function run(): Promise<void> {
    while (!closed) {
      const delayMs = delayAfter(await attempt(renew));
      if (!closed) await pause(delayMs);
    }
  }

  void run();
  return {
    close() {
      closed = true;
      wake();
    },
  };
}

/**
 * Checks what the cluster issued.
 *
 * @throws {CertificateRefusedError} with what is wrong with it
 */
export function checkIssued(
  certificate: string,
  keyPem: string,
  nodeName: string,
  old: Pick<ReadCertificate, "notAfter">,
  now: Date,
): ReadCertificate {
  const { der, own } = readIssued(certificate, keyPem);
  if (own === undefined || nodeNameInCertificate(der) !== nodeName) {
    throw new CertificateRefusedError("the issued certificate is not this node's; the old one stays");
  }
  if (now < own.notBefore || now >= own.notAfter || own.notAfter <= old.notAfter) {
    throw new CertificateRefusedError(
      `the issued certificate holds from ${formatTime(own.notBefore)} until ${formatTime(own.notAfter)}, ` +
        "which is no renewal; the old one stays",
    );
  }
  return own;
}

function readIssued(certificate: string, keyPem: string) {
  try {
    // Throws if the certificate is another key's.
    const { der } = readTlsIdentity(certificate, keyPem);
    const [own] = readCertificatesOf(certificate);
    return { der, own };
  } catch (cause) {
    throw new CertificateRefusedError(`the issued certificate is unusable: ${messageOf(cause)}`, { cause });
  }
}
