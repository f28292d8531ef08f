/**
 * Ends with 0 if the signing-server in the same container says that it is well. The image has no shell and no curl to ask with.
 *
 * It asks the address of the metrics, which is plain HTTP on loopback also where the server itself has TLS.
 *
 * @module
 */

const HEALTH = "http://127.0.0.1:9090/health";

/** Less than the health check's own time-out, so that the reason is told. */
const TIMEOUT_MS = 4_000;

try {
  const response = await fetch(HEALTH, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  await response.body?.cancel();
  if (!response.ok) {
    console.error(`${HEALTH} was answered with ${response.status}`);
    Deno.exit(1);
  }
} catch (error) {
  console.error(`${HEALTH} was not answered: ${error instanceof Error ? error.message : String(error)}`);
  Deno.exit(1);
}
