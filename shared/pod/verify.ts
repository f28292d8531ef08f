/**
 * Judges pods. The order is the security argument: nothing is parsed whose signature has not been verified, nothing is
 * compared that is not bound to this pod, and every path that is not an explicit allow ends in a refusal.
 *
 * @module
 */
import { sha256Hex } from "../algorithms.ts";
import { decodeBase64 } from "../base64.ts";
import { MAX_DIFFERENCES, MAX_SIGNATURE_CHARACTERS, MAX_SIGNED_TEMPLATE_BYTES } from "../bounds.ts";
import { canonicalize } from "../canonical_json.ts";
import { type Problem, SignedPodsError } from "../errors.ts";
import {
  deepFreeze,
  equalJson,
  getOwn,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  objectAt,
  objectsAt,
} from "../json.ts";
import type { VerificationKey } from "../keys.ts";
import { verifySignature } from "../signature.ts";
import {
  parseSignedTemplate,
  type SignedTemplate,
  specProblems,
  templatePermissions,
  templateValidity,
  withoutClaimVolumes,
} from "../signed_template.ts";
import {
  type AllowVerdict,
  deny,
  type DenyVerdict,
  type Difference,
  SIGNATURE_ANNOTATION,
  type SignatureForm,
  SIGNED_TEMPLATE_ANNOTATION,
  type Verdict,
  type WorkloadReference,
} from "../verdict.ts";
import { compareSpecs, type Comparison } from "./compare.ts";
import { hasDigest } from "./image.ts";
import { beforeAdmission, type InjectionContext } from "./injected.ts";
import { isLabelValue } from "./grammar.ts";
import { expand, minimal } from "./normal_form.ts";
import { formatPermission, type Permission } from "./permissions.ts";
import { printable, printValue } from "./printing.ts";
import { type Identity, MAX_UNSIGNED_ANNOTATION_CHARACTERS, readIdentity } from "./metadata.ts";
import {
  type AnsweredReference,
  permissionsUsed,
  signedReferences,
  unansweredText,
} from "./reference_answer.ts";
import { JudgedPods } from "./judged_pods.ts";
import { VerifiedMemory } from "./verified_memory.ts";
import {
  findPodTemplates,
  isMadeBy,
  jobNameFits,
  podNameMatches,
  type PodTemplateLocation,
} from "./workload.ts";

const NO_TRUSTED_KEY =
  "no trusted key made the signature; sign with a key that this node trusts, or have the node trust this one";

/** What a verifier trusts and insists on. */
export interface VerifierOptions {
  /** Keys any of which may have signed. Without keys everything is refused. */
  keys: readonly VerificationKey[];
  /** Keys that are trusted no more, not even for pods that they admitted. None of them is among `keys`. */
  revoked?: readonly VerificationKey[];
  /** The forms of signatures that are accepted. */
  acceptForms: ReadonlySet<SignatureForm>;
  /** Whether images without a digest are refused. They are warned about otherwise. */
  requireDigests: boolean;
  /** What becomes of pods that refer to what their owner neither pinned nor allowed. Off if absent. */
  references?: ReferencesMode;
}

/** Whether references without an answer are refused, warned about, or not looked at. */
export type ReferencesMode = "enforce" | "warn" | "off";

/** When a pod is judged. */
export interface JudgementTime {
  /** The node's clock. */
  now: Date;
  /** The pod runs here already: dates and the trust in its key gate its first admission only. */
  admitted?: Admission;
}

/** What is remembered of a pod's first admission. */
export interface Admission {
  /** {@linkcode AllowVerdict.signedHash} of then: these bytes were verified. */
  signedHash: string;
  /** {@linkcode AllowVerdict.keyId} of then; without it the pod needs its key for as long as it runs. */
  keyId?: string;
}

/** The outcome for one pod or workload in a document. */
export interface ObjectVerdict {
  workload: WorkloadReference;
  /** Keys and list indices from the document's root to the pod or pod template. */
  path: (string | number)[];
  verdict: Verdict;
}

