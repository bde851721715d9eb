import { CHUNK_PAGES, ChunkLayout } from './layout';
import { packPresence, unpackPresence } from './presence';
import { SeededChance } from '../testing/seeded-chance';

const blocks = [
  { name: 'a', bytes: 4_096 },
  { name: 'b', bytes: 2 * CHUNK_PAGES * 4_096 },
  { name: 'c', bytes: (CHUNK_PAGES + 1) * 4_096 },
];

describe('the layout of chunks', () => {
  const layout = new ChunkLayout(blocks);

  it('holds every page in one chunk, and no chunk holds pages of two blocks', () => {
    expect(layout.chunkCount).toBe(5);
    let pages = 0;
    for (let chunk = 0; chunk < layout.chunkCount; chunk += 1) {
      const { blockIndex, firstPage, pageCount } = layout.placeOf(chunk);
      pages += pageCount;
      expect(layout.chunkOf(blockIndex, firstPage)).toBe(chunk);
      expect(layout.chunkOf(blockIndex, firstPage + pageCount - 1)).toBe(chunk);
    }
    expect(pages).toBe(1 + 2 * CHUNK_PAGES + CHUNK_PAGES + 1);
  });

  it('has no chunk and no page beyond its end', () => {
    for (const chunk of [-1, 5, 0.5, Number.NaN]) expect(() => layout.placeOf(chunk)).toThrow(RangeError);
    for (const [block, page] of [
      [0, 1],
      [3, 0],
      [0, -1],
      [1, 2 * CHUNK_PAGES],
    ] as const)
      expect(() => layout.chunkOf(block, page)).toThrow(RangeError);
  });

  it('has another digest for other names, lengths or order', () => {
    const digests = [
      blocks,
      [...blocks].reverse(),
      blocks.slice(1),
      [{ name: 'a', bytes: 8_192 }, ...blocks.slice(1)],
    ];
    expect(new Set(digests.map((list) => new ChunkLayout(list).digest().toString('hex'))).size).toBe(4);
  });
});

describe('what is known of pages', () => {
  it('comes back from two bits each', () => {
    const chance = new SeededChance(4);
    for (const pageCount of [1, 2, 3, 4, 5, 511, 512]) {
      const presence = Uint8Array.from({ length: pageCount }, () => chance.below(3));
      expect(unpackPresence(packPresence(presence), pageCount)).toEqual(presence);
    }
  });

  it('is refused with a value that there is not', () =>
    expect(unpackPresence(Uint8Array.of(0b1100), 2)).toBeNull());
});
