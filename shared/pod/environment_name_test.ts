import assert from "node:assert/strict";
import { isHarmlessVariable } from "./environment_name.ts";

Deno.test("settings of programs are harmless", () => {
  for (
    const name of [
      "LOG_LEVEL",
      "_x1",
      "DATABASE_URL",
      "pathology",
      "ENVIRONMENT",
      "PATHS",
      "ASPNETCORE_URLS",
      "PIPELINE",
    ]
  ) {
    assert.ok(isHarmlessVariable(name), name);
  }
});

const OBEYED = [
  "LD_PRELOAD",
  "ld_preload",
  "LD_AUDIT",
  "PATH",
  "Path",
  "BASH_ENV",
  "ENV",
  "NODE_OPTIONS",
  "PYTHONPATH",
  "PERL5OPT",
  "RUBYOPT",
  "JAVA_TOOL_OPTIONS",
  "GIT_SSH_COMMAND",
  "GCONV_PATH",
  "ERL_LIBS",
  "MONO_PATH",
  "NVIDIA_VISIBLE_DEVICES",
  "ASPNETCORE_HOSTINGSTARTUPASSEMBLIES",
  "MAKEFLAGS",
  "TAR_OPTIONS",
  "KRB5_CONFIG",
  "VIMINIT",
];

for (const name of OBEYED) {
  Deno.test(`refuses ${name}, which is obeyed`, () => assert.ok(!isHarmlessVariable(name)));
}

for (const name of ["", "1A", "a-b", "a.b", "a=b", "a b", "BASH_FUNC_x%%", "ä", "a\n", "A".repeat(507)]) {
  Deno.test(`refuses ${JSON.stringify(name.slice(0, 20))}, which is no C identifier`, () =>
    assert.ok(!isHarmlessVariable(name)));
}
