import { mkdir, open, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { OpenFile } from './files';
import { describeGuest, HistoryFixture, isSame, keepSample, writeSample } from './testing/sample-history';

const fixture = new HistoryFixture();
beforeEach(() => fixture.make());
afterEach(() => fixture.remove());
const guest = describeGuest();
const other = describeGuest({ guestId: 'guest-2' });

/** The named file is on a device that is always full; Linux has one. */
function fullFor(name: string): OpenFile {
  return (path, flags, mode) =>
    path.endsWith(name) && flags === 'wx' ? open('/dev/full', 'r+') : open(path, flags, mode);
}

describe('a full disk', () => {
  it.each(['pages', 'index', 'manifest.json'])(
    'under the file %s drops the history with a reason, and nothing else',
    async (name) => {
      const { chunks } = await keepSample(await fixture.open(), other);
      const store = await fixture.open({ openFile: fullFor(name) });
      const bytesBefore = store.bytes;
      const writer = await store.begin(guest.guestId, guest);
      await writeSample(writer, 1);
      expect(await writer.commit()).toMatchObject({
        isKept: false,
        code: 'HISTORY_DISK_FULL',
        reason: expect.stringContaining('ENOSPC'),
      });
      expect(await readdir(fixture.folder)).toHaveLength(1);
      expect(store.bytes).toBe(bytesBefore);
      const reader = (await store.open(other.guestId, other.scope))!;
      expect(isSame((await reader.readChunk(2))!, chunks[2]!)).toBe(true);
      await reader.close();
    },
  );

  it('spares the writer the chunks that follow', async () => {
    const store = await fixture.open({ openFile: fullFor('pages') });
    const writer = await store.begin(guest.guestId, guest);
    const presence = new Uint8Array(512).fill(1);
    const taken: boolean[] = [];
    for (const index of [0, 1, 2]) {
      taken.push(await writer.writeChunk(index, presence, new Uint8Array(0)));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(taken).toEqual([true, false, false]);
    expect(writer.failure).toMatchObject({ code: 'HISTORY_DISK_FULL' });
    // Cleaned up although nobody asks for the outcome; the next history may begin.
    expect(await readdir(fixture.folder)).toHaveLength(0);
    await (await store.begin(guest.guestId, guest)).abandon();
  });

  it('at the begin is told with a code', async () => {
    const store = await fixture.open({
      openFile: () => Promise.reject(Object.assign(new Error('no space left'), { code: 'ENOSPC' })),
    });
    await expect(store.begin(guest.guestId, guest)).rejects.toMatchObject({ code: 'HISTORY_DISK_FULL' });
  });
});

describe('a disk that fails', () => {
  it('at the last step leaves no history and says why', async () => {
    const store = await fixture.open({
      openFile: async (path, flags, mode) => {
        const file = await open(path, flags, mode);
        if (path.endsWith('manifest.json') && flags === 'wx')
          Object.assign(file, {
            sync: () => Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })),
          });
        return file;
      },
    });
    const { outcome } = await keepSample(store, guest);
    expect(outcome).toMatchObject({
      isKept: false,
      code: 'HISTORY_NOT_WRITABLE',
      reason: expect.stringContaining('EIO'),
    });
    expect(await readdir(fixture.folder)).toHaveLength(0);
  });

  it('while reading makes the chunk unknown', async () => {
    await keepSample(await fixture.open(), guest);
    const store = await fixture.open({
      openFile: async (path, flags, mode) => {
        const file = await open(path, flags, mode);
        const read = file.read.bind(file) as (...parameters: unknown[]) => Promise<unknown>;
        let count = 0;
        const failing = (...parameters: unknown[]) =>
          (count += 1) === 2
            ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }))
            : read(...parameters);
        if (path.endsWith('pages')) Object.assign(file, { read: failing });
        return file;
      },
    });
    const reader = (await store.open(guest.guestId, guest.scope))!;
    expect([...(await reader.validChunks())]).toEqual([0b11101]);
    await reader.close();
  });
});

describe('left-overs of a crash', () => {
  it('go at the start, and files of others stay', async () => {
    await keepSample(await fixture.open(), guest);
    const [name] = await readdir(fixture.folder);
    for (const end of ['partial-0011223344556677', 'removed-8899aabbccddeeff']) {
      await mkdir(join(fixture.folder, `${name}.${end}`));
      await writeFile(join(fixture.folder, `${name}.${end}`, 'pages'), 'x');
    }
    await writeFile(join(fixture.folder, 'notes.txt'), 'mine');
    await fixture.open();
    expect((await readdir(fixture.folder)).sort()).toEqual([name, 'notes.txt'].sort());
  });
});
