/** A stretch of network between proxy and API server that can be cut. */

/** How connections end when it is cut: with a reset, or without a word. */
export type Cut = "reset" | "silence";

export class Network {
  readonly #listener: Deno.TcpListener;
  readonly #target: () => number;
  readonly #open = new Set<() => void>();
  #cut: Cut | undefined;
  #stalled: (() => void)[] = [];

  /** @param target port of the API server, which may change */
  constructor(target: () => number) {
    this.#target = target;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#accept();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#open.size;
  }

  /** Cuts it until {@linkcode mend}. */
  cut(how: Cut): void {
    this.#cut = how;
    if (how === "reset") {
      this.#closeAll();
    }
  }

  /** Nothing that was under way comes through any more; new connections do. */
  mend(): void {
    this.#cut = undefined;
    this.#closeAll();
    for (const go of this.#stalled.splice(0)) {
      go();
    }
  }

  close(): void {
    this.#listener.close();
    this.mend();
  }

  #closeAll(): void {
    for (const close of [...this.#open]) {
      close();
    }
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) {
      this.#serve(client).catch(() => {});
    }
  }

  async #serve(client: Deno.TcpConn): Promise<void> {
    if (this.#cut === "reset") {
      client.close();
      return;
    }
    const parts: Deno.TcpConn[] = [client];
    const close = () => {
      this.#open.delete(close);
      for (const part of parts.splice(0)) {
        part.close();
      }
    };
    this.#open.add(close);
    try {
      const server = await Deno.connect({ hostname: "127.0.0.1", port: this.#target() });
      parts.push(server);
      await Promise.race([this.#copy(client, server), this.#copy(server, client)]);
    } finally {
      close();
    }
  }

  async #copy(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    for (;;) {
      const count = await from.read(buffer);
      if (count === null) {
        return;
      }
      if (this.#cut === "silence") {
        // Swallowed: when the network is whole again, this connection is closed.
        await new Promise<void>((resolve) => this.#stalled.push(resolve));
        return;
      }
      for (let sent = 0; sent < count;) {
        sent += await to.write(buffer.subarray(sent, count));
      }
    }
  }
}
