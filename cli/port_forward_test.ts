import assert from "node:assert/strict";
import type { ChildProcess } from "./effects.ts";
import { InputError } from "./input_error.ts";
import { MAX_OUTPUT_CHARACTERS, openPortForward } from "./port_forward.ts";

interface FakeKubectl {
  spawn: (program: string, args: readonly string[]) => ChildProcess;
  started: string[][];
  stopped: number;
  say(text: string): void;
  end(): void;
}

function fakeKubectl(errors = ""): FakeKubectl {
  const ended = Promise.withResolvers<void>();
  let output: ReadableStreamDefaultController<Uint8Array> | undefined;
  const stdout = new ReadableStream<Uint8Array>({
    start: (controller) => {
      output = controller;
    },
  });
  const fake: FakeKubectl = {
    started: [],
    stopped: 0,
    say: (text) => output?.enqueue(new TextEncoder().encode(text)),
    end: () => {
      output?.close();
      ended.resolve();
    },
    spawn: (program, args) => {
      fake.started.push([program, ...args]);
      return {
        stdout,
        stderr: new Blob([errors]).stream(),
        ended: ended.promise,
        stop: () => {
          fake.stopped += 1;
          ended.resolve();
        },
      };
    },
  };
  return fake;
}

Deno.test("kubectl chooses a local port and is stopped at the end", async () => {
  const kubectl = fakeKubectl();
  const opening = openPortForward(kubectl, "signing/server");
  for (
    const piece of ["Forwarding from 127.0.0.1:4", "1234 -> 8080", "\nForwarding from [::1]:1 -> 8080\n"]
  ) {
    kubectl.say(piece);
  }
  const forward = await opening;
  assert.equal(forward.url, "http://127.0.0.1:41234");
  assert.deepEqual(kubectl.started, [
    "kubectl port-forward --address 127.0.0.1 --namespace signing service/server :8080".split(" "),
  ]);
  assert.equal(kubectl.stopped, 0);
  await forward.close();
  assert.equal(kubectl.stopped, 1);
});

Deno.test("another port of the service may be named", async () => {
  const kubectl = fakeKubectl();
  kubectl.say("Forwarding from 127.0.0.1:5 -> 443\n");
  await (await openPortForward(kubectl, "a/b:443")).close();
  assert.equal(kubectl.started[0]?.at(-1), ":443");
});

Deno.test("refuses targets of another form, also those that kubectl would take for flags", async () => {
  for (const target of ["", "server", "a/b/c", "-a/b", "a/-b", "a/b:x", "A/b", "a/b c", "a/--kubeconfig=x"]) {
    await assert.rejects(openPortForward(fakeKubectl(), target), InputError, target);
  }
});

Deno.test("refuses with kubectl's words when it fails", async () => {
  const kubectl = fakeKubectl('services "b" not found\n');
  kubectl.end();
  await assert.rejects(
    openPortForward(kubectl, "a/b"),
    (error) => error instanceof InputError && error.message.includes("not found"),
  );
});

Deno.test("refuses with kubectl's last line alone, without controls", async () => {
  const kubectl = fakeKubectl('E0101 memcache.go: trying\r\n\u001b[31merror:\tservices "b" not found\n\n');
  kubectl.end();
  await assert.rejects(
    openPortForward(kubectl, "a/b"),
    (error) =>
      error instanceof InputError && /: {1,2}\[31merror: services "b" not found$/.test(error.message),
  );
});

Deno.test("refuses when kubectl does not get ready in time, and stops it", async () => {
  const kubectl = fakeKubectl();
  await assert.rejects(openPortForward(kubectl, "a/b", 10), InputError);
  assert.equal(kubectl.stopped, 1);
});

Deno.test("refuses output without end", async () => {
  const kubectl = fakeKubectl();
  kubectl.say("x".repeat(MAX_OUTPUT_CHARACTERS + 1));
  await assert.rejects(openPortForward(kubectl, "a/b"), InputError);
  assert.equal(kubectl.stopped, 1);
});

Deno.test("refuses when kubectl cannot be started", async () => {
  const failures: [Error, RegExp][] = [
    [new Deno.errors.NotFound("Failed to spawn 'kubectl': entity not found"), /none on PATH/],
    [new Deno.errors.NotCapable("run again with the --allow-run flag"), /--allow-run=kubectl$/],
    [new Deno.errors.PermissionDenied("Permission denied (os error 13)"), /owner and mode$/],
    [new Error("Exec format error (os error 8)"), /: Exec format error$/],
  ];
  for (const [failure, expected] of failures) {
    const spawn = () => {
      throw failure;
    };
    await assert.rejects(
      openPortForward({ spawn }, "a/b"),
      (error) => error instanceof InputError && expected.test(error.message),
    );
  }
});
