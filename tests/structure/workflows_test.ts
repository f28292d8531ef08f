/** Workflows of the forge: what they run is pinned, what they may do is said for each job, and what they call exists. */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { isJsonObject, type JsonObject, type JsonValue } from "../../shared/json.ts";

const ROOT = new URL("../../", import.meta.url);
const FOLDER = new URL(".github/workflows/", ROOT);

/** Every write that a job may be given. Others need a reason, and a line here. */
const WRITES: Record<string, readonly string[]> = {
  "release.yaml attest": ["attestations", "id-token"],
  "release.yaml publish": ["contents"],
  "jsr.yaml publish": ["id-token"],
};

interface Job {
  /** File and name of the job. */
  name: string;
  job: JsonObject;
  steps: JsonObject[];
}

interface Workflow {
  file: string;
  text: string;
  document: JsonObject;
  jobs: Job[];
}

function objectOf(value: JsonValue | undefined, what: string): JsonObject {
  assert.ok(value !== undefined && isJsonObject(value), `${what} is no mapping`);
  return value;
}

/** Reads one workflow. */
function readWorkflow(file: string, text: string): Workflow {
  const document = objectOf(parse(text), file);
  const jobs = Object.entries(objectOf(document.jobs, `${file} jobs`)).map(([key, value]) => {
    const name = `${file} ${key}`;
    const job = objectOf(value, name);
    assert.ok(Array.isArray(job.steps), `${name} has no steps`);
    return { name, job, steps: job.steps.map((step) => objectOf(step, name)) };
  });
  return { file, text, document, jobs };
}

const workflows = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort().map((name) =>
  readWorkflow(name, Deno.readTextFileSync(new URL(name, FOLDER)))
);

/** What is wrong with a workflow. */
function problemsOf({ file, text, document, jobs }: Workflow): string[] {
  const problems: string[] = [];
  const rights = document.permissions;
  if (rights === undefined || !isJsonObject(rights) || Object.keys(rights).length > 0) {
    problems.push(`${file}: permissions of the whole workflow are not {}`);
  }
  for (const { name, job, steps } of jobs) {
    if (job.permissions === undefined || !isJsonObject(job.permissions)) {
      problems.push(`${name}: no permissions`);
    } else {
      const writes = Object.entries(job.permissions).filter(([, level]) => level !== "read").map(([key]) =>
        key
      ).sort();
      if (writes.join() !== (WRITES[name] ?? []).join()) problems.push(`${name}: may write ${writes.join()}`);
    }
    if (typeof job["timeout-minutes"] !== "number") problems.push(`${name}: no timeout-minutes`);
    if (job.uses !== undefined) problems.push(`${name}: calls another workflow`);
    for (const { uses, with: inputs, run } of steps) {
      if (typeof uses === "string" && !/^[\w.-]+\/[\w./-]+@[0-9a-f]{40}$/.test(uses)) {
        problems.push(`${name}: ${uses} is not pinned`);
      }
      if (typeof uses === "string" && !new RegExp(`uses: ${uses} # v\\d+\\.\\d+\\.\\d+$`, "m").test(text)) {
        problems.push(`${name}: ${uses} does not say its version`);
      }
      if (typeof uses === "string" && uses.startsWith("actions/checkout@")) {
        const kept = inputs !== undefined && isJsonObject(inputs) ? inputs["persist-credentials"] : undefined;
        if (kept !== false) problems.push(`${name}: leaves its token in the checkout`);
      }
      if (typeof run === "string" && run.includes("${{")) {
        problems.push(`${name}: an expression is a part of a script`);
      }
    }
  }
  return problems;
}

Deno.test("workflows are pinned to commits, and each job has the rights that it needs", () => {
  assert.deepEqual(workflows.map(({ file }) => file), ["jsr.yaml", "release.yaml", "test.yaml"]);
  assert.deepEqual(workflows.flatMap(problemsOf), []);
});

Deno.test("one action is one commit in all workflows", () => {
  const commits = new Map<string, Set<string>>();
  for (const { text } of workflows) {
    for (const [, action = "", rest = ""] of text.matchAll(/uses: ([^@\s]+)@(.*)$/gm)) {
      commits.set(action, (commits.get(action) ?? new Set()).add(rest));
    }
  }
  assert.ok(commits.size >= 3);
  assert.deepEqual([...commits].filter(([, found]) => found.size > 1), []);
});

Deno.test("make targets that workflows and README name exist", async () => {
  const makefile = await Deno.readTextFile(new URL("Makefile", ROOT));
  const targets = new Set(
    [...makefile.matchAll(/^([a-z-]+(?: [a-z-]+)*):/gm)].flatMap(([, names = ""]) => names.split(" ")),
  );
  const named = workflows.flatMap(({ jobs }) =>
    jobs.flatMap(({ steps }) =>
      steps.flatMap(({ run }) =>
        typeof run === "string" ? [...run.matchAll(/\bmake ([a-z-]+)/g)].map(([, target = ""]) => target) : []
      )
    )
  );
  assert.ok(named.length > 5);
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  named.push(...[...readme.matchAll(/`make ([a-z-]+)`/g)].map(([, target = ""]) => target));
  assert.deepEqual(named.filter((target) => !targets.has(target)), []);
});

const GOOD = `permissions: {}
jobs:
  test:
    timeout-minutes: 5
    permissions: {contents: read}
    steps:
      - uses: actions/checkout@0123456789012345678901234567890123456789 # v1.2.3
        with: {persist-credentials: false}
      - run: make test
`;

Deno.test("the workflow that the refusals below begin with is in order", () => {
  assert.deepEqual(problemsOf(readWorkflow("test.yaml", GOOD)), []);
});

const BAD: [name: string, from: string, to: string, problem: RegExp][] = [
  ["a tag for a commit", "0123456789012345678901234567890123456789 # v1.2.3", "v1", /is not pinned/],
  ["a short commit", "0123456789012345678901234567890123456789", "0123456", /is not pinned/],
  ["a commit without its version", " # v1.2.3", "", /does not say its version/],
  ["a job without permissions", "    permissions: {contents: read}\n", "", /no permissions/],
  ["a job that may write", "contents: read", "contents: write", /may write contents/],
  ["all permissions", "{contents: read}", "write-all", /no permissions/],
  ["a workflow whose permissions are the default", "permissions: {}\n", "", /not \{\}/],
  ["a job without an end", "    timeout-minutes: 5\n", "", /no timeout/],
  ["a token that stays", "{persist-credentials: false}", "{fetch-depth: 1}", /leaves its token/],
  ["an expression in a script", "make test", "make ${{ github.ref }}", /expression/],
];
for (const [name, from, to, problem] of BAD) {
  Deno.test(`refuses ${name}`, () => {
    assert.ok(GOOD.includes(from));
    assert.match(problemsOf(readWorkflow("test.yaml", GOOD.replace(from, to))).join("\n"), problem);
  });
}
