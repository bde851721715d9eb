import { PAGE_BYTES } from '../qemu-stream';
import type { KernelMemory } from './kernel-memory';
import { DELTA_KIND } from './page-kernels';
import { pagesOf } from './typescript-pages';

const LINE_BYTES = 64;
const WORD_BYTES = 8;
const LINES = PAGE_BYTES / LINE_BYTES;
const WORDS_PER_LINE = LINE_BYTES / WORD_BYTES;
/** Lines in one half of a line mask, which is written as two 32-bit words. */
const HALF = LINES / 2;

/** As `PageKernels.encodeDeltas`. */
export function encodeDeltas(
  memory: KernelMemory,
  bases: number,
  nexts: number,
  count: number,
  literalBytesMax: number,
  kinds: number,
  lineMasks: number,
  wordMasks: number,
  literals: number,
  used: number,
): void {
  const { bytes, words } = memory;
  const basePages = pagesOf(memory, bases, count);
  const nextPages = pagesOf(memory, nexts, count);
  let wordMaskAt = wordMasks;
  let literalAt = literals;
  for (let index = 0; index < count; index += 1) {
    const base = basePages[index]!;
    const next = nextPages[index]!;
    const lines = base === 0 ? [] : changedLines(words, base, next);
    const literalBytes = lines.reduce((sum, { mask }) => sum + WORD_BYTES * bitCount(mask), 0);
    const isRaw = base === 0 || literalBytes > literalBytesMax;
    const halves = [0, 0];
    for (const { line, mask } of isRaw ? [] : lines) {
      halves[line < HALF ? 0 : 1]! |= 1 << (line % HALF);
      bytes[wordMaskAt] = mask;
      wordMaskAt += 1;
      for (let word = 0; word < WORDS_PER_LINE; word += 1) {
        if ((mask & (1 << word)) === 0) continue;
        const from = next + line * LINE_BYTES + word * WORD_BYTES;
        bytes.copyWithin(literalAt, from, from + WORD_BYTES);
        literalAt += WORD_BYTES;
      }
    }
    words.set(halves, (lineMasks + 8 * index) / 4);
    bytes[kinds + index] = isRaw ? DELTA_KIND.raw : lines.length > 0 ? DELTA_KIND.delta : DELTA_KIND.same;
  }
  words.set([wordMaskAt - wordMasks, literalAt - literals], used / 4);
}

function changedLines(words: Uint32Array, base: number, next: number): { line: number; mask: number }[] {
  const changed: { line: number; mask: number }[] = [];
  for (let line = 0; line < LINES; line += 1) {
    const a = (base + line * LINE_BYTES) / 4;
    const b = (next + line * LINE_BYTES) / 4;
    let mask = 0;
    for (let word = 0; word < WORDS_PER_LINE; word += 1)
      if (words[a + 2 * word] !== words[b + 2 * word] || words[a + 2 * word + 1] !== words[b + 2 * word + 1])
        mask |= 1 << word;
    if (mask !== 0) changed.push({ line, mask });
  }
  return changed;
}

/** As `PageKernels.applyDeltas`. */
export function applyDeltas(
  memory: KernelMemory,
  bases: number,
  nexts: number,
  count: number,
  lineMasks: number,
  wordMasks: number,
  wordMasksEnd: number,
  literals: number,
  literalsEnd: number,
  used: number,
): number {
  const { bytes, words } = memory;
  const basePages = pagesOf(memory, bases, count);
  const nextPages = pagesOf(memory, nexts, count);
  let wordMaskAt = wordMasks;
  let literalAt = literals;
  for (let index = 0; index < count; index += 1) {
    const base = basePages[index]!;
    const next = nextPages[index]!;
    if (base !== next && base !== 0) bytes.copyWithin(next, base, base + PAGE_BYTES);
    const low = words[(lineMasks + 8 * index) / 4]!;
    const high = words[(lineMasks + 8 * index) / 4 + 1]!;
    if (bitCount(low) + bitCount(high) > wordMasksEnd - wordMaskAt) return 1;
    for (let line = 0; line < LINES; line += 1) {
      if (((line < HALF ? low : high) & (1 << (line % HALF))) === 0) continue;
      const mask = bytes[wordMaskAt]!;
      wordMaskAt += 1;
      if (WORD_BYTES * bitCount(mask) > literalsEnd - literalAt) return 1;
      for (let word = 0; word < WORDS_PER_LINE; word += 1) {
        if ((mask & (1 << word)) === 0) continue;
        bytes.copyWithin(next + line * LINE_BYTES + word * WORD_BYTES, literalAt, literalAt + WORD_BYTES);
        literalAt += WORD_BYTES;
      }
    }
  }
  words.set([wordMaskAt - wordMasks, literalAt - literals], used / 4);
  return 0;
}

function bitCount(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}
