/** Ways to an API server without a network. */
import { requestHeaders } from "../../proxy/headers.ts";
import type { Upstream, UpstreamRequest } from "../../proxy/upstream.ts";

/** One request as an API server would get it. */
function requestOf({ method, path, headers, body, signal }: UpstreamRequest): Request {
  return new Request(`http://api.invalid${path}`, {
    method,
    headers: requestHeaders(headers),
    body: body instanceof Uint8Array ? new Uint8Array(body) : body ?? null,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Hands every request to a function. */
export function upstreamOf(handle: (request: Request) => Promise<Response> | Response): Upstream {
  return {
    send: async (request) => {
      request.signal?.throwIfAborted();
      return await handle(requestOf(request));
    },
  };
}

/** Answers every request alike. */
export function upstreamAnswering(make: () => Response): Upstream {
  return upstreamOf(make);
}

/** A JSON answer as kube-apiserver sends it. */
export function jsonAnswer(value: unknown, init: ResponseInit = {}): Response {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return new Response(text, { headers: { "content-type": "application/json" }, ...init });
}

/** A body in chunks of so many bytes. */
export function chunked(bytes: Uint8Array, chunkBytes: number): ReadableStream<Uint8Array> {
  let offset = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (offset >= bytes.length) {
        controller.close();
        return;
      }
      controller.enqueue(bytes.slice(offset, offset + chunkBytes));
      offset += chunkBytes;
    },
  });
}
