/**
 * The sockets in the runtime folder.
 *
 * @module
 */

/** The socket between the TLS listener and the HTTP server, in the runtime folder. */
export const SOCKET_NAME = "http.sock";

/** The socket of the tunnel to an API server whose certificate is not checked, in the runtime folder. */
export const UPSTREAM_SOCKET_NAME = "upstream.sock";
