import { open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { randomFrom } from '../testing/synthetic-disks';
import { examineImage } from './examine-image';
import type { ImageFormat } from './image-format';
import { SampleSet, ALL_SAMPLE_KINDS, type SampleKind } from './testing/sample-images';

let samples: SampleSet;

beforeAll(async () => {
  samples = await SampleSet.make();
}, 120_000);

afterAll(() => samples.close());

describe('examining an image', () => {
  it.each([
    ['vmdk-sparse', 'vmdk', 'monolithicSparse', ['disk.img']],
    ['vmdk-flat', 'vmdk', 'monolithicFlat', ['disk.img', 'disk-flat.img']],
    ['vmdk-split', 'vmdk', 'twoGbMaxExtentSparse', ['disk.img', 'disk-s001.img']],
    ['vmdk-split-flat', 'vmdk', 'twoGbMaxExtentFlat', ['disk.img', 'disk-f001.img']],
    ['vmdk-stream', 'vmdk', 'streamOptimized', ['disk.img']],
    ['vhd-dynamic', 'vhd', 'dynamic', ['disk.img']],
    ['vhd-fixed', 'vhd', 'fixed', ['disk.img']],
    ['vhdx-dynamic', 'vhdx', 'dynamic', ['disk.img']],
    ['vhdx-fixed', 'vhdx', 'fixed', ['disk.img']],
    ['parallels', 'parallels', 'WithouFreSpacExt', ['disk.img']],
    ['qcow2', 'qcow2', 'qcow2', ['disk.img']],
  ] as const)('knows %s by its content', async (kind, format, subformat, names) => {
    const path = samples.pathOf(kind);
    const found = await examineImage(path);
    expect(found).toMatchObject({
      format,
      subformat,
      formatBy: 'content',
      virtualBytes: samples.disk.sizeBytes,
    });
    expect(found.files.map((file) => file.path)).toEqual(names.map((name) => join(dirname(path), name)));
    expect(await examineImage(path, { format })).toMatchObject({ format, subformat, formatBy: 'caller' });
  });

  it('takes what begins like no image, or like a boot sector, as raw', async () => {
    expect(await examineImage(samples.disk.path)).toMatchObject({
      format: 'raw',
      virtualBytes: samples.disk.sizeBytes,
    });
    const sector = Buffer.alloc(1024);
    sector.write('KDMV');
    sector.writeUInt16LE(0xaa55, 510);
    const path = join(samples.folder, 'bootable.raw');
    await writeFile(path, sector);
    expect(await examineImage(path)).toMatchObject({ format: 'raw', virtualBytes: 1024 });
  });

  it('takes any content as raw when it is told so', async () => {
    const path = samples.pathOf('vhdx-dynamic');
    const { size } = await stat(path);
    expect(await examineImage(path, { format: 'raw' })).toMatchObject({ format: 'raw', virtualBytes: size });
  });

  it.each(['vmdk', 'vhd', 'vhdx', 'parallels', 'ova', 'ploop', 'qcow2'] as ImageFormat[])(
    'refuses a raw disk that is said to be %s',
    (format) =>
      expect(examineImage(samples.disk.path, { format })).rejects.toMatchObject({
        code: expect.stringMatching(/^DISK_(DAMAGED|TRUNCATED|NOT_AN_IMAGE)$/) as string,
      }),
  );

  it('refuses a disk that is larger than it may be', () =>
    expect(examineImage(samples.pathOf('vhdx-dynamic'), { virtualBytesMax: 1024 })).rejects.toMatchObject({
      code: 'DISK_TOO_LARGE',
    }));

  it('says when there is no file, an empty one, or half a sector', async () => {
    await expect(examineImage(join(samples.folder, 'none'))).rejects.toMatchObject({
      code: 'DISK_NOT_FOUND',
    });
    const path = join(samples.folder, 'short');
    await writeFile(path, '');
    await expect(examineImage(path)).rejects.toMatchObject({ code: 'DISK_NOT_AN_IMAGE' });
    await writeFile(path, Buffer.alloc(700));
    await expect(examineImage(path)).rejects.toMatchObject({ code: 'DISK_NOT_AN_IMAGE' });
    const disk = Buffer.alloc(700);
    disk.writeUInt16LE(0xaa55, 510);
    await writeFile(path, disk);
    await expect(examineImage(path)).rejects.toMatchObject({ code: 'DISK_TRUNCATED' });
  });
});

describe('an image of a disk of many terabytes', () => {
  it.each([
    ['vhdx', 'vhdx', '60T'],
    ['vpc', 'vhd', '2000G'],
    ['vmdk', 'vmdk', '4T'],
    ['parallels', 'parallels', '12T'],
    ['qcow2', 'qcow2', '60T'],
  ] as const)(
    'is examined in seconds: %s',
    async (driver, format, size) => {
      const path = join(samples.folder, `large.${format}`);
      const options = driver === 'vpc' ? ['-o', 'force_size=on'] : [];
      await samples.tools.run('qemu-img', ['create', '-q', '-f', driver, ...options, path, size]);
      const startedAt = performance.now();
      const { virtualBytes } = await examineImage(path);
      // It takes a second or two; the bound is for a machine that has much else to do.
      expect(performance.now() - startedAt).toBeLessThan(15_000);
      expect(virtualBytes).toBe(Number(size.slice(0, -1)) * (size.endsWith('T') ? 1024 ** 4 : 1024 ** 3));
      await rm(path);
    },
    60_000,
  );
});

/** Which part of an image of several is cut. */
const CUT_PARTS: Partial<Record<SampleKind, string>> = {
  'vmdk-flat': 'disk-flat.img',
  'vmdk-split': 'disk-s001.img',
  'vmdk-split-flat': 'disk-f001.img',
};

describe('an image that is cut off', () => {
  it.each(ALL_SAMPLE_KINDS)('is refused wherever %s ends', async (kind) => {
    const path = await samples.copyOf(kind);
    const cut = join(dirname(path), CUT_PARTS[kind] ?? 'disk.img');
    const { size } = await stat(cut);
    const format = (await examineImage(path)).format;
    // The data of a qcow2 are checked by qemu-img when it is unpacked. A grain's end behind the disk's is padding.
    const last = size - (kind.startsWith('vmdk-s') && !kind.endsWith('flat') ? 65_536 : 512);
    const ends = kind === 'qcow2' ? [100_000, 50] : [last, Math.floor(size / 2), 70_000, 600, 100];
    for (const end of ends.filter((each) => each < size)) {
      await truncate(cut, end);
      await expect(examineImage(path, { format })).rejects.toMatchObject({
        code: expect.stringMatching(/^DISK_(TRUNCATED|DAMAGED)$/) as string,
      });
    }
  });
});

describe('any image', () => {
  it.each(ALL_SAMPLE_KINDS)(
    'ends with a finding or a coded error: %s',
    async (kind) => {
      const seed = Number(process.env['WATARI_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
      const random = randomFrom(seed);
      const path = await samples.copyOf(kind);
      const { format } = await examineImage(path);
      const { size } = await stat(path);
      const whole = await readFile(path);
      const file = await open(path, 'r+');
      // Where headers and tables are, in all of the formats.
      const places = [
        0,
        0,
        0,
        512,
        65_536,
        131_072,
        196_608,
        262_144,
        1 << 20,
        2 << 20,
        3 << 20,
        size - 512,
      ].filter((at) => at < size);
      try {
        for (let round = 0; round < 300; round += 1) {
          const changes: number[] = [];
          for (let change = 0; change <= random() * 4; change += 1) {
            const place = places[Math.floor(random() * places.length)] ?? 0;
            const at = Math.min(size - 1, place + Math.floor(random() * 128));
            changes.push(at);
            await file.write(Buffer.from([Math.floor(random() * 256)]), 0, 1, at);
          }
          const outcome = await examineImage(path, { format }).catch(
            (error: { code?: string }) => error.code ?? String(error),
          );
          if (typeof outcome === 'string' && !/^DISK_/.test(outcome))
            throw new Error(`seed ${seed}, round ${round}: ${outcome}`);
          for (const at of changes) await file.write(whole, at, 1, at);
        }
      } finally {
        await file.close();
      }
    },
    60_000,
  );
});
