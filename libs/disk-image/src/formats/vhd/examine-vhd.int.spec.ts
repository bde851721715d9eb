import { readFile, stat } from 'node:fs/promises';
import { examineImage } from '../examine-image';
import { SampleSet, patch } from '../testing/sample-images';
import { checksumOf } from './footer';

let samples: SampleSet;

beforeAll(async () => {
  samples = await SampleSet.make(['vhd-dynamic', 'vhd-fixed']);
}, 120_000);

afterAll(() => samples.close());

describe('a VHD that would lead astray', () => {
  const changed = async (
    kind: 'vhd-dynamic' | 'vhd-fixed',
    change: (footer: Buffer) => void,
  ): Promise<string> => {
    const path = await samples.copyOf(kind);
    const { size } = await stat(path);
    for (const at of kind === 'vhd-dynamic' ? [0, size - 512] : [size - 512]) {
      const footer = Buffer.from((await readFile(path)).subarray(at, at + 512));
      change(footer);
      footer.writeUInt32BE(checksumOf(footer, 64), 64);
      await patch(path, at, footer);
    }
    return path;
  };

  it.each([
    ['is a differencing disk', 'DISK_HAS_BACKING_FILE', (footer: Buffer) => footer.writeUInt32BE(4, 60)],
    ['is of an unknown type', 'DISK_FORMAT_UNSUPPORTED', (footer: Buffer) => footer.writeUInt32BE(6, 60)],
    [
      'is of another version',
      'DISK_FORMAT_UNSUPPORTED',
      (footer: Buffer) => footer.writeUInt32BE(0x20000, 12),
    ],
    ['is in saved state', 'DISK_DAMAGED', (footer: Buffer) => footer.writeUInt8(1, 84)],
    ['is huge', 'DISK_TOO_LARGE', (footer: Buffer) => footer.writeBigUInt64BE(1n << 60n, 48)],
    ['has no size', 'DISK_DAMAGED', (footer: Buffer) => footer.writeBigUInt64BE(0n, 48)],
    ['is larger than its table', 'DISK_DAMAGED', (footer: Buffer) => footer.writeBigUInt64BE(1n << 40n, 48)],
    [
      'has its header past the end',
      'DISK_TRUNCATED',
      (footer: Buffer) => footer.writeBigUInt64BE(1n << 40n, 16),
    ],
    ['has its header elsewhere', 'DISK_DAMAGED', (footer: Buffer) => footer.writeBigUInt64BE(1024n, 16)],
  ])('refuses one that %s', async (_what, code, change) =>
    expect(examineImage(await changed('vhd-dynamic', change))).rejects.toMatchObject({ code }),
  );

  it('refuses a wrong checksum', async () => {
    const path = await samples.spoilt('vhd-dynamic', 30, Buffer.from('x'));
    const { size } = await stat(path);
    await patch(path, size - 512 + 30, Buffer.from('x'));
    await expect(examineImage(path)).rejects.toMatchObject({ code: 'DISK_DAMAGED' });
  });

  it('refuses a fixed disk whose guest wrote the begin of another kind into its first sector', async () => {
    const path = await samples.spoilt('vhd-fixed', 0, Buffer.from('conectix'));
    await expect(examineImage(path)).rejects.toMatchObject({ code: 'DISK_DAMAGED' });
  });

  it('refuses two parts of the disk in one block', async () => {
    const path = await samples.copyOf('vhd-dynamic');
    const image = await readFile(path);
    const tableAt = Number(image.readBigUInt64BE(512 + 16));
    await patch(path, tableAt + 4, image.subarray(tableAt, tableAt + 4));
    await expect(examineImage(path)).rejects.toMatchObject({ code: 'DISK_DAMAGED' });
  });
});
