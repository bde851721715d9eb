import { LINE_BYTES, PAGE_BYTES } from './layout';

/*
 * Sixteen 32-bit words a line, each with a key of its own that depends on seed and place; words are multiplied with
 * the words 16 bytes on into eight 64-bit sums, and each word is also added to a sum in which it is no factor, so that
 * a factor of zero loses nothing. Every 1,024 bytes the sums are stirred, and in the end folded to 128 bits with the
 * rounds of MurmurHash3 (Appleby, 2011). The manner of multiplying follows XXH3 (Collet, 2019); the values are others.
 */

/** Bytes between two stirrings of the sums. */
const BLOCK_BYTES: usize = 1024;
/** Odd, so that all lines of a page have other keys. */
const KEY_STEP = i64x2(0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f);
const STIR_PRIME = i64x2.splat(0x9e3779b1);

/** Bits of pi: keys of the first line, then keys of the stirring. */
const KEY_0 = i64x2(0x243f6a8885a308d3, 0x13198a2e03707344);
const KEY_1 = i64x2(0xa4093822299f31d0, 0x082efa98ec4e6c89);
const KEY_2 = i64x2(0x452821e638d01377, 0xbe5466cf34e90c6c);
const KEY_3 = i64x2(0xc0ac29b7c97c50dd, 0x3f84d5b5b5470917);
const STIR_0 = i64x2(0x9216d5d98979fb1b, 0xd1310ba698dfb5ac);
const STIR_1 = i64x2(0x2ffd72dbd01adfb7, 0xb8e1afed6a267e96);
const STIR_2 = i64x2(0xba7c9045f12c7f99, 0x24a19947b3916cf7);
const STIR_3 = i64x2(0x0801f2e2858efc16, 0x636920d871574e69);

const FOLD_1: u64 = 0x87c37b91114253d5;
const FOLD_2: u64 = 0x4cf5ad432745937f;

export function hashPages(pointers: usize, count: u32, seedLow: u32, seedHigh: u32, out: usize): void {
  const seed = ((seedHigh as u64) << 32) | (seedLow as u64);
  for (let index: u32 = 0; index < count; index++) {
    hashPage(load<u32>(pointers + (index << 2)), seed, out + (index << 4));
  }
}

function hashPage(page: usize, seed: u64, out: usize): void {
  const seeds = i64x2.replace_lane(i64x2.splat(seed), 1, 0 - seed);
  let key0 = i64x2.add(KEY_0, seeds);
  let key1 = i64x2.add(KEY_1, seeds);
  let key2 = i64x2.add(KEY_2, seeds);
  let key3 = i64x2.add(KEY_3, seeds);
  let sum0 = i64x2.splat(0);
  let sum1 = i64x2.splat(0);
  let sum2 = i64x2.splat(0);
  let sum3 = i64x2.splat(0);
  const end = page + PAGE_BYTES;
  while (true) {
    const blockEnd = page + BLOCK_BYTES;
    do {
      const words0 = v128.xor(v128.load(page), key0);
      const words1 = v128.xor(v128.load(page, 16), key1);
      const words2 = v128.xor(v128.load(page, 32), key2);
      const words3 = v128.xor(v128.load(page, 48), key3);
      sum0 = i64x2.add(sum0, i64x2.add(words2, i64x2.extmul_low_i32x4_u(words0, words1)));
      sum1 = i64x2.add(sum1, i64x2.add(words3, i64x2.extmul_high_i32x4_u(words0, words1)));
      sum2 = i64x2.add(sum2, i64x2.add(words0, i64x2.extmul_low_i32x4_u(words2, words3)));
      sum3 = i64x2.add(sum3, i64x2.add(words1, i64x2.extmul_high_i32x4_u(words2, words3)));
      key0 = i64x2.add(key0, KEY_STEP);
      key1 = i64x2.add(key1, KEY_STEP);
      key2 = i64x2.add(key2, KEY_STEP);
      key3 = i64x2.add(key3, KEY_STEP);
      page += LINE_BYTES;
    } while (page < blockEnd);
    if (page === end) break;
    sum0 = stirred(sum0, STIR_0);
    sum1 = stirred(sum1, STIR_1);
    sum2 = stirred(sum2, STIR_2);
    sum3 = stirred(sum3, STIR_3);
  }
  fold(sum0, sum1, sum2, sum3, seed, out);
}

function stirred(sum: v128, key: v128): v128 {
  return i64x2.mul(v128.xor(v128.xor(sum, i64x2.shr_u(sum, 47)), key), STIR_PRIME);
}

function fold(sum0: v128, sum1: v128, sum2: v128, sum3: v128, seed: u64, out: usize): void {
  let low = seed;
  let high = seed;
  low = foldedLow(low, high, i64x2.extract_lane(sum0, 0));
  high = foldedHigh(low, high, i64x2.extract_lane(sum0, 1));
  low = foldedLow(low, high, i64x2.extract_lane(sum1, 0));
  high = foldedHigh(low, high, i64x2.extract_lane(sum1, 1));
  low = foldedLow(low, high, i64x2.extract_lane(sum2, 0));
  high = foldedHigh(low, high, i64x2.extract_lane(sum2, 1));
  low = foldedLow(low, high, i64x2.extract_lane(sum3, 0));
  high = foldedHigh(low, high, i64x2.extract_lane(sum3, 1));
  low += high;
  high += low;
  low = mixed(low);
  high = mixed(high);
  low += high;
  high += low;
  store<u64>(out, low);
  store<u64>(out, high, 8);
}

function foldedLow(low: u64, high: u64, sum: u64): u64 {
  return (rotl<u64>(low ^ (rotl<u64>(sum * FOLD_1, 31) * FOLD_2), 27) + high) * 5 + 0x52dce729;
}

function foldedHigh(low: u64, high: u64, sum: u64): u64 {
  return (rotl<u64>(high ^ (rotl<u64>(sum * FOLD_2, 33) * FOLD_1), 31) + low) * 5 + 0x38495ab5;
}

function mixed(bits: u64): u64 {
  bits = (bits ^ (bits >> 33)) * 0xff51afd7ed558ccd;
  bits = (bits ^ (bits >> 33)) * 0xc4ceb9fe1a85ec53;
  return bits ^ (bits >> 33);
}