/** Judges pods by their signatures. */
export interface Verifier {
  /**
   * Judges a pod as the API server serves it: with UID, namespace and name.
   *
   * @returns a verdict for any input; it never throws
   */
  verifyPod(pod: JsonObject, time: JudgementTime): Promise<Verdict>;
  /**
   * What {@linkcode Verifier.verifyPod} would answer, at once, if it has judged a pod of the very same parts and still allows
   * it; nothing otherwise.
   *
   * @param identity what `readIdentity` says of this pod
   */
  verifyKnown(pod: JsonObject, identity: Identity, time: JudgementTime): AllowVerdict | undefined;
  /**
   * Judges every pod and every workload's pod template in a document, be it a manifest or what the API server gave.
   * What is about to be created is judged with what is known of it: a manifest without a namespace matches any.
   *
   * @throws {SignedPodsError} `object-malformed`, `kind-unsupported` for documents in which none can be found
   */
  verifyObject(object: JsonObject, time: JudgementTime): Promise<ObjectVerdict[]>;
}

/**
 * Makes a verifier.
 *
 * @example
 * ```ts
 * import { createVerifier } from "./verify.ts";
 * const verifier = createVerifier({ keys: [], acceptForms: new Set(["template"]), requireDigests: false });
 * const verdict = await verifier.verifyPod({}, { now: new Date(0) });
 * if (verdict.decision !== "deny") throw new Error("an empty pod was allowed");
 * ```
 */
export function createVerifier(options: VerifierOptions): Verifier {
  return new PodVerifier(options);
}

/** What is judged: a pod, one that is yet to be created, or a workload's pod template. */
type Subject =
  & { metadata: JsonObject; spec: JsonValue | undefined }
  & (
    | { kind: "pod"; namespace: string; name: string }
    | { kind: "manifest" | "template"; location: PodTemplateLocation }
  );

/** A signature and, in the template form, the text that it is over. Sizes are within bounds. */
interface Signed {
  signature: Uint8Array<ArrayBuffer>;
  signatureText: string;
  /** Absent in the spec form. */
  templateText: string | undefined;
}

/** What counts of a key after it has verified. */
type Signer = Pick<VerificationKey, "id" | "namespaces" | "notBefore" | "notAfter">;

/** Bytes that at least one trusted key has signed. Nothing here depends on the time. */
interface SignedText {
  /** Every trusted key that verifies. */
  signers: readonly Signer[];
  hash: string;
}

/** A signed text that is a signed template. */
type VerifiedTemplate = SignedText & ReadTemplate;

/** A signed template, read. */
interface ReadTemplate {
  template: SignedTemplate;
  /** Its spec, expanded, and frozen: verdicts share its parts. */
  spec: JsonObject;
  /** What its owner allows beyond it. */
  allow: readonly Permission[];
  /** What the spec refers to. */
  references: readonly AnsweredReference[];
  /** The permissions that these make use of. */
  usedByReferences: readonly string[];
}

/** An admissible pod: its verdict, and what decides at which times it holds. */
interface Admissible {
  verdict: AllowVerdict;
  signers: readonly Signer[];
  /** Absent in the spec form. */
  template?: SignedTemplate;
}

class PodVerifier implements Verifier {
  readonly #keys: readonly VerificationKey[];
  readonly #revoked: readonly VerificationKey[];
  /** Of all keys that are known, revoked ones included. */
  readonly #keyIds: ReadonlySet<string>;
  readonly #acceptForms: ReadonlySet<SignatureForm>;
  readonly #requireDigests: boolean;
  readonly #references: ReferencesMode;
  readonly #templates = new VerifiedMemory<VerifiedTemplate>();
  readonly #texts = new VerifiedMemory<SignedText>();
  readonly #specReferences = new WeakMap<SignedText, readonly AnsweredReference[]>();
  /** By hash; their keys are gone, but they were verified once. */
  readonly #admittedTemplates = new VerifiedMemory<ReadTemplate>();
  readonly #judged = new JudgedPods<Admissible>();

  constructor(
    { keys, revoked = [], acceptForms, requireDigests, references = "off" }: VerifierOptions,
  ) {
    this.#keys = [...keys];
    this.#revoked = [...revoked];
    this.#keyIds = new Set([...keys, ...revoked].map(({ id }) => id));
    this.#acceptForms = new Set(acceptForms);
    this.#requireDigests = requireDigests;
    this.#references = references;
  }

