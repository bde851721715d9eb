import { LINE_BYTES, PAGE_BYTES } from './layout';

/*
 * Branches stand so close that what is loaded between two of them fits the sixteen vector registers: the engine's
 * compiler loads first and combines then.
 */

export function scanZero(pointers: usize, count: u32, out: usize): void {
  for (let index: u32 = 0; index < count; index++) {
    store<u8>(out + index, isZero(load<u32>(pointers + (index << 2))));
  }
}

/** Most pages that are not zero say so in their first line. */
function isZero(page: usize): u32 {
  if (v128.any_true(lineBits(page))) return 0;
  const end = page + PAGE_BYTES;
  do {
    if (v128.any_true(fourLineBits(page))) return 0;
    if (v128.any_true(fourLineBits(page + 4 * LINE_BYTES))) return 0;
    if (v128.any_true(fourLineBits(page + 8 * LINE_BYTES))) return 0;
    if (v128.any_true(fourLineBits(page + 12 * LINE_BYTES))) return 0;
    page += 16 * LINE_BYTES;
  } while (page < end);
  return 1;
}

function fourLineBits(line: usize): v128 {
  return v128.or(
    v128.or(lineBits(line), lineBits(line + LINE_BYTES)),
    v128.or(lineBits(line + 2 * LINE_BYTES), lineBits(line + 3 * LINE_BYTES)),
  );
}

function lineBits(line: usize): v128 {
  return v128.or(
    v128.or(v128.load(line), v128.load(line, 16)),
    v128.or(v128.load(line, 32), v128.load(line, 48)),
  );
}

export function comparePages(a: usize, b: usize, count: u32, out: usize): void {
  for (let index: u32 = 0; index < count; index++) {
    const at = index << 2;
    store<u8>(out + index, isEqual(load<u32>(a + at), load<u32>(b + at)));
  }
}

function isEqual(a: usize, b: usize): u32 {
  if (v128.any_true(lineDifference(a, b))) return 0;
  const end = a + PAGE_BYTES;
  do {
    if (v128.any_true(twoLineDifference(a, b))) return 0;
    if (v128.any_true(twoLineDifference(a + 2 * LINE_BYTES, b + 2 * LINE_BYTES))) return 0;
    if (v128.any_true(twoLineDifference(a + 4 * LINE_BYTES, b + 4 * LINE_BYTES))) return 0;
    if (v128.any_true(twoLineDifference(a + 6 * LINE_BYTES, b + 6 * LINE_BYTES))) return 0;
    a += 8 * LINE_BYTES;
    b += 8 * LINE_BYTES;
  } while (a < end);
  return 1;
}

function twoLineDifference(a: usize, b: usize): v128 {
  return v128.or(lineDifference(a, b), lineDifference(a + LINE_BYTES, b + LINE_BYTES));
}

/** Bits in which two lines differ, laid over each other: none when the lines are equal. */
export function lineDifference(a: usize, b: usize): v128 {
  return v128.or(
    v128.or(v128.xor(v128.load(a), v128.load(b)), v128.xor(v128.load(a, 16), v128.load(b, 16))),
    v128.or(v128.xor(v128.load(a, 32), v128.load(b, 32)), v128.xor(v128.load(a, 48), v128.load(b, 48))),
  );
}

export function copyPages(from: usize, to: usize, count: u32): void {
  for (let index: u32 = 0; index < count; index++) {
    const at = index << 2;
    copyPage(load<u32>(from + at), load<u32>(to + at));
  }
}

export function copyPage(from: usize, to: usize): void {
  memory.copy(to, from, PAGE_BYTES);
}
