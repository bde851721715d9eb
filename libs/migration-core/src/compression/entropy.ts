const SAMPLE_RUNS = 64;
const RUN_BYTES = 64;
/**
 * Random bytes show 7.95 bits in a sample of 4096 (255 / (2 n ln 2) below 8); images, archives and encrypted data much
 * the same. Programs show 5 to 6.5, text 4 to 5.
 */
export const INCOMPRESSIBLE_BITS_PER_BYTE = 7.8;

/**
 * Entropy of single bytes (Shannon, 1948) in a sample of 64 runs spread over the input; 0 for no bytes. Costs about
 * 10 µs. High means that compressing is in vain unless content repeats, and what repeats is found before compression.
 */
export function sampledBitsPerByte(bytes: Uint8Array): number {
  const counts = new Uint32Array(256);
  const isWhole = bytes.length <= SAMPLE_RUNS * RUN_BYTES;
  const runBytes = isWhole ? bytes.length : RUN_BYTES;
  const stride = isWhole ? 0 : (bytes.length - RUN_BYTES) / (SAMPLE_RUNS - 1);
  const runs = isWhole ? 1 : SAMPLE_RUNS;
  for (let run = 0; run < runs; run += 1) {
    const from = Math.floor(run * stride);
    for (let at = from; at < from + runBytes; at += 1) counts[bytes[at]!]! += 1;
  }
  const total = runs * runBytes;
  if (total === 0) return 0;
  let bits = 0;
  for (const count of counts) if (count > 0) bits -= count * Math.log2(count / total);
  return bits / total;
}

/** Short inputs show less entropy than they have, so of those it says nothing. */
export function seemsIncompressible(bytes: Uint8Array): boolean {
  return bytes.length >= 2_048 && sampledBitsPerByte(bytes) > INCOMPRESSIBLE_BITS_PER_BYTE;
}
