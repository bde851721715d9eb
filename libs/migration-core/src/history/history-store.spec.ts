import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PAGE_BYTES } from '../qemu-stream';
import { sharedChunks } from './history-reader';
import { CHUNK_PAGES } from './layout';
import { PRESENCE } from './presence';
import {
  describeGuest,
  HistoryFixture,
  isSame,
  keepSample,
  MARKER,
  readAll,
  sampleChunk,
  writeSample,
} from './testing/sample-history';

const fixture = new HistoryFixture();
beforeEach(() => fixture.make());
afterEach(() => fixture.remove());
const guest = describeGuest();

async function historyFiles(): Promise<string[]> {
  const names = await readdir(fixture.folder, { recursive: true, withFileTypes: true });
  return names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

describe('a history that was kept', () => {
  it('gives back what was written, chunk by chunk and all at once', async () => {
    const store = await fixture.open();
    const { chunks, outcome } = await keepSample(store, guest);
    expect(outcome).toMatchObject({ isKept: true });
    const reader = (await store.open(guest.guestId, guest.scope))!;
    expect(reader.description).toEqual(guest);
    const all = await readAll(reader);
    expect([...all.keys()]).toEqual([0, 1, 2, 3, 4]);
    for (const [index, chunk] of chunks.entries()) {
      expect(isSame(all.get(index)!, chunk)).toBe(true);
      expect(isSame((await reader.readChunk(index))!, chunk)).toBe(true);
    }
    expect(Buffer.from(await reader.validChunks()).toString('hex')).toBe('1f');
    await reader.close();
    await expect(reader.readChunk(0)).rejects.toThrow('after it was closed');
  });

  it('survives a new start of the agent', async () => {
    const { chunks } = await keepSample(await fixture.open(), guest);
    const reader = (await (await fixture.open()).open(guest.guestId, guest.scope))!;
    expect(isSame((await readAll(reader)).get(2)!, chunks[2]!)).toBe(true);
    await reader.close();
  });

  it('takes chunks in any order, and those never written are unknown', async () => {
    const store = await fixture.open();
    const writer = await store.begin(guest.guestId, guest);
    const chunks = await writeSample(writer, 5, [4, 1, 3]);
    await writer.writeChunk(0, new Uint8Array(CHUNK_PAGES), new Uint8Array(0));
    await writer.commit();
    const reader = (await store.open(guest.guestId, guest.scope))!;
    const all = await readAll(reader);
    expect([...all.keys()]).toEqual([1, 3, 4]);
    for (const index of [1, 3, 4]) expect(isSame(all.get(index)!, chunks[index]!)).toBe(true);
    expect(await reader.readChunk(0)).toBeNull();
    expect([...(await reader.validChunks())]).toEqual([0b11010]);
    await reader.close();
  });

  it('spends next to nothing on zero pages', async () => {
    const store = await fixture.open();
    const writer = await store.begin(guest.guestId, guest);
    await writer.writeChunk(0, new Uint8Array(CHUNK_PAGES).fill(PRESENCE.zero), new Uint8Array(0));
    const outcome = await writer.commit();
    expect(outcome).toMatchObject({ isKept: true, heldPages: 0, zeroPages: CHUNK_PAGES });
    expect(outcome.isKept && outcome.bytes).toBeLessThan(2_000);
  });

  it('shows nothing of the memory, the guest or its keys to who reads the files', async () => {
    const store = await fixture.open();
    await keepSample(store, guest);
    const files = await historyFiles();
    expect(files).toHaveLength(3);
    const key = await readFile(join(fixture.root, 'agent.key'));
    for (const file of files) {
      const content = await readFile(file);
      expect(content.includes(MARKER)).toBe(false);
      expect(content.includes(MARKER.subarray(0, 8))).toBe(false);
      expect(content.includes(key)).toBe(false);
      expect((await stat(file)).mode & 0o777).toBe(0o600);
    }
    for (const folder of [fixture.folder, join(files[0]!, '..')])
      expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });

  it('never encrypts the same memory to the same bytes', async () => {
    const store = await fixture.open();
    const pagesFile = async () => readFile((await historyFiles()).find((path) => path.endsWith('pages'))!);
    await keepSample(store, guest, 1);
    const first = await pagesFile();
    await keepSample(store, guest, 1);
    const second = await pagesFile();
    expect(second).toHaveLength(first.length);
    let same = 0;
    for (let at = 0; at < first.length; at += 1) if (first[at] === second[at]) same += 1;
    expect(same / first.length).toBeLessThan(0.01);
  });

  it('is replaced by the next one, while a reader of the old one goes on', async () => {
    const store = await fixture.open();
    const { chunks: before } = await keepSample(store, guest, 1);
    const oldReader = (await store.open(guest.guestId, guest.scope))!;
    const next = describeGuest({ historyId: 'ffeeddccbbaa99887766554433221100' });
    const { chunks: after } = await keepSample(store, next, 2);
    const reader = (await store.open(guest.guestId, guest.scope))!;
    expect(reader.description.historyId).toBe(next.historyId);
    expect(isSame((await reader.readChunk(1))!, after[1]!)).toBe(true);
    expect(isSame((await oldReader.readChunk(1))!, before[1]!)).toBe(true);
    await reader.close();
    await oldReader.close();
    expect(await historyFiles()).toHaveLength(3);
    expect(await store.list()).toHaveLength(1);
  });

  it('is opened for its guest and its scope alone', async () => {
    const store = await fixture.open();
    await keepSample(store, guest);
    expect(await store.open(guest.guestId, 'tenant-b')).toBeNull();
    expect(fixture.logged.at(-1)).toContain('another scope');
    expect(await store.open('guest/2', guest.scope)).toBeNull();
  });
});

describe('a history being written', () => {
  it('is not seen before it is committed, and the one before stays until then', async () => {
    const store = await fixture.open();
    const { chunks } = await keepSample(store, guest, 1);
    const writer = await store.begin(guest.guestId, guest);
    await writeSample(writer, 2);
    const reader = (await store.open(guest.guestId, guest.scope))!;
    expect(isSame((await reader.readChunk(0))!, chunks[0]!)).toBe(true);
    await reader.close();
    await writer.abandon();
    expect(await historyFiles()).toHaveLength(3);
  });

  it('leaves the one before after a crash, and nothing of itself', async () => {
    const { chunks } = await keepSample(await fixture.open(), guest, 1);
    const crashed = await (await fixture.open()).begin(guest.guestId, guest);
    await writeSample(crashed, 2);
    const store = await fixture.open();
    expect(await readdir(fixture.folder)).toHaveLength(1);
    const reader = (await store.open(guest.guestId, guest.scope))!;
    expect(isSame((await reader.readChunk(0))!, chunks[0]!)).toBe(true);
    await reader.close();
    await crashed.abandon();
    expect((await store.list()).map(({ description }) => description)).toEqual([guest]);
  });

  it('keeps few chunks waiting: a slow disk holds the writer back', async () => {
    let waiting = 0;
    let waitingMost = 0;
    const store = await fixture.open({
      openFile: async (path, flags, mode) => {
        const file = await open(path, flags, mode);
        const write = file.write.bind(file) as (
          ...parameters: unknown[]
        ) => Promise<{ bytesWritten: number }>;
        const slow = async (...parameters: unknown[]) => {
          waiting += 1;
          waitingMost = Math.max(waitingMost, waiting);
          await new Promise((resolve) => setTimeout(resolve, 2));
          waiting -= 1;
          return write(...parameters);
        };
        if (path.endsWith('pages')) Object.assign(file, { write: slow });
        return file;
      },
    });
    const wide = describeGuest({ blocks: [{ name: 'pc.ram', bytes: 40 * CHUNK_PAGES * PAGE_BYTES }] });
    const writer = await store.begin(wide.guestId, wide);
    const one = new Uint8Array(CHUNK_PAGES);
    one[7] = PRESENCE.held;
    const page = new Uint8Array(PAGE_BYTES).fill(3);
    await Promise.all(Array.from({ length: 40 }, (_, index) => writer.writeChunk(index, one, page)));
    expect((await writer.commit()).isKept).toBe(true);
    expect(waitingMost).toBeGreaterThan(1);
    expect(waitingMost).toBeLessThanOrEqual(4);
    const reader = (await store.open(wide.guestId, wide.scope))!;
    expect((await readAll(reader)).size).toBe(40);
    await reader.close();
  });

  it('takes each chunk once, whole, and of the layout', async () => {
    const writer = await (await fixture.open()).begin(guest.guestId, guest);
    const { presence, pages } = sampleChunk(CHUNK_PAGES, 1);
    await writer.writeChunk(0, presence, pages);
    await expect(writer.writeChunk(0, presence, pages)).rejects.toThrow('was written before');
    await expect(writer.writeChunk(5, presence, pages)).rejects.toThrow('There is no chunk 5');
    await expect(writer.writeChunk(-1, presence, pages)).rejects.toThrow(RangeError);
    await expect(writer.writeChunk(3, presence, pages)).rejects.toThrow('has 10 pages');
    await expect(writer.writeChunk(1, presence, pages.subarray(1))).rejects.toThrow(RangeError);
    await expect(writer.writeChunk(1, Uint8Array.from(presence).fill(3, 0, 1), pages)).rejects.toThrow(
      RangeError,
    );
    await writer.commit();
    await expect(writer.writeChunk(1, presence, pages)).rejects.toThrow('after it was committed');
    await expect(writer.commit()).rejects.toThrow('committed twice');
    await writer.abandon();
    expect((await historyFiles()).length).toBe(3);
  });

  it('is the only one of its guest', async () => {
    const store = await fixture.open();
    const writer = await store.begin(guest.guestId, guest);
    await expect(store.begin(guest.guestId, guest)).rejects.toMatchObject({ code: 'HISTORY_BUSY' });
    await writer.abandon();
    await (await store.begin(guest.guestId, guest)).abandon();
  });

  it('can be removed by command before it is whole', async () => {
    const store = await fixture.open();
    const writer = await store.begin(guest.guestId, guest);
    await writeSample(writer, 1);
    expect(await store.remove(guest.guestId)).toBe(true);
    expect(await writer.commit()).toMatchObject({ isKept: false, code: 'HISTORY_REMOVED' });
    expect(await readdir(fixture.folder)).toHaveLength(0);
    expect(store.bytes).toBe(0);
  });

  it('is kept or not, as it says, whatever the moment at which it is given up', async () => {
    const store = await fixture.open();
    const outcomes = new Set<boolean>();
    for (let waits = 0; waits < 40; waits += 2) {
      const writer = await store.begin(guest.guestId, guest);
      const committing = writer.commit();
      for (let tick = 0; tick < waits; tick += 1) await new Promise(setImmediate);
      await writer.abandon();
      const { isKept } = await committing;
      outcomes.add(isKept);
      const reader = await store.open(guest.guestId, guest.scope);
      expect(reader !== null).toBe(isKept);
      await reader?.close();
      expect(await store.remove(guest.guestId)).toBe(isKept);
      expect(await readdir(fixture.folder)).toHaveLength(0);
      expect(store.bytes).toBe(0);
    }
    expect(outcomes.has(false)).toBe(true);
  });

  it('can be opened whole at any moment of its replacement', async () => {
    const store = await fixture.open();
    await keepSample(store, guest, 1);
    const writer = await store.begin(guest.guestId, guest);
    await writeSample(writer, 2);
    let isDone = false;
    const bitmaps: (number[] | null)[] = [];
    const lane = async () => {
      while (!isDone) {
        const reader = await store.open(guest.guestId, guest.scope);
        bitmaps.push(reader && [...(await reader.validChunks())]);
        if (!reader) return;
        await reader.close();
      }
    };
    const lanes = [lane(), lane(), lane()];
    await writer.commit().finally(() => (isDone = true));
    await Promise.all(lanes);
    for (const bitmap of bitmaps) expect(bitmap).toEqual([0b11111]);
    expect(bitmaps.length).toBeGreaterThan(2);
  });

  it('is gone or refused whatever the moment at which it is removed', async () => {
    const store = await fixture.open();
    for (let waits = 0; waits < 12; waits += 1) {
      const writer = await store.begin(guest.guestId, guest);
      await writeSample(writer, 1);
      const committing = writer.commit();
      for (let tick = 0; tick < waits; tick += 1) await new Promise(setImmediate);
      await store.remove(guest.guestId);
      await committing;
      expect(await readdir(fixture.folder)).toHaveLength(0);
      expect(await store.open(guest.guestId, guest.scope)).toBeNull();
      expect(store.bytes).toBe(0);
    }
  });
});

describe('bitmaps of both sides', () => {
  it('leave what both can read', () => {
    expect([...sharedChunks(Uint8Array.of(0b1110, 1), Uint8Array.of(0b0111, 3))]).toEqual([0b0110, 1]);
    expect(() => sharedChunks(new Uint8Array(1), new Uint8Array(2))).toThrow(RangeError);
  });
});
