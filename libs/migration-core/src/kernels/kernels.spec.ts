import { crc32c } from '../crc32c';
import { PAGE_BYTES } from '../qemu-stream';
import { SeededChance } from '../testing/seeded-chance';
import { KERNEL_MEMORY_BYTES_MAX, KERNEL_RESERVED_BYTES } from './kernel-memory';
import { createKernels } from './kernels';
import { DELTA_KIND, type PageKernels } from './page-kernels';
import { kernelCodeOf, PageDesk } from './testing/page-desk';

const MAX_BYTES = 16 * 1024 * 1024;

/** Bytes at which steps, lines and halves of vectors begin and end, and some within. */
const PLACES = [0, 1, 7, 8, 15, 16, 63, 64, 100, 255, 256, 1_023, 1_024, 2_048, 3_071, 4_032, 4_088, 4_095];

it('takes the compiled kernels where nothing else is asked for', () => {
  expect(createKernels({ maxBytes: MAX_BYTES }).implementation).toBe('wasm');
});

describe.each(['wasm', 'typescript'] as const)('page kernels in %s', (implementation) => {
  let kernels: PageKernels;
  let desk: PageDesk;

  beforeEach(() => {
    kernels = createKernels({ maxBytes: MAX_BYTES, implementation });
    desk = new PageDesk(kernels);
  });

  function pageWith(place: number, value: number): number {
    const bytes = new Uint8Array(PAGE_BYTES);
    bytes[place] = value;
    return desk.page(bytes);
  }

  it('is the kind that was asked for', () => {
    expect(kernels.implementation).toBe(implementation);
  });

  describe('scanZero', () => {
    it('tells zero pages from pages with one bit anywhere', () => {
      const pages = [desk.page(), ...PLACES.flatMap((place) => [pageWith(place, 1), pageWith(place, 0x80)])];
      const out = desk.put(new Uint8Array(pages.length).fill(9));
      kernels.scanZero(desk.words(pages), pages.length, out);
      expect(Array.from(desk.bytesAt(out, pages.length))).toEqual(pages.map((_, index) => +(index === 0)));
    });

    it('looks at nothing before or behind the page', () => {
      const before = desk.put(new Uint8Array(64).fill(255));
      const page = desk.page();
      desk.put(new Uint8Array(64).fill(255));
      expect(page).toBe(before + 64);
      const out = desk.room(2);
      desk.kernels.scanZero(desk.words([page]), 1, out);
      expect(Array.from(desk.bytesAt(out, 2))).toEqual([1, 0]);
    });
  });

  describe('comparePages', () => {
    it('tells equal pages from pages that differ in one bit anywhere', () => {
      const original = new SeededChance(1).bytes(PAGE_BYTES);
      const a = [desk.page(original), ...PLACES.map(() => desk.page(original))];
      const b = [desk.page(original)];
      for (const place of PLACES) {
        const changed = original.slice();
        changed[place]! ^= 4;
        b.push(desk.page(changed));
      }
      const out = desk.room(a.length);
      kernels.comparePages(desk.words(a), desk.words(b), a.length, out);
      expect(Array.from(desk.bytesAt(out, a.length))).toEqual(a.map((_, index) => +(index === 0)));
    });
  });

  describe('hashPages', () => {
    function hashes(pages: number[], seedLow = 0, seedHigh = 0): string[] {
      const out = desk.room(16 * pages.length);
      kernels.hashPages(desk.words(pages), pages.length, seedLow, seedHigh, out);
      return pages.map((_, index) => Buffer.from(desk.bytesAt(out + 16 * index, 16)).toString('hex'));
    }

    it('gives the same values in every version, since they may be stored', () => {
      const pages = [desk.page(), desk.page(new SeededChance(2).bytes(PAGE_BYTES))];
      expect(hashes(pages)).toEqual(['8dcaf7cb94ea3c21b3f1d58adb0f2d00', 'c016a66d505a89ea9798991f9f33382b']);
      expect(hashes(pages, 0xffffffff, 0x80000001)).toEqual([
        'ac4e31ac38d820fbb875cab9eb0c52f7',
        'ae3e6f7e2579d87d4b899563db2052be',
      ]);
    });

    it('gives equal pages the same hash wherever they lie', () => {
      const bytes = new SeededChance(3).bytes(PAGE_BYTES);
      const [a, b, c] = hashes([desk.page(bytes), desk.page(), desk.page(bytes)]);
      expect(a).toBe(c);
      expect(a).not.toBe(b);
    });

    it('depends on both halves of the seed', () => {
      const page = desk.page();
      const all = [0, 1, 2, 0x80000000].flatMap((low) => [0, 1, 0x80000000].map((high) => [low, high]));
      expect(new Set(all.map(([low, high]) => hashes([page], low, high)[0])).size).toBe(all.length);
    });

    it('depends on every byte and on the order of words', () => {
      const chance = new SeededChance(4);
      const original = chance.bytes(PAGE_BYTES);
      const pages = [desk.page(original)];
      for (let at = 0; at < PAGE_BYTES; at += 1 + chance.below(20)) {
        const changed = original.slice();
        changed[at]! ^= 1 << chance.below(8);
        pages.push(desk.page(changed));
      }
      for (const distance of [4, 8, 16, 32, 64, 128, 1_024, 2_048]) {
        const swapped = original.slice();
        swapped.set(original.subarray(distance, distance + 4), 0);
        swapped.set(original.subarray(0, 4), distance);
        pages.push(desk.page(swapped));
      }
      expect(new Set(hashes(pages)).size).toBe(pages.length);
    });
  });

  describe('copyPages', () => {
    it('copies each page and nothing beside', () => {
      const chance = new SeededChance(5);
      const sources = [chance.bytes(PAGE_BYTES), chance.bytes(PAGE_BYTES)];
      const from = sources.map((bytes) => desk.page(bytes));
      const to = desk.put(new Uint8Array(3 * PAGE_BYTES).fill(7));
      kernels.copyPages(desk.words(from), desk.words([to + 2 * PAGE_BYTES, to]), 2);
      expect(desk.pageAt(to)).toEqual(sources[1]);
      expect(desk.pageAt(to + PAGE_BYTES)).toEqual(new Uint8Array(PAGE_BYTES).fill(7));
      expect(desk.pageAt(to + 2 * PAGE_BYTES)).toEqual(sources[0]);
    });
  });

  describe('crc32c', () => {
    it('agrees with the sum of the frames at every length and alignment', () => {
      const bytes = new SeededChance(6).bytes(300);
      const at = desk.put(bytes);
      for (let from = 0; from < 20; from += 1)
        for (let to = from; to <= bytes.length; to += 1)
          expect(kernels.crc32c(at + from, to - from, 0)).toBe(crc32c(bytes.subarray(from, to)));
    });

    it('goes on from the sum of the bytes before', () => {
      const at = desk.put(Buffer.from('123456789'));
      for (let cut = 0; cut <= 9; cut += 1)
        expect(kernels.crc32c(at + cut, 9 - cut, kernels.crc32c(at, cut, 0))).toBe(0xe3069283);
    });
  });

  describe('the memory', () => {
    it('keeps what it holds when it grows, and gives new views', () => {
      const page = desk.page(Uint8Array.of(1, 2, 3));
      const before = kernels.memory.bytes;
      kernels.memory.grow(5_000_000);
      expect(kernels.memory.byteLength).toBeGreaterThanOrEqual(5_000_000);
      expect(kernels.memory.words.length).toBe(kernels.memory.byteLength / 4);
      expect(before.length).toBe(0);
      expect(Array.from(desk.bytesAt(page, 4))).toEqual([1, 2, 3, 0]);
      expect(kernels.crc32c(page, 3, 0)).toBe(crc32c(Uint8Array.of(1, 2, 3)));
    });

    it('grows to its bound and no further', () => {
      kernels.memory.grow(MAX_BYTES);
      expect(kernels.memory.byteLength).toBe(MAX_BYTES);
      expect(kernelCodeOf(() => kernels.memory.grow(MAX_BYTES + 1))).toBe('KERNEL_MEMORY_LIMIT');
      expect(kernelCodeOf(() => kernels.memory.grow(Number.NaN))).toBe('KERNEL_MEMORY_LIMIT');
      expect(kernels.memory.byteLength).toBe(MAX_BYTES);
    });

    it.each([0, 65_535, -1, Number.NaN, KERNEL_MEMORY_BYTES_MAX + 1])(
      'cannot be bounded by %d',
      (maxBytes) => {
        expect(kernelCodeOf(() => createKernels({ maxBytes, implementation }))).toBe('KERNEL_MEMORY_LIMIT');
      },
    );
  });

  describe('what lies outside the memory', () => {
    const end = 65_536;
    const here = KERNEL_RESERVED_BYTES;

    it.each<[string, (kernels: PageKernels) => unknown]>([
      ['pointers', (on) => on.scanZero(end - 4, 2, here)],
      ['pointers among the kernels own', (on) => on.scanZero(here - 4, 1, here)],
      ['pointers at no multiple of 4', (on) => on.scanZero(here + 2, 1, here)],
      ['a negative count', (on) => on.scanZero(here, -1, here)],
      ['a count that is no whole number', (on) => on.scanZero(here, 0.5, here)],
      ['flags', (on) => on.comparePages(here, here, 3, end - 2)],
      ['hashes', (on) => on.hashPages(here, 2, 0, 0, end - 31)],
      ['a copy list', (on) => on.copyPages(here, end, 1)],
      ['summed bytes', (on) => on.crc32c(end - 1, 2, 0)],
      ['bytes at 4 GiB', (on) => on.crc32c(2 ** 32 + here, 1, 0)],
      ['word masks', (on) => on.encodeDeltas(here, here, 1, 0, here, here, end - 63, here, here)],
      ['literals', (on) => on.encodeDeltas(here, here, 1, 8, here, here, here, end - 71, here)],
      ['a negative bound', (on) => on.encodeDeltas(here, here, 1, -1, here, here, here, here, here)],
      [
        'columns that end early',
        (on) => on.applyDeltas(here, here, 1, here, here, here - 1, here, here, here),
      ],
      ['columns that end late', (on) => on.applyDeltas(here, here, 1, here, here, end + 1, here, here, here)],
      ['the used pair', (on) => on.applyDeltas(here, here, 1, here, here, here, here, here, end - 4)],
    ])('is refused: %s', (_, call) => {
      expect(kernels.memory.byteLength).toBe(end);
      expect(kernelCodeOf(() => call(kernels))).toBe('KERNEL_RANGE');
    });

    it('is refused: pages that end behind it', () => {
      const pointers = desk.words([end - 4_032]);
      const good = desk.words([here + 4_096]);
      const out = desk.room(64);
      const calls: (() => unknown)[] = [
        () => kernels.scanZero(pointers, 1, out),
        () => kernels.comparePages(pointers, pointers, 1, out),
        () => kernels.hashPages(pointers, 1, 0, 0, out),
        () => kernels.copyPages(good, pointers, 1),
        () => kernels.encodeDeltas(pointers, pointers, 1, DELTA_KIND.raw, out, out, out, here + 8_192, out),
        () => kernels.applyDeltas(good, pointers, 1, out, out, out, out, out, out),
      ];
      for (const call of calls) expect(kernelCodeOf(call)).toBe('KERNEL_RANGE');
    });

    it('is not refused: nothing at all', () => {
      kernels.scanZero(end, 0, end);
      kernels.hashPages(end, 0, 0, 0, end);
      expect(kernels.crc32c(end, 0, 5)).toBe(5);
    });
  });
});
