import type { KernelMemory } from './kernel-memory';

/** Says what became of a page in `encodeDeltas`. */
export const DELTA_KIND = { same: 1, delta: 2, raw: 3 } as const;
/** Bytes of the hash of a page. */
export const PAGE_HASH_BYTES = 16;
/** The most word masks of one page: one byte for each 64-byte line. */
export const WORD_MASK_BYTES_MAX = 64;
/** What `encodeDeltas` may write past the literals it counts. */
export const LITERAL_SLACK_BYTES = 64;

/**
 * Work on whole batches of pages in one memory. Every position is a byte address in `memory`. Pages have 4,096 bytes
 * and begin at multiples of 64; arrays of pointers, of line masks and of hashes and the `used` pair begin at multiples
 * of 4 and hold little-endian words. Positions come from the caller and are trusted to name his own pages, yet nothing
 * reaches beyond the memory: every call throws a `KernelError` (`KERNEL_RANGE`) when an array or a page lies outside.
 * No call sets memory aside or keeps anything.
 */
export interface PageKernels {
  readonly memory: KernelMemory;
  readonly implementation: 'wasm' | 'typescript';
  /** `out[i]` (a byte) is 1 where the page at `pointers[i]` is all zero, else 0. */
  scanZero(pointers: number, count: number, out: number): void;
  /** `out[i]` (a byte) is 1 where page `a[i]` equals page `b[i]`, else 0. */
  comparePages(a: number, b: number, count: number, out: number): void;
  /**
   * A hash of 128 bits with a seed of 64 for each page, 16 bytes each to `out`. It spreads well but is not
   * cryptographic: who knows the seed can make pages that collide, so confirm every match by its bytes.
   */
  hashPages(pointers: number, count: number, seedLow: number, seedHigh: number, out: number): void;
  /**
   * What has changed from page `bases[i]` to page `nexts[i]`, appended to three columns: for each page a line mask of
   * 64 bits at `lineMasks + 8 * i` (bit n: the 64-byte line n differs), for each such line a byte to `wordMasks` (bit
   * n: its 8-byte word n differs), and each such word of the next page to `literals`. `kinds[i]` (a byte) is of
   * `DELTA_KIND`: `same`, `delta`, or `raw` for a page that has no base (address 0) or differs in more than
   * `literalBytesMax` bytes of words; such a page adds nothing and has the line mask 0. The bytes added to `wordMasks`
   * and to `literals` go to `used` as two words. There must be room for `WORD_MASK_BYTES_MAX` and `literalBytesMax` a
   * page and `LITERAL_SLACK_BYTES` once.
   */
  encodeDeltas(
    bases: number,
    nexts: number,
    count: number,
    literalBytesMax: number,
    kinds: number,
    lineMasks: number,
    wordMasks: number,
    literals: number,
    used: number,
  ): void;
  /**
   * The inverse of `encodeDeltas`: copies each `bases[i]` to `nexts[i]` (nothing to copy when they are the same or the
   * base is 0) and puts the literals over it. The columns may hold anything: nothing is read beyond `wordMasksEnd` and
   * `literalsEnd` and nothing written outside the next pages. Returns 0 and gives to `used` the bytes taken from both
   * columns, or returns 1 when they are too short for what the masks say; some pages have been changed then.
   */
  applyDeltas(
    bases: number,
    nexts: number,
    count: number,
    lineMasks: number,
    wordMasks: number,
    wordMasksEnd: number,
    literals: number,
    literalsEnd: number,
    used: number,
  ): number;
  /** Copies page `from[i]` to page `to[i]`, one after the other. */
  copyPages(from: number, to: number, count: number): void;
  /** CRC-32C of any bytes, unsigned; `sum` is that of the bytes before them, 0 to begin with. */
  crc32c(pointer: number, length: number, sum: number): number;
}

/** The calls alone. What the compiled module exports has this shape, with unsigned results as signed numbers. */
export type KernelOperations = Omit<PageKernels, 'memory' | 'implementation'>;
