/** The limit of every first list: how long WebCrypto takes for the signatures alone. */
import { generateSigningKey } from "@signed-pods/shared/signing";

/** Bytes that are signed: about as many as those of racer's pods. */
const SIGNED_BYTES = 1_300;

/** Makes signatures, and then measures as often as one likes how long they take to verify in parallel, in milliseconds. */
export async function createVerificationLimit(signatures: number): Promise<() => Promise<number>> {
  const { privateKey, publicKey } = await generateSigningKey("ec-p256");
  const algorithm = { name: "ECDSA", hash: "SHA-256" };
  const signed = await Promise.all(Array.from({ length: signatures }, async (_, index) => {
    const data = new Uint8Array(SIGNED_BYTES).fill(index);
    return { data, signature: await crypto.subtle.sign(algorithm, privateKey, data) };
  }));
  const measure = async () => {
    const start = performance.now();
    const good = await Promise.all(
      signed.map(({ data, signature }) => crypto.subtle.verify(algorithm, publicKey, signature, data)),
    );
    if (good.includes(false)) throw new Error("a signature does not verify");
    return performance.now() - start;
  };
  // Not the first time, which starts threads.
  await measure();
  return measure;
}
