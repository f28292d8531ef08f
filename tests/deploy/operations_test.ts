/** docs/operations.md: every command in it is run, in its order, on a node in a folder. */
import assert from "node:assert/strict";
import { attempt, run } from "../cluster/programs.ts";
import { REPOSITORY, withNode } from "./node.ts";

const POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\n" +
  "spec: {containers: [{name: app, image: registry.example/app}]}\n";

interface Block {
  code: string;
  exitCode: number;
  section: string;
}

/** The blocks of commands; a comment before one says if it ends with another code than 0. */
function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  let section = "";
  const pattern = /^## (.*)$|(?:^ *<!-- exits with (\d+) -->\n)?^( *)```(\w*)\n([^]*?)^ *```$/gm;
  for (const [, heading, exitCode = "0", indent = "", language, code = ""] of text.matchAll(pattern)) {
    if (heading !== undefined) {
      section = heading;
      continue;
    }
    assert.equal(language, "sh", `a block of ${section} is not run`);
    blocks.push({
      section,
      exitCode: Number(exitCode),
      code: code.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
    });
  }
  return blocks;
}

const skip = Deno.build.os !== "linux" || Deno.uid() !== 0;
if (skip) console.log("Skipping the commands of docs/operations.md: they need root on Linux");

Deno.test({
  name: "every command of the operator's page does what the page says",
  ignore: skip,
  fn: () =>
    withNode(async (node) => {
      const folder = await Deno.makeTempDir();
      try {
        await Deno.symlink(`${REPOSITORY}deploy`, `${folder}/deploy`);
        await Deno.mkdir(`${folder}/bin`);
        await Deno.symlink(`${REPOSITORY}bin/podsign`, `${folder}/bin/podsign`);
        await Deno.copyFile(node.trust, `${folder}/signing.pem`);
        await Deno.copyFile(node.trust, `${folder}/signing-new.pem`);
        await run("openssl", [
          ...[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
          ],
          ...["-subj", "/O=system:nodes/CN=system:node:worker", "-keyout", `${folder}/node.key`],
          ...["-out", `${node.root}/var/lib/kubelet/pki/kubelet-client-2026-01-01-00-00-00.pem`],
        ]);
        const before = await node.files();
        const env = {
          ...node.environment,
          KUBECONFIG: `${node.root}/etc/kubernetes/admin.conf`,
          LISTEN_ADDRESS: node.listenAddress,
        };
        const text = await Deno.readTextFile(`${REPOSITORY}docs/operations.md`);
        const flags = () => Deno.readTextFile(`${node.root}/etc/kubelet-proxy/flags.env`);
        const trusted = () =>
          [...Deno.readDirSync(`${node.root}/etc/kubelet-proxy/trusted`)].map(({ name }) => name).sort();
        const blocks = blocksOf(text);
        assert.ok(blocks.length >= 12, `${blocks.length} blocks`);
        let section = "";
        for (const block of blocks) {
          if (block.section !== section) {
            section = block.section;
            const version = section === "Upgrade" || section === "Uninstall" ? "2.0.0" : "1.0.0";
            await Deno.remove(`${folder}/bin/kubelet-proxy`).catch(() => {});
            await Deno.symlink(await node.program(version), `${folder}/bin/kubelet-proxy`);
            await Deno.writeTextFile(`${node.root}/pods/web.yaml`, POD);
          }
          const code = block.code.replace(/(?<=[\s"])\/(?=etc\/|var\/|run\/|usr\/)/g, `${node.root}/`);
          const { code: exitCode, stdout, stderr } = await attempt(
            "bash",
            ["-euo", "pipefail", "-c", `cd "$0"\n${code}`, folder],
            { env },
          );
          assert.equal(exitCode, block.exitCode, `${section}: ${code}\n${stdout}\n${stderr}`);
          if (code.includes("--mode=enforce/ ")) assert.match(await flags(), /--mode=enforce/);
          if (code.includes("--mode=audit/ ")) assert.match(await flags(), /--mode=audit/);
          if (code.includes("rm ")) assert.deepEqual(trusted(), ["signing-new.pem"]);
          if (code.includes("revoked/")) assert.deepEqual(trusted(), ["revoked", "signing-new.pem"]);
          if (code.startsWith("openssl")) assert.match(stdout, /^notAfter=/);
          if (section === "Upgrade" && code.includes("is-active")) {
            assert.match(
              await Deno.readLink(`${node.root}/usr/local/lib/kubelet-proxy/current`),
              /^2\.0\.0-/,
            );
          }
        }
        assert.deepEqual(await node.files(), before);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    }),
});
