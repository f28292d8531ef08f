import assert from "node:assert/strict";
import { ManualClock } from "../../tests/fakes/clock.ts";
import type { ByteConnection } from "./connection.ts";
import { MAX_RESPONSE_HEAD_BYTES, READ_BUFFER_BYTES } from "./connection.ts";
import {
  createHttpClient,
  type HttpRequest,
  MAX_INTERIM_ANSWERS,
  MAX_WHOLE_BODY_BYTES,
  StreamedResponse,
} from "./http_client.ts";
import { WholeResponse } from "../whole_response.ts";
import { HttpClientError, type HttpClientFailure } from "./http_client_error.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The server's end of a connection in memory. */
class FakeConnection implements ByteConnection {
  #incoming: (Uint8Array | null)[] = [];
  #wake = () => {};
  /** What the client has written. */
  sent = "";
  closed = false;

  /** Sends text to the client; null ends the connection. */
  say(...pieces: (string | null)[]): void {
    this.#incoming.push(...pieces.map((piece) => piece === null ? null : encoder.encode(piece)));
    this.#wake();
  }

  async read(into: Uint8Array): Promise<number | null> {
    for (;;) {
      if (this.closed) {
        throw new Deno.errors.BadResource("closed");
      }
      const [first] = this.#incoming;
      if (first === null) {
        return null;
      }
      if (first !== undefined) {
        const bytes = first.subarray(0, into.length);
        into.set(bytes);
        if (bytes.length === first.length) this.#incoming.shift();
        else this.#incoming[0] = first.subarray(bytes.length);
        return bytes.length;
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }

  write(bytes: Uint8Array): Promise<number> {
    if (this.closed) {
      return Promise.reject(new Deno.errors.BadResource("closed"));
    }
    // As a socket may: a part only.
    const part = bytes.subarray(0, Math.max(1, Math.ceil(bytes.length / 2)));
    this.sent += decoder.decode(part);
    return Promise.resolve(part.length);
  }

  close(): void {
    assert.equal(this.closed, false, "closed twice");
    this.closed = true;
    this.#wake();
  }
}

function setUp({ maxIdle = 8 } = {}) {
  const connections: FakeConnection[] = [];
  const servers: string[] = [];
  const clock = new ManualClock();
  const client = createHttpClient({
    connect(server) {
      const connection = new FakeConnection();
      connections.push(connection);
      servers.push(server.href);
      return Promise.resolve(connection);
    },
    clock,
    maxIdle,
    idleTimeoutMs: 30_000,
  });
  const ask = (over: Partial<HttpRequest> = {}, path = "/a?b=c") =>
    client.fetch(`https://api.example:6443${path}`, { method: "GET", headers: [], ...over });
  /** The connection that comes so manieth; waits until it is there. */
  const connection = async (index: number): Promise<FakeConnection> => {
    for (let tries = 0; tries < 100; tries++) {
      const found = connections[index];
      if (found !== undefined) return found;
      await Promise.resolve();
    }
    assert.fail(`there is no connection ${index}`);
  };
  return { client, clock, ask, connection, connections, servers };
}

/** Waits until something holds; a few turns of the event loop are enough for everything here. */
async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    if (condition()) return;
    await turn();
  }
  assert.fail("it never held");
}

