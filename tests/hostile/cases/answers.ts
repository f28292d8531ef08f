/** Whole answers to a list or a watch: status, headers, encoding, framing. */
import { deflateSync, gzipSync } from "node:zlib";
import type { JsonObject } from "@signed-pods/shared/json";
import { makePod, uidOf } from "../../fakes/owner.ts";
import { answer, HostileServer, type Received, type Wire } from "../api_server.ts";
import type { Case, CaseGroup } from "../case.ts";
import type { Setting } from "../setting.ts";

/** A pod that nobody signed. */
export const INTRUDER: JsonObject = makePod({
  name: "intruder",
  uid: uidOf(666),
  image: "registry.example/evil:1",
});

const INTRUDER_ITEM = (({ kind: _kind, apiVersion: _version, ...item }) => item)(INTRUDER);

export const LIST = JSON.stringify({
  kind: "PodList",
  apiVersion: "v1",
  metadata: { resourceVersion: "1000" },
  items: [INTRUDER_ITEM],
});

export const EVENT = `${JSON.stringify({ type: "ADDED", object: INTRUDER })}\n`;

/** What a list or a watch holds that has the intruder. */
export function intruded({ kind }: Received): string {
  return kind === "list" ? LIST : EVENT;
}

type Bytes = string | Uint8Array | readonly (string | Uint8Array)[];

/** Sends bytes as the whole of an answer, and ends the connection. */
export function sends(
  name: string,
  does: string,
  make: (request: Received) => Bytes,
  how: "end" | "reset" = "end",
): Case {
  return {
    name,
    does,
    run: (setting) => setting.lieOnce((request, wire) => send(wire, make(request), how)),
  };
}

async function send(wire: Wire, made: Bytes, how: "end" | "reset"): Promise<void> {
  for (const part of typeof made === "string" || made instanceof Uint8Array ? [made] : made) {
    await wire.write(part);
  }
  wire.close(how);
}

/** An answer with some status that holds the intruder. */
function withStatus(status: string, slug: string): Case {
  return sends(
    `4-status-${slug}`,
    `answers ${status} with pods`,
    (request) => answer(intruded(request), status),
  );
}

/** An answer with other header lines than its own. */
function withHeaders(name: string, does: string, ...headers: string[]): Case {
  return sends(name, does, (request) => {
    const body = intruded(request);
    return ["HTTP/1.1 200 OK", `Content-Length: ${body.length}`, ...headers, "", body].join("\r\n");
  });
}

function encoded(name: string, does: string, coding: string, encode: (body: Uint8Array) => Uint8Array): Case {
  return sends(name, does, (request) => {
    const body = encode(new TextEncoder().encode(intruded(request)));
    return [
      `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: ${coding}\r\n` +
      `Content-Length: ${body.length}\r\n\r\n`,
      body,
    ];
  });
}

const JSON_TYPE = "Content-Type: application/json";

/** Header and body as given. */
function framed(
  name: string,
  does: string,
  make: (body: string) => Bytes,
  how: "end" | "reset" = "end",
): Case {
  return sends(name, does, (request) => make(intruded(request)), how);
}

function head(...lines: string[]): string {
  return ["HTTP/1.1 200 OK", JSON_TYPE, ...lines, "", ""].join("\r\n");
}

function chunks(body: string, size = 100): string {
  let text = "";
  for (let at = 0; at < body.length; at += size) {
    const part = body.slice(at, at + size);
    text += `${part.length.toString(16)}\r\n${part}\r\n`;
  }
  return text;
}

/** Sends requests elsewhere, to a server that has the intruder. */
function redirects(status: number): Case {
  return {
    name: `4-redirect-${status}`,
    does: `answers ${status} and names a server that has other pods`,
    async run(setting) {
      const other = new HostileServer(setting.serverOptions());
      await other.listen();
      setting.onClose(() => other.close());
      other.lie = (request) => (wire) => send(wire, answer(intruded(request)), "end");
      await setting.lieOnce((request, wire) =>
        send(
          wire,
          answer(intruded(request), `${status} X`, [
            `Location: https://127.0.0.1:${other.port}${request.target}`,
          ]),
          "end",
        )
      );
      if (other.requests.length > 0) throw new Error("the redirect was followed");
    },
  };
}