  async verifyPod(pod: JsonObject, time: JudgementTime): Promise<Verdict> {
    const identity = readIdentity(pod);
    if (!identity.ok) {
      return denyProblems("identity-conflict", "the pod has no proper identity", identity.problems);
    }
    return await this.#judgeSafely(podSubject(pod, identity), time);
  }

  verifyKnown(pod: JsonObject, identity: Identity, time: JudgementTime): AllowVerdict | undefined {
    return identity.ok ? this.#judgeAgain(podSubject(pod, identity), time) : undefined;
  }

  async verifyObject(object: JsonObject, time: JudgementTime): Promise<ObjectVerdict[]> {
    const verdicts: ObjectVerdict[] = [];
    for (const location of findPodTemplates(object)) {
      const { workload, path, metadata, spec } = location;
      const isPod = workload.kind === "Pod";
      const verdict = isPod && getOwn(metadata, "uid") !== undefined
        ? await this.verifyPod({ metadata, spec }, time)
        : await this.#judgeSafely({ kind: isPod ? "manifest" : "template", metadata, spec, location }, time);
      verdicts.push({ workload, path, verdict });
    }
    return verdicts;
  }

  async #judgeSafely(subject: Subject, time: JudgementTime): Promise<Verdict> {
    try {
      return await this.#judge(subject, time);
    } catch {
      // A pod that cannot be judged is not known to be good. The error's text may hold parts of the pod.
      return deny("pod-malformed", "the pod cannot be judged");
    }
  }

  async #judge(subject: Subject, time: JudgementTime): Promise<Verdict> {
    return this.#judgeAgain(subject, time) ?? await this.#judgeAnew(subject, time);
  }

  /**
   * The same pod again, by the same keys: only the time can have changed. Nothing, if that would lead elsewhere; then the
   * refusal is found in its proper order.
   */
  #judgeAgain(subject: Subject, time: JudgementTime): AllowVerdict | undefined {
    if (subject.kind !== "pod" || this.#isKeyGone(time.admitted)) return undefined;
    const known = this.#judged.get(subject);
    if (known === undefined) return undefined;
    const { verdict, signers, template } = known;
    const signer = signerAt(signers, time, subject.namespace);
    if ("decision" in signer || signer.id !== verdict.keyId) return undefined;
    return template === undefined || checkDates(template, time) === undefined ? verdict : undefined;
  }

  #remember(
    subject: Subject,
    time: JudgementTime,
    verdict: Verdict,
    facts: Omit<Admissible, "verdict">,
  ): Verdict {
    // What only its admission excuses is no conclusion about another pod of the same parts.
    const excused = this.#references === "enforce" && verdict.decision === "allow" &&
      unansweredReferences(verdict.references).length > 0;
    if (
      subject.kind === "pod" && verdict.decision === "allow" && !excused && !this.#isKeyGone(time.admitted)
    ) {
      this.#judged.set(subject, { ...facts, verdict });
    }
    return verdict;
  }

  /** The key that admitted a pod is neither trusted nor revoked any more. */
  #isKeyGone(admission: Admission | undefined): boolean {
    return admission?.keyId !== undefined && !this.#keyIds.has(admission.keyId);
  }

  async #judgeAnew(subject: Subject, time: JudgementTime): Promise<Verdict> {
    const signed = readAnnotations(subject.metadata);
    if ("decision" in signed) return signed;
    // A pod with a signed template is never judged by its spec alone: that would be a downgrade.
    const form = signed.templateText === undefined ? "spec" : "template";
    if (!this.#acceptForms.has(form)) {
      return deny("form-not-accepted", `signatures in the ${form} form are not accepted on this node`);
    }
    return signed.templateText === undefined
      ? await this.#judgeSpec(signed, subject, time)
      : await this.#judgeTemplate(signed, signed.templateText, subject, time);
  }

  /** The template form: signature, template, dates, binding, comparison, in this order. */
  async #judgeTemplate(
    signed: Signed,
    text: string,
    subject: Subject,
    time: JudgementTime,
  ): Promise<Verdict> {
    const verified = await this.#verifyTemplate(signed, text, time.admitted);
    if ("decision" in verified) return verified;
    const { template, spec, allow, references, usedByReferences, hash, signers } = verified;

    const signer = signerAt(signers, time, namespaceOf(subject) ?? template.workload.namespace);
    if ("decision" in signer) return signer;
    const untimely = checkDates(template, time);
    if (untimely !== undefined) return untimely;

    const binding = bind(template, subject);
    if ("decision" in binding) return binding;

    const live = expandLive(withoutReplacedVolumes(subject, template));
    if (!live.ok) return live.refusal;
    const { permissions, ...comparison } = compareSpecs(spec, live.spec, { ...binding.context, allow });
    const { labels, annotations } = template.metadata;
    const extra = extraMetadata(template, allow, subject.metadata);
    const verdict = this.#conclude(comparison, {
      form: "template",
      keyId: signer.id,
      signedHash: hash,
      workload: template.workload,
      ...binding.facts,
      labels: { ...labels },
      annotations: { ...annotations },
      extraLabels: extra.labels,
      extraAnnotations: extra.annotations,
      permissions: [...permissions, ...extra.permissions, ...usedByReferences],
      references,
      warnings: subject.kind === "pod" ? [] : metadataWarnings(template, subject.metadata),
    }, time);
    return this.#remember(subject, time, verdict, { signers, template });
  }

  /**
   * The spec form: the signature is over the canonical JSON of the minimal live spec after what admission adds is
   * taken off, or of the live spec exactly as it is.
   */
  async #judgeSpec(signed: Signed, subject: Subject, time: JudgementTime): Promise<Verdict> {
    const live = expandLive(subject.spec);
    if (!live.ok) return live.refusal;
    const candidates = beforeAdmission(live.spec);
    const problems = specProblems(candidates[0] ?? live.spec);
    if (problems.length > 0) return denyProblems("pod-malformed", "the pod's spec is not valid", problems);

    let refusal: DenyVerdict | undefined;
    for (const { spec, text } of this.#readingsToTry(signed, subject, candidates)) {
      const verified = await this.#verifyText(signed, text, time.admitted);
      if ("decision" in verified) {
        if (refusal === undefined || verified.code === "key-revoked") refusal = verified;
        continue;
      }
      const signer = signerAt(verified.signers, time, namespaceOf(subject));
      if ("decision" in signer) return signer;
      const context: InjectionContext = spec === undefined || subject.kind === "template"
        ? { source: "template" }
        : { source: "pod" };
      const signedSpec = spec === undefined ? live.spec : expand(spec);
      const { permissions, ...comparison } = compareSpecs(signedSpec, live.spec, context);
      const verdict = this.#conclude(comparison, {
        form: "spec",
        keyId: signer.id,
        signedHash: verified.hash,
        labels: {},
        annotations: {},
        extraLabels: {},
        extraAnnotations: {},
        permissions,
        references: this.#referencesOf(verified, signedSpec),
        warnings: [],
      }, time);
      return this.#remember(subject, time, verdict, { signers: verified.signers });
    }
    return refusal ?? deny("signature-invalid", NO_TRUSTED_KEY);
  }

  /**
   * The live spec exactly as it is, then the minimal form of each candidate, each made when it is its turn. A reading that has
   * verified before is the one: the others need not be tried again.
   */
  *#readingsToTry(
    signed: Signed,
    subject: Subject,
    candidates: readonly JsonObject[],
  ): Generator<{ spec: JsonObject | undefined; text: string }> {
    const exact = { spec: undefined, text: canonicalize(subject.spec ?? null) };
    const others = candidates.map((candidate) => () => {
      const spec = minimal(candidate);
      return { spec, text: canonicalize(spec) };
    });
    if (!this.#texts.hasSignature(signed.signatureText)) {
      yield exact;
      for (const make of others) yield make();
      return;
    }
    const readings = [exact, ...others.map((make) => make())];
    const known = readings.find(({ text }) => this.#texts.has(signed.signatureText, text));
    yield* known === undefined ? readings : [known];
  }

  /** What a signed spec refers to: the same for as long as its verified text is remembered. */
  #referencesOf(verified: SignedText, spec: JsonObject): readonly AnsweredReference[] {
    const known = this.#specReferences.get(verified);
    if (known !== undefined) return known;
    const references = signedReferences(spec, { allow: [] });
    this.#specReferences.set(verified, references);
    return references;
  }

  #conclude(
    { differences, spec, injected }: Omit<Comparison, "permissions">,
    facts: Omit<AllowVerdict, "decision" | "spec" | "injected">,
    { admitted }: JudgementTime,
  ): Verdict {
    if (differences.length > 0) return deny("spec-differs", "the pod is not what was signed", differences);
    const undigested = imagesWithoutDigest(spec);
    if (this.#requireDigests && undigested.length > 0) {
      return deny(
        "digest-required",
        "an image is named without a digest; sign it with name@sha256:…",
        undigested,
      );
    }
    const unanswered = this.#references === "off" ? [] : unansweredReferences(facts.references);
    // What was admitted under a milder mode keeps running, as it does when its dates have passed.
    if (this.#references === "enforce" && unanswered.length > 0 && admitted === undefined) {
      return deny(
        "reference-not-signed",
        "the pod refers to what its owner neither pinned nor allowed; sign it again with podsign, which says how",
        unanswered.slice(0, MAX_DIFFERENCES),
      );
    }
    const warnings = [...undigested, ...unanswered].map(({ path, detail }) => `${path}: ${detail ?? ""}`);
    return { decision: "allow", ...facts, spec, injected, warnings: [...facts.warnings, ...warnings] };
  }

  /** Checks the signature over the text as it was received, and only then reads it. */
  async #verifyTemplate(
    signed: Signed,
    text: string,
    admission: Admission | undefined,
  ): Promise<VerifiedTemplate | DenyVerdict> {
    const known = await this.#verifiedAtAdmission(text, admission);
    if (known !== undefined) {
      const read = await this.#admittedTemplates.get(
        known.hash,
        "",
        () => Promise.resolve(readTemplate(text)),
      );
      return "decision" in read ? read : { ...known, ...read };
    }
    return await this.#templates.get(signed.signatureText, text, async () => {
      const verified = await this.#findSigners(signed.signature, text);
      if ("decision" in verified) return verified;
      const read = readTemplate(text);
      return "decision" in read ? read : { ...verified, ...read };
    });
  }

  async #verifyText(
    signed: Signed,
    text: string,
    admission: Admission | undefined,
  ): Promise<SignedText | DenyVerdict> {
    return await this.#verifiedAtAdmission(text, admission) ?? await this.#texts.get(
      signed.signatureText,
      text,
      async () => await this.#findSigners(signed.signature, text),
    );
  }

  /**
   * A key that was taken away, without being revoked, cannot be asked any more. But bytes with the hash of those that it
   * had signed when the pod was admitted are these very bytes.
   */
  async #verifiedAtAdmission(
    text: string,
    admission: Admission | undefined,
  ): Promise<SignedText | undefined> {
    if (admission?.keyId === undefined || !this.#isKeyGone(admission)) return undefined;
    const hash = await sha256Hex(new TextEncoder().encode(text));
    return hash === admission.signedHash ? { signers: [{ id: admission.keyId }], hash } : undefined;
  }

  async #findSigners(signature: Uint8Array<ArrayBuffer>, text: string): Promise<SignedText | DenyVerdict> {
    const bytes = new TextEncoder().encode(text);
    const signers: VerificationKey[] = [];
    let malformed: DenyVerdict | undefined;
    let tried = false;
    for (const key of this.#keys) {
      try {
        if (await verifySignature(key, signature, bytes)) signers.push(key);
        tried = true;
      } catch (error) {
        if (!(error instanceof SignedPodsError)) throw error;
        malformed ??= deny("signature-malformed", `the signature is of no form that a trusted key makes`);
      }
    }
    if (signers.length > 0) return { signers, hash: await sha256Hex(bytes) };
    if (!tried && malformed !== undefined) return malformed;
    return await this.#isRevoked(signature, bytes)
      ? deny("key-revoked", "the key that signed is revoked; sign the workload again with another key")
      : deny("signature-invalid", NO_TRUSTED_KEY);
  }

  /** Only to say so: without a trusted key the pod is refused anyway. */
  async #isRevoked(signature: Uint8Array<ArrayBuffer>, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
    for (const key of this.#revoked) {
      try {
        if (await verifySignature(key, signature, bytes)) return true;
      } catch (error) {
        if (!(error instanceof SignedPodsError)) throw error;
      }
    }
    return false;
  }
}

