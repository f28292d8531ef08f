import assert from "node:assert/strict";
import fc from "fast-check";
import { settle } from "../tests/fakes/clock.ts";
import { MAX_READ_AHEAD_BYTES, type Piece, relayed, type Relaying } from "./watch_stream.ts";

/** An upstream that a test sends on, and what becomes of the watch. */
class Live {
  /** How often something was asked of upstream. */
  pulls = 0;
  cancelled = false;
  released = 0;
  readonly ending = new AbortController();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;

  open(take: Relaying["take"], onPull: () => void = () => {}): ReadableStream<Uint8Array> {
    const upstream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => {
        this.pulls++;
        onPull();
      },
      cancel: () => {
        this.cancelled = true;
      },
    }, { highWaterMark: 0 });
    const body = relayed(upstream, {
      end: this.ending.signal,
      release: () => void this.released++,
      silence: () => ({ wait: () => {}, heard: () => {}, end: () => {} }),
      ...(take === undefined ? {} : { take }),
    });
    assert.ok(body !== null);
    return body;
  }

  send(bytes: number[] | Uint8Array): void {
    this.#controller?.enqueue(new Uint8Array(bytes));
  }

  finish(): void {
    this.#controller?.close();
  }

  fail(): void {
    this.#controller?.error(new TypeError("connection reset"));
  }
}

function pieceOf(chunks: readonly Uint8Array[] | undefined): Piece {
  return {
    bytes: new Uint8Array((chunks ?? []).flatMap((chunk) => [...chunk])),
    ended: chunks === undefined,
  };
}

Deno.test("the first chunk is taken at once, and what comes behind it in the same turn together", async () => {
  const live = new Live();
  const taken: number[] = [];
  const body = live.open((chunks) => {
    taken.push(chunks?.length ?? 0);
    return pieceOf(chunks);
  });
  for (let byte = 0; byte < 5; byte++) {
    live.send([byte]);
  }
  live.finish();
  assert.deepEqual([...await new Response(body).bytes()], [0, 1, 2, 3, 4]);
  assert.deepEqual(taken, [1, 4, 0]);
});

Deno.test("what comes while something is judged is taken together, and no more is read than may be held", async () => {
  const live = new Live();
  const taken: number[] = [];
  const judging: PromiseWithResolvers<void>[] = [];
  const body = live.open(async (chunks) => {
    taken.push(chunks?.length ?? 0);
    const judged = Promise.withResolvers<void>();
    judging.push(judged);
    await judged.promise;
    return pieceOf(chunks);
  }, () => live.send(new Uint8Array(1024)));
  const reader = body.getReader();
  const first = reader.read();
  await settle();
  const held = MAX_READ_AHEAD_BYTES / 1024;
  assert.deepEqual([taken, live.pulls], [[1], 1 + held]);
  judging[0]?.resolve();
  assert.equal((await first).value?.length, 1024);
  await settle();
  assert.deepEqual([taken, live.pulls], [[1], 1 + held], "the kubelet has not asked for more");
  const second = reader.read();
  await settle();
  judging[1]?.resolve();
  assert.equal((await second).value?.length, MAX_READ_AHEAD_BYTES);
  assert.deepEqual(taken, [1, held]);
  await reader.cancel();
  assert.deepEqual([live.released, live.cancelled], [1, true]);
});

Deno.test("a failure upstream ends the watch cleanly, without its end being taken", async () => {
  const live = new Live();
  const ends: boolean[] = [];
  const body = live.open((chunks) => {
    ends.push(chunks === undefined);
    return pieceOf(chunks);
  });
  const bytes = new Response(body).bytes();
  live.send([1]);
  await settle();
  live.fail();
  assert.deepEqual([...await bytes], [1]);
  assert.deepEqual([ends, live.released], [[false], 1]);
});

for (const how of ["at once", "later"]) {
  Deno.test(`refuses to go on when taking fails ${how}: the watch breaks off, also upstream`, async () => {
    const live = new Live();
    const body = live.open(() => {
      if (how === "later") return Promise.reject(new Error("a defect"));
      throw new Error("a defect");
    });
    live.send([1]);
    await assert.rejects(new Response(body).bytes(), /a defect/);
    assert.deepEqual([live.released, live.cancelled], [1, true]);
  });
}

Deno.test("what is being judged when the watch ends is not sent", async () => {
  const live = new Live();
  let sent = 0;
  const judged = Promise.withResolvers<void>();
  const body = live.open(async (chunks) => {
    await judged.promise;
    return { ...pieceOf(chunks), sent: () => void sent++ };
  });
  const bytes = new Response(body).bytes();
  live.send([1]);
  await settle();
  live.ending.abort();
  judged.resolve();
  assert.equal((await bytes).length, 0);
  assert.deepEqual([sent, live.released], [0, 1]);
});

/** What an upstream does, and how the kubelet and the judge behave meanwhile. */
const SESSIONS = fc.record({
  chunks: fc.array(fc.uint8Array({ minLength: 1, maxLength: 8 }), { maxLength: 30 }),
  /** By chunk: nothing, or a turn in which others have theirs. */
  pauses: fc.array(fc.boolean(), { maxLength: 30 }),
  /** By taking: at once, later, or nothing comes of it until the next. */
  takings: fc.array(fc.constantFrom("at-once", "later", "hold"), { maxLength: 30 }),
  slowKubelet: fc.boolean(),
});

Deno.test("whatever is cut, judged and read how, all comes in order, and the watch ends once", async () => {
  await fc.assert(
    fc.asyncProperty(SESSIONS, async ({ chunks, pauses, takings, slowKubelet }) => {
      const live = new Live();
      let held: Uint8Array[] = [];
      let index = 0;
      const reader = live.open((taken) => {
        held.push(...taken ?? []);
        const how = taken === undefined ? "at-once" : takings[index++] ?? "at-once";
        if (how === "hold") return { bytes: new Uint8Array(0), ended: false };
        const piece = { ...pieceOf(held), ended: taken === undefined };
        held = [];
        return how === "later" ? turn().then(() => piece) : piece;
      }).getReader();
      const sending = (async () => {
        for (const [at, chunk] of chunks.entries()) {
          live.send(chunk);
          if (pauses[at]) await turn();
        }
        live.finish();
      })();
      const got: number[] = [];
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        got.push(...value);
        if (slowKubelet) await turn();
      }
      await sending;
      assert.deepEqual(got, chunks.flatMap((chunk) => [...chunk]));
      assert.equal(live.released, 1);
    }),
  );
});

/** Lets others have their turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
