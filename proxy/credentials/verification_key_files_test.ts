import assert from "node:assert/strict";
import { issue, testPki } from "../fixture_test.ts";
import {
  MAX_FOLDER_ENTRIES,
  verificationKeyFiles,
  type VerificationKeySet,
} from "./verification_key_files.ts";

/** A tree of files in memory; a missing one fails. */
function tree(files: Record<string, string>, paths: string[]) {
  return verificationKeyFiles(paths, {
    readText: (path) => Promise.resolve(files[path] ?? assert.fail(`${path} is not there`)),
    stat(path) {
      const isDirectory = Object.keys(files).some((name) => name.startsWith(`${path}/`));
      return isDirectory || files[path] !== undefined || path === "/empty"
        ? Promise.resolve({ isDirectory: files[path] === undefined })
        : Promise.reject(new Error("is not there"));
    },
    list: (path) =>
      Promise.resolve([
        ...new Set(
          Object.keys(files).filter((name) => name.startsWith(`${path}/`))
            .map((name) => name.slice(path.length + 1).split("/")[0] ?? ""),
        ),
      ]),
    describe: (error) => (error instanceof Error ? error.message : "?"),
  });
}

async function read(files: Record<string, string>, paths = ["/trust"]) {
  const set = tree(files, paths);
  return await set.parse(await set.read());
}

async function keys(files: Record<string, string>, paths?: string[]): Promise<VerificationKeySet> {
  const parsed = await read(files, paths);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.value;
}

async function problems(files: Record<string, string>, paths?: string[]): Promise<string[]> {
  const parsed = await read(files, paths);
  assert.ok(!parsed.ok);
  assert.ok(parsed.problems.every(({ path }) => path === "--signature-verification-cert"));
  return parsed.problems.map(({ message }) => message.slice(0, message.indexOf(":")));
}

const { server: { certificate: a }, node: { certificate: b }, stranger: { certificate: c } } =
  await testPki();

/** Which file each trusted key came from, and for which namespaces. */
const scopes = ({ trusted }: VerificationKeySet) =>
  trusted.map(({ source, namespaces }) => [source, namespaces]);

Deno.test("a key may do what its place says", async () => {
  const found = await keys({
    "/trust/a.pem": a,
    "/trust/..data": "hidden",
    "/trust/namespaces/shop/b.pem": b,
    "/trust/namespaces/bank/b.pem": b,
    "/trust/revoked/c.pem": c,
  });
  assert.deepEqual(scopes(found), [
    ["/trust/a.pem", undefined],
    ["/trust/namespaces/shop/b.pem", ["bank", "shop"]],
  ]);
  assert.deepEqual(found.revoked.map(({ source }) => source), ["/trust/revoked/c.pem"]);
});

Deno.test("a revoked key is not trusted, wherever else it lies, and whoever certified it", async () => {
  const found = await keys({
    "/one.pem": a,
    "/trust/namespaces/shop/a.pem": a,
    "/trust/b.pem": b,
    "/trust/revoked/a.pem": a,
  }, ["/one.pem", "/trust/"]);
  assert.deepEqual(scopes(found), [["/trust/b.pem", undefined]]);
  assert.deepEqual(scopes(await keys({ "/trust/revoked/a.pem": a, "/trust/a.pem": a })), []);
});

Deno.test("the same key in two certificates is there twice, in two files of one certificate once", async () => {
  const renewed = await issue({ commonName: "renewed" });
  const found = await keys({ "/trust/1.pem": a + renewed.certificate, "/trust/2.pem": a });
  assert.equal(found.trusted.length, 2);
});

Deno.test("refuses a key whose place has no meaning", async () => {
  assert.deepEqual(await problems({ "/trust/a.pem": a, "/trust/namespace/shop/b.pem": b }), [
    '"/trust/namespace"',
  ]);
  assert.deepEqual(await problems({ "/trust/namespaces/b.pem": b }), ['"/trust/namespaces/b.pem"']);
  assert.deepEqual(await problems({ "/trust/namespaces/shop,bank/b.pem": b }), [
    '"/trust/namespaces/shop,bank"',
  ]);
  assert.deepEqual(await problems({ "/trust/namespaces/shop/more/b.pem": b }), [
    '"/trust/namespaces/shop/more"',
  ]);
  assert.deepEqual(await problems({ "/trust/revoked/more/b.pem": b }), ['"/trust/revoked/more"']);
});

Deno.test("refuses a key that is for one namespace and for all", async () => {
  assert.deepEqual(await problems({ "/trust/z.pem": a, "/trust/namespaces/shop/a.pem": a }), [
    '"/trust/namespaces/shop/a.pem"',
  ]);
});

Deno.test("refuses everything that is wrong, at once", async () => {
  assert.deepEqual(
    await problems({
      "/trust/half.pem": a.slice(0, -40),
      "/trust/empty.pem": "",
      "/trust/revoked/none.pem": "x",
    }, ["/trust", "/empty", "/gone"]),
    ['"/trust/empty.pem"', '"/trust/half.pem"', '"/trust/revoked/none.pem"', '"/empty"', '"/gone"'],
  );
  const many = Object.fromEntries(
    Array.from({ length: MAX_FOLDER_ENTRIES + 1 }, (_, number) => [`/trust/${number}`, a]),
  );
  assert.deepEqual(await problems(many), ['"/trust"']);
});