function podSubject(pod: JsonObject, { namespace, name }: { namespace: string; name: string }): Subject {
  return { kind: "pod", metadata: objectAt(pod, "metadata"), spec: getOwn(pod, "spec"), namespace, name };
}

function readTemplate(text: string): ReadTemplate | DenyVerdict {
  try {
    const template = parseSignedTemplate(text);
    const spec = deepFreeze(expand(template.spec));
    const allow = templatePermissions(template);
    const { pins, statefulSet } = template;
    const references = deepFreeze(signedReferences(spec, { allow, pins, statefulSet }));
    return { template, spec, allow, references, usedByReferences: permissionsUsed(references) };
  } catch (error) {
    if (!(error instanceof SignedPodsError)) throw error;
    return denyProblems("template-malformed", "the signed text is not a signed template", error.problems);
  }
}

// ---------------------------------------------------------------------------------------------------------------
// Annotations

/** Finds the signature. Nothing is decoded or hashed that is longer than its bound. */
function readAnnotations(metadata: JsonObject): Signed | DenyVerdict {
  const annotations = objectAt(metadata, "annotations");
  const templateText = getOwn(annotations, SIGNED_TEMPLATE_ANNOTATION);
  const signatureText = getOwn(annotations, SIGNATURE_ANNOTATION);
  if (signatureText === undefined) {
    return deny("unsigned", `the pod has no annotation ${SIGNATURE_ANNOTATION}; sign it with podsign`);
  }
  if (typeof signatureText !== "string" || signatureText.length > MAX_SIGNATURE_CHARACTERS) {
    return deny("signature-malformed", `${SIGNATURE_ANNOTATION} is not a text of a signature's length`);
  }
  if (templateText !== undefined && (typeof templateText !== "string" || !isWithinBounds(templateText))) {
    return deny("signature-malformed", `${SIGNED_TEMPLATE_ANNOTATION} is not a text of a template's length`);
  }
  try {
    const signature = decodeBase64(signatureText);
    return { signature, signatureText, templateText };
  } catch (error) {
    if (!(error instanceof SignedPodsError)) throw error;
    return deny("signature-malformed", `${SIGNATURE_ANNOTATION} is not base64 (RFC 4648 section 4, padded)`);
  }
}

