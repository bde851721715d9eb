import { PAGE_BYTES } from '../qemu-stream';
import { SeededChance } from '../testing/seeded-chance';
import { createKernels } from './kernels';
import { PAGE_HASH_BYTES } from './page-kernels';
import { PageDesk } from './testing/page-desk';

const HASH_BITS = PAGE_HASH_BYTES * 8;
const BATCH_PAGES = 250;

/** Hashes pages that are each made from the one original by `change` and put back to it afterwards by `restore`. */
class NearPages {
  readonly desk = new PageDesk(createKernels({ maxBytes: 16 * 1024 * 1024, implementation: 'wasm' }));
  readonly pages: number[];
  readonly #pointers: number;
  readonly #hashes: number;

  constructor(readonly original: Uint8Array) {
    this.pages = Array.from({ length: BATCH_PAGES }, () => this.desk.page(original));
    this.#pointers = this.desk.words(this.pages);
    this.#hashes = this.desk.room(BATCH_PAGES * PAGE_HASH_BYTES);
  }

  get words(): Uint32Array {
    return this.desk.kernels.memory.words;
  }

  /** Hashes of all pages as they are now, two 64-bit numbers each. */
  hashes(): BigUint64Array {
    this.desk.kernels.hashPages(this.#pointers, BATCH_PAGES, 1, 2, this.#hashes);
    const bytes = this.desk.bytesAt(this.#hashes, BATCH_PAGES * PAGE_HASH_BYTES);
    return new BigUint64Array(bytes.buffer);
  }
}

/** How many 64-bit halves of hashes are not unique, low and high halves by themselves. */
function repeatedHalves(count: number, near: NearPages, change: (index: number, page: number) => () => void) {
  const halves = [new BigUint64Array(count), new BigUint64Array(count)];
  for (let from = 0; from < count; from += BATCH_PAGES) {
    const restore = near.pages.map((page, at) => change(from + at, page / 4));
    near.hashes().forEach((half, at) => {
      halves[at % 2]![from + (at >> 1)] = half;
    });
    restore.forEach((undo) => undo());
  }
  return halves.map((values) => {
    values.sort();
    let repeated = 0;
    for (let at = 1; at < count; at += 1) if (values[at] === values[at - 1]) repeated += 1;
    return repeated;
  });
}

describe('the hash of pages', () => {
  it('gives a million pages that differ in one word other values in both halves', () => {
    const near = new NearPages(new Uint8Array(PAGE_BYTES));
    const { words } = near;
    const repeated = repeatedHalves(1_000_000, near, (index, page) => {
      const place = page + (index & 1_023);
      // Small counts in each word of the page, as memory holds them: no word's value comes twice.
      words[place] = 1 + (index >> 10);
      return () => (words[place] = 0);
    });
    expect(repeated).toEqual([0, 0]);
  });

  it('gives pages in which two words changed places other values in both halves', () => {
    const original = new SeededChance(1).bytes(PAGE_BYTES);
    const near = new NearPages(original);
    const { words } = near;
    const pairs: [number, number][] = [];
    for (let a = 0; a < 1_024 && pairs.length < 200_000; a += 1)
      for (let b = a + 1; b < Math.min(1_024, a + 210); b += 1) pairs.push([a, b]);
    const count = Math.floor(pairs.length / BATCH_PAGES) * BATCH_PAGES;
    const repeated = repeatedHalves(count, near, (index, page) => {
      const [a, b] = pairs[index]!;
      const swap = () => {
        [words[page + a], words[page + b]] = [words[page + b]!, words[page + a]!];
      };
      swap();
      return swap;
    });
    expect(count).toBeGreaterThan(190_000);
    expect(repeated).toEqual([0, 0]);
  });

  it.each([
    ['random', new SeededChance(2).bytes(PAGE_BYTES)],
    ['zero', new Uint8Array(PAGE_BYTES)],
  ])('flips every bit about half of the time when one bit of a %s page flips', (_, original) => {
    const near = new NearPages(original);
    const { words } = near;
    const chance = new SeededChance(3);
    const [first] = [near.hashes()];
    const [low, high] = [first[0]!, first[1]!];
    const flips = new Uint32Array(HASH_BITS);
    let cases = 0;
    let fewest = HASH_BITS;
    for (let batch = 0; batch < 80; batch += 1) {
      const undo = near.pages.map((page) => {
        const place = page / 4 + chance.below(PAGE_BYTES / 4);
        const bit = 1 << chance.below(32);
        words[place]! ^= bit;
        return () => (words[place]! ^= bit);
      });
      const hashes = near.hashes();
      undo.forEach((restore) => restore());
      for (let at = 0; at < BATCH_PAGES; at += 1) {
        let changed = 0;
        for (const [offset, difference] of [low ^ hashes[2 * at]!, high ^ hashes[2 * at + 1]!].entries())
          for (let bit = 0; bit < 64; bit += 1)
            if ((difference >> BigInt(bit)) & 1n) {
              flips[64 * offset + bit]! += 1;
              changed += 1;
            }
        fewest = Math.min(fewest, changed);
        cases += 1;
      }
    }
    // 20,000 tosses: a fair coin leaves 0.48 to 0.52 once in 10 million times, over all 128 bits once in 100,000 runs;
    // the seeds are fixed besides, so this does not fail by chance.
    for (const count of flips) {
      expect(count / cases).toBeGreaterThan(0.48);
      expect(count / cases).toBeLessThan(0.52);
    }
    expect(fewest).toBeGreaterThan(30);
  });
});
