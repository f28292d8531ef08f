/**
 * The grammars of short strings that Kubernetes defines: names, labels, identifiers, times. Each predicate is
 * anchored at both ends and takes time linear in the length of the text, which it bounds first.
 *
 * @module
 */

/** Longest DNS label (RFC 1123 section 2.1), in characters. */
export const MAX_DNS_LABEL_LENGTH = 63;

/** Longest DNS subdomain that Kubernetes admits, in characters (apimachinery `validation.DNS1123SubdomainMaxLength`). */
export const MAX_DNS_SUBDOMAIN_LENGTH = 253;

/** Longest name part of a qualified name, and longest label value, in characters. */
export const MAX_LABEL_LENGTH = 63;

/** Most decimal digits that always fit an int64. */
const MAX_DIGITS = 18;

const UID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const DNS_LABEL = /^[0-9a-z](?:[0-9a-z-]*[0-9a-z])?$/;
const DNS_1035_LABEL = /^[a-z](?:[0-9a-z-]*[0-9a-z])?$/;
const CONFIG_MAP_KEY = /^[-._0-9A-Za-z]+$/;
const LABEL = /^[0-9A-Za-z](?:[0-9A-Za-z_.-]*[0-9A-Za-z])?$/;
const DIGITS = /^(?:0|[1-9][0-9]*)$/;
const RESOURCE_VERSION = /^[0-9]{1,20}$/;
const OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);
/** The longest form, with an IPv4 address at its end, has 45 characters. */
const IPV6_CHARACTERS = /^[0-9A-Fa-f:.]{2,45}$/;
const TIME =
  /^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]{1,9})?(?:Z|[+-]([0-9]{2}):([0-9]{2}))$/;

/**
 * Whether this is a UUID in the lower-case form that the API server gives every object as its UID (RFC 4122
 * section 3). The kubelet makes host paths of a pod's UID without looking at it.
 */
export function isUid(text: string): boolean {
  return text.length === 36 && UID.test(text);
}

/** Whether this is an RFC 1123 DNS label: the form of names of namespaces, containers and volumes. */
export function isDnsLabel(text: string): boolean {
  return text.length <= MAX_DNS_LABEL_LENGTH && DNS_LABEL.test(text);
}

/** Whether this is an RFC 1035 DNS label, which begins with a letter: the form of names of Services. */
export function isDns1035Label(text: string): boolean {
  return text.length <= MAX_DNS_LABEL_LENGTH && DNS_1035_LABEL.test(text);
}

/**
 * Whether this is an RFC 1123 DNS subdomain as Kubernetes reads it (apimachinery `IsDNS1123Subdomain`): the form of
 * names of pods and most other objects. Its parts may be longer than 63 characters.
 */
export function isDnsSubdomain(text: string): boolean {
  return text.length <= MAX_DNS_SUBDOMAIN_LENGTH && text.split(".").every((part) => DNS_LABEL.test(part));
}

/**
 * Whether this is a qualified name (apimachinery `IsQualifiedName`), the form of keys of labels and annotations:
 * an optional DNS subdomain and `/`, then up to 63 letters, digits, `-`, `_` and `.`.
 */
export function isQualifiedName(text: string): boolean {
  const slash = text.indexOf("/");
  if (slash >= 0 && !isDnsSubdomain(text.slice(0, slash))) return false;
  const name = text.slice(slash + 1);
  return name.length <= MAX_LABEL_LENGTH && LABEL.test(name);
}

/**
 * Whether this is a key of a ConfigMap or a Secret (apimachinery `IsConfigMapKey`): the name of a file that is a file, in
 * letters, digits, `-`, `_` and `.`, and neither `.` nor anything that begins with `..`.
 */
export function isConfigMapKey(text: string): boolean {
  return text.length <= MAX_DNS_SUBDOMAIN_LENGTH && CONFIG_MAP_KEY.test(text) && text !== "." &&
    !text.startsWith("..");
}

/** Whether this is a label's value (apimachinery `IsValidLabelValue`). It may be empty. */
export function isLabelValue(text: string): boolean {
  return text === "" || (text.length <= MAX_LABEL_LENGTH && LABEL.test(text));
}

/** Whether this is a decimal integer from 0 below 10^18, without sign and leading zeros: the form of ordinals. */
export function isDigits(text: string): boolean {
  return text.length <= MAX_DIGITS && DIGITS.test(text);
}

/**
 * Whether this is a resourceVersion as kube-apiserver makes it: an unsigned 64-bit integer in decimal. To clients it is
 * opaque, but all that etcd gives are digits.
 */
export function isResourceVersion(text: string): boolean {
  return RESOURCE_VERSION.test(text);
}

/**
 * Whether this is an IP address as Kubernetes reads it (Go `netip.ParseAddr`): four decimal numbers without leading zeros,
 * or an IPv6 address (RFC 4291 section 2.2) without a zone.
 */
export function isIpAddress(text: string): boolean {
  return IPV4.test(text) || (IPV6_CHARACTERS.test(text) && URL.canParse(`http://[${text}]/`));
}

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * Whether this is a time as Kubernetes reads it: RFC 3339 section 5.6 in upper case, a date that exists, no leap
 * seconds, at most nanoseconds (Go `time.Parse(time.RFC3339, …)`, which `metav1.Time` uses).
 */
export function isTime(text: string): boolean {
  const match = TIME.exec(text);
  if (match === null) return false;
  // The parts by their places, since pods have many times.
  const year = Number(match[1]);
  const month = Number(match[2]);
  const day = Number(match[3]);
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = month === 2 && leap ? 29 : DAYS[month - 1] ?? 0;
  return day >= 1 && day <= days && Number(match[4]) < 24 && Number(match[5]) < 60 && Number(match[6]) < 60 &&
    Number(match[7] ?? 0) < 24 && Number(match[8] ?? 0) < 60;
}