/** Lone surrogates have no UTF-8: such a text is not the one whose bytes were signed. */
function isWithinBounds(text: string): boolean {
  if (text.length > MAX_SIGNED_TEMPLATE_BYTES || !text.isWellFormed()) return false;
  // A UTF-16 code unit has at most three bytes of UTF-8: mostly there is nothing to count.
  return text.length * 3 <= MAX_SIGNED_TEMPLATE_BYTES ||
    new TextEncoder().encode(text).length <= MAX_SIGNED_TEMPLATE_BYTES;
}

// ---------------------------------------------------------------------------------------------------------------
// Keys and dates. Comparisons are written so that a date which is none holds at no time.

/** The first key that verifies, may sign for the namespace, and whose certificate is valid now. */
function signerAt(
  signers: readonly Signer[],
  { now, admitted }: JudgementTime,
  namespace: string | undefined,
): Signer | DenyVerdict {
  const permitted = signers.filter(({ namespaces }) =>
    admitted !== undefined || namespaces === undefined ||
    (namespace !== undefined && namespaces.includes(namespace))
  );
  if (permitted.length === 0) {
    return deny(
      "namespace-not-allowed",
      `the key that signed may not sign for the namespace ${printValue(namespace ?? "")}`,
    );
  }
  const valid = permitted.find(({ notBefore, notAfter }) =>
    admitted !== undefined ||
    ((notBefore === undefined || notBefore <= now) && (notAfter === undefined || now <= notAfter))
  );
  return valid ?? deny("certificate-not-valid", certificateDates(permitted));
}

