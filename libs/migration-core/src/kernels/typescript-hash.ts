import type { KernelMemory } from './kernel-memory';
import { PAGE_HASH_BYTES } from './page-kernels';
import { PAGE_WORDS } from './typescript-pages';

/* The hash of `assembly/hash.ts`, which tells how it works, with 64-bit numbers as pairs of 32-bit words. */

const LINE_WORDS = 16;
const BLOCK_WORDS = 256;
const SUMS = 8;
const WORD = 2 ** 32;
const LOW_64 = (1n << 64n) - 1n;

/** Bits of pi: four pairs of keys for the first line, then eight for the stirring. */
const KEYS = [
  0x243f6a8885a308d3n,
  0x13198a2e03707344n,
  0xa4093822299f31d0n,
  0x082efa98ec4e6c89n,
  0x452821e638d01377n,
  0xbe5466cf34e90c6cn,
  0xc0ac29b7c97c50ddn,
  0x3f84d5b5b5470917n,
];
const STIR_KEYS = [
  0x9216d5d98979fb1bn,
  0xd1310ba698dfb5acn,
  0x2ffd72dbd01adfb7n,
  0xb8e1afed6a267e96n,
  0xba7c9045f12c7f99n,
  0x24a19947b3916cf7n,
  0x0801f2e2858efc16n,
  0x636920d871574e69n,
].flatMap((key) => [Number(key & 0xffffffffn), Number(key >> 32n)]);
const KEY_STEPS = [0x9e3779b97f4a7c15n, 0xc2b2ae3d27d4eb4fn];
const STIR_PRIME = 0x9e3779b1;
const FOLD_1 = 0x87c37b91114253d5n;
const FOLD_2 = 0x4cf5ad432745937fn;

/** As `PageKernels.hashPages`. */
export function hashPages(
  memory: KernelMemory,
  pages: Uint32Array,
  seedLow: number,
  seedHigh: number,
  out: number,
): void {
  const { words } = memory;
  const seed = (BigInt(seedHigh >>> 0) << 32n) | BigInt(seedLow >>> 0);
  const keys = keysOf(seed);
  const lows = new Float64Array(SUMS);
  const highs = new Float64Array(SUMS);
  pages.forEach((page, index) => {
    lows.fill(0);
    highs.fill(0);
    for (let block = 0; block < PAGE_WORDS; block += BLOCK_WORDS) {
      if (block > 0) stir(lows, highs);
      for (let line = block; line < block + BLOCK_WORDS; line += LINE_WORDS)
        addLine(words, page / 4 + line, keys, line, lows, highs);
      carry(lows, highs);
    }
    words.set(fold(lows, highs, seed), (out + index * PAGE_HASH_BYTES) / 4);
  });
}

/** A key for each word of a page. */
function keysOf(seed: bigint): Uint32Array {
  const keys = new BigUint64Array(PAGE_WORDS / 2);
  for (let at = 0; at < keys.length; at += 1) {
    const line = BigInt(Math.floor(at / KEYS.length));
    keys[at] = KEYS[at % KEYS.length]! + (at % 2 === 0 ? seed : -seed) + line * KEY_STEPS[at % 2]!;
  }
  return new Uint32Array(keys.buffer);
}

/**
 * Halves of sums are numbers of 53 bits here: a block adds at most 32 values of 32 bits to each, so that nothing is
 * lost before `carry`.
 */
function addLine(
  words: Uint32Array,
  at: number,
  keys: Uint32Array,
  keyAt: number,
  lows: Float64Array,
  highs: Float64Array,
): void {
  for (let sum = 0; sum < SUMS; sum += 1) {
    // The sums 0 to 3 take products of the first half of the line and add the second, 4 to 7 the other way round.
    const factor = sum < 4 ? sum : sum + 4;
    const added = sum < 4 ? 8 + 2 * sum : 2 * (sum - 4);
    const a = (words[at + factor]! ^ keys[keyAt + factor]!) >>> 0;
    const b = (words[at + factor + 4]! ^ keys[keyAt + factor + 4]!) >>> 0;
    const low = Math.imul(a, b) >>> 0;
    lows[sum]! += low + ((words[at + added]! ^ keys[keyAt + added]!) >>> 0);
    highs[sum]! += highOf(a, b, low) + ((words[at + added + 1]! ^ keys[keyAt + added + 1]!) >>> 0);
  }
}

/** Upper half of a product whose lower is known. The rounding error of a * b is far below the half that is added. */
function highOf(a: number, b: number, low: number): number {
  return ((a * b - low) / WORD + 0.5) >>> 0;
}

function carry(lows: Float64Array, highs: Float64Array): void {
  for (let sum = 0; sum < SUMS; sum += 1) {
    const low = lows[sum]!;
    highs[sum] = (highs[sum]! + Math.floor(low / WORD)) % WORD;
    lows[sum] = low % WORD;
  }
}

function stir(lows: Float64Array, highs: Float64Array): void {
  for (let sum = 0; sum < SUMS; sum += 1) {
    const low = (lows[sum]! ^ (highs[sum]! >>> 15) ^ STIR_KEYS[2 * sum]!) >>> 0;
    const high = (highs[sum]! ^ STIR_KEYS[2 * sum + 1]!) >>> 0;
    const product = Math.imul(low, STIR_PRIME) >>> 0;
    lows[sum] = product;
    highs[sum] = (highOf(low, STIR_PRIME, product) + Math.imul(high, STIR_PRIME)) >>> 0;
  }
}

function fold(lows: Float64Array, highs: Float64Array, seed: bigint): number[] {
  let low = seed;
  let high = seed;
  for (let at = 0; at < SUMS; at += 1) {
    const sum = (BigInt(highs[at]!) << 32n) | BigInt(lows[at]!);
    if (at % 2 === 0)
      low =
        ((rotated(low ^ ((rotated(sum * FOLD_1, 31n) * FOLD_2) & LOW_64), 27n) + high) * 5n + 0x52dce729n) &
        LOW_64;
    else
      high =
        ((rotated(high ^ ((rotated(sum * FOLD_2, 33n) * FOLD_1) & LOW_64), 31n) + low) * 5n + 0x38495ab5n) &
        LOW_64;
  }
  low += high;
  high += low;
  low = mixed(low & LOW_64);
  high = mixed(high & LOW_64);
  low += high;
  high += low;
  return [low, low >> 32n, high, high >> 32n].map((part) => Number(part & 0xffffffffn));
}

function rotated(bits: bigint, by: bigint): bigint {
  const low = bits & LOW_64;
  return ((low << by) | (low >> (64n - by))) & LOW_64;
}

function mixed(bits: bigint): bigint {
  let mix = ((bits ^ (bits >> 33n)) * 0xff51afd7ed558ccdn) & LOW_64;
  mix = ((mix ^ (mix >> 33n)) * 0xc4ceb9fe1a85ec53n) & LOW_64;
  return mix ^ (mix >> 33n);
}
