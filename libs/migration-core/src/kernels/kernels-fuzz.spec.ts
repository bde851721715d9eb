import { isDeepStrictEqual } from 'node:util';
import { PAGE_BYTES } from '../qemu-stream';
import { SeededChance } from '../testing/seeded-chance';
import { createKernels } from './kernels';
import { DELTA_KIND, type PageKernels } from './page-kernels';
import { applied, type EncodedDeltas, encoded, PageDesk } from './testing/page-desk';

/*
 * The compiled kernels against their TypeScript twins, on chance pages with a seed each. WATARI_FUZZ_SEED repeats one,
 * WATARI_FUZZ_CASES runs more.
 */
const CASES = Number(process.env['WATARI_FUZZ_CASES'] ?? 60);
const SEEDS = process.env['WATARI_FUZZ_SEED']
  ? [Number(process.env['WATARI_FUZZ_SEED'])]
  : Array.from({ length: CASES }, () => Math.floor(Math.random() * 2 ** 32));
const MAX_BYTES = 32 * 1024 * 1024;
const PAGES_MAX = 24;

function forEachSeed(check: (chance: SeededChance) => void): void {
  for (const seed of SEEDS) {
    try {
      check(new SeededChance(seed));
    } catch (error) {
      throw new Error(`Failed with WATARI_FUZZ_SEED=${seed}: ${String(error)}`, { cause: error });
    }
  }
}

const BOTH = (['wasm', 'typescript'] as const).map((implementation) =>
  createKernels({ maxBytes: MAX_BYTES, implementation }),
);

/** The same layout in both; what earlier cases left in the memory stays, so nothing may count on zeros. */
function bothDesks(): PageDesk[] {
  return BOTH.map((kernels) => new PageDesk(kernels));
}

/** What both give, which must be equal. */
function agreed<Result>(desks: PageDesk[], call: (desk: PageDesk) => Result): Result {
  const [compiled, plain] = desks.map(call);
  // Far quicker over megabytes than Jest's own comparison.
  if (!isDeepStrictEqual(compiled, plain)) throw new Error('The compiled kernels give other results.');
  return compiled!;
}

/** Zero, nearly zero, all ones, repeating or random. */
function chancePage(chance: SeededChance): Uint8Array {
  const draw = chance.below(6);
  if (draw === 0) return new Uint8Array(PAGE_BYTES);
  if (draw === 1) return changedPage(new Uint8Array(PAGE_BYTES), chance, 1);
  if (draw === 2) return new Uint8Array(PAGE_BYTES).fill(255);
  if (draw === 3) return new Uint8Array(PAGE_BYTES).fill(chance.below(256));
  return chance.bytes(PAGE_BYTES);
}

/** The page with runs of other bytes, as many as said. */
function changedPage(page: Uint8Array, chance: SeededChance, changes: number): Uint8Array {
  const next = page.slice();
  for (let left = changes; left > 0; left -= 1) {
    const at = chance.below(PAGE_BYTES);
    const length = chance.below(4) === 0 ? chance.below(1_500) : 1 + chance.below(12);
    for (let place = at; place < Math.min(PAGE_BYTES, at + length); place += 1)
      next[place]! ^= 1 + chance.below(255);
  }
  return next;
}

function chancePages(chance: SeededChance): { base: Uint8Array; next: Uint8Array }[] {
  return Array.from({ length: chance.below(PAGES_MAX) }, () => {
    const base = chancePage(chance);
    const changes = [0, 1, 2, 8, 60][chance.below(5)]!;
    return { base, next: chance.below(12) === 0 ? chancePage(chance) : changedPage(base, chance, changes) };
  });
}

function placed(desk: PageDesk, pages: { base: Uint8Array; next: Uint8Array }[]) {
  return {
    bases: pages.map(({ base }) => desk.page(base)),
    nexts: pages.map(({ next }) => desk.page(next)),
  };
}

