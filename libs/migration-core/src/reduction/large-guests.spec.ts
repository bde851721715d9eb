import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { MemoryStream } from '../copy/memory-stream';
import { CHUNK_PAGES, HistoryStore } from '../history';
import { PAGE_BYTES } from '../qemu-stream';
import { StreamDecoder } from '../stream-decoder';
import { StreamEncoder, type StreamSummary } from '../stream-encoder';
import type { StreamRecord } from '../stream-record';
import { SeededChance } from '../testing/seeded-chance';
import { loadMirror, saveMirror } from './mirror-history';
import { emptyMirror, type PageMirror } from './page-mirror';

const GIB = 2 ** 30;
const BLOCKS = [
  { name: 'vga.vram', bytes: 16 * 2 ** 20 },
  { name: 'pc.ram', bytes: 8 * GIB },
] as const;
const FIRST_OF_RAM = BLOCKS[0].bytes / PAGE_BYTES;
const PAGES_PER_GIB = GIB / PAGE_BYTES;

/** Pages here and there, also beyond what 32 bits address. */
const TOUCHED = [
  0,
  PAGES_PER_GIB - 1,
  4 * PAGES_PER_GIB - 1,
  4 * PAGES_PER_GIB,
  5 * PAGES_PER_GIB + 77,
  8 * PAGES_PER_GIB - 1,
].map((page) => FIRST_OF_RAM + page);

function pageOf(seed: number): Buffer {
  return Buffer.from(new SeededChance(seed).bytes(PAGE_BYTES));
}

interface Trip {
  readonly sent: StreamSummary;
  readonly isByteIdentical: boolean;
  readonly mirrors: readonly [PageMirror | null, PageMirror | null];
}

type DataRecord = Extract<StreamRecord, { kind: 'data' }>;

/** What both sides begin with, when that is not nothing. */
type Mirrors = readonly [PageMirror, PageMirror];

function pagesOf(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => pageOf(index + 1));
}

/** The pages, then each of them again with a few bytes changed. */
function travel(
  pagesMax: number,
  pages = pagesOf(TOUCHED.length),
  { from = null, places = TOUCHED }: { from?: Mirrors | null; places?: readonly number[] } = {},
): Trip {
  const stream = new MemoryStream(BLOCKS);
  const rebuilt = createHash('sha256');
  const written = createHash('sha256');
  const decoder = new StreamDecoder((bytes) => rebuilt.update(bytes), {
    mirrorPagesMax: pagesMax,
    startMirror: () => from?.[1] ?? null,
  });
  const encoder = new StreamEncoder((record: StreamRecord) => decoder.apply(record), {
    startMirror: (layout) =>
      from ? { mirror: from[0], generation: 1 } : { mirror: emptyMirror(layout, pagesMax), generation: 0 },
  });
  const push = (bytes: Uint8Array): void => {
    written.update(bytes);
    encoder.push(bytes);
  };
  push(stream.begin());
  for (const [index, page] of places.entries()) push(stream.pages(page, pages[index]!));
  push(stream.endRound());
  for (const page of pages) page.writeUInt32LE(0xfeed, 2_000);
  for (const [index, page] of places.entries()) push(stream.pages(page, pages[index]!));
  push(stream.endRound());
  const sent = encoder.end();
  expect(decoder.end().sha256).toBe(sent.sha256);
  return {
    sent,
    isByteIdentical: rebuilt.digest('hex') === written.digest('hex'),
    mirrors: [encoder.mirror, decoder.mirror],
  };
}