/** When the first certificate of some holds, none of which holds now. */
function certificateDates([first]: readonly Signer[]): string {
  const iso = (date: Date | undefined) =>
    date === undefined || Number.isNaN(date.getTime()) ? "ever" : date.toISOString().replace(".000Z", "Z");
  return `the certificate of the key that signed holds from ${iso(first?.notBefore)} until ${
    iso(first?.notAfter)
  }, and not now; sign with another key, or see ` +
    "whether the clock is right";
}

function checkDates(template: SignedTemplate, { now, admitted }: JudgementTime): DenyVerdict | undefined {
  if (admitted !== undefined) return undefined;
  const { notBefore, notAfter } = templateValidity(template);
  if (notBefore !== undefined && !(notBefore <= now)) {
    return deny("not-yet-valid", `the signature is valid from ${template.notBefore ?? ""}`);
  }
  if (notAfter !== undefined && !(now <= notAfter)) {
    return deny(
      "expired",
      `the signature was valid until ${template.notAfter ?? ""}; sign the workload again`,
    );
  }
  return undefined;
}

// ---------------------------------------------------------------------------------------------------------------
// Binding

/** That the template belongs to this pod, and what follows from the pod's name. */
interface Binding {
  context: InjectionContext;
  facts: { ordinal?: string; completionIndex?: string };
}

