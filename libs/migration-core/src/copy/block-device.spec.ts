import { mkdtemp, open, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { SeededChance } from '../testing/seeded-chance';
import { BlockDeviceSource, FileTarget } from './block-device';
import { PageReceiver } from './page-receiver';
import { PageSender } from './page-sender';
import { preCopy, stopAndCopy } from './pre-copy';

const SIZE_BYTES = 900 * 4_096 + 512;

describe('a disk that is written while it is copied', () => {
  let folder: string;
  let path: string;
  let content: Buffer;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'watari-copy-'));
    path = join(folder, 'disk');
    content = Buffer.alloc(SIZE_BYTES);
    const chance = new SeededChance(11);
    content.set(chance.bytes(300 * 4_096), 100 * 4_096);
    content.set(chance.bytes(512), SIZE_BYTES - 512);
    await writeFile(path, content);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function write(at: number, bytes: Uint8Array): Promise<void> {
    const file = await open(path, 'r+');
    await file.write(bytes, 0, bytes.length, at);
    await file.close();
    content.set(bytes, at);
  }

  it('finds the pages that changed, and only those', async () => {
    const source = await BlockDeviceSource.open(path);
    try {
      const all = await source.takeDirty();
      expect(all.size).toBe(901);
      const into = new Uint8Array(901 * 4_096);
      await source.read(0, into);
      expect(Buffer.compare(into.subarray(0, SIZE_BYTES), content)).toBe(0);
      expect((await source.takeDirty()).size).toBe(0);
      await write(5 * 4_096 + 77, Uint8Array.of(1));
      await write(SIZE_BYTES - 1, Uint8Array.of(0xaa));
      expect([...(await source.takeDirty()).runs(9)]).toEqual([
        { firstPage: 5, pageCount: 1 },
        { firstPage: 900, pageCount: 1 },
      ]);
    } finally {
      await source.close();
    }
  });

  it('sends a page again that changed between a scan and its reading, and then back', async () => {
    const source = await BlockDeviceSource.open(path);
    try {
      await source.takeDirty();
      await source.read(0, new Uint8Array(901 * 4_096));
      await write(0, Uint8Array.of(1));
      expect((await source.takeDirty()).has(0)).toBe(true);
      await write(0, Uint8Array.of(2));
      await source.read(0, new Uint8Array(4_096));
      await write(0, Uint8Array.of(1));
      expect((await source.takeDirty()).has(0)).toBe(true);
    } finally {
      await source.close();
    }
  });

  it('becomes the same file on the other side, with holes where there is nothing', async () => {
    const calls: string[] = [];
    const source = await BlockDeviceSource.open(path, {
      freeze: () => Promise.resolve(void calls.push('freeze')),
      thaw: () => Promise.resolve(void calls.push('thaw')),
    });
    const copy = join(folder, 'copy');
    const target = await FileTarget.create(copy, source.sizeBytes);
    const receiver = new PageReceiver(target);
    let writes = 0;
    const sender = new PageSender(source, {
      send: async (frame) => {
        await receiver.push(frame);
        if (writes < 20 && calls.length === 0)
          await write((writes += 1) * 8_192, Uint8Array.of(writes, 1, 2, 3));
      },
    });
    try {
      const { left } = await preCopy(source, sender, { limits: { downtimeLimitMs: 500 } });
      await stopAndCopy(source, sender, left);
      expect(receiver.end().sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(calls).toEqual(['freeze']);
      expect(writes).toBeGreaterThan(3);
      expect(Buffer.compare(await readFile(copy), content)).toBe(0);
      expect((await stat(copy)).blocks * 512).toBeLessThan(SIZE_BYTES / 2);
    } finally {
      await Promise.all([source.close(), target.close()]);
    }
  });

  it('overwrites with zeros what became zero after it was sent', async () => {
    const target = await FileTarget.create(join(folder, 'copy'), SIZE_BYTES);
    try {
      await target.write(899, new Uint8Array(2 * 4_096).fill(7));
      await target.writeZeros(0, 901);
      await target.flush();
      expect((await readFile(join(folder, 'copy'))).every((byte) => byte === 0)).toBe(true);
      await expect(FileTarget.create(join(folder, 'copy'), 1)).rejects.toMatchObject({ code: 'EEXIST' });
    } finally {
      await target.close();
    }
  });

  it('is refused when it is empty, is a link, or became shorter', async () => {
    const empty = join(folder, 'empty');
    await writeFile(empty, '');
    await expect(BlockDeviceSource.open(empty)).rejects.toMatchObject({ code: 'COPY_SOURCE_CHANGED' });
    await symlink(path, join(folder, 'link'));
    await expect(BlockDeviceSource.open(join(folder, 'link'))).rejects.toMatchObject({ code: 'ELOOP' });
    const source = await BlockDeviceSource.open(path);
    try {
      await truncate(path, 4_096);
      await expect(source.read(0, new Uint8Array(8_192))).rejects.toMatchObject({
        code: 'COPY_SOURCE_CHANGED',
      });
    } finally {
      await source.close();
    }
  });
});
