import assert from "node:assert/strict";
import { fileProblem } from "./file_error.ts";

Deno.test("every reason names the file and what to do, and nothing of the runtime's", () => {
  const errors: [Error, string][] = [
    [
      new Deno.errors.NotFound("No such file or directory (os error 2): readfile 'k'"),
      '"k" does not exist; ',
    ],
    [new Deno.errors.NotADirectory("Not a directory (os error 20): readfile 'k'"), '"k" does not exist; '],
    [new Deno.errors.IsADirectory("Is a directory (os error 21): readfile 'k'"), '"k" is a folder; '],
    [new Deno.errors.PermissionDenied("Permission denied (os error 13)"), '"k": this user may not open it; '],
    [new Deno.errors.NotCapable("run again with the --allow-read flag"), "or with --allow-read=k"],
    [new Error("Input/output error (os error 5): readfile 'k'"), 'cannot read "k": Input/output error'],
  ];
  for (const [error, expected] of errors) {
    const text = fileProblem("podsign", "k", error);
    assert.ok(text.includes(expected), text);
    assert.ok(!/os error|readfile|run again/.test(text), text);
  }
});

Deno.test("files that no permission opens are not promised one", () => {
  for (const path of ["/dev/fd/63", "/proc/self/fd/3"]) {
    const text = fileProblem(
      "podsign",
      path,
      new Deno.errors.NotCapable("run again with the --allow-all flag"),
    );
    assert.ok(text.includes(path) && !text.includes("--allow"), text);
  }
});
