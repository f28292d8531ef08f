import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import net from "node:net";
import fc from "fast-check";
import { ManualClock, settle } from "../../tests/fakes/clock.ts";
import { readBody } from "../body.ts";
import { until } from "../fixture_test.ts";
import type { KubeletRequest } from "../kubelet_request.ts";
import { WholeResponse } from "../whole_response.ts";
import {
  LINGER_MS,
  MAX_DROPPED_BODY_BYTES,
  MAX_LAST_ANSWER_MS,
  MAX_REQUEST_HEAD_BYTES,
  type ServeOptions,
  ServerConnection,
} from "./server_connection.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const GET = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const POST = "POST /a HTTP/1.1\r\nHost: x\r\n";

/** The client's end of a connection, and everything that came out of it. */
interface Client {
  socket: net.Socket;
  text: string;
  closed: boolean;
}

interface Running {
  /** What the handler was given. */
  asked: KubeletRequest[];
  /** What the server said that it refused. */
  refused: string[];
  failures: unknown[];
  connections: ServerConnection[];
  clock: ManualClock;
  /** The server's ends. */
  open: Set<net.Socket>;
  connect(): Client;
}

/** Answers with the target; what has a body is read first. */
async function echo(request: KubeletRequest): Promise<Response> {
  const body = await readBody(request.body, 10_000_000);
  return whole(`${request.method} ${request.url} ${new TextDecoder().decode(body)}`);
}

function whole(text: string, status = 200): WholeResponse {
  return new WholeResponse(bytesOf(text), { status, headers: [["content-type", "text/plain"]] });
}