describe('compiled kernels and their twins', () => {
  it('see the same zeros, differences and hashes', () => {
    forEachSeed((chance) => {
      const pages = chancePages(chance);
      const [seedLow, seedHigh] = [chance.below(2 ** 32), chance.below(2 ** 32)];
      const result = agreed(bothDesks(), (desk) => {
        const { bases, nexts } = placed(desk, pages);
        const [basePointers, nextPointers] = [desk.words(bases), desk.words(nexts)];
        const flags = new Uint8Array(100);
        const [zeros, equals] = [desk.put(flags), desk.put(flags)];
        const hashes = desk.put(new Uint8Array(16 * pages.length + 64));
        desk.kernels.scanZero(nextPointers, pages.length, zeros);
        desk.kernels.comparePages(basePointers, nextPointers, pages.length, equals);
        desk.kernels.hashPages(nextPointers, pages.length, seedLow, seedHigh, hashes);
        return [
          desk.bytesAt(zeros, 100),
          desk.bytesAt(equals, 100),
          desk.bytesAt(hashes, 16 * pages.length + 64),
        ];
      });
      pages.forEach(({ base, next }, index) => {
        expect(result[0]![index]).toBe(next.every((byte) => byte === 0) ? 1 : 0);
        expect(result[1]![index]).toBe(Buffer.compare(base, next) === 0 ? 1 : 0);
      });
    });
  });

  it('sum the same', () => {
    forEachSeed((chance) => {
      const bytes = chance.bytes(chance.below(9_000));
      const [from, sum] = [chance.below(70), chance.below(2 ** 32)];
      const length = Math.max(0, bytes.length - from - chance.below(40));
      agreed(bothDesks(), (desk) => desk.kernels.crc32c(desk.put(bytes) + from, length, sum));
    });
  });

  it('copy the same, also where pages are copied on', () => {
    forEachSeed((chance) => {
      const pages = Array.from({ length: 6 }, () => chancePage(chance));
      const draws = Array.from({ length: 10 }, () => [chance.below(6), chance.below(6)] as const);
      agreed(bothDesks(), (desk) => {
        const places = pages.map((page) => desk.page(page));
        const from = desk.words(draws.map(([source]) => places[source]!));
        const to = desk.words(draws.map(([, target]) => places[target]!));
        desk.kernels.copyPages(from, to, draws.length);
        return places.map((place) => desk.pageAt(place));
      });
    });
  });

  it('encode the same deltas, which rebuild every page that is not raw', () => {
    forEachSeed((chance) => {
      const pages = chancePages(chance);
      const literalBytesMax = [0, 8, 100, 1_024, 3_000, PAGE_BYTES, 2 ** 31][chance.below(7)]!;
      const columns = agreed(bothDesks(), (desk) => {
        const { bases, nexts } = placed(desk, pages);
        return encoded(desk, bases, nexts, literalBytesMax);
      });
      const inPlace = chance.below(2) === 0;
      const rebuilt = agreed(bothDesks(), (desk) => {
        const { bases } = placed(desk, pages);
        const targets = inPlace ? bases : bases.map(() => desk.page());
        expect(applied(desk, bases, targets, columns)).toEqual({
          wordMaskBytes: columns.wordMasks.length,
          literalBytes: columns.literals.length,
        });
        return targets.map((target) => desk.pageAt(target));
      });
      pages.forEach(({ base, next }, index) => {
        const isRaw = columns.kinds[index] === DELTA_KIND.raw;
        if (literalBytesMax >= PAGE_BYTES) expect(isRaw).toBe(false);
        expect(Buffer.compare(rebuilt[index]!, isRaw ? base : next)).toBe(0);
      });
    });
  });
});

describe('hostile columns', () => {
  /** Bytes changed, cut off or put in anew. */
  function spoiled(bytes: Uint8Array, chance: SeededChance): Uint8Array {
    const draw = chance.below(4);
    if (draw === 0) return bytes;
    if (draw === 1) return bytes.subarray(0, chance.below(bytes.length + 1));
    if (draw === 2) return chance.bytes(chance.below(400));
    const other = bytes.slice();
    for (let changes = chance.below(5); changes > 0 && other.length > 0; changes -= 1)
      other[chance.below(other.length)] = chance.below(256);
    return other;
  }

  /** Columns end to end with whatever is beside them: what is read beyond an end would show in the pages. */
  function tried(kernels: PageKernels, columns: EncodedDeltas, original: Uint8Array, pages: number) {
    const desk = new PageDesk(kernels);
    const fence = new Uint8Array(PAGE_BYTES).fill(0xe7);
    desk.put(fence);
    const base = desk.page(original);
    desk.put(fence);
    const targets = Array.from({ length: pages }, () => {
      const target = desk.page();
      desk.put(fence);
      return target;
    });
    const lineMasks = new Uint8Array(8 * pages);
    lineMasks.set(columns.lineMasks.subarray(0, 8 * pages));
    const bases = targets.map(() => base);
    const taken = applied(desk, bases, targets, { ...columns, lineMasks });
    for (const place of [base, ...targets])
      expect(desk.bytesAt(place - 64, 64)).toEqual(fence.subarray(0, 64));
    expect(desk.pageAt(base)).toEqual(original);
    if (taken) {
      expect(taken.wordMaskBytes).toBeLessThanOrEqual(columns.wordMasks.length);
      expect(taken.literalBytes).toBeLessThanOrEqual(columns.literals.length);
    }
    return { taken, pages: targets.map((target) => desk.pageAt(target)) };
  }

  it('change the same bytes in both, none outside the pages, or are refused by both', () => {
    let refused = 0;
    let accepted = 0;
    forEachSeed((chance) => {
      const [desk] = bothDesks();
      const pages = chancePages(chance);
      const { bases, nexts } = placed(desk!, pages);
      const good = encoded(desk!, bases, nexts);
      const columns = {
        kinds: [],
        lineMasks: spoiled(good.lineMasks, chance),
        wordMasks: spoiled(good.wordMasks, chance),
        literals: spoiled(good.literals, chance),
      };
      const original = chancePage(chance);
      const { taken } = agreed(bothDesks(), ({ kernels }) => tried(kernels, columns, original, pages.length));
      if (taken) accepted += 1;
      else refused += 1;
    });
    // Shows that the columns reach both ends of the matter.
    if (SEEDS.length >= 40) expect(Math.min(refused, accepted)).toBeGreaterThan(0);
  });
});