/** A failure with some Status. */
function fails(name: string, does: string, status: string, body: string, headers: string[] = []): Case {
  return sends(name, does, () => answer(body, status, headers));
}

function failure(code: number, over: JsonObject): string {
  return JSON.stringify({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", code, ...over });
}

export const statuses: CaseGroup = {
  title: "Status",
  cases: [
    ...[
      "201 Created",
      "202 Accepted",
      "203 Non-Authoritative Information",
      "206 Partial Content",
      "207 Multi-Status",
      "226 IM Used",
      "299 X",
      "300 Multiple Choices",
      "304 Not Modified",
      "305 Use Proxy",
      "306 X",
      "399 X",
      "600 X",
      "999 X",
    ].map((status) => withStatus(status, status.slice(0, 3))),
    sends("4-status-204", "answers 204 No Content", () => "HTTP/1.1 204 No Content\r\n\r\n"),
    sends(
      "4-status-205",
      "answers 205 Reset Content",
      () => "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
    ),
    withStatus("206 Partial Content\r\nContent-Range: bytes 0-9/9999", "206-with-range"),
    ...[301, 302, 303, 307, 308].map(redirects),
    ...[
      "400 Bad Request",
      "401 Unauthorized",
      "403 Forbidden",
      "404 Not Found",
      "409 Conflict",
      "418 X",
      "422 Unprocessable Entity",
      "500 Internal Server Error",
      "502 Bad Gateway",
      "503 Service Unavailable",
      "599 X",
    ].map((status) => withStatus(status, `${status.slice(0, 3)}-with-pods`)),
    fails("4-gone", "answers 410 Gone", "410 Gone", failure(410, { reason: "Expired" })),
    fails(
      "4-too-many-requests",
      "answers 429 and asks for a second of patience",
      "429 Too Many Requests",
      failure(429, { reason: "TooManyRequests", details: { retryAfterSeconds: 0 } }),
      ["Retry-After: 0"],
    ),
    fails(
      "4-failure-with-pods-in-details",
      "hides pods in the details of a failure",
      "500 X",
      failure(500, { details: { causes: [{ reason: "X", message: LIST }], pods: [INTRUDER_ITEM] } }),
    ),
    fails(
      "4-failure-that-claims-success",
      "answers 500 with a Status of success",
      "500 X",
      JSON.stringify({ kind: "Status", apiVersion: "v1", status: "Success", code: 200 }),
    ),
    fails(
      "4-failure-message-with-controls",
      "puts terminal codes and line feeds into a failure's message",
      "403 X",
      failure(403, { reason: "Forbidden", message: "\u001b[2J\r\nerror: forged\u2028line" }),
    ),
    fails(
      "4-failure-endless-message",
      "answers a failure of a megabyte",
      "403 X",
      failure(403, { reason: "Forbidden", message: "x".repeat(1024 * 1024) }),
    ),
    fails(
      "4-failure-reason-with-controls",
      "answers a failure whose reason is no word",
      "403 X",
      failure(403, { reason: "Forbidden\r\nX: y" }),
    ),
    fails("4-failure-not-json", "answers a failure in HTML", "503 X", "<html>down</html>"),
    ...[
      "HTTP/1.1 099 X",
      "HTTP/1.1 1000 X",
      "HTTP/1.1 20 OK",
      "HTTP/1.1 2OO OK",
      "HTTP/1.1",
      "HTTP/3.0 200 OK",
      "ICY 200 OK",
      "http/1.1 200 OK",
      "HTTP/1.1  200 OK",
      "200 OK",
      " HTTP/1.1 200 OK",
    ].map((line, index) =>
      sends(`4-status-line-${index + 1}`, `begins its answer with \`${line}\``, (request) => {
        const body = intruded(request);
        return `${line}\r\n${JSON_TYPE}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
      })
    ),
  ],
};

export const headers: CaseGroup = {
  title: "Headers and encoding",
  cases: [
    encoded("2-gzip", "compresses with gzip", "gzip", (body) => gzipSync(body)),
    encoded("2-gzip-twice", "compresses twice", "gzip, gzip", (body) => gzipSync(gzipSync(body))),
    encoded("2-deflate", "compresses with deflate", "deflate", (body) => deflateSync(body)),
    encoded("2-x-gzip", "compresses, and says so by an old name", "x-gzip", (body) => gzipSync(body)),
    encoded("2-gzip-in-name-only", "says that it has compressed, and has not", "gzip", (body) => body),
    encoded("2-brotli-in-name-only", "says br, and has not compressed", "br", (body) => body),
    encoded("2-unknown-coding", "names a coding that does not exist", "rot13", (body) => body),
    encoded("2-identity-spelled-out", "names the coding identity", "identity", (body) => body),
    encoded("2-empty-coding", "names an empty coding", "", (body) => body),
    encoded(
      "2-gzip-bomb",
      "sends 64 MiB of blanks in some kilobytes",
      "gzip",
      () => gzipSync(new Uint8Array(64 * 1024 * 1024).fill(32)),
    ),
    sends("2-gzip-undeclared", "compresses without saying so", (request) => {
      const body = gzipSync(intruded(request));
      return [head(`Content-Length: ${body.length}`), body];
    }),
    withHeaders("3-protobuf", "answers as protobuf", "Content-Type: application/vnd.kubernetes.protobuf"),
    sends("3-protobuf-bytes", "answers in protobuf, as a kubelet would like it", () => {
      const body = "k8s\u0000\n\u000b\n\u0002v1\u0012\u0007PodList";
      return [
        "HTTP/1.1 200 OK",
        "Content-Type: application/vnd.kubernetes.protobuf",
        `Content-Length: ${body.length}`,
        "",
        body,
      ].join("\r\n");
    }),
    withHeaders(
      "3-protobuf-watch",
      "answers as a stream of protobuf",
      "Content-Type: application/vnd.kubernetes.protobuf;stream=watch",
    ),
    withHeaders(
      "3-json-watch",
      "answers as JSON with a parameter",
      "Content-Type: application/json;stream=watch",
    ),
    withHeaders(
      "3-json-as-table",
      "answers as JSON for a table",
      "Content-Type: application/json;as=Table;v=v1;g=meta.k8s.io",
    ),
    withHeaders("3-cbor", "answers as CBOR", "Content-Type: application/cbor-seq"),
    withHeaders("3-yaml", "answers as YAML", "Content-Type: application/yaml"),
    withHeaders("3-html", "answers as HTML", "Content-Type: text/html"),
    withHeaders("3-no-content-type", "names no content type"),
    withHeaders("3-empty-content-type", "names an empty content type", "Content-Type:"),
    withHeaders(
      "3-two-content-types",
      "names two content types",
      JSON_TYPE,
      "Content-Type: application/vnd.kubernetes.protobuf",
    ),
    withHeaders(
      "3-two-content-types-in-one",
      "names two content types in one line",
      "Content-Type: application/json, application/vnd.kubernetes.protobuf",
    ),
    withHeaders("3-utf-16", "names another charset", "Content-Type: application/json; charset=utf-16"),
    withHeaders(
      "3-utf-7",
      "names a charset that hides quotes",
      "Content-Type: application/json; charset=utf-7",
    ),
    withHeaders("3-json-patch", "answers as a patch", "Content-Type: application/json-patch+json"),
    withHeaders("3-multipart", "answers in parts", "Content-Type: multipart/mixed; boundary=x"),
    withHeaders(
      "39-location-on-success",
      "names another place in a success",
      JSON_TYPE,
      "Location: https://127.0.0.1:1/",
      "Content-Location: /elsewhere",
      "Refresh: 0; url=https://127.0.0.1:1/",
    ),
    withHeaders(
      "39-alternative-service",
      "offers another server and another protocol",
      JSON_TYPE,
      'Alt-Svc: h2="127.0.0.1:1"; ma=99999',
      "Upgrade: h2c",
      "Connection: upgrade",
    ),
    withHeaders("39-cookies", "sets cookies", JSON_TYPE, "Set-Cookie: a=b; Path=/"),
    withHeaders(
      "39-connection-names-headers",
      "declares its content type hop-by-hop",
      JSON_TYPE,
      "Connection: content-type, close",
    ),
    withHeaders(
      "39-many-headers",
      "sends 90 header fields",
      JSON_TYPE,
      ...Array.from({ length: 90 }, (_, index) => `X-${index}: y`),
    ),
    withHeaders(
      "39-too-many-headers",
      "sends 5,000 header fields",
      JSON_TYPE,
      ...Array.from({ length: 5000 }, (_, index) => `X-${index}: y`),
    ),
    withHeaders(
      "39-long-header",
      "sends a header field of a megabyte",
      JSON_TYPE,
      `X: ${"y".repeat(1024 * 1024)}`,
    ),
    withHeaders("39-header-with-nul", "sends a NUL in a header field", JSON_TYPE, "X: a\u0000b"),
    withHeaders("39-header-without-colon", "sends a header line without a colon", JSON_TYPE, "nonsense"),
    withHeaders(
      "39-folded-header",
      "folds a header field over two lines",
      "Content-Type: application/json;",
      " charset=utf-8",
    ),
    withHeaders(
      "39-header-name-with-blank",
      "puts a blank before a colon",
      "Content-Type : application/json",
    ),
  ],
};

/** Whether the bytes arrive before the end of the connection, or before the next request, is for the network to say. */
function racing(attack: Case): Case {
  return { ...attack, races: true };
}

export const framing: CaseGroup = {
  title: "Framing",
  cases: [
    framed(
      "35-length-too-long",
      "announces more bytes than it sends",
      (body) => [head(`Content-Length: ${body.length + 10}`), body],
    ),
    framed(
      "35-length-too-short",
      "sends more bytes than it announces",
      (body) => [head(`Content-Length: ${body.length - 10}`), body],
    ),
    framed(
      "35-length-zero",
      "announces no bytes and sends pods",
      (body) => [head("Content-Length: 0"), body],
    ),
    framed("35-length-negative", "announces a negative length", (body) => [head("Content-Length: -1"), body]),
    framed(
      "35-length-huge",
      "announces more bytes than numbers hold",
      (body) => [head("Content-Length: 99999999999999999999"), body],
    ),
    framed(
      "35-length-hexadecimal",
      "announces a length in hexadecimal",
      (body) => [head(`Content-Length: 0x${body.length.toString(16)}`), body],
    ),
    framed(
      "35-length-with-sign",
      "announces a length with a sign",
      (body) => [head(`Content-Length: +${body.length}`), body],
    ),
    framed(
      "35-two-lengths",
      "announces two lengths",
      (body) => [head(`Content-Length: ${body.length}`, "Content-Length: 5"), body],
    ),
    framed(
      "35-two-equal-lengths",
      "announces the same length twice",
      (body) => [head(`Content-Length: ${body.length}, ${body.length}`), body],
    ),
    framed(
      "35-length-and-chunks",
      "announces a length and sends chunks",
      (body) => [head("Content-Length: 5", "Transfer-Encoding: chunked"), chunks(body), "0\r\n\r\n"],
    ),
    framed(
      "35-no-length",
      "announces no length and ends the connection",
      (body) => [head("Connection: close"), body],
    ),
    framed("35-http-1.0", "answers in HTTP/1.0", (body) => `HTTP/1.0 200 OK\r\n${JSON_TYPE}\r\n\r\n${body}`),
    framed("35-http-0.9", "answers without any header", (body) => body),
    framed(
      "35-chunk-size-not-hexadecimal",
      "sends a chunk whose size is no number",
      (body) => [head("Transfer-Encoding: chunked"), `zz\r\n${body}\r\n0\r\n\r\n`],
    ),
    framed(
      "35-chunk-size-overflows",
      "sends a chunk whose size overflows",
      (body) => [head("Transfer-Encoding: chunked"), `fffffffffffffffff\r\n${body}\r\n0\r\n\r\n`],
    ),
    framed(
      "35-chunk-size-negative",
      "sends a chunk of negative size",
      (body) => [head("Transfer-Encoding: chunked"), `-1\r\n${body}\r\n0\r\n\r\n`],
    ),
    framed(
      "35-chunk-too-short",
      "sends a chunk that is longer than its size",
      (body) => [head("Transfer-Encoding: chunked"), `5\r\n${body}\r\n0\r\n\r\n`],
    ),
    framed(
      "35-chunks-without-end",
      "ends the connection before the last chunk",
      (body) => [head("Transfer-Encoding: chunked"), chunks(body)],
    ),
    racing(framed(
      "35-chunks-reset",
      "resets the connection before the last chunk",
      (body) => [head("Transfer-Encoding: chunked"), chunks(body)],
      "reset",
    )),
    framed(
      "35-chunks-cut-in-size",
      "ends the connection within a chunk's size",
      (body) => [head("Transfer-Encoding: chunked"), chunks(body), "1"],
    ),
    framed(
      "35-chunk-extensions",
      "sends chunks with extensions",
      (
        body,
      ) => [head("Transfer-Encoding: chunked"), `${body.length.toString(16)};a="b"\r\n${body}\r\n0\r\n\r\n`],
    ),
    framed(
      "35-long-chunk-extension",
      "sends a chunk with an extension of 100 kB",
      (
        body,
      ) => [
        head("Transfer-Encoding: chunked"),
        `${body.length.toString(16)};${"a".repeat(100_000)}\r\n${body}\r\n0\r\n\r\n`,
      ],
    ),
    framed(
      "35-tiny-chunks",
      "sends chunks of one byte",
      (body) => [head("Transfer-Encoding: chunked"), chunks(body, 1), "0\r\n\r\n"],
    ),
    framed(
      "35-trailers",
      "sends header fields after the body",
      (
        body,
      ) => [
        head("Transfer-Encoding: chunked", "Trailer: Content-Type"),
        chunks(body),
        "0\r\nContent-Type: application/vnd.kubernetes.protobuf\r\nContent-Encoding: gzip\r\n\r\n",
      ],
    ),
    framed(
      "35-gzip-as-transfer-coding",
      "compresses on the transfer level",
      (body) => [head("Transfer-Encoding: gzip, chunked"), chunks(body), "0\r\n\r\n"],
    ),
    framed(
      "35-chunked-twice",
      "frames chunks in chunks",
      (
        body,
      ) => [head("Transfer-Encoding: chunked, chunked"), chunks(`${chunks(body)}0\r\n\r\n`), "0\r\n\r\n"],
    ),
    framed(
      "35-unknown-transfer-coding",
      "names a transfer coding that does not exist",
      (body) => [head("Transfer-Encoding: rot13"), body],
    ),
    framed(
      "35-chunked-obscured",
      "hides the word chunked behind a control character",
      (body) => [head("Transfer-Encoding: \u000bchunked"), chunks(body), "0\r\n\r\n"],
    ),
    framed(
      "35-bare-line-feeds",
      "ends its header lines with line feeds alone",
      (body) => `HTTP/1.1 200 OK\n${JSON_TYPE}\nContent-Length: ${body.length}\n\n${body}`,
    ),
    framed(
      "35-carriage-returns",
      "ends its header lines with carriage returns alone",
      (body) => `HTTP/1.1 200 OK\r${JSON_TYPE}\rContent-Length: ${body.length}\r\r${body}`,
    ),
    framed(
      "35-continue-first",
      "says 100 Continue first",
      (body) => ["HTTP/1.1 100 Continue\r\n\r\n", answer(body)],
    ),
    framed(
      "35-early-hints",
      "says 103 Early Hints with headers of its own first",
      (body) => ["HTTP/1.1 103 Early Hints\r\nContent-Type: text/html\r\nLink: </x>\r\n\r\n", answer(body)],
    ),
    framed(
      "35-many-continues",
      "says 100 Continue 200 times",
      (body) => ["HTTP/1.1 100 Continue\r\n\r\n".repeat(200), answer(body)],
    ),
    framed(
      "35-switching-protocols",
      "switches protocols unasked",
      (
        body,
      ) => ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", body],
    ),
    framed("35-continue-only", "says 100 Continue and nothing more", () => "HTTP/1.1 100 Continue\r\n\r\n"),
    racing(framed(
      "35-two-answers",
      "sends a second answer that nobody asked for",
      (body) => [answer(body), answer(body)],
    )),
    {
      name: "35-answer-to-the-next-request",
      races: true,
      does: "leaves an answer in the connection for the request that comes next",
      run: (setting) =>
        setting.lieOnce(async (request, wire) => {
          await wire.write(answer(intruded(request)) + answer(LIST) + answer(EVENT));
        }),
    },
    framed("35-nothing", "ends the connection without an answer", () => ""),
    framed("35-half-a-status-line", "ends the connection within the status line", () => "HTTP/1.1 2"),
    framed(
      "35-half-a-header",
      "ends the connection within the header",
      () => "HTTP/1.1 200 OK\r\nContent-Ty",
    ),
    framed(
      "35-half-a-body",
      "ends the connection within the body",
      (body) => [head(`Content-Length: ${body.length}`), body.slice(0, body.length / 2)],
    ),
    racing(framed(
      "35-half-a-body-reset",
      "resets the connection within the body",
      (body) => [head(`Content-Length: ${body.length}`), body.slice(0, body.length / 2)],
      "reset",
    )),
    framed("35-empty-body", "sends an empty body", () => head("Content-Length: 0")),
    framed(
      "35-header-endless",
      "sends header lines of 2 MB that do not end",
      () => `HTTP/1.1 200 OK\r\n${`X: ${"y".repeat(1000)}\r\n`.repeat(2000)}`,
    ),
  ],
};

/** One byte at a time, each on its own. */
async function drip(wire: Wire, text: string): Promise<void> {
  for (const byte of new TextEncoder().encode(text)) await wire.write(new Uint8Array([byte]));
}

/** Longest wait for headers in cases about silence, in milliseconds. */
const SHORT_TIMEOUT_MS = 300;

async function silent(setting: Setting, first: string): Promise<void> {
  setting.proxyOptions = { headersTimeoutMs: SHORT_TIMEOUT_MS };
  await setting.lieOnce(async (_request, wire) => {
    await wire.write(first);
    await wire.closed;
  });
}

export const timing: CaseGroup = {
  title: "Timing",
  cases: [
    {
      name: "36-no-answer",
      does: "takes a request and never answers",
      run: (setting) => silent(setting, ""),
    },
    {
      name: "36-half-a-header-for-ever",
      does: "sends half a header and then nothing",
      run: (setting) => silent(setting, "HTTP/1.1 200 OK\r\nContent-Type: application/"),
    },
    {
      name: "36-continue-for-ever",
      does: "says 100 Continue and then nothing",
      run: (setting) => silent(setting, "HTTP/1.1 100 Continue\r\n\r\n"),
    },
    {
      name: "36-byte-by-byte",
      races: true,
      does: "sends an answer with pods in single bytes",
      run: (setting) =>
        setting.lieOnce(async (request, wire) => {
          await drip(wire, answer(intruded(request)));
          wire.close("end");
        }),
    },
    {
      name: "36-half-a-line-then-cut",
      races: true,
      does: "stops within a pod, and cuts the connection later",
      run: (setting) =>
        setting.lieOnce(async (request, wire) => {
          const body = intruded(request);
          await wire.write(head("Transfer-Encoding: chunked") + chunks(body.slice(0, 300)));
          await new Promise((resolve) => setTimeout(resolve, 50));
          wire.close("reset");
        }),
    },
    {
      name: "36-answer-before-the-request",
      races: true,
      does: "sends the answer to the next request early",
      run: (setting) =>
        setting.lieOnce(async (request, wire) => {
          await wire.write(answer(intruded(request)));
          await new Promise((resolve) => setTimeout(resolve, 20));
          await wire.write(answer(LIST));
        }),
    },
  ],
};
