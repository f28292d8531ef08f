/**
 * Streams bytes from one TLS connection to another, no faster than they are taken.
 *
 * `pause()` is not enough in Deno: its node:tls goes on reading from the network while a socket is paused, and keeps all
 * of it in memory (measured with Deno 2.9.5: 130 MB after two seconds, for either side of a connection). So the TCP handle
 * beneath is told to stop as well. That handle is not a public part of node:net; a runtime that has another one is found
 * out by the tests, and by an error for each stream.
 *
 * @module
 */
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";

/** Holds back what a connection reads from the network. */
export interface ReadValve {
  hold(): void;
  release(): void;
}

/**
 * The valve of a TCP connection that TLS goes over.
 *
 * @throws {Error} if this runtime has none
 */
export function readValve(tcp: Socket): ReadValve {
  const handle: unknown = Reflect.get(tcp, "_handle");
  const stop: unknown = typeof handle === "object" && handle !== null
    ? Reflect.get(handle, "readStop")
    : undefined;
  const start: unknown = typeof handle === "object" && handle !== null
    ? Reflect.get(handle, "readStart")
    : undefined;
  if (typeof stop !== "function" || typeof start !== "function") {
    throw new Error(
      "this runtime cannot hold back what a TLS connection reads; use the Deno that this version names",
    );
  }
  return {
    hold: () => void Reflect.apply(stop, handle, []),
    release: () => {
      if (!tcp.destroyed) Reflect.apply(start, handle, []);
    },
  };
}

/**
 * Streams everything that comes from `source` into `sink`, and ends it at the end. Errors of either are not handled here.
 *
 * @param valve of the connection that the source comes over
 */
export function flow(source: Readable, sink: Writable, valve: ReadValve): void {
  source.on("data", (chunk: Uint8Array) => {
    if (sink.write(chunk)) return;
    source.pause();
    valve.hold();
    sink.once("drain", () => {
      valve.release();
      source.resume();
    });
  });
  source.on("end", () => sink.end());
}
