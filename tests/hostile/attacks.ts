/**
 * The attacks by number. Names of cases begin with one. Numbers are never given twice: a case that goes leaves its number.
 *
 * @module
 */

/** One way to attack. */
export interface Attack {
  number: number;
  /** What is tried. */
  title: string;
  /** Where it is tested, if not by cases here. */
  elsewhere?: string;
}

export const ATTACKS: readonly Attack[] = [
  { number: 1, title: "Documents that do not parse" },
  { number: 2, title: "Compressed answers" },
  { number: 3, title: "Other content types than JSON" },
  { number: 4, title: "Unusual statuses, redirects, failures" },
  { number: 5, title: "JSON that readers read differently" },
  { number: 6, title: "Kinds and lists that are none" },
  { number: 7, title: "A terminal phase, or a deletion, with a changed spec" },
  { number: 8, title: "Other ways to ask for pods" },
  { number: 9, title: "exec, attach, port-forward and run, through the proxy or by leave of the API server" },
  { number: 10, title: "Pods that change after admission" },
  { number: 11, title: "UIDs, names and namespaces that are shared, change hands, or are paths" },
  { number: 12, title: "Labels, annotations and other metadata that node and runtime obey" },
  { number: 13, title: "Status that steers the kubelet" },
  { number: 14, title: "Mirror pods that are none" },
  { number: 15, title: "Specs that are not what was signed" },
  { number: 16, title: "Signatures of something else, of somebody else, of another time" },
  { number: 17, title: "What a signed pod refers to" },
  { number: 18, title: "Refused pods that block their successors" },
  { number: 19, title: "Rejections that fail, or that meet another pod" },
  { number: 20, title: "Rejections without the node's credential" },
  { number: 21, title: "Refused pods that a controller makes anew for ever" },
  { number: 22, title: "Changes that the kubelet does not hear of" },
  { number: 23, title: "Keys and certificates that change or are half written" },
  { number: 24, title: "Pods that look as if they belonged to the system" },
  { number: 25, title: "A proxy that serves or trusts more than it was told" },
  { number: 26, title: "Credentials that rotate, or are not there" },
  { number: 27, title: "Streams that stall, end or lose something" },
  { number: 28, title: "Secrets in logs and messages" },
  { number: 34, title: "Connections and TLS" },
  { number: 35, title: "HTTP framing" },
  { number: 36, title: "Silence and slowness" },
  { number: 37, title: "Events of a watch that are none" },
  { number: 38, title: "Events in another order" },
  { number: 39, title: "Headers" },
  { number: 40, title: "Answers to what the kubelet writes" },
  { number: 41, title: "Answers about one pod" },
];

/** The attack that a case belongs to. */
export function attackOf(name: string): Attack | undefined {
  const number = Number(/^([0-9]+)-/.exec(name)?.[1]);
  return ATTACKS.find((attack) => attack.number === number);
}
