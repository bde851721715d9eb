import { KIND_DELTA, KIND_RAW, KIND_SAME, LINE_BYTES, PAGE_BYTES } from './layout';
import { copyPage, lineDifference } from './pages';

/** Words of a page that may become literals can be no more than all. */
const LITERAL_BYTES_MAX: u32 = 4096;

export function encodeDeltas(
  bases: usize,
  nexts: usize,
  count: u32,
  literalBytesMax: u32,
  kinds: usize,
  lineMasks: usize,
  wordMasks: usize,
  literals: usize,
  used: usize,
): void {
  const literalBytes = min<u32>(literalBytesMax, LITERAL_BYTES_MAX);
  let wordMask = wordMasks;
  let literal = literals;
  for (let index: u32 = 0; index < count; index++) {
    const base: usize = load<u32>(bases + (index << 2));
    const next: usize = load<u32>(nexts + (index << 2));
    let lines: u64 = 0;
    let kind = KIND_RAW;
    if (base !== 0) {
      lines = differingLines(base, next);
      if (lines === 0) kind = KIND_SAME;
      else if ((popcnt<u64>(lines) as u32) << 3 > literalBytes) lines = 0;
      else {
        const wordMaskStart = wordMask;
        const literalStart = literal;
        const literalEnd = literal + literalBytes;
        let rest = lines;
        kind = KIND_DELTA;
        do {
          const at = (ctz<u64>(rest) as usize) << 6;
          rest &= rest - 1;
          const words = differingWords(base + at, next + at);
          store<u8>(wordMask++, words);
          literal = gatherWords(next + at, words, literal);
          if (literal > literalEnd) {
            wordMask = wordMaskStart;
            literal = literalStart;
            lines = 0;
            kind = KIND_RAW;
            break;
          }
        } while (rest !== 0);
      }
    }
    store<u64>(lineMasks + (index << 3), lines);
    store<u8>(kinds + index, kind);
  }
  store<u32>(used, wordMask - wordMasks);
  store<u32>(used, literal - literals, 4);
}

/** Bit n says that the 64-byte lines n differ. No branch within a page, so that scattered changes cost no guesses. */
function differingLines(base: usize, next: usize): u64 {
  let lines: u64 = 0;
  const end = base + PAGE_BYTES;
  do {
    const four =
      (v128.any_true(lineDifference(base, next)) as u32) |
      ((v128.any_true(lineDifference(base + LINE_BYTES, next + LINE_BYTES)) as u32) << 1) |
      ((v128.any_true(lineDifference(base + 2 * LINE_BYTES, next + 2 * LINE_BYTES)) as u32) << 2) |
      ((v128.any_true(lineDifference(base + 3 * LINE_BYTES, next + 3 * LINE_BYTES)) as u32) << 3);
    lines = (lines >> 4) | ((four as u64) << 60);
    base += 4 * LINE_BYTES;
    next += 4 * LINE_BYTES;
  } while (base < end);
  return lines;
}

/** Bit n says that the 8-byte words n of two lines differ. */
function differingWords(base: usize, next: usize): u32 {
  return (
    i64x2.bitmask(i64x2.ne(v128.load(base), v128.load(next))) |
    (i64x2.bitmask(i64x2.ne(v128.load(base, 16), v128.load(next, 16))) << 2) |
    (i64x2.bitmask(i64x2.ne(v128.load(base, 32), v128.load(next, 32))) << 4) |
    (i64x2.bitmask(i64x2.ne(v128.load(base, 48), v128.load(next, 48))) << 6)
  );
}

/** Writes all eight words and goes on only past those that count: cheaper than to guess which they are. */
function gatherWords(line: usize, words: u32, literal: usize): usize {
  store<u64>(literal, load<u64>(line));
  literal += (words << 3) & 8;
  store<u64>(literal, load<u64>(line, 8));
  literal += (words << 2) & 8;
  store<u64>(literal, load<u64>(line, 16));
  literal += (words << 1) & 8;
  store<u64>(literal, load<u64>(line, 24));
  literal += words & 8;
  store<u64>(literal, load<u64>(line, 32));
  literal += (words >> 1) & 8;
  store<u64>(literal, load<u64>(line, 40));
  literal += (words >> 2) & 8;
  store<u64>(literal, load<u64>(line, 48));
  literal += (words >> 3) & 8;
  store<u64>(literal, load<u64>(line, 56));
  return literal + ((words >> 4) & 8);
}

export function applyDeltas(
  bases: usize,
  nexts: usize,
  count: u32,
  lineMasks: usize,
  wordMasks: usize,
  wordMasksEnd: usize,
  literals: usize,
  literalsEnd: usize,
  used: usize,
): u32 {
  let wordMask = wordMasks;
  let literal = literals;
  for (let index: u32 = 0; index < count; index++) {
    const base: usize = load<u32>(bases + (index << 2));
    const next: usize = load<u32>(nexts + (index << 2));
    if (base !== next && base !== 0) copyPage(base, next);
    let rest = load<u64>(lineMasks + (index << 3));
    if (wordMasksEnd - wordMask < (popcnt<u64>(rest) as usize)) return 1;
    while (rest !== 0) {
      const line = next + ((ctz<u64>(rest) as usize) << 6);
      rest &= rest - 1;
      let words: u32 = load<u8>(wordMask++);
      if (literalsEnd - literal < (popcnt<u32>(words) as usize) << 3) return 1;
      while (words !== 0) {
        store<u64>(line + ((ctz<u32>(words) as usize) << 3), load<u64>(literal));
        literal += 8;
        words &= words - 1;
      }
    }
  }
  store<u32>(used, wordMask - wordMasks);
  store<u32>(used, literal - literals, 4);
  return 0;
}
