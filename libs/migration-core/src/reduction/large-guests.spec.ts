import { createHash } from 'node:crypto';

import { MemoryStream } from '../copy/memory-stream';
import { PAGE_BYTES } from '../qemu-stream';
import { StreamDecoder } from '../stream-decoder';
import { StreamEncoder, type StreamSummary } from '../stream-encoder';
import type { StreamRecord } from '../stream-record';
import { SeededChance } from '../testing/seeded-chance';
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

/** The pages, then each of them again with a few bytes changed. */
function travel(pagesMax: number): Trip {
  const stream = new MemoryStream(BLOCKS);
  const rebuilt = createHash('sha256');
  const written = createHash('sha256');
  const decoder = new StreamDecoder((bytes) => rebuilt.update(bytes), { mirrorPagesMax: pagesMax });
  const encoder = new StreamEncoder((record: StreamRecord) => decoder.apply(record), {
    startMirror: (layout) => ({ mirror: emptyMirror(layout, pagesMax), generation: 0 }),
  });
  const push = (bytes: Uint8Array): void => {
    written.update(bytes);
    encoder.push(bytes);
  };
  push(stream.begin());
  const pages = TOUCHED.map((_, index) => pageOf(index + 1));
  for (const [index, page] of TOUCHED.entries()) push(stream.pages(page, pages[index]!));
  push(stream.endRound());
  for (const page of pages) page.writeUInt32LE(0xfeed, 2_000);
  for (const [index, page] of TOUCHED.entries()) push(stream.pages(page, pages[index]!));
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
      expect(mirror!.kernels.memory.byteLength).toBeLessThan(32 * 2 ** 20);
    }
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
