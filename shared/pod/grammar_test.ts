import assert from "node:assert/strict";
import {
  isDigits,
  isDns1035Label,
  isDnsLabel,
  isDnsSubdomain,
  isIpAddress,
  isLabelValue,
  isQualifiedName,
  isResourceVersion,
  isTime,
  isUid,
  MAX_DNS_LABEL_LENGTH,
  MAX_DNS_SUBDOMAIN_LENGTH,
  MAX_LABEL_LENGTH,
} from "./grammar.ts";

const UID = "0f8fad5b-d9cb-469f-a165-70867728950e";
const L63 = "a".repeat(MAX_DNS_LABEL_LENGTH);
assert.equal(MAX_LABEL_LENGTH, MAX_DNS_LABEL_LENGTH);

const GRAMMARS: { name: string; is: (text: string) => boolean; good: string[]; bad: string[] }[] = [
  {
    name: "UIDs",
    is: isUid,
    good: [UID, "00000000-0000-0000-0000-000000000000"],
    bad: [
      "",
      UID.toUpperCase(),
      `${UID}\n`,
      ` ${UID}`,
      UID.replaceAll("-", ""),
      UID.slice(1),
      "../../../../../../../../../../../etc",
      "0f8fad5b-d9cb-469f-a165-70867728950g",
      "0f8fad5bd-9cb-469f-a165-70867728950e",
    ],
  },
  {
    name: "DNS labels",
    is: isDnsLabel,
    good: ["a", "0", "a-b", "a--b", L63],
    bad: ["", "-a", "a-", "A", "a.b", "a_b", "a\n", "é", `${L63}a`, "a/b", ".."],
  },
  {
    name: "DNS labels that begin with a letter",
    is: isDns1035Label,
    good: ["a", "a0", "a-b", L63],
    bad: ["", "0a", "-a", "a-", "A", "a=b", `${L63}a`, "a\n"],
  },
  {
    name: "DNS subdomains",
    is: isDnsSubdomain,
    good: ["a", "a.b", "0.1-2.c", `${L63}a.b`, `${"a.".repeat(126)}a`],
    bad: [
      "",
      ".",
      "a.",
      ".a",
      "a..b",
      "a.-b",
      "a.B",
      "a/b",
      "a\n",
      `${"a.".repeat(127)}a`,
      "a".repeat(MAX_DNS_SUBDOMAIN_LENGTH + 1),
    ],
  },
  {
    name: "IP addresses",
    is: isIpAddress,
    good: [
      "0.0.0.0",
      "255.255.255.255",
      "10.244.0.8",
      "::",
      "::1",
      "fd00:10:244::8",
      "FE80::1",
      "::ffff:10.0.0.1",
    ],
    bad: [
      "",
      "10.0.0",
      "10.0.0.256",
      "10.0.0.01",
      "0x0a.0.0.1",
      "167772161",
      " 10.0.0.1",
      "10.0.0.1\n",
      "10.0.0.1:80",
      "[::1]",
      "::1%eth0",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "::1::",
      "::1]/@example.com[",
      "fd00::/8",
      "localhost",
      ":".repeat(46),
    ],
  },
  {
    name: "qualified names",
    is: isQualifiedName,
    good: ["app", "app.kubernetes.io/name", "a/B_c.d-e", "A", `a.b/${L63}`],
    bad: ["", "/a", "a/", "a/b/c", "A/b", "a/-b", "a b", "a\n", "é", `${L63}a`, "a=b", "__proto__"],
  },
  {
    name: "label values",
    is: isLabelValue,
    good: ["", "a", "A_b.c-d", "0", L63],
    bad: ["-a", "a-", "a/b", "a b", "a\n", "é", `${L63}a`],
  },
  {
    name: "digits",
    is: isDigits,
    good: ["0", "7", "10", "999999999999999999"],
    bad: ["", "-1", "+1", "01", "1.0", "1e3", " 1", "1\n", "１", "1".repeat(19), "0x1"],
  },
  {
    name: "times",
    is: isTime,
    good: [
      "2026-01-31T12:00:00Z",
      "2024-02-29T00:00:00Z",
      "2000-02-29T23:59:59.123456789+14:00",
      "0001-01-01T00:00:00Z",
      "2026-12-31T00:00:00-00:30",
    ],
    bad: [
      "",
      "2026-01-31",
      "2026-01-31T12:00:00",
      "2026-01-31t12:00:00z",
      "2026-01-31 12:00:00Z",
      "2026-00-01T00:00:00Z",
      "2026-13-01T00:00:00Z",
      "2026-04-31T00:00:00Z",
      "2026-02-29T00:00:00Z",
      "1900-02-29T00:00:00Z",
      "2026-01-00T00:00:00Z",
      "2026-01-31T24:00:00Z",
      "2026-01-31T12:60:00Z",
      "2026-01-31T12:00:60Z",
      "2026-01-31T12:00:00.Z",
      "2026-01-31T12:00:00.1234567890Z",
      "2026-01-31T12:00:00+24:00",
      "2026-01-31T12:00:00+01:60",
      "2026-01-31T12:00:00Z\n",
      "12026-01-31T12:00:00Z",
    ],
  },
  {
    name: "resourceVersions",
    is: isResourceVersion,
    good: ["0", "1", "007", "18446744073709551615"],
    bad: ["", "-1", "1.0", "0x1", "1\n", "１", "1".repeat(21)],
  },
];

for (const { name, is, good, bad } of GRAMMARS) {
  Deno.test(`admits ${name}`, () => {
    for (const text of good) assert.ok(is(text), text);
  });
  Deno.test(`refuses what are no ${name}`, () => {
    for (const text of bad) assert.ok(!is(text), JSON.stringify(text));
  });
}

Deno.test("grammars take linear time", () => {
  const long = `${"a".repeat(1_000_000)}!`;
  const started = performance.now();
  for (const { is } of GRAMMARS) assert.ok(!is(long));
  assert.ok(performance.now() - started < 1000);
});