/** The namespace that it is, or will be, in; undefined if a manifest names none. */
function namespaceOf(subject: Subject): string | undefined {
  return subject.kind === "pod" ? subject.namespace : subject.location.workload.namespace;
}

function bind(template: SignedTemplate, subject: Subject): Binding | DenyVerdict {
  const { workload } = template;
  const namespace = namespaceOf(subject);
  if (workload.namespace !== undefined && namespace !== undefined && workload.namespace !== namespace) {
    return deny(
      "wrong-workload",
      `signed for namespace ${printValue(workload.namespace)}, found in ${printValue(namespace)}`,
    );
  }
  if (subject.kind === "template") return bindTemplate(template, subject.location);
  const podName = subject.kind === "pod" ? subject.name : subject.location.workload.name;
  if (podName === undefined) {
    // A manifest whose name the API server has yet to make.
    return subject.kind === "manifest" && workload.kind === "Pod" && workload.name === undefined &&
        workload.generateName === subject.location.workload.generateName
      ? { context: { source: "pod" }, facts: {} }
      : wrongWorkload(workload, "another generateName");
  }
  const match = podNameMatches(workload, podName, { indexed: template.job !== undefined });
  if (!match.ok) {
    return deny(
      "wrong-workload",
      `signed for ${workload.kind}, whose pods are named ${match.expected}, found ${printValue(podName)}`,
    );
  }
  const { ordinal, completionIndex, jobName } = match;
  return {
    context: {
      source: "pod",
      podName,
      ...(template.statefulSet === undefined ? {} : { statefulSet: template.statefulSet }),
      ...(completionIndex === undefined ? {} : {
        indexedJob: {
          index: completionIndex,
          ...(jobName === undefined ? {} : { jobName }),
          isJobName: (name: string) => jobNameFits(workload, name, podName, completionIndex),
        },
      }),
    },
    facts: {
      ...(ordinal === undefined ? {} : { ordinal }),
      ...(completionIndex === undefined ? {} : { completionIndex }),
    },
  };
}

/** A workload's own template must have been signed for this very workload, or for the one whose controller made it. */
function bindTemplate(template: SignedTemplate, location: PodTemplateLocation): Binding | DenyVerdict {
  const { namespace: _signed, ...signed } = template.workload;
  const { namespace: _found, ...found } = location.workload;
  if (!equalJson({ ...signed }, { ...found }) && !isMadeBy(signed, found)) {
    return wrongWorkload(
      template.workload,
      `${found.kind} ${printValue(found.name ?? found.generateName ?? "")}`,
    );
  }
  const shape = ({ statefulSet, job }: Pick<SignedTemplate, "statefulSet" | "job">): JsonObject => ({
    ...(statefulSet === undefined ? {} : { statefulSet: { ...statefulSet } }),
    ...(job === undefined ? {} : { job: { ...job } }),
  });
  if (!equalJson(shape(template), shape(location))) {
    return deny(
      "wrong-workload",
      "the workload's serviceName, volumeClaimTemplates or completionMode are not what was signed",
    );
  }
  return { context: { source: "template" }, facts: {} };
}

function wrongWorkload(workload: WorkloadReference, found: string): DenyVerdict {
  const name = printValue(workload.name ?? workload.generateName ?? "");
  return deny("wrong-workload", `signed for ${workload.kind} ${name}, found ${found}`);
}

// ---------------------------------------------------------------------------------------------------------------

