/**
 * The commands with which docs/signing.md signs the usual shapes of charts, run as they stand there: a node that enforces
 * references admits what comes out, and takes no other content. README shows the first two.
 */
import assert from "node:assert/strict";
import { parseAllDocuments } from "yaml";
import { isJsonObject, type JsonObject } from "@signed-pods/shared/json";
import { readVerificationKeys } from "@signed-pods/shared/keys";
import { judgeContent } from "@signed-pods/shared/pod/content";
import { createVerifier } from "@signed-pods/shared/pod/verify";
import { issue } from "../../proxy/fixture_test.ts";
import { objectOf } from "../fakes/owner.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** The commands of a section, each with the arguments of podsign, that sign an example of what pods refer to. */
async function commands(page = "docs/signing.md", title = "What a pod refers to"): Promise<string[][]> {
  const [, section = ""] = (await Deno.readTextFile(ROOT + page)).split(`\n## ${title}\n`);
  return [...section.split("\n## ")[0]?.matchAll(/^bin\/podsign (.*) \| kubectl apply -f -$/gm) ?? []]
    .map(([, args = ""]) => args.split(" "));
}

async function podsign(args: string[], key: string): Promise<{ objects: JsonObject[]; said: string }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "-A", "cli/main.ts", ...args.map((arg) => arg === "signing.key" ? key : arg)],
    cwd: ROOT,
  }).output();
  const said = new TextDecoder().decode(stderr);
  assert.ok(success, said);
  const documents = parseAllDocuments(new TextDecoder().decode(stdout)).map((document) => document.toJS());
  return { objects: documents.filter(isJsonObject), said };
}

/** As the API server serves it: a Secret's stringData has become data. */
function served(object: JsonObject): JsonObject {
  const { stringData, ...rest } = object;
  return stringData === undefined ? object : {
    ...rest,
    data: Object.fromEntries(
      Object.entries(objectOf(stringData)).map(([key, text]) => [key, btoa(String(text))]),
    ),
  };
}

function changed(object: JsonObject): JsonObject {
  const evil = object["kind"] === "Secret" ? btoa("intruder") : "intruder";
  return {
    ...object,
    data: Object.fromEntries(Object.keys(objectOf(object["data"])).map((key) => [key, evil])),
  };
}

Deno.test("README shows a web server with its ConfigMap and a database with a Secret and a claim, as docs/signing.md does", async () => {
  const shown = await commands();
  assert.deepEqual(shown.map((args) => args.at(-1)), [
    "examples/web-server.yaml",
    "examples/database.yaml",
    "examples/web-server.yaml",
  ]);
  assert.deepEqual((await commands("README.md", "Sign")).slice(1), shown.slice(0, 2));
});

for (const args of await commands()) {
  Deno.test(`podsign ${args.join(" ")}: a node admits what comes out, and no other content`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      const owner = await issue({ commonName: "owner" });
      await Deno.writeTextFile(`${folder}/key`, owner.key);
      const keys = await readVerificationKeys(owner.certificate, "test");
      const { objects, said } = await podsign(args, `${folder}/key`);
      assert.doesNotMatch(said, /neither pinned nor allowed/);
      const verifier = createVerifier({
        keys,
        acceptForms: new Set(["template"]),
        requireDigests: true,
        references: "enforce",
      });
      const now = new Date();
      const later = { now: new Date(now.getTime() + 1_000) };
      let compared = 0;
      for (const workload of objects.filter(({ spec }) => spec !== undefined)) {
        for (const { verdict } of await verifier.verifyObject(workload, later)) {
          assert.ok(verdict.decision === "allow", JSON.stringify(verdict));
          for (const object of objects.filter(({ kind }) => kind === "ConfigMap" || kind === "Secret")) {
            const kind = object["kind"] === "Secret" ? "Secret" : "ConfigMap";
            const { name } = objectOf(object["metadata"]);
            const references = verdict.references.filter(({ reference }) =>
              reference.kind === kind && reference.name === name
            );
            assert.ok(references.length > 0, String(name));
            const good = await judgeContent(kind, served(object), references, { keys, ...later });
            assert.equal(good.decision, "allow", JSON.stringify(good));
            const bad = await judgeContent(kind, changed(served(object)), references, { keys, ...later });
            assert.ok(bad.decision === "deny" && bad.code === "content-differs", JSON.stringify(bad));
            compared++;
          }
        }
      }
      assert.equal(compared, 1);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
