import { CHUNK_PAGES, emptyMirror, PAGE_BYTES, PageLayout } from '@watari/migration-core';

import type { HeldHistory } from './histories';
import { encodeChunks, HistoryBase } from './history-base';

const CHUNKS = 3;
const LAYOUT = layoutOf(CHUNKS * CHUNK_PAGES);

function layoutOf(pages: number): PageLayout {
  return new PageLayout([{ name: 'pc.ram', bytes: pages * PAGE_BYTES }]);
}

/** One page held in each chunk that could be read. */
function held(readable: number, historyId = 'ab'.repeat(32)): HeldHistory {
  const mirror = emptyMirror(LAYOUT, 100);
  for (let chunk = 0; chunk < CHUNKS; chunk += 1)
    if ((readable >> chunk) & 1) mirror.write(chunk * CHUNK_PAGES, Buffer.alloc(PAGE_BYTES, chunk + 1));
  return { mirror, chunks: Uint8Array.of(readable), historyId };
}

describe('a loaded history', () => {
  it('becomes a mirror of what both sides could read', () => {
    const base = new HistoryBase(held(0b011));
    expect(base.agree(encodeChunks(Uint8Array.of(0b110)))).toBe(encodeChunks(Uint8Array.of(0b010)));
    const { mirror, generation } = base.startMirror(LAYOUT)!;
    expect(generation).toBe(0xabab_abab);
    expect(mirror.heldPages).toBe(1);
    expect(mirror.bytesOf(CHUNK_PAGES)?.[0]).toBe(2);
  });

  it('is laid out anew for a guest of less memory', () => {
    const base = new HistoryBase(held(0b111));
    base.agree(encodeChunks(Uint8Array.of(0b111)));
    const smaller = layoutOf(2 * CHUNK_PAGES);
    const { mirror } = base.startMirror(smaller)!;
    expect(mirror.layout.equals(smaller)).toBe(true);
    expect(mirror.heldPages).toBe(2);
  });

  it('never begins by the number that stands for none', () => {
    const base = new HistoryBase(held(0b001, `00000000${'ab'.repeat(28)}`));
    base.agree(encodeChunks(Uint8Array.of(0b001)));
    expect(base.startMirror(LAYOUT)?.generation).toBe(1);
  });

  it.each([
    ['the other side could read nothing', held(0b111), null],
    ['the other side speaks of other chunks', held(0b111), encodeChunks(Uint8Array.of(1, 1))],
    ['nothing was loaded here', null, encodeChunks(Uint8Array.of(0b111))],
  ])('is built on by nobody when %s', (_why, ours, theirs) => {
    const base = new HistoryBase(ours);
    expect(base.agree(theirs)).toBeNull();
    expect(base.startMirror(LAYOUT)).toBeNull();
  });

  it('is not built on before that was agreed', () => {
    expect(new HistoryBase(held(0b111)).startMirror(LAYOUT)).toBeNull();
  });
});
