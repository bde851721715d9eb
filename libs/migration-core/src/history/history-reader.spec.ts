import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PAGE_BYTES } from '../qemu-stream';
import { ChunkIndex } from './chunk-index';
import { HistoryReader } from './history-reader';
import { CHUNK_PAGES, ChunkLayout } from './layout';
import { packPresence, PRESENCE } from './presence';
import { HistorySeal } from './sealing';
import { describeGuest, HistoryFixture, sampleChunk } from './testing/sample-history';

const fixture = new HistoryFixture();
beforeEach(() => fixture.make());
afterEach(() => fixture.remove());

/** A reader of one chunk that was sealed with the right key, whatever it holds. */
async function readerOf(parts: readonly Uint8Array[], length?: number): Promise<HistoryReader> {
  const description = describeGuest();
  const layout = new ChunkLayout(description.blocks);
  const seal = HistorySeal.withNewKey(description);
  const path = join(fixture.root, 'pages');
  await writeFile(path, Buffer.concat(seal.seal('chunk', 0, parts)));
  const index = ChunkIndex.empty(layout.chunkCount);
  index.set(0, 0, length ?? (await readFile(path)).length);
  const manifest = { description, pagesBytes: 1, heldPages: 1, zeroPages: 1 };
  return new HistoryReader(manifest, layout, index, seal, await open(path, 'r'));
}

describe('a chunk that is sealed and yet not as agreed', () => {
  const { presence, pages } = sampleChunk(CHUNK_PAGES, 1);

  it('is taken when it is as agreed', async () => {
    const reader = await readerOf([packPresence(presence), pages]);
    expect(await reader.readChunk(0)).toMatchObject({ chunkIndex: 0, presence });
    await reader.close();
  });

  it.each([
    ['more pages than it says', [packPresence(presence), pages, new Uint8Array(PAGE_BYTES)]],
    ['fewer pages than it says', [packPresence(presence), pages.subarray(PAGE_BYTES)]],
    ['a page of another length', [packPresence(presence), pages.subarray(1)]],
    ['no presence', [new Uint8Array(3)]],
    ['a presence that there is not', [new Uint8Array(CHUNK_PAGES / 4).fill(0xff)]],
  ])('is unknown with %s', async (_what, parts) => {
    const reader = await readerOf(parts);
    expect(await reader.readChunk(0)).toBeNull();
    await reader.close();
  });

  it('is unknown when the index gives it 4 GiB, and they are not set aside', async () => {
    const reader = await readerOf([packPresence(presence), pages], 2 ** 32 - 1);
    const before = process.memoryUsage().external;
    expect(await reader.readChunk(0)).toBeNull();
    expect(process.memoryUsage().external - before).toBeLessThan(100e6);
    await reader.close();
  });

  it('has the most pages that fit', async () => {
    const full = new Uint8Array(CHUNK_PAGES).fill(PRESENCE.held);
    const reader = await readerOf([packPresence(full), new Uint8Array(CHUNK_PAGES * PAGE_BYTES)]);
    expect((await reader.readChunk(0))?.pages).toHaveLength(CHUNK_PAGES * PAGE_BYTES);
    await reader.close();
  });
});
