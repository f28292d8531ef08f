import assert from "node:assert/strict";
import {
  MAX_TOKEN_LENGTH,
  MAX_TOKENS,
  MIN_TOKEN_LENGTH,
  parseTokens,
  TokenFileError,
  UNNAMED_CLIENT,
} from "./tokens.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";

Deno.test("a file with one token alone has a client without a name of its own", async () => {
  for (const text of [TOKEN, `${TOKEN}\n`, `\n# made by openssl\r\n ${TOKEN} \r\n`]) {
    const tokens = await parseTokens(text);
    assert.equal(tokens.count, 1);
    assert.equal(await tokens.clientOf(TOKEN), UNNAMED_CLIENT);
  }
});

Deno.test("a file may name several clients, and a client may have several tokens", async () => {
  const text = `# people\nalice: ${TOKEN}a\nalice:${TOKEN}b\n\nci@example.com : ${TOKEN}==\n`;
  const tokens = await parseTokens(text);
  assert.equal(tokens.count, 3);
  assert.equal(await tokens.clientOf(`${TOKEN}a`), "alice");
  assert.equal(await tokens.clientOf(`${TOKEN}b`), "alice");
  assert.equal(await tokens.clientOf(`${TOKEN}==`), "ci@example.com");
  for (const other of [TOKEN, `${TOKEN}=`, `${TOKEN}A`, "", "alice", `alice:${TOKEN}a`]) {
    assert.equal(await tokens.clientOf(other), undefined, other);
  }
});

Deno.test("tokens of the shortest and the longest length, and as many as may be, are taken", async () => {
  for (const length of [MIN_TOKEN_LENGTH, MAX_TOKEN_LENGTH]) await parseTokens("a".repeat(length));
  const lines = Array.from({ length: MAX_TOKENS }, (_, index) => `a: ${TOKEN}${index}`);
  assert.equal((await parseTokens(lines.join("\n"))).count, MAX_TOKENS);
});

async function assertRefused(texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    await assert.rejects(parseTokens(text), (error) => {
      assert.ok(error instanceof TokenFileError, text);
      assert.ok(!error.message.includes(TOKEN), "a token is printed");
      return true;
    });
  }
}

Deno.test("refuses files without a token", async () => {
  await assertRefused(["", "\n", "# none\n"]);
});

Deno.test("refuses tokens that are too short, too long or no tokens", async () => {
  await assertRefused([
    "a".repeat(MIN_TOKEN_LENGTH - 1),
    "a".repeat(MAX_TOKEN_LENGTH + 1),
    `${TOKEN} x`,
    `${TOKEN}ä`,
    "alice:",
    `alice: "${TOKEN}"`,
    `alice: bob: ${TOKEN}`,
  ]);
});

Deno.test("refuses several tokens without names, and names that are none", async () => {
  await assertRefused([`${TOKEN}a\n${TOKEN}b`, `alice: ${TOKEN}a\n${TOKEN}b`]);
  for (const name of ["", "-a", "a-", "a b", "ä", "a".repeat(65), 'a"']) {
    await assertRefused([`${name}: ${TOKEN}`]);
  }
});

Deno.test("refuses one token with two names", async () => {
  await assertRefused([`alice: ${TOKEN}\nbob: ${TOKEN}`, `alice: ${TOKEN}\nalice: ${TOKEN}`]);
});

Deno.test("refuses more tokens than are compared with each request", async () => {
  await assertRefused([
    Array.from({ length: MAX_TOKENS + 1 }, (_, index) => `a: ${TOKEN}${index}`).join("\n"),
  ]);
});
