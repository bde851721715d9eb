import { SeededChance } from '../../testing/seeded-chance';

/** Bytes like those of a program's heap: words that repeat, small numbers, some noise. Compresses to about a half. */
export function heapLikeBytes(length: number, seed: number): Uint8Array {
  const chance = new SeededChance(seed);
  const words = Array.from({ length: 64 }, () => Buffer.from(chance.bytes(4 + chance.below(12))));
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length;) {
    const draw = chance.below(4);
    const piece = draw === 0 ? Buffer.from(chance.bytes(8)) : words[chance.below(words.length)]!;
    at += piece.copy(bytes, at);
    if (draw === 3) at += chance.below(12);
  }
  return bytes;
}