function expandLive(
  spec: JsonValue | undefined,
): { ok: true; spec: JsonObject } | { ok: false; refusal: DenyVerdict } {
  try {
    return { ok: true, spec: expand(spec) };
  } catch (error) {
    if (!(error instanceof SignedPodsError)) throw error;
    const refusal = denyProblems("pod-malformed", "the pod's spec does not fit the schema", error.problems);
    return { ok: false, refusal };
  }
}

/** In a StatefulSet's own template, volumes that its controller will replace are not compared. */
function withoutReplacedVolumes(subject: Subject, { statefulSet }: SignedTemplate): JsonValue | undefined {
  return subject.kind === "template" && isJsonObject(subject.spec)
    ? withoutClaimVolumes(subject.spec, statefulSet)
    : subject.spec;
}

/** On the node signed labels and annotations win; whoever reads a manifest should know where it says otherwise. */
function metadataWarnings(template: SignedTemplate, metadata: JsonObject): string[] {
  const warnings: string[] = [];
  for (const map of ["labels", "annotations"] as const) {
    const found = objectAt(metadata, map);
    for (const [key, value] of Object.entries(template.metadata[map])) {
      if (getOwn(found, key) === value) continue;
      warnings.push(`metadata.${map}[${key}] is not what was signed; on the node the signed value is used`);
    }
  }
  return warnings;
}

/** Controls other than tabs and line ends. */
// deno-lint-ignore no-control-regex
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;

function isExtraAnnotation(value: string): boolean {
  return value.length <= MAX_UNSIGNED_ANNOTATION_CHARACTERS && value.isWellFormed() && !CONTROLS.test(value);
}

/** Labels and annotations that are not signed, but whose keys the owner allowed. Values of no proper form are left out. */
function extraMetadata(
  { metadata: signed }: SignedTemplate,
  allow: readonly Permission[],
  metadata: JsonObject,
): { labels: Record<string, string>; annotations: Record<string, string>; permissions: string[] } {
  const found = { labels: objectAt(metadata, "labels"), annotations: objectAt(metadata, "annotations") };
  const extra: { labels: [string, string][]; annotations: [string, string][] } = {
    labels: [],
    annotations: [],
  };
  const permissions: string[] = [];
  for (const permission of allow) {
    if (permission.kind !== "label" && permission.kind !== "annotation") continue;
    const { kind, key } = permission;
    const map = kind === "label" ? "labels" : "annotations";
    const value = getOwn(found[map], key);
    if (typeof value !== "string" || Object.hasOwn(signed[map], key)) continue;
    if (!(kind === "label" ? isLabelValue(value) : isExtraAnnotation(value))) continue;
    extra[map].push([key, value]);
    permissions.push(formatPermission(permission));
  }
  return {
    labels: Object.fromEntries(extra.labels),
    annotations: Object.fromEntries(extra.annotations),
    permissions,
  };
}

function unansweredReferences(references: readonly AnsweredReference[]): Difference[] {
  return references.flatMap(({ reference, answer }) =>
    answer.kind === "missing"
      ? [{
        path: printable(reference.path),
        kind: "invalid",
        detail: printable(unansweredText(reference, answer.remedies)),
      }]
      : []
  );
}

function imagesWithoutDigest(spec: JsonObject): Difference[] {
  const found: Difference[] = [];
  const check = (path: string, image: JsonValue | undefined) => {
    if (typeof image === "string" && hasDigest(image)) return;
    found.push({ path, kind: "invalid", detail: `${printValue(image ?? "")} has no digest` });
  };
  for (const list of ["initContainers", "containers"]) {
    for (const { name, image } of objectsAt(spec, list)) check(`spec.${list}[${String(name)}].image`, image);
  }
  for (const { name, image } of objectsAt(spec, "volumes")) {
    if (isJsonObject(image)) check(`spec.volumes[${String(name)}].image.reference`, image.reference);
  }
  return found;
}

function denyProblems(
  code: "identity-conflict" | "pod-malformed" | "template-malformed",
  message: string,
  problems: readonly Problem[],
): DenyVerdict {
  return deny(
    code,
    message,
    problems.slice(0, MAX_DIFFERENCES).map((problem) => ({
      path: printable(problem.path),
      kind: "invalid",
      detail: printable(problem.message),
    })),
  );
}