describe('a guest of 8 GiB', () => {
  it('is reduced wherever in its memory pages lie, at the cost of the pages that it has', () => {
    const { sent, isByteIdentical, mirrors } = travel(1_000);
    expect(isByteIdentical).toBe(true);
    expect(sent).toMatchObject({ rawPages: TOUCHED.length, deltaPages: TOUCHED.length });
    for (const mirror of mirrors) {
      expect(mirror?.heldPages).toBe(TOUCHED.length);
      // Not the 8 GiB that it might have.
      expect(mirror!.memoryBytes).toBeLessThan(64 * 2 ** 20);
    }
  });

  it('finds what it left wherever in its memory it lies', () => {
    const pages = pagesOf(TOUCHED.length);
    const [ours, theirs] = travel(1_000, pages).mirrors;
    // As they were when they arrived.
    const { sent, isByteIdentical } = travel(1_000, pages, { from: [ours!, theirs!] });
    expect(isByteIdentical).toBe(true);
    expect(sent).toMatchObject({ rawPages: 0, samePages: 2 * TOUCHED.length });
  });

  it('names a page that is the like of another only where both lie in one part of its memory', () => {
    const [low, high] = [FIRST_OF_RAM, FIRST_OF_RAM + 5 * PAGES_PER_GIB];
    const content = pageOf(1);
    // Pages of one batch are never named in it: those of the other part begin another.
    const places = [low, high, low + 1, high + 1];
    const pages = [content, pageOf(2), Buffer.from(content), Buffer.from(content)];
    const { sent, isByteIdentical } = travel(1_000, pages, { places });
    expect(isByteIdentical).toBe(true);
    expect(sent).toMatchObject({ rawPages: 3, copiedPages: 1, deltaPages: 4 });
  });

  it('is kept as a history of the chunks that it has, and loaded again, up to what may be held', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'watari-large-'));
    try {
      const store = await HistoryStore.open({
        folder: join(folder, 'histories'),
        keyPath: join(folder, 'key'),
        bytesMax: 1e9,
        expiresAfterMs: 60_000,
      });
      const [mirror] = travel(1_000).mirrors;
      const description = {
        guestId: 'large',
        scope: 'default',
        historyId: 'ab'.repeat(32),
        blocks: BLOCKS.map((block) => ({ ...block })),
        savedAtMs: Date.now(),
        chunkPages: CHUNK_PAGES,
      } as const;
      const outcome = await saveMirror(mirror!, await store.begin('large', description));
      expect(outcome).toMatchObject({ isKept: true, heldPages: TOUCHED.length });
      for (const pagesMax of [1_000, 3]) {
        const reader = (await store.open('large', 'default'))!;
        const loaded = await loadMirror(reader, pagesMax);
        await reader.close();
        const expected = TOUCHED.slice(0, pagesMax);
        expect(loaded.mirror.heldPages).toBe(expected.length);
        for (const page of expected) expect(loaded.mirror.bytesOf(page)).toEqual(mirror!.bytesOf(page));
        // Chunks that had no room are told to be missing, so that the other side forgets them as well.
        const chunks = loaded.chunks.reduce(
          (sum, byte) => sum + byte.toString(2).replaceAll('0', '').length,
          0,
        );
        expect(chunks).toBe(expected.length);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('is refused a frame whose deltas lie in several parts of its memory', () => {
    const stream = new MemoryStream(BLOCKS);
    const records: DataRecord[] = [];
    const decoder = new StreamDecoder(() => undefined, { mirrorPagesMax: 10 });
    let isHeldBack = false;
    const encoder = new StreamEncoder(
      (record) => {
        if (isHeldBack && record.kind === 'data') records.push(record);
        else decoder.apply(record);
      },
      { startMirror: (layout) => ({ mirror: emptyMirror(layout, 10), generation: 0 }) },
    );
    encoder.push(stream.begin());
    const places = [FIRST_OF_RAM, FIRST_OF_RAM + 5 * PAGES_PER_GIB];
    for (const place of places) encoder.push(stream.pages(place, pageOf(1)));
    encoder.flush();
    isHeldBack = true;
    const changed = pageOf(1);
    changed.writeUInt32LE(0xfeed, 2_000);
    for (const place of places) {
      encoder.push(stream.pages(place, changed));
      encoder.flush();
    }
    const [first, second] = records as [DataRecord, DataRecord];
    const join = (name: 'tokens' | 'literals' | 'content' | 'opaque'): Uint8Array =>
      Buffer.concat([first.sections[name], second.sections[name]]);
    // Of each delta the lines, then of each the words.
    const masks = [first, second].map(({ sections }) => sections.masks);
    const both = {
      tokens: join('tokens'),
      literals: join('literals'),
      content: join('content'),
      opaque: join('opaque'),
      masks: Buffer.concat([
        ...masks.map((each) => each.subarray(0, 8)),
        ...masks.map((each) => each.subarray(8)),
      ]),
    };
    expect(() =>
      decoder.apply({ ...first, sections: both, logicalBytes: first.logicalBytes + second.logicalBytes }),
    ).toThrow('its deltas lie in several parts of the memory');
  });

  it('sends whole what is beyond the pages that may be held, and rebuilds it all the same', () => {
    const { sent, isByteIdentical, mirrors } = travel(4);
    expect(isByteIdentical).toBe(true);
    expect(sent).toMatchObject({ rawPages: TOUCHED.length + 2, deltaPages: 4 });
    for (const mirror of mirrors) expect(mirror?.heldPages).toBe(4);
  });

  it('crosses where nothing may be held', () => {
    const { sent, isByteIdentical } = travel(0);
    expect(isByteIdentical).toBe(true);
    expect(sent).toMatchObject({ rawPages: 2 * TOUCHED.length, deltaPages: 0, samePages: 0, copiedPages: 0 });
  });
});
