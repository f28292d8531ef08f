/**
 * Sends requests by the latest HTTP client. When the credential changes, new requests go by a new client; those that wait
 * for their answer keep the old one, which is closed after them. Answers that are still being read, such as watches, hold
 * their own connection and outlive their client.
 *
 * @module
 */

import type { HttpRequest } from "../http_client/http_client.ts";

/** What a client must be able to do; `HttpClient` can. */
export interface ClosableClient {
  close(): void;
}

/** Sends by the latest client. */
export interface RotatingClient<C extends ClosableClient> {
  fetch(url: string, init: HttpRequest): Promise<Response>;
  /** New requests go by this client from now on. */
  rotate(next: C): void;
  /** Closes the latest client; nothing can be sent any more. */
  close(): void;
}

/** @param send sends a request by a client */
export function createRotatingClient<C extends ClosableClient>(
  first: C,
  send: (url: string, init: HttpRequest, client: C) => Promise<Response>,
): RotatingClient<C> {
  let current = { client: first, waiting: 0, replaced: false };

  return {
    async fetch(url, init) {
      const used = current;
      used.waiting++;
      try {
        return await send(url, init, used.client);
      } finally {
        used.waiting--;
        if (used.replaced && used.waiting === 0) {
          used.client.close();
        }
      }
    },
    rotate(next) {
      const before = current;
      current = { client: next, waiting: 0, replaced: false };
      before.replaced = true;
      if (before.waiting === 0) {
        before.client.close();
      }
    },
    close: () => current.client.close(),
  };
}
