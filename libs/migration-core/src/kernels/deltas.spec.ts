import { PAGE_BYTES } from '../qemu-stream';
import { SeededChance } from '../testing/seeded-chance';
import { createKernels } from './kernels';
import { DELTA_KIND } from './page-kernels';
import { applied, encoded, PageDesk } from './testing/page-desk';

const { same, delta, raw } = DELTA_KIND;

describe.each(['wasm', 'typescript'] as const)('deltas in %s', (implementation) => {
  let desk: PageDesk;
  const original = new SeededChance(1).bytes(PAGE_BYTES);

  beforeEach(() => {
    desk = new PageDesk(createKernels({ maxBytes: 16 * 1024 * 1024, implementation }));
  });

  /** The original with other bytes in these places. */
  function changed(...places: number[]): Uint8Array {
    const bytes = original.slice();
    for (const place of places) bytes[place]! ^= 0xff;
    return bytes;
  }

  describe('encodeDeltas', () => {
    it('says of an equal page that it is the same, and nothing more', () => {
      expect(encoded(desk, [desk.page(original)], [desk.page(original)])).toEqual({
        kinds: [same],
        lineMasks: new Uint8Array(8),
        wordMasks: new Uint8Array(0),
        literals: new Uint8Array(0),
      });
    });

    it('gives lines, words and their bytes in the order of the page', () => {
      const bytes = changed(0, 63, 64 + 8, 40 * 64 + 20, 40 * 64 + 23, 4_095);
      const result = encoded(desk, [desk.page(original)], [desk.page(bytes)]);
      expect(result.kinds).toEqual([delta]);
      expect(Array.from(result.lineMasks)).toEqual([0b11, 0, 0, 0, 0, 1, 0, 0x80]);
      expect(Array.from(result.wordMasks)).toEqual([0b1000_0001, 0b10, 0b100, 0b1000_0000]);
      const words = [0, 56, 64 + 8, 40 * 64 + 16, 4_088].map((at) => bytes.subarray(at, at + 8));
      expect(Buffer.from(result.literals).equals(Buffer.concat(words))).toBe(true);
    });

    it('says raw of a page without a base', () => {
      const result = encoded(desk, [0, desk.page(original)], [desk.page(), desk.page(changed(9))]);
      expect(result.kinds).toEqual([raw, delta]);
      expect(Array.from(result.lineMasks)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
      expect(result.literals.length).toBe(8);
    });

    it('says raw of a page that differs in more than the bound, and takes back what it wrote of it', () => {
      const base = desk.page(original);
      const pages = [changed(1), changed(0, 8, 16), changed(0, 64, 128), changed(70, 72), changed()];
      const nexts = pages.map((bytes) => desk.page(bytes));
      const bases = nexts.map(() => base);
      const result = encoded(desk, bases, nexts, 23);
      expect(result.kinds).toEqual([delta, raw, raw, delta, same]);
      expect(Array.from(result.wordMasks)).toEqual([0b1, 0b11]);
      expect(result.literals.length).toBe(8 + 16);
      expect(encoded(desk, bases, nexts, 24).kinds).toEqual([delta, delta, delta, delta, same]);
      expect(encoded(desk, bases, nexts, 0).kinds).toEqual([raw, raw, raw, raw, same]);
    });

    it('writes no byte past the slack of the literals', () => {
      const everywhere = Array.from({ length: 512 }, (_, index) => 8 * index);
      for (const literalBytesMax of [0, 8, 512, 4_000, PAGE_BYTES, 1_000_000]) {
        const kernels = desk.kernels;
        const pointers = [desk.words([desk.page(original)]), desk.words([desk.page(changed(...everywhere))])];
        const [kinds, lineMasks, wordMasks] = [desk.room(1), desk.room(8), desk.room(64)];
        const room = Math.min(literalBytesMax, PAGE_BYTES) + 64;
        const literals = desk.put(new Uint8Array(room + PAGE_BYTES).fill(0xaa));
        const used = desk.words([0, 0]);
        const [bases, nexts] = pointers as [number, number];
        kernels.encodeDeltas(bases, nexts, 1, literalBytesMax, kinds, lineMasks, wordMasks, literals, used);
        expect(desk.bytesAt(kinds, 1)[0]).toBe(literalBytesMax < PAGE_BYTES ? raw : delta);
        expect(desk.bytesAt(literals + room, PAGE_BYTES)).toEqual(new Uint8Array(PAGE_BYTES).fill(0xaa));
      }
    });
  });

  describe('applyDeltas', () => {
    it.each([
      ['no', []],
      ['one', [77]],
      ['scattered', [3, 500, 501, 1_024, 4_095]],
      ['all', Array.from({ length: PAGE_BYTES }, (_, at) => at)],
    ])('rebuilds a page with %s changes, elsewhere and in place', (_, places) => {
      const next = changed(...places);
      const base = desk.page(original);
      const columns = encoded(desk, [base], [desk.page(next)]);
      const target = desk.page();
      const taken = { wordMaskBytes: columns.wordMasks.length, literalBytes: columns.literals.length };
      expect(applied(desk, [base], [target], columns)).toEqual(taken);
      expect(desk.pageAt(target)).toEqual(next);
      expect(desk.pageAt(base)).toEqual(original);
      expect(applied(desk, [base], [base], columns)).toEqual(taken);
      expect(desk.pageAt(base)).toEqual(next);
    });

    it('lets each page begin from the one before', () => {
      const versions = [original, changed(1), changed(1, 100), changed(100, 4_000)];
      const pages = versions.map((bytes) => desk.page(bytes));
      const columns = encoded(desk, pages.slice(0, 3), pages.slice(1));
      const target = desk.page(original);
      expect(applied(desk, [target, target, target], [target, target, target], columns)).not.toBeNull();
      expect(desk.pageAt(target)).toEqual(versions[3]);
    });

    it('leaves a page without a base as it is where no mask says otherwise', () => {
      const target = desk.page(original);
      const columns = {
        lineMasks: new Uint8Array(8),
        wordMasks: new Uint8Array(0),
        literals: new Uint8Array(0),
      };
      expect(applied(desk, [0], [target], columns)).toEqual({ wordMaskBytes: 0, literalBytes: 0 });
      expect(desk.pageAt(target)).toEqual(original);
    });

    it('takes a line that has no changed word', () => {
      const target = desk.page(original);
      const lineMasks = Uint8Array.of(0b101, 0, 0, 0, 0, 0, 0, 0);
      const columns = { lineMasks, wordMasks: Uint8Array.of(0, 1), literals: new Uint8Array(8).fill(3) };
      expect(applied(desk, [target], [target], columns)).toEqual({ wordMaskBytes: 2, literalBytes: 8 });
      const next = original.slice();
      next.fill(3, 128, 136);
      expect(desk.pageAt(target)).toEqual(next);
    });

    it('takes columns that end with the memory, beyond which there is nothing to read', () => {
      const { kernels } = desk;
      const columns = encoded(desk, [desk.page(original)], [desk.page(changed(0, 4_000, 4_095))]);
      const target = desk.page(original);
      const pages = desk.words([target]);
      const [lineMasks, used] = [desk.put(columns.lineMasks), desk.room(8)];
      const end = kernels.memory.byteLength;
      const shared = desk.put(new Uint8Array(64));
      for (const [wordMasks, literals] of [
        [shared, end - columns.literals.length],
        [end - columns.wordMasks.length, shared],
      ] as const) {
        kernels.memory.bytes.set(columns.wordMasks, wordMasks);
        kernels.memory.bytes.set(columns.literals, literals);
        const ends = [wordMasks + columns.wordMasks.length, literals + columns.literals.length] as const;
        expect(
          kernels.applyDeltas(pages, pages, 1, lineMasks, wordMasks, ends[0], literals, ends[1], used),
        ).toBe(0);
        expect(desk.pageAt(target)).toEqual(changed(0, 4_000, 4_095));
        // A word mask that asks for more than is left must be refused, not read.
        kernels.memory.bytes.fill(255, wordMasks, ends[0]);
        expect(
          kernels.applyDeltas(pages, pages, 1, lineMasks, wordMasks, ends[0], literals, ends[1], used),
        ).toBe(1);
      }
    });

    it('refuses columns that lack any of their bytes, and writes nothing outside the page', () => {
      const base = desk.page(original);
      const fence = new Uint8Array(PAGE_BYTES).fill(0x55);
      const columns = encoded(desk, [base], [desk.page(changed(0, 9, 64, 2_000, 4_095))]);
      for (let cut = 1; cut <= columns.wordMasks.length; cut += 1) {
        const short = { ...columns, wordMasks: columns.wordMasks.subarray(cut) };
        expect(applied(desk, [base], [desk.page()], short)).toBeNull();
      }
      for (let cut = 1; cut <= columns.literals.length; cut += 1) {
        const before = desk.put(fence);
        const target = desk.page();
        const behind = desk.put(fence);
        const short = { ...columns, literals: columns.literals.subarray(0, columns.literals.length - cut) };
        expect(applied(desk, [base], [target], short)).toBeNull();
        expect(desk.bytesAt(before, PAGE_BYTES)).toEqual(fence);
        expect(desk.bytesAt(behind, PAGE_BYTES)).toEqual(fence);
      }
    });
  });
});