/** Serves connections while a test runs. */
async function serving(
  handle: ServeOptions["handle"],
  test: (running: Running) => Promise<void>,
): Promise<void> {
  const clock = new ManualClock();
  const clients: net.Socket[] = [];
  const running: Omit<Running, "connect"> = {
    asked: [],
    refused: [],
    failures: [],
    connections: [],
    clock,
    open: new Set(),
  };
  const server = net.createServer((socket) => {
    running.open.add(socket);
    socket.on("close", () => running.open.delete(socket));
    running.connections.push(
      new ServerConnection(socket, {
        handle(request, delivered) {
          running.asked.push(request);
          return handle(request, delivered);
        },
        failed(error) {
          running.failures.push(error);
          return whole("failed", 500);
        },
        refused: (problem) => running.refused.push(problem),
        clock,
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  try {
    await test({
      ...running,
      connect() {
        const socket = net.connect(address.port, "127.0.0.1");
        clients.push(socket);
        const client: Client = { socket, text: "", closed: false };
        socket.on("data", (bytes) => client.text += bytes.toString("latin1"));
        socket.on("error", () => {});
        socket.on("close", () => client.closed = true);
        return client;
      },
    });
  } finally {
    running.connections.forEach((connection) => connection.cut());
    clients.forEach((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

/** Whether the system has all that was to be sent, on every connection that is open. */
function allSent(open: ReadonlySet<net.Socket>): boolean {
  return [...open].every(({ writableFinished }) => writableFinished);
}

/** The answers in a text, each with its head and its body. */
function answersIn(text: string): { status: number; head: string; body: string }[] {
  const answers = [];
  let rest = text;
  while (rest !== "") {
    const end = rest.indexOf("\r\n\r\n");
    assert.notEqual(end, -1, `no head in ${JSON.stringify(rest)}`);
    const head = rest.slice(0, end);
    const length = Number(/^content-length: ([0-9]+)$/m.exec(head)?.[1] ?? "0");
    answers.push({
      status: Number(/^HTTP\/1\.1 ([0-9]{3}) /.exec(head)?.[1]),
      head,
      body: rest.slice(end + 4, end + 4 + length),
    });
    rest = rest.slice(end + 4 + length);
  }
  return answers;
}

Deno.test("one request after the other, each with its answer, on one connection", async () => {
  await serving(echo, async ({ connect, asked }) => {
    const client = connect();
    client.socket.write(GET);
    await until(() => client.text.endsWith("/a "));
    client.socket.write(`${POST}Content-Length: 4\r\n\r\nbody`);
    await until(() => client.text.endsWith("body"));
    client.socket.write(`${POST}Transfer-Encoding: chunked\r\n\r\n2\r\nch\r\n5;x\r\nunked\r\n0\r\n\r\n`);
    await until(() => client.text.endsWith("chunked"));
    const answers = answersIn(client.text);
    assert.deepEqual(answers.map(({ status, body }) => [status, body]), [
      [200, "GET http://kubelet/a "],
      [200, "POST http://kubelet/a body"],
      [200, "POST http://kubelet/a chunked"],
    ]);
    assert.equal(
      answers[0]?.head,
      "HTTP/1.1 200 \r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\ncontent-type: text/plain\r\ncontent-length: 21",
    );
    assert.equal(asked.length, 3);
  });
});

Deno.test("however requests are cut, they are the same", async () => {
  const requests = [
    GET,
    `${POST}Content-Length: 11\r\n\r\nhello world`,
    `${POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n00B\r\n to you too\r\n0\r\nx: y\r\n\r\n`,
  ];
  await serving(echo, async ({ connect }) => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(150), { maxLength: 6 }), fc.nat(2), async (cuts, index) => {
        const request = requests[index] ?? "";
        const client = connect();
        client.socket.setNoDelay(true);
        let start = 0;
        for (
          const end of [...new Set(cuts), request.length].filter((cut) => cut <= request.length).sort((
            a,
            b,
          ) => a - b)
        ) {
          client.socket.write(request.slice(start, end));
          await settle();
          start = end;
        }
        const body = [
          "GET http://kubelet/a ",
          "POST http://kubelet/a hello world",
          "POST http://kubelet/a hello to you too",
        ][index];
        await until(() => client.text.includes("\r\n\r\n") && answersIn(client.text)[0]?.body === body);
        client.socket.destroy();
      }),
      { numRuns: 30 },
    );
  });
});

Deno.test("answers of every kind: whole, streamed, empty, of HEAD, and without content", async () => {
  const headers = {
    "content-type": "a/b",
    "connection": "x",
    "content-length": "99",
    "transfer-encoding": "y",
  };
  const stream = () => ReadableStream.from([bytesOf("one"), bytesOf(""), bytesOf("two")]);
  const makes: Record<string, () => Response> = {
    whole: () => whole("text"),
    streamed: () => new Response(stream(), { headers }),
    large: () => new Response("#".repeat(200_000)),
    empty: () => new Response(null, { status: 404, headers }),
    none: () => new WholeResponse(null, { status: 204, headers: [] }),
    "304": () => new Response(null, { status: 304 }),
  };
  await serving(
    (request) => Promise.resolve(makes[request.url.split("/").at(-1) ?? ""]?.() ?? whole("?")),
    async ({ connect }) => {
      const ask = async (method: string, name: string, end: string) => {
        const client = connect();
        client.socket.write(`${method} /${name} HTTP/1.1\r\nHost: x\r\n\r\n`);
        await until(() => client.text.endsWith(end) && client.text !== "");
        // Nothing follows the answer.
        await settle();
        client.socket.destroy();
        return client.text.replace(/date: .*\r\n/, "");
      };
      assert.equal(
        await ask("GET", "whole", "text"),
        "HTTP/1.1 200 \r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\ntext",
      );
      assert.equal(
        await ask("HEAD", "whole", "\r\n\r\n"),
        "HTTP/1.1 200 \r\ncontent-type: text/plain\r\n\r\n",
      );
      assert.equal(
        await ask("GET", "streamed", "0\r\n\r\n"),
        "HTTP/1.1 200 \r\ncontent-type: a/b\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
      );
      assert.equal(await ask("HEAD", "streamed", "\r\n\r\n"), "HTTP/1.1 200 \r\ncontent-type: a/b\r\n\r\n");
      const large = await ask("GET", "large", "0\r\n\r\n");
      assert.equal(large.match(/#/g)?.length, 200_000);
      assert.equal(
        await ask("GET", "empty", "\r\n\r\n"),
        "HTTP/1.1 404 \r\ncontent-type: a/b\r\ncontent-length: 0\r\n\r\n",
      );
      assert.equal(await ask("GET", "none", "\r\n\r\n"), "HTTP/1.1 204 \r\n\r\n");
      assert.equal(await ask("GET", "304", "\r\n\r\n"), "HTTP/1.1 304 \r\n\r\n");
    },
  );
});

Deno.test("an answer is delivered when it was written, or cannot be", async () => {
  const settled: string[] = [];
  const handle: ServeOptions["handle"] = (request, delivered) => {
    delivered.then(() => settled.push(request.url.slice(-1)));
    return request.url.endsWith("a") ? echo(request) : new Promise(() => {});
  };
  await serving(handle, async ({ connect, asked }) => {
    const client = connect();
    client.socket.write(GET);
    await until(() => settled.length === 1);
    client.socket.write(GET.replace("/a", "/b"));
    await until(() => asked.length === 2);
    assert.deepEqual(settled, ["a"]);
    client.socket.destroy();
    await until(() => settled.length === 2);
    assert.equal(asked[0]?.signal.aborted, false);
    assert.equal(asked[1]?.signal.aborted, true);
  });
});

Deno.test("a client that waits for a word before the body gets it", async () => {
  await serving(echo, async ({ connect }) => {
    const client = connect();
    client.socket.write(`${POST}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n`);
    await until(() => client.text === "HTTP/1.1 100 Continue\r\n\r\n");
    client.socket.write("ok");
    await until(() => client.text.endsWith("/a ok"));
  });
});

Deno.test("Connection: close is obeyed, and said", async () => {
  await serving(echo, async ({ connect }) => {
    const client = connect();
    client.socket.write("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    await until(() => client.closed);
    assert.match(client.text, /\r\nconnection: close\r\n\r\nGET/);
  });
});

Deno.test("a stream waits for a client that does not keep up, and ends when it leaves", async () => {
  let pulls = 0;
  const cancelled = Promise.withResolvers<unknown>();
  const stream = () =>
    new ReadableStream<Uint8Array>({
      pull(controller) {
        pulls++;
        controller.enqueue(new Uint8Array(1_000_000));
      },
      cancel: cancelled.resolve,
    }, { highWaterMark: 0 });
  await serving(() => Promise.resolve(new Response(stream())), async ({ connect }) => {
    const client = connect();
    client.socket.pause();
    client.socket.write(GET);
    for (let before = -1; pulls === 0 || pulls !== before;) {
      before = pulls;
      await settle();
    }
    assert.ok(pulls < 100, `${pulls} MB were read for a client that reads nothing`);
    client.socket.destroy();
    await cancelled.promise;
  });
});

Deno.test("a body goes on to the handler as it comes, and breaks off with its connection", async () => {
  const pieces: string[] = [];
  const failed = Promise.withResolvers<unknown>();
  const handle: ServeOptions["handle"] = async (request) => {
    try {
      for await (const piece of request.body ?? []) pieces.push(new TextDecoder().decode(piece));
    } catch (error) {
      failed.resolve(error);
    }
    return whole("late");
  };
  await serving(handle, async ({ connect, asked }) => {
    const client = connect();
    client.socket.write(`${POST}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n`);
    await until(() => pieces.length === 1);
    client.socket.write("1\r\nb\r\n");
    await until(() => pieces.length === 2);
    client.socket.destroy();
    assert.ok(await failed.promise instanceof DOMException);
    assert.equal(asked[0]?.signal.aborted, true);
  });
});

Deno.test("what is left of a body that nobody wanted is dropped, and the connection used again", async () => {
  await serving(
    (request) => request.method === "GET" ? echo(request) : Promise.resolve(whole("no", 403)),
    async ({ connect }) => {
      const client = connect();
      client.socket.write(`${POST}Content-Length: ${MAX_DROPPED_BODY_BYTES}\r\n\r\n`);
      await until(() => client.text.endsWith("no"));
      client.socket.write("x".repeat(MAX_DROPPED_BODY_BYTES));
      client.socket.write(GET);
      await until(() => client.text.endsWith("/a "));
      assert.deepEqual(answersIn(client.text).map(({ status }) => status), [403, 200]);
    },
  );
});

Deno.test(`refuses to drop more than ${MAX_DROPPED_BODY_BYTES} bytes of a body that nobody wanted`, async () => {
  await serving(() => Promise.resolve(whole("no", 403)), async ({ connect, asked, clock, open }) => {
    const client = connect();
    client.socket.write(`${POST}Transfer-Encoding: chunked\r\n\r\n`);
    await until(() => client.text.endsWith("no"));
    client.socket.write(`100000\r\n${"x".repeat(0x100000)}\r\n0\r\n\r\n${GET}`);
    await until(() => allSent(open));
    await clock.advance(LINGER_MS);
    await until(() => client.closed);
    assert.equal(asked.length, 1);
  });
});

Deno.test("refuses to take a body for the next request after an answer that came before the client's turn", async () => {
  await serving(() => Promise.resolve(whole("no", 403)), async ({ connect, asked }) => {
    const client = connect();
    client.socket.write(`${POST}Expect: 100-continue\r\nContent-Length: 200\r\n\r\n`);
    await until(() => client.closed);
    assert.match(client.text, /100 Continue[^]*403/);
    assert.equal(asked.length, 1);
  });
});

Deno.test("refuses to let a part of a body pass for the whole, when the answer comes first", async () => {
  const failed = Promise.withResolvers<unknown>();
  await serving((request) => {
    readBody(request.body, 100).then(() => failed.resolve("whole"), failed.resolve);
    return Promise.resolve(whole("early"));
  }, async ({ connect }) => {
    const client = connect();
    client.socket.write(`${POST}Content-Length: 4\r\n\r\nbo`);
    await until(() => client.text.endsWith("early"));
    client.socket.write("dy");
    assert.ok(await failed.promise instanceof Error);
  });
});

Deno.test("refuses a second request before the first is answered", async () => {
  const go = Promise.withResolvers<void>();
  await serving(async (request) => {
    await go.promise;
    return await echo(request);
  }, async ({ connect, asked }) => {
    for (const text of [GET + GET, GET + "x", `${POST}Content-Length: 1\r\n\r\nb${GET}`]) {
      const client = connect();
      client.socket.write(text);
      await until(() => asked.length > 0);
      go.resolve();
      await until(() => client.closed);
      const answers = answersIn(client.text);
      assert.equal(answers.length, 1);
      assert.match(answers[0]?.head ?? "", /\r\nconnection: close$/);
      assert.equal(asked.length, 1);
      asked.length = 0;
    }
  });
});

Deno.test("refuses what is not HTTP/1.1, says so, and closes", async () => {
  await serving(echo, async ({ connect, asked, refused }) => {
    const cases: [string, number][] = [
      ["\r\n" + GET, 400],
      ["GET /a HTTP/1.1\nHost: x\n\n", 400],
      ["GET /a HTTP/1.1\r\nHost: x\n\r\n", 400],
      ["GET /a HTTP/1.1\r\nHost: x\r\n\n", 400],
      ["GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n", 400],
      ["GET /a HTTP/1.0\r\nHost: x\r\n\r\n", 505],
      ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
      [`${POST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, 400],
      [`${POST}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 400],
      [`${POST}Expect: a word\r\n\r\n`, 417],
      [`${POST}Transfer-Encoding: chunked\r\n\r\nnot a size\r\n`, 400],
      [`${POST}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n`, 400],
      ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 400],
    ];
    for (const [text, status] of cases) {
      const client = connect();
      client.socket.write(Buffer.from(text + GET, "latin1"));
      await until(() => client.closed);
      const answers = answersIn(client.text);
      assert.deepEqual(answers.map((answer) => answer.status), [status], JSON.stringify(text));
      assert.equal(JSON.parse(answers[0]?.body ?? "").kind, "Status");
      assert.match(answers[0]?.head ?? "", /\r\nconnection: close$/);
    }
    assert.equal(refused.length, cases.length);
    // Of those, two have a head that is right.
    assert.equal(asked.length, 2);
    assert.ok(asked.every(({ signal }) => signal.aborted));
  });
});

Deno.test(`refuses heads of more than ${MAX_REQUEST_HEAD_BYTES} bytes`, async () => {
  await serving(echo, async ({ connect, asked }) => {
    const start = "GET /a HTTP/1.1\r\nHost: x\r\nA: ";
    const longest = `${start}${"a".repeat(MAX_REQUEST_HEAD_BYTES - start.length - 4)}\r\n\r\n`;
    const taken = connect();
    taken.socket.write(longest);
    await until(() => taken.text.endsWith("/a "));
    for (const text of [longest.replace("A:", "AA:"), `${start}${"a".repeat(MAX_REQUEST_HEAD_BYTES * 3)}`]) {
      const client = connect();
      client.socket.write(text);
      await until(() => client.closed);
      assert.equal(answersIn(client.text)[0]?.status, 431);
    }
    assert.equal(asked.length, 1);
  });
});

Deno.test("refuses to wait for ever until the last answer was read", async () => {
  await serving(echo, async ({ connect, clock, open }) => {
    const client = connect();
    // A client that reads nothing does not see the end, either.
    client.socket.pause();
    client.socket.write("nonsense\r\n\r\n");
    await until(() => open.size === 1 && allSent(open));
    assert.equal(clock.timers, 1);
    await clock.advance(LINGER_MS);
    await until(() => open.size === 0);
  });
});

Deno.test("a last answer that is read slowly is sent to its end", async () => {
  const bytes = 8_000_000;
  await serving(() => Promise.resolve(whole("x".repeat(bytes))), async ({ connect, clock, asked }) => {
    const client = connect();
    client.socket.pause();
    client.socket.write(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    await until(() => asked.length === 1);
    await settle();
    await clock.advance(LINGER_MS);
    client.socket.resume();
    await until(() => client.closed);
    assert.equal(answersIn(client.text)[0]?.body.length, bytes);
  });
});

Deno.test("refuses to keep a connection whose last answer is never read", async () => {
  await serving(() => Promise.resolve(whole("x".repeat(32_000_000))), async ({ connect, clock, open }) => {
    const client = connect();
    client.socket.pause();
    client.socket.write(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    await until(() => clock.timers === 1);
    await clock.advance(MAX_LAST_ANSWER_MS - 1);
    assert.equal(open.size, 1);
    assert.equal(allSent(open), false);
    await clock.advance(1);
    await until(() => open.size === 0);
    assert.equal(clock.timers, 0);
  });
});

Deno.test("refuses further requests of a client that does not read its answers, until it does", async () => {
  const answerBytes = 1_000_000;
  const mostRequests = 64;
  const text = "x".repeat(answerBytes);
  await serving(() => Promise.resolve(whole(text)), async ({ connect, asked, open }) => {
    const client = connect();
    client.socket.pause();
    let sent = 0;
    do {
      client.socket.write(GET);
      sent++;
      await until(() => asked.length === sent || [...open].some((socket) => socket.isPaused()));
      await settle();
    } while (asked.length === sent && sent < mostRequests);
    assert.ok(sent < mostRequests, `${sent} requests of a client that reads nothing were answered`);
    for (const { writableLength } of open) {
      assert.ok(
        writableLength < 2 * answerBytes,
        `${writableLength} bytes wait for a client that reads nothing`,
      );
    }
    client.socket.resume();
    // The heads are all of one length.
    await until(() => client.text.length === sent * (client.text.indexOf("x".repeat(99)) + answerBytes));
    const answers = answersIn(client.text);
    assert.equal(answers.length, sent);
    assert.ok(answers.every(({ head, body }) => !head.includes("close") && body.length === answerBytes));
  });
});

Deno.test("refuses to make a head of a field that would end it", async () => {
  const headers: [string, string][] = [["x", "a\r\nset-cookie: b"]];
  await serving(
    () => Promise.resolve(new WholeResponse(null, { status: 200, headers })),
    async ({ connect, failures }) => {
      const client = connect();
      client.socket.write(GET);
      await until(() => client.closed);
      assert.equal(client.text, "");
      assert.ok(failures[0] instanceof TypeError);
    },
  );
});

Deno.test("refuses to show what a handler failed with", async () => {
  await serving(() => Promise.reject(new Error("canary")), async ({ connect, failures }) => {
    const client = connect();
    client.socket.write(GET);
    await until(() => client.text.endsWith("failed"));
    assert.equal(answersIn(client.text)[0]?.status, 500);
    assert.equal(failures.length, 1);
  });
});

Deno.test("finishing: idle connections end at once, the others with their answer", async () => {
  const go = Promise.withResolvers<void>();
  await serving(async (request) => {
    if (request.url.endsWith("/b")) await go.promise;
    return await echo(request);
  }, async ({ connect, connections, asked }) => {
    const [idle, running] = [connect(), connect()];
    idle.socket.write(GET);
    running.socket.write(GET.replace("/a", "/b"));
    await until(() => asked.length === 2 && idle.text !== "");
    connections.forEach((connection) => connection.finish());
    await until(() => idle.closed);
    assert.equal(running.text, "");
    go.resolve();
    await until(() => running.closed);
    assert.match(running.text, /\r\nconnection: close\r\n\r\nGET http:\/\/kubelet\/b $/);
  });
});
