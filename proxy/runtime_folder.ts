/**
 * The sockets in the runtime folder.
 *
 * @module
 */

/** The socket by which the proxy asks itself whether it answers, and by which a second proxy sees that the runtime folder is in use. */
export const SOCKET_NAME = "http.sock";

/** The socket of the tunnel to an API server whose certificate is not checked, in the runtime folder. */
export const UPSTREAM_SOCKET_NAME = "upstream.sock";
