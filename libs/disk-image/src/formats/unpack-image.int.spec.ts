import { once } from 'node:events';
import { appendFile, mkdir, mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { createHostTools, ensureHostTools, qemuDataDirs } from '@watari/host-tools';
import { examineImage } from './examine-image';
import {
  SAMPLE_KINDS,
  type SampleDisk,
  type SampleKind,
  sampleDisk,
  sampleImage,
} from './testing/sample-images';
import { ovfOf, sampleArchive } from './testing/sample-archives';
import { unpackImage } from './unpack-image';

const tools = createHostTools();
let folder: string;
let disk: SampleDisk;
let count = 0;

beforeAll(async () => {
  await ensureHostTools(['qemu-img', 'qemu-system-x86_64']);
  folder = await mkdtemp(join(tmpdir(), 'unpack-image-spec-'));
  disk = await sampleDisk(join(folder, 'disk.raw'));
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

async function place(): Promise<string> {
  count += 1;
  const target = join(folder, `case-${count}`);
  await mkdir(target);
  return target;
}

async function unpacked(path: string): Promise<Buffer> {
  const targetPath = join(await place(), 'target.raw');
  await unpackImage({ examination: await examineImage(path), targetPath, tools });
  expect(await readdir(join(targetPath, '..'))).toEqual(['target.raw']);
  return readFile(targetPath);
}

describe('unpacking an image', () => {
  it.each(Object.keys(SAMPLE_KINDS) as SampleKind[])(
    'gives the disk that qemu-img made %s of',
    async (kind) => {
      const path = await sampleImage(tools, join(await place(), 'image'), kind, disk);
      expect((await unpacked(path)).equals(await readFile(disk.path))).toBe(true);
    },
  );

  it.each(['identity', 'gzip'])(
    'gives the disk of an OVA whose disk is packed by %s',
    async (compression) => {
      const content = await readFile(
        await sampleImage(tools, join(await place(), 'image'), 'vmdk-stream', disk),
      );
      const isGzip = compression === 'gzip';
      const path = await sampleArchive(join(await place(), 'machine.ova'), [
        // Descriptors round the size up to whole units.
        ovfOf(
          1,
          `ovf:href="disk.vmdk" ovf:compression="${compression}"`,
          'ovf:capacityAllocationUnits="byte * 2^30"',
        ),
        { name: 'disk.vmdk', content: isGzip ? gzipSync(content) : content },
      ]);
      expect(await examineImage(path)).toMatchObject({
        format: 'ova',
        subformat: isGzip ? 'vmdk-gzip' : 'vmdk',
        virtualBytes: disk.sizeBytes,
        digests: 'none',
      });
      expect((await unpacked(path)).equals(await readFile(disk.path))).toBe(true);
    },
  );

  it('gives the disk of a parallels image of the older kind, which counts in sectors', async () => {
    const path = await sampleImage(tools, join(await place(), 'image'), 'parallels', disk);
    const image = await readFile(path);
    const clusterSectors = image.readUInt32LE(28);
    image.write('WithoutFreeSpace', 0, 'latin1');
    // What the newer kind has as the upper half of the size was something else.
    image.writeUInt32LE(0xdeadbeef, 40);
    for (let entry = 0; entry < image.readUInt32LE(32); entry += 1)
      image.writeUInt32LE(image.readUInt32LE(64 + entry * 4) * clusterSectors, 64 + entry * 4);
    await writeFile(path, image);
    expect(await examineImage(path)).toMatchObject({
      subformat: 'WithoutFreeSpace',
      virtualBytes: disk.sizeBytes,
    });
    expect((await unpacked(path)).equals(await readFile(disk.path))).toBe(true);
  });

  it('gives the disk of a split VMDK with extents of zeros, which qemu-img by itself leaves out', async () => {
    const folderOfAll = await place();
    await writeFile(join(folderOfAll, 'a.bin'), Buffer.alloc(1024, 'a'));
    await writeFile(
      join(folderOfAll, 'z.bin'),
      Buffer.concat([Buffer.alloc(512, 'x'), Buffer.alloc(512, 'z')]),
    );
    const path = join(folderOfAll, 'disk.vmdk');
    const lines = ['RW 2 FLAT "a.bin" 0', 'RW 2 ZERO', 'RW 1 FLAT "z.bin" 1', 'RW 3 ZERO'];
    const head = [
      '# Disk DescriptorFile',
      'version=1',
      'CID=1',
      'parentCID=ffffffff',
      'createType="twoGbMaxExtentFlat"',
    ];
    await writeFile(path, [...head, ...lines, ''].join('\n'));
    const expected = Buffer.concat([
      Buffer.alloc(1024, 'a'),
      Buffer.alloc(1024),
      Buffer.alloc(512, 'z'),
      Buffer.alloc(1536),
    ]);
    expect((await unpacked(path)).equals(expected)).toBe(true);
  });

  it('refuses an image that is written to after it was examined', async () => {
    const path = await sampleImage(tools, join(await place(), 'image'), 'vmdk-flat', disk);
    const examination = await examineImage(path);
    await appendFile(join(path, '..', 'disk-flat.img'), 'more');
    const target = await place();
    const failure = unpackImage({ examination, targetPath: join(target, 'target.raw'), tools });
    await expect(failure).rejects.toMatchObject({ code: 'DISK_CHANGED', canRetry: true });
    expect(await readdir(target)).toEqual([]);
  });

  it('refuses a qcow2 whose data are cut off, which qemu-img converts without a word', async () => {
    const path = await sampleImage(tools, join(await place(), 'image'), 'qcow2', disk);
    await truncate(path, 400_000);
    const target = await place();
    const failure = unpackImage({
      examination: await examineImage(path),
      targetPath: join(target, 'target.raw'),
      tools,
    });
    await expect(failure).rejects.toMatchObject({ code: 'DISK_DAMAGED' });
    expect(await readdir(target)).toEqual([]);
  });

  it('refuses an image that qemu-img reads as a disk of another size', async () => {
    const path = await sampleImage(tools, join(await place(), 'image'), 'vhdx-dynamic', disk);
    const examination = await examineImage(path);
    const target = await place();
    // As if the headers had told more: without a look at what qemu-img sees, zeros would follow.
    const failure = unpackImage({
      examination: { ...examination, virtualBytes: examination.virtualBytes + 512 },
      targetPath: join(target, 'target.raw'),
      tools,
    });
    await expect(failure).rejects.toMatchObject({ code: 'DISK_DAMAGED' });
    await expect(failure).rejects.toThrow(`${disk.sizeBytes} as qemu-img reads it`);
    expect(await readdir(target)).toEqual([]);
  });

  it('says so when a virtual machine has the image open', async () => {
    const path = await sampleImage(tools, join(await place(), 'image'), 'qcow2', disk);
    const examination = await examineImage(path);
    const machine = await tools.spawn(
      'qemu-system-x86_64',
      [
        ...(await qemuDataDirs(tools)).flatMap((data) => ['-L', data]),
        ...['-accel', 'tcg', '-m', '64', '-S', '-nodefaults', '-display', 'none', '-monitor', 'stdio'],
        ...['-drive', `file=${path},format=qcow2,if=virtio`],
      ],
      { stdio: ['pipe', 'pipe', 'ignore'] },
    );
    const ended = once(machine, 'close');
    try {
      // Its monitor answers when it has opened its disks.
      if (machine.stdout) await once(machine.stdout, 'data');
      const target = await place();
      const failure = unpackImage({ examination, targetPath: join(target, 'target.raw'), tools });
      await expect(failure).rejects.toMatchObject({ code: 'DISK_NOT_READABLE', canRetry: true });
      await expect(failure).rejects.toThrow('in use by another program');
      expect(await readdir(target)).toEqual([]);
    } finally {
      machine.kill('SIGKILL');
      await ended;
    }
  });

  it('says so when the packed data of a disk are damaged', async () => {
    const path = await sampleImage(tools, join(await place(), 'image'), 'vmdk-stream', disk);
    const image = await readFile(path);
    // The marker of the first grain: what follows is no stream of deflate any more.
    image.fill(0xff, 65_536 + 12, 65_536 + 40);
    await writeFile(path, image);
    const target = await place();
    const failure = unpackImage({
      examination: await examineImage(path),
      targetPath: join(target, 'target.raw'),
      tools,
    });
    await expect(failure).rejects.toMatchObject({ code: 'DISK_DAMAGED' });
    await expect(failure).rejects.toThrow('error while reading');
    expect(await readdir(target)).toEqual([]);
  });

  it('leaves nothing behind when it is aborted, and a file alone that was there', async () => {
    const path = await sampleImage(tools, join(await place(), 'image'), 'vhdx-dynamic', disk);
    const target = await place();
    const examination = await examineImage(path);
    const options = { examination, targetPath: join(target, 'target.raw'), tools };
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(unpackImage({ ...options, signal })).rejects.toThrow('enough');
    expect(await readdir(target)).toEqual([]);
    await writeFile(options.targetPath, 'mine');
    await expect(unpackImage(options)).rejects.toMatchObject({ code: 'TARGET_DISK_EXISTS' });
    expect(await readFile(options.targetPath, 'utf8')).toBe('mine');
  });
});
