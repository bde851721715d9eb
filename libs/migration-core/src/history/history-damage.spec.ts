import {
  copyFile,
  open,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { SeededChance } from '../testing/seeded-chance';
import { ChunkIndex } from './chunk-index';
import { HistorySeal } from './sealing';
import type { HistoryStore } from './history-store';
import { ChunkLayout } from './layout';
import {
  describeGuest,
  HistoryFixture,
  isSame,
  keepSample,
  readAll,
  type SampleChunk,
} from './testing/sample-history';

const fixture = new HistoryFixture();
let store: HistoryStore;
let chunks: SampleChunk[];
let folder: string;
const guest = describeGuest();

beforeEach(async () => {
  await fixture.make();
  store = await fixture.open();
  chunks = (await keepSample(store, guest)).chunks;
  folder = join(fixture.folder, (await readdir(fixture.folder))[0]!);
});
afterEach(() => fixture.remove());

/** Indexes of the chunks that can be read; null when the history is refused. Fails on any byte that is wrong. */
async function readable(): Promise<number[] | null> {
  const reader = await store.open(guest.guestId, guest.scope);
  if (!reader) return null;
  const found = await readAll(reader);
  for (const [index, chunk] of found) expect(isSame(chunk, chunks[index]!)).toBe(true);
  const bitmap = await reader.validChunks();
  for (let index = 0; index < chunks.length; index += 1)
    expect((bitmap[index >> 3]! >> (index & 7)) & 1).toBe(found.has(index) ? 1 : 0);
  await reader.close();
  return [...found.keys()];
}

async function flip(name: string, at: number, bit = 0): Promise<void> {
  const file = await open(join(folder, name), 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, at);
  byte[0]! ^= 1 << bit;
  await file.write(byte, 0, 1, at);
  await file.close();
}

/** Where the chunks lie in the file of pages, as the sealed index says. */
async function places(): Promise<{ offset: number; length: number }[]> {
  const { body, key } = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'));
  const seal = HistorySeal.unwrap(await readFile(join(fixture.root, 'agent.key')), key, body, guest)!;
  const index = ChunkIndex.of(seal.open('index', 0, await readFile(join(folder, 'index')))!);
  return chunks.map((_, chunkIndex) => index.get(chunkIndex));
}

/** Replaces the manifest by one that is sealed as the agent itself would. */
async function forge(body: unknown): Promise<void> {
  const bodyText = JSON.stringify(body);
  const key = HistorySeal.withNewKey(guest).wrap(await readFile(join(fixture.root, 'agent.key')), bodyText);
  await writeFile(join(folder, 'manifest.json'), JSON.stringify({ version: 1, body: bodyText, key }));
}

describe('a damaged history', () => {
  it('can be read as long as it is not damaged', async () =>
    expect(await readable()).toEqual([0, 1, 2, 3, 4]));

  it('loses the chunk in which a bit was flipped, and no other', async () => {
    const chance = new SeededChance(77);
    for (const [index, { offset, length }] of (await places()).entries())
      for (const at of [0, length - 1, chance.below(length)]) {
        const bit = chance.below(8);
        await flip('pages', offset + at, bit);
        expect(await readable()).toEqual([0, 1, 2, 3, 4].filter((other) => other !== index));
        await flip('pages', offset + at, bit);
      }
    expect(await readable()).toEqual([0, 1, 2, 3, 4]);
  });

  it('is refused when any bit of its index or manifest was flipped', async () => {
    const chance = new SeededChance(78);
    for (const name of ['index', 'manifest.json']) {
      const { length } = await readFile(join(folder, name));
      for (let run = 0; run < 150; run += 1) {
        const at = chance.below(name === 'index' ? length : length - 1);
        const bit = chance.below(8);
        await flip(name, at, bit);
        expect(await readable()).toBeNull();
        await flip(name, at, bit);
      }
    }
    expect(await readable()).toEqual([0, 1, 2, 3, 4]);
  });

  it('loses what was cut off its pages', async () => {
    const all = await places();
    await truncate(join(folder, 'pages'), all[3]!.offset + all[3]!.length - 1);
    expect(await readable()).toEqual([0, 1, 2]);
    await truncate(join(folder, 'pages'), 0);
    expect(await readable()).toEqual([]);
  });

  it.each(['index', 'manifest.json', 'pages'])('is refused when its file %s is missing', async (name) => {
    await rm(join(folder, name));
    expect(await readable()).toBeNull();
    expect(fixture.logged.at(-1)).toContain('passed over');
  });

  it.each(['index', 'manifest.json'])('is refused when its file %s was cut or grew', async (name) => {
    const content = await readFile(join(folder, name));
    await writeFile(join(folder, name), content.subarray(0, content.length - 2));
    expect(await readable()).toBeNull();
    await writeFile(join(folder, name), Buffer.concat([content, Buffer.alloc(3 * 1024 * 1024)]));
    expect(await readable()).toBeNull();
  });

  it('loses chunks that were swapped', async () => {
    const [first, second] = await places();
    const pages = await readFile(join(folder, 'pages'));
    const length = Math.min(first!.length, second!.length);
    const swapped = Buffer.from(pages);
    pages.copy(swapped, first!.offset, second!.offset, second!.offset + length);
    pages.copy(swapped, second!.offset, first!.offset, first!.offset + length);
    await writeFile(join(folder, 'pages'), swapped);
    expect(await readable()).toEqual([2, 3, 4]);
  });

  it('is refused with the files of another history of the same guest', async () => {
    const kept = join(fixture.root, 'kept');
    await rename(folder, kept);
    store = await fixture.open();
    await keepSample(store, guest, 1);
    expect(await readable()).toEqual([0, 1, 2, 3, 4]);
    await copyFile(join(kept, 'pages'), join(folder, 'pages'));
    expect(await readable()).toEqual([]);
    await copyFile(join(kept, 'index'), join(folder, 'index'));
    expect(await readable()).toBeNull();
  });

  it('is refused in the place of another guest', async () => {
    const other = describeGuest({ guestId: 'guest-2' });
    await keepSample(store, other, 2);
    const otherFolder = join(
      fixture.folder,
      (await readdir(fixture.folder)).find((name) => !folder.endsWith(name))!,
    );
    await rm(otherFolder, { recursive: true });
    await rename(folder, otherFolder);
    expect(await store.open('guest-2', guest.scope)).toBeNull();
    expect(fixture.logged.at(-1)).toContain('another guest');
  });

  it('is refused under another key, and goes with the next expiry', async () => {
    await rm(join(fixture.root, 'agent.key'));
    store = await fixture.open();
    expect(await readable()).toBeNull();
    expect(await store.list()).toEqual([]);
    expect(store.bytes).toBeGreaterThan(1_000_000);
    expect(await store.expire()).toBe(1);
    expect(store.bytes).toBe(0);
  });

  it('is none when its folder is a link that leads elsewhere', async () => {
    const elsewhere = join(fixture.root, 'elsewhere');
    await rename(folder, elsewhere);
    await symlink(elsewhere, folder);
    const manifest = await readFile(join(elsewhere, 'manifest.json'));
    store = await fixture.open();
    expect(await readable()).toBeNull();
    expect(await store.remove(guest.guestId)).toBe(false);
    expect(await readdir(elsewhere)).toHaveLength(3);
    expect(await readFile(join(elsewhere, 'manifest.json'))).toEqual(manifest);
  });
});

describe('a manifest sealed with the right key', () => {
  const content = { pagesBytes: 1, heldPages: 1, zeroPages: 1 };

  it.each([
    ['a size of 2^53', { blocks: [{ name: 'a', bytes: 2 ** 53 }] }],
    ['a negative size', { blocks: [{ name: 'a', bytes: -4_096 }] }],
    [
      'a hundred thousand blocks',
      { blocks: Array.from({ length: 60_000 }, (_, n) => ({ name: `${n}`, bytes: 4_096 })) },
    ],
    ['a path for its pages', { pagesPath: '../../../../etc/shadow' }],
    ['another chunk size', { chunkPages: 2 ** 31 }],
    ['a guest that is no text', { guestId: ['x'] }],
  ])('is refused with %s', async (_what, more) => {
    await forge({ description: { ...guest, ...more }, ...content });
    expect(await readable()).toBeNull();
    expect(fixture.logged.at(-1)).toMatch(/not as agreed|are the most/);
  });

  it('is refused with a million blocks before it is read', async () => {
    const blocks = Array.from({ length: 1_000_000 }, (_, n) => ({ name: `${n}`, bytes: 4_096 }));
    await forge({ description: { ...guest, blocks }, ...content });
    expect(await readable()).toBeNull();
    expect(fixture.logged.at(-1)).toMatch(/bytes where \d+ are the most/);
  });

  it('is refused for another layout than its index has', async () => {
    const blocks = [{ name: 'pc.ram', bytes: 2 ** 42 }];
    expect(new ChunkLayout(blocks).chunkCount).toBe(2 ** 21);
    await forge({ description: { ...guest, blocks }, ...content });
    expect(await readable()).toBeNull();
    expect(fixture.logged.at(-1)).toContain('index is damaged');
  });

  it.each(['', 'null', '[]', '{"version":2}', '{'])('is refused when its text is %j', async (text) => {
    await writeFile(join(folder, 'manifest.json'), text);
    expect(await readable()).toBeNull();
  });
});