/** One turn of the event loop. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

async function refuses(action: Promise<unknown>, code: HttpClientFailure): Promise<void> {
  await assert.rejects(action, (error) => error instanceof HttpClientError && error.code === code);
}

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

Deno.test("a request in one piece, an answer, and the connection is used again", async () => {
  const { ask, connection, connections, servers } = setUp();
  const first = ask({ headers: [["accept", "application/json"]] });
  (await connection(0)).say(
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Le",
    "ngth: 5\r\n\r\nhe",
    "llo",
  );
  const response = await first;
  assert.equal(response.headers.get("content-type"), "text/plain");
  assert.equal(await response.text(), "hello");
  const again = ask({ method: "PATCH", body: "{}" }, "/x");
  connections[0]?.say("HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nno\r\n0\r\n\r\n");
  assert.equal((await again).status, 404);
  assert.equal(await (await again).text(), "no");
  assert.equal(
    connections[0]?.sent,
    "GET /a?b=c HTTP/1.1\r\nhost: api.example:6443\r\naccept: application/json\r\n\r\n" +
      "PATCH /x HTTP/1.1\r\nhost: api.example:6443\r\ncontent-length: 2\r\n\r\n{}",
  );
  assert.deepEqual(servers, ["https://api.example:6443/"]);
});

Deno.test("requests at the same time have a connection each", async () => {
  const { ask, connection, connections } = setUp();
  const answers = [ask(), ask()];
  (await connection(1)).say(OK.replace("ok", "b!"));
  (await connection(0)).say(OK);
  assert.deepEqual(await Promise.all(answers.map(async (answer) => (await answer).text())), ["ok", "b!"]);
  assert.equal(connections.length, 2);
});

Deno.test("bodies go up in every form, short ones in one piece, long ones in chunks", async () => {
  const piece = "x".repeat(MAX_WHOLE_BODY_BYTES + 1);
  const long = () => ReadableStream.from([piece, "", "end"].map((part) => encoder.encode(part)));
  const cases: [HttpRequest["body"], string][] = [
    ["text", "content-length: 4\r\n\r\ntext"],
    [encoder.encode("bytes"), "content-length: 5\r\n\r\nbytes"],
    [new Blob(["stream"]).stream(), "content-length: 6\r\n\r\nstream"],
    [null, "content-length: 0\r\n\r\n"],
    [long(), `transfer-encoding: chunked\r\n\r\n10001\r\n${piece}\r\n3\r\nend\r\n0\r\n\r\n`],
  ];
  for (const [body, expected] of cases) {
    const { ask, connections } = setUp();
    const asked = ask({ method: "POST", body: body ?? null }, "/x");
    await until(() => connections[0]?.sent.endsWith(expected) === true);
    assert.equal(connections[0]?.sent, `POST /x HTTP/1.1\r\nhost: api.example:6443\r\n${expected}`);
    connections[0]?.say(OK);
    assert.equal(await (await asked).text(), "ok");
    assert.equal(connections[0]?.closed, false);
  }
});

Deno.test("a whole answer comes with its head, a long one as a stream, and each is the same", async () => {
  const { ask, connection } = setUp();
  for (const length of [0, 1, READ_BUFFER_BYTES * 3, MAX_WHOLE_BODY_BYTES, MAX_WHOLE_BODY_BYTES * 3]) {
    const text = "0123456789abcdef".repeat(Math.ceil(length / 16)).slice(0, length);
    const size = length.toString(16);
    for (
      const answer of [
        `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n${text}`,
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${
          length === 0 ? "" : `${size}\r\n${text}\r\n`
        }0\r\n\r\n`,
      ]
    ) {
      for (const whole of [true, false]) {
        const asked = ask({ whole });
        (await connection(0)).say(answer);
        const response = await asked;
        const isWhole = response instanceof WholeResponse;
        assert.equal(isWhole, length < READ_BUFFER_BYTES || whole && length <= MAX_WHOLE_BODY_BYTES);
        if (isWhole) assert.equal(response.whole?.length, length);
        assert.equal(await response.text(), text);
      }
    }
  }
});

Deno.test("a stream is passed on as it comes, and is read as it is taken", async () => {
  const { ask, connection } = setUp();
  const asked = ask();
  const server = await connection(0);
  server.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  const reader = (await asked).body?.getReader();
  server.say("3\r\none\r\n3\r\ntwo\r\n");
  assert.equal(decoder.decode((await reader?.read())?.value), "onetwo");
  server.say("1\r\n", "3\r", "\n");
  assert.equal(decoder.decode((await reader?.read())?.value), "3");
  server.say("0\r\n\r\n");
  assert.equal((await reader?.read())?.done, true);
  assert.equal(server.closed, false);
});

Deno.test("a stream's pieces come without the stream, with what came beside the head first", async () => {
  const { ask, connection } = setUp();
  const asked = ask();
  const server = await connection(0);
  server.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
  const answer = await asked;
  assert.ok(answer instanceof StreamedResponse);
  assert.equal(decoder.decode(await answer.pieces.next()), "one");
  server.say("3\r\ntwo\r\n");
  assert.equal(decoder.decode(await answer.pieces.next()), "two");
  const third = answer.pieces.next();
  answer.pieces.abandon();
  await assert.rejects(third);
  assert.equal(server.closed, true);
});

Deno.test("answers without a body", async () => {
  const { ask, connection, connections } = setUp();
  for (
    const head of [
      "204 No Content",
      "304 Not Modified\r\nContent-Length: 7",
      "205 Reset\r\nContent-Length: 0",
    ]
  ) {
    const asked = ask();
    (await connection(0)).say(`HTTP/1.1 ${head}\r\n\r\n`);
    assert.equal((await asked).body, null);
    await turn();
  }
  assert.equal(connections.length, 1);
  const asked = ask();
  connections[0]?.say("HTTP/1.1 205 Reset Content\r\nContent-Length: 3\r\n\r\n");
  assert.equal((await asked).body, null);
  assert.equal(connections[0]?.closed, true, "what comes after it is not an answer");
});

Deno.test("interim answers are passed over", async () => {
  const { ask, connection } = setUp();
  const asked = ask();
  (await connection(0)).say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", OK);
  assert.equal((await asked).status, 200);
});

Deno.test("connections that may not be used again are closed", async () => {
  for (
    const answer of [
      OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
      OK.replace("1.1", "1.0"),
      `${OK}HTTP/1.1 200 OK`,
    ]
  ) {
    const { ask, connection } = setUp();
    const asked = ask();
    const server = await connection(0);
    server.say(answer);
    assert.equal(await (await asked).text(), "ok");
    await until(() => server.closed);
  }
});

Deno.test("an answer without a length ends with the connection", async () => {
  const { ask, connection } = setUp();
  const asked = ask();
  const server = await connection(0);
  server.say("HTTP/1.1 200 OK\r\n\r\n", "all", " of it", null);
  assert.equal(await (await asked).text(), "all of it");
  assert.equal(server.closed, true);
});

Deno.test("idle connections are closed when the server ends them or speaks, and after a while", async () => {
  const { ask, connection, clock, connections } = setUp({ maxIdle: 2 });
  const answers = [ask(), ask(), ask(), ask()];
  await connection(3);
  for (const server of connections) server.say(OK);
  await Promise.all(answers);
  const idle = connections.filter(({ closed }) => !closed);
  assert.equal(idle.length, 2, "no more than maxIdle");
  idle[0]?.say(null);
  await until(() => idle[0]?.closed === true);
  await clock.advance(15_000);
  assert.equal(idle[1]?.closed, false);
  await clock.advance(15_000);
  assert.equal(idle[1]?.closed, true);
  const asked = ask();
  (await connection(4)).say(OK);
  await asked;
  connections[4]?.say("HTTP/1.1 200 OK\r\n\r\n");
  await until(() => connections[4]?.closed === true);
});

Deno.test("a read that an old connection did not take is sent by a new one, a write is not", async () => {
  for (const method of ["GET", "POST"]) {
    const { ask, connection, connections } = setUp();
    const first = ask();
    const old = await connection(0);
    old.say(OK);
    await first;
    await turn();
    const second = ask({ method });
    // The end arrives when the request is under way.
    old.say(null);
    if (method === "POST") {
      await refuses(second, "connection-ended");
    } else {
      (await connection(1)).say(OK);
      assert.equal(await (await second).text(), "ok");
      assert.equal(connections[1]?.sent, "GET /a?b=c HTTP/1.1\r\nhost: api.example:6443\r\n\r\n");
    }
    assert.equal(old.closed, true);
  }
});

Deno.test("refuses to ask twice by a new connection", async () => {
  const { ask, connection, connections } = setUp();
  const asked = ask();
  (await connection(0)).say(null);
  await refuses(asked, "connection-ended");
  assert.equal(connections.length, 1);
});

Deno.test("refuses answers that are not HTTP/1.1, and closes the connection", async () => {
  for (
    const [answer, code] of [
      ["HTTP/2 200\r\n\r\n", "head-malformed"],
      ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "head-malformed"],
      ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "head-malformed"],
      ["HTTP/1.1 100 Continue\r\n\r\n".repeat(MAX_INTERIM_ANSWERS + 1) + OK, "head-malformed"],
      [`HTTP/1.1 200 OK\r\nx: ${"y".repeat(MAX_RESPONSE_HEAD_BYTES)}`, "head-malformed"],
      ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "body-malformed"],
    ] as const
  ) {
    const { ask, connection } = setUp();
    const asked = ask();
    const server = await connection(0);
    server.say(answer);
    await refuses(asked, code);
    assert.equal(server.closed, true);
  }
});

Deno.test(`${MAX_INTERIM_ANSWERS} interim answers and a head of ${MAX_RESPONSE_HEAD_BYTES} bytes are taken`, async () => {
  const { ask, connection } = setUp();
  const asked = ask();
  (await connection(0)).say("HTTP/1.1 100 Continue\r\n\r\n".repeat(MAX_INTERIM_ANSWERS) + OK);
  assert.equal((await asked).status, 200);
  const long = ask();
  const head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx: ";
  (await connection(0)).say(`${head}${"y".repeat(MAX_RESPONSE_HEAD_BYTES - head.length - 4)}\r\n\r\n`);
  assert.equal((await long).status, 200);
});

Deno.test("refuses answers that end early", async () => {
  for (const answer of ["HTTP/1.1 200 OK\r\nCont", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"]) {
    const { ask, connection } = setUp();
    const asked = ask();
    const server = await connection(0);
    server.say(answer, null);
    await refuses(asked.then((response) => response.text()), "connection-ended");
    assert.equal(server.closed, true);
  }
});

Deno.test("refuses statuses that are no status", async () => {
  const { ask, connection } = setUp();
  const asked = ask();
  const server = await connection(0);
  server.say("HTTP/1.1 600 ?\r\nContent-Length: 0\r\n\r\n");
  await refuses(asked, "head-malformed");
  assert.equal(server.closed, true);
});

Deno.test("refuses to write what would be another line, or another request", async () => {
  const { client, ask, connections } = setUp();
  for (const path of ["/a b", "/a\r\nx: y", "/\u00e4"]) {
    await assert.rejects(ask({}, path), TypeError);
  }
  await assert.rejects(ask({ method: "GET /x" }), TypeError);
  for (const field of [["x", "a\r\ny: b"], ["x", "a\u0100"], ["x y", "a"], ["x\n", "a"]] as const) {
    await assert.rejects(ask({ headers: [field] }), TypeError);
  }
  await assert.rejects(client.fetch("https://api", { method: "GET", headers: [] }), TypeError);
  assert.equal(connections.length, 0);
});

Deno.test("the signal ends an exchange wherever it is", async () => {
  const reason = new Error("left");
  const { ask, connection, connections } = setUp();
  const begin = () => {
    const leaving = new AbortController();
    return { leave: () => leaving.abort(reason), signal: leaving.signal };
  };
  const isReason = (error: unknown) => error === reason;

  await assert.rejects(ask({ signal: AbortSignal.abort(reason) }), isReason);
  assert.equal(connections.length, 0);

  for (const limit of ["signal", "timeout"]) {
    const connecting = begin();
    const first = ask({ [limit]: connecting.signal });
    connecting.leave();
    await assert.rejects(first, isReason);
    await until(() => connections.every(({ closed }) => closed));

    const waiting = begin();
    const count: number = connections.length;
    const second = ask({ [limit]: waiting.signal });
    await until(() => connections[count]?.sent !== undefined && connections[count]?.sent !== "");
    waiting.leave();
    await assert.rejects(second, isReason);
    assert.equal(connections[count]?.closed, true);

    const sending = begin();
    const third = ask({ method: "POST", body: new ReadableStream(), [limit]: sending.signal });
    sending.leave();
    await assert.rejects(third, isReason);
  }

  const reading = begin();
  const count: number = connections.length;
  const last = ask({ signal: reading.signal });
  (await connection(count)).say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  const text = (await last).text();
  reading.leave();
  await assert.rejects(text, isReason);
  assert.equal(connections[count]?.closed, true);
});

Deno.test("a timeout ends with the head, and signals that come later end nothing", async () => {
  const { ask, connection } = setUp();
  const [leaving, timeout] = [new AbortController(), new AbortController()];
  const asked = ask({ signal: leaving.signal, timeout: timeout.signal });
  const server = await connection(0);
  server.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  const response = await asked;
  timeout.abort();
  server.say("hello");
  assert.equal(await response.text(), "hello");
  leaving.abort();
  assert.equal(server.closed, false);
});

Deno.test("whoever stops reading ends the exchange", async () => {
  const { ask, connection } = setUp();
  const asked = ask();
  const server = await connection(0);
  server.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  await (await asked).body?.cancel();
  assert.equal(server.closed, true);
});

Deno.test("an answer that comes before the request is sent is taken, and the connection closed", async () => {
  const { ask, connection } = setUp();
  let cancelled = false;
  const piece = encoder.encode("x".repeat(MAX_WHOLE_BODY_BYTES + 1));
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(piece),
    cancel: () => void (cancelled = true),
  });
  const asked = ask({ method: "POST", body });
  const server = await connection(0);
  server.say("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
  assert.equal((await asked).status, 413);
  assert.equal(server.closed, true);
  await until(() => cancelled);
});

Deno.test("a closed client takes no more requests, and what runs ends by itself", async () => {
  const { client, ask, connection } = setUp();
  const [running, done] = [ask(), ask()];
  (await connection(1)).say(OK);
  await done;
  client.close();
  assert.equal((await connection(1)).closed, true);
  await refuses(ask(), "closed");
  const server = await connection(0);
  server.say(OK);
  assert.equal(await (await running).text(), "ok");
  assert.equal(server.closed, true);
});
