import { qcow2Image, bootRecord, diskOf, randomFrom } from '../testing/synthetic-disks';
import { bytesOf } from './byte-source';
import { readDiskShape } from './disk-format';

const GIB = 1024 ** 3;
const shapeOf = (image: Buffer, format?: 'raw' | 'qcow2') => readDiskShape(bytesOf(image), format);

describe('disk format', () => {
  it('knows qcow2 by its first bytes and raw by everything else', async () => {
    expect(await shapeOf(qcow2Image(4 * GIB))).toEqual({ format: 'qcow2', virtualSizeBytes: 4 * GIB });
    const raw = diskOf(64, { 0: bootRecord([{ type: 0x83, firstSector: 8, sectors: 8 }]) });
    expect(await shapeOf(raw)).toEqual({ format: 'raw', virtualSizeBytes: 64 * 512 });
  });

  it('takes a disk as raw when told so, even where a qcow2 header stands at its front', async () => {
    const image = qcow2Image(4 * GIB);
    expect(await shapeOf(image, 'raw')).toEqual({ format: 'raw', virtualSizeBytes: image.length });
  });

  it.each([
    ['names a backing file', 'DISK_HAS_BACKING_FILE', (image: Buffer) => image.writeBigUInt64BE(104n, 8)],
    [
      'has the length of a backing file name',
      'DISK_HAS_BACKING_FILE',
      (image: Buffer) => image.writeUInt32BE(11, 16),
    ],
    [
      'keeps its data in another file',
      'DISK_HAS_BACKING_FILE',
      (image: Buffer) => image.writeBigUInt64BE(4n, 72),
    ],
    [
      'names another file for its data in an extension',
      'DISK_HAS_BACKING_FILE',
      (image: Buffer) => image.writeUInt32BE(0x44415441, 104),
    ],
    ['is encrypted', 'DISK_ENCRYPTED', (image: Buffer) => image.writeUInt32BE(2, 32)],
    ['is marked as corrupt', 'DISK_DAMAGED', (image: Buffer) => image.writeBigUInt64BE(2n, 72)],
    [
      'uses unknown features',
      'DISK_FORMAT_UNSUPPORTED',
      (image: Buffer) => image.writeBigUInt64BE(1n << 40n, 72),
    ],
    ['has an impossible cluster size', 'DISK_DAMAGED', (image: Buffer) => image.writeUInt32BE(40, 20)],
    ['has no size', 'DISK_DAMAGED', (image: Buffer) => image.writeBigUInt64BE(0n, 24)],
    ['claims to be huge', 'DISK_TOO_LARGE', (image: Buffer) => image.writeBigUInt64BE(1n << 60n, 24)],
    ['has a table past its end', 'DISK_TRUNCATED', (image: Buffer) => image.writeBigUInt64BE(1n << 40n, 40)],
    ['has too small a first table', 'DISK_DAMAGED', (image: Buffer) => image.writeUInt32BE(1, 36)],
    ['is of version 9', 'DISK_FORMAT_UNSUPPORTED', (image: Buffer) => image.writeUInt32BE(9, 4)],
  ])('refuses a qcow2 that %s', (_what, code, change) =>
    expect(shapeOf(qcow2Image(4 * GIB, change))).rejects.toMatchObject({ code }),
  );

  it('refuses a qcow2 that is cut off', async () => {
    await expect(shapeOf(qcow2Image(4 * GIB).subarray(0, 60))).rejects.toMatchObject({
      code: 'DISK_TRUNCATED',
    });
    await expect(shapeOf(qcow2Image(4 * GIB).subarray(0, 100_000))).rejects.toMatchObject({
      code: 'DISK_TRUNCATED',
    });
  });

  it.each([
    ['VMDK', Buffer.from('KDMV')],
    ['VHDX', Buffer.from('vhdxfile')],
    ['gzip', Buffer.from([0x1f, 0x8b, 8, 0])],
  ])('says which format it is when it is %s', async (name, magic) => {
    const failure = shapeOf(Buffer.concat([magic, Buffer.alloc(4096)]));
    await expect(failure).rejects.toMatchObject({ code: 'DISK_FORMAT_UNSUPPORTED' });
    await expect(failure).rejects.toThrow(name);
  });

  it('ends with a shape or a coded error on any qcow2 header', async () => {
    const seed = Number(process.env['WATARI_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
    const random = randomFrom(seed);
    const whole = qcow2Image(4 * GIB);
    for (let round = 0; round < 3000; round++) {
      const image = Buffer.from(
        whole.subarray(0, random() < 0.2 ? Math.floor(random() * 120) : whole.length),
      );
      for (let change = 0; change < random() * 6; change++)
        if (image.length > 0)
          image[Math.floor(random() * Math.min(image.length, 140))] = Math.floor(random() * 256);
      const outcome = await shapeOf(image).catch((error: { code?: string }) => error.code ?? String(error));
      if (typeof outcome === 'string' && !/^DISK_/.test(outcome))
        throw new Error(`seed ${seed}, round ${round}: ${outcome}`);
    }
  });
});
