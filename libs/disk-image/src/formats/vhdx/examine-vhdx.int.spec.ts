import { readFile } from 'node:fs/promises';
import { examineImage } from '../examine-image';
import { SampleSet, patch, u32le, u64le } from '../testing/sample-images';
import { crc32cWithout } from './crc32c';

let samples: SampleSet;

beforeAll(async () => {
  samples = await SampleSet.make(['vhdx-dynamic']);
}, 120_000);

afterAll(() => samples.close());

describe('a VHDX that would lead astray', () => {
  const REGIONS = [192 * 1024, 256 * 1024] as const;
  const metadataAt = async (path: string): Promise<number> => {
    const image = await readFile(path);
    const second = REGIONS[0] + 16 + 32;
    return Number(image.readBigUInt64LE(second + 16));
  };
  const withRegions = async (change: (table: Buffer) => void): Promise<string> => {
    const path = await samples.copyOf('vhdx-dynamic');
    for (const at of REGIONS) {
      const table = Buffer.from((await readFile(path)).subarray(at, at + 65536));
      change(table);
      table.writeUInt32LE(crc32cWithout(table, 4), 4);
      await patch(path, at, table);
    }
    return path;
  };
  const withHeaders = async (change: (header: Buffer) => void): Promise<string> => {
    const path = await samples.copyOf('vhdx-dynamic');
    for (const at of [65536, 131072]) {
      const header = Buffer.from((await readFile(path)).subarray(at, at + 4096));
      change(header);
      header.writeUInt32LE(crc32cWithout(header, 4), 4);
      await patch(path, at, header);
    }
    return path;
  };
  const unknownRegion = (flags: number) => (table: Buffer) => {
    const at = 16 + 2 * 32;
    table.fill(0xab, at, at + 16);
    table.writeBigUInt64LE(8n << 20n, at + 16);
    table.writeUInt32LE(1 << 20, at + 24);
    table.writeUInt32LE(flags, at + 28);
    table.writeUInt32LE(3, 8);
  };

  it('refuses a log that is not empty, and says what to do', async () => {
    const failure = examineImage(await withHeaders((header) => header.fill(7, 48, 64)));
    await expect(failure).rejects.toMatchObject({ code: 'DISK_DAMAGED' });
    await expect(failure).rejects.toThrow('Mount-VHD');
  });

  it('takes the header with the higher number, and one header where the other is broken', async () => {
    const path = await samples.copyOf('vhdx-dynamic');
    await patch(path, 131072, Buffer.alloc(4096));
    expect(await examineImage(path)).toMatchObject({ format: 'vhdx' });
    await patch(path, 65536, Buffer.alloc(4096));
    await expect(examineImage(path)).rejects.toMatchObject({ code: 'DISK_DAMAGED' });
  });

  it('refuses regions that are required and unknown, and passes over others', async () => {
    await expect(examineImage(await withRegions(unknownRegion(1)))).rejects.toMatchObject({
      code: 'DISK_FORMAT_UNSUPPORTED',
    });
    expect(await examineImage(await withRegions(unknownRegion(0)))).toMatchObject({ format: 'vhdx' });
  });

  it.each([
    ['too many regions', 'DISK_DAMAGED', (table: Buffer) => table.writeUInt32LE(5000, 8)],
    ['no regions', 'DISK_DAMAGED', (table: Buffer) => table.writeUInt32LE(0, 8)],
    ['a region twice', 'DISK_DAMAGED', (table: Buffer) => table.copy(table, 16 + 32, 16, 48)],
    [
      'a region past the end',
      'DISK_TRUNCATED',
      (table: Buffer) => table.writeBigUInt64LE(1n << 40n, 16 + 16),
    ],
    ['a region on its headers', 'DISK_DAMAGED', (table: Buffer) => table.writeBigUInt64LE(0n, 16 + 16)],
    [
      'regions on each other',
      'DISK_DAMAGED',
      (table: Buffer) => table.writeBigUInt64LE(table.readBigUInt64LE(48 + 16), 16 + 16),
    ],
  ])('refuses %s', async (_what, code, change) =>
    expect(examineImage(await withRegions(change))).rejects.toMatchObject({ code }),
  );

  it('refuses when both region tables are wrong, and takes either alone', async () => {
    const path = await samples.copyOf('vhdx-dynamic');
    await patch(path, REGIONS[0] + 20, Buffer.from('spoilt'));
    expect(await examineImage(path)).toMatchObject({ format: 'vhdx' });
    await patch(path, REGIONS[1] + 20, Buffer.from('spoilt'));
    await expect(examineImage(path)).rejects.toMatchObject({ code: 'DISK_DAMAGED' });
  });

  it.each([
    ['a parent', 'DISK_HAS_BACKING_FILE', (region: Buffer) => setItem(region, 'caa16737', 4, u32le(2))],
    ['odd blocks', 'DISK_DAMAGED', (region: Buffer) => setItem(region, 'caa16737', 0, u32le(12345))],
    ['no size', 'DISK_DAMAGED', (region: Buffer) => setItem(region, '2fa54224', 0, u64le(0n))],
    ['a huge size', 'DISK_TOO_LARGE', (region: Buffer) => setItem(region, '2fa54224', 0, u64le(1n << 62n))],
    [
      'sectors of 4096 bytes',
      'DISK_FORMAT_UNSUPPORTED',
      (region: Buffer) => setItem(region, '8141bf1d', 0, u32le(4096)),
    ],
    [
      'an unknown item that is required',
      'DISK_FORMAT_UNSUPPORTED',
      (region: Buffer) => region.fill(0xcd, 32, 36),
    ],
    ['too many items', 'DISK_DAMAGED', (region: Buffer) => region.writeUInt16LE(5000, 10)],
    [
      'an item outside of its region',
      'DISK_DAMAGED',
      (region: Buffer) => region.writeUInt32LE(0xfffffff0, 32 + 16),
    ],
  ])('refuses metadata with %s', async (_what, code, change) => {
    const path = await samples.copyOf('vhdx-dynamic');
    const at = await metadataAt(path);
    const region = Buffer.from((await readFile(path)).subarray(at, at + 256 * 1024));
    change(region);
    await patch(path, at, region);
    await expect(examineImage(path)).rejects.toMatchObject({ code });
  });

  it('refuses blocks that are shared, past the end, or in a parent', async () => {
    const path = await samples.copyOf('vhdx-dynamic');
    const image = await readFile(path);
    const blocksAt = Number(image.readBigUInt64LE(REGIONS[0] + 16 + 16));
    const first = image.subarray(blocksAt, blocksAt + 8);
    const attempt = async (entry: Buffer): Promise<unknown> => {
      await patch(path, blocksAt, entry);
      return examineImage(path);
    };
    await expect(attempt(u64le((1n << 40n) | 6n))).rejects.toMatchObject({ code: 'DISK_TRUNCATED' });
    await expect(attempt(u64le(7n))).rejects.toMatchObject({ code: 'DISK_DAMAGED' });
    await expect(attempt(u64le(4n))).rejects.toMatchObject({ code: 'DISK_DAMAGED' });
    await patch(path, blocksAt, Buffer.from(first));
    expect(await examineImage(path)).toMatchObject({ format: 'vhdx' });
  });
});

function setItem(region: Buffer, guid: string, at: number, bytes: Buffer): void {
  for (let entry = 32; entry < 32 + 10 * 32; entry += 32) {
    const first = Buffer.from(region.subarray(entry, entry + 4))
      .reverse()
      .toString('hex');
    if (first === guid) {
      bytes.copy(region, region.readUInt32LE(entry + 16) + at);
      return;
    }
  }
  throw new Error(`no item ${guid}`);
}
