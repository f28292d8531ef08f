/**
 * Recorded lists and watches, as they are and changed at random; and what was once found. FUZZ_SECONDS says for how long
 * (`make fuzz`), FUZZ_SEED begins as another run did.
 */
import assert from "node:assert/strict";
import { objectAt } from "@signed-pods/shared/json";
import { testPki } from "../../proxy/fixture_test.ts";
import { answersOf, type Finding, fuzz, replay, runInput, SocketWay, Subject } from "./fuzz.ts";
import { readRecordings } from "./recording.ts";

/** In `make test`; an aim is that it finds nothing, so it need not take long. */
const DEFAULT_SECONDS = 5;

const FINDINGS = new URL("findings/", import.meta.url);

const seconds = Number(Deno.env.get("FUZZ_SECONDS") ?? DEFAULT_SECONDS);
const seed = Number(Deno.env.get("FUZZ_SEED") ?? Math.floor(Math.random() * 2 ** 31));

async function subjects(): Promise<Subject[]> {
  const found = await Promise.all((await readRecordings()).map((recording) => Subject.of(recording)));
  assert.ok(found.length > 0);
  return found;
}

async function withWay(test: (way: SocketWay) => Promise<void>): Promise<void> {
  const way = new SocketWay(await testPki());
  await way.listen();
  try {
    await test(way);
  } finally {
    await way.close();
  }
}

Deno.test("all pods of the recordings are shown as they were signed, in the gate and over sockets", async () => {
  await withWay(async (way) => {
    for (const subject of await subjects()) {
      const names = subject.recording.grants.map(({ namespace, name }) => `${namespace}/${name}`).sort();
      for (
        const result of [
          await runInput(subject, subject.input),
          await way.run(subject, answersOf(subject.input)),
        ]
      ) {
        assert.deepEqual(result.problems, []);
        assert.deepEqual([...result.held].sort(), names);
        assert.ok(result.checks > 5);
        assert.ok([...result.features].some((feature) => feature.startsWith("pod-stopping")));
        assert.ok([...result.features].some((feature) => feature.startsWith("pod-refused unsigned")));
      }
    }
  });
});

Deno.test("a proxy that lets every pod through is found out", async () => {
  const [subject] = await subjects();
  assert.ok(subject !== undefined);
  const careless = new Subject(subject.recording, {
    verifyPod: (pod) =>
      Promise.resolve({
        decision: "allow",
        form: "spec",
        keyId: "0".repeat(64),
        signedHash: "0".repeat(64),
        spec: objectAt(pod, "spec"),
        labels: {},
        annotations: {},
        extraLabels: {},
        extraAnnotations: {},
        injected: [],
        warnings: [],
        permissions: [],
        references: [],
      }),
  });
  const { problems } = await runInput(careless, careless.input);
  assert.ok(problems.some((problem) => problem.includes("default/intruder")));
  assert.ok(problems.some((problem) => problem.includes("registry.example/evil:1")));
});

Deno.test("what was found once is not found again", async () => {
  await withWay(async (way) => {
    let count = 0;
    for await (const { name } of Deno.readDir(FINDINGS)) {
      if (!name.endsWith(".json")) continue;
      const finding: Finding = JSON.parse(await Deno.readTextFile(new URL(name, FINDINGS)));
      for (const subject of await subjects()) {
        const result = await replay(subject, way, finding);
        assert.deepEqual(result.problems, [], name);
      }
      count++;
    }
    console.log(`fuzz: ${count} findings replayed`);
  });
});

Deno.test(`random changes of recordings break nothing (FUZZ_SEED=${seed}, FUZZ_SECONDS=${seconds})`, async () => {
  await withWay(async (way) => {
    const { finding, ...report } = await fuzz(await subjects(), way, { seed, seconds });
    console.log(
      `fuzz: seed ${seed}, ${report.runs} runs, ${report.checks} checks of the invariant, ${report.features} ways to end, ${report.corpus} inputs kept`,
    );
    if (finding !== undefined) {
      const file = new URL(`${seed}-${report.runs}.json`, FINDINGS);
      await Deno.writeTextFile(file, `${JSON.stringify(finding, null, 1)}\n`);
      assert.fail(`a finding, kept in ${file.pathname}: ${finding.problems.join("\n")}`);
    }
    assert.ok(report.runs > 0 && report.features > 5);
  });
});
