import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostTools, ensureHostTools, runProgram } from '@watari/host-tools';
import { examineImage } from './examine-image';
import type { OvaMachine } from './ova/describe-machine';
import { type SampleDisk, sampleDisk } from './testing/sample-images';
import { unpackImage } from './unpack-image';
import { type WriteImageOptions, writeImage } from './write-image';
import { WRITTEN_KINDS, WRITTEN_KIND_NAMES, type WrittenKindName } from './written-kinds';

const MIB = 1024 * 1024;
const tools = createHostTools();
let folder: string;
let disk: SampleDisk;
let count = 0;

const MACHINE: OvaMachine = {
  name: 'web & database <1>',
  cpuCount: 2,
  memoryMib: 1024,
  firmware: 'uefi',
  diskController: 'pvscsi',
  nicModel: 'vmxnet3',
  nics: [{ network: 'VM Network', mac: '00:50:56:00:00:01' }, { network: 'Backup' }],
  guestId: 'debian12_64Guest',
};

beforeAll(async () => {
  await ensureHostTools(['qemu-img']);
  folder = await mkdtemp(join(tmpdir(), 'write-image-spec-'));
  disk = await sampleDisk(join(folder, 'disk.raw'));
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

function place(): string {
  count += 1;
  return join(folder, `written-${count}`);
}

const write = (kind: WrittenKindName, more: Partial<WriteImageOptions> = {}) =>
  writeImage({
    source: { path: disk.path, format: 'raw' },
    kind,
    folder: place(),
    name: 'server 1 (old).img',
    tools,
    machine: MACHINE,
    ...more,
  });

/** The disk of a written image, by our own reading. */
async function readBack(imagePath: string): Promise<Buffer> {
  const examination = await examineImage(imagePath);
  const targetPath = `${place()}.raw`;
  await unpackImage({ examination, targetPath, tools });
  const content = await readFile(targetPath);
  await rm(targetPath);
  return content;
}

const isZero = (bytes: Buffer): boolean => bytes.every((byte) => byte === 0);

describe('writing an image', () => {
  it.each(WRITTEN_KIND_NAMES)('gives the same disk back from %s, byte by byte', async (kind) => {
    const target = place();
    const fractions: number[] = [];
    const written = await write(kind, { folder: target, onProgress: (fraction) => fractions.push(fraction) });
    const opened = written.isBundle ? target : join(target, written.names[0] ?? '');
    const { format, subformat, virtualBytes } = await examineImage(opened);
    expect({ format, subformat }).toEqual({
      format: WRITTEN_KINDS[kind].format,
      subformat: WRITTEN_KINDS[kind].subformat,
    });
    expect(virtualBytes).toBe(written.virtualBytes);
    expect((await readdir(target)).sort()).toEqual([...written.names].sort());

    const [content, original] = [await readBack(opened), await readFile(disk.path)];
    expect(content.subarray(0, original.length).equals(original)).toBe(true);
    expect(isZero(content.subarray(original.length))).toBe(true);
    expect(content.length).toBe(virtualBytes);
    expect(fractions.at(-1)).toBe(1);
    expect(fractions.every((fraction, index) => fraction >= (fractions[index - 1] ?? 0))).toBe(true);
  });

  it.each(['qcow2', 'vhdx', 'vmdk-stream', 'ova'] as const)(
    'writes %s from a qcow2 as well',
    async (kind) => {
      const qcow2 = join(folder, `source-${kind}.qcow2`);
      await tools.run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', disk.path, qcow2]);
      const target = place();
      const { names } = await write(kind, { source: { path: qcow2, format: 'qcow2' }, folder: target });
      expect(await readdir(target)).toEqual([...names]);
      const content = await readBack(join(target, names[0] ?? ''));
      expect(content.subarray(0, disk.sizeBytes).equals(await readFile(disk.path))).toBe(true);
    },
  );

  it.each(WRITTEN_KIND_NAMES)('keeps zeros out of %s', async (kind) => {
    const sparse = join(folder, `sparse-${kind}.raw`);
    await writeFile(sparse, 'boot');
    await runProgram('/usr/bin/truncate', ['-s', '3G', sparse]);
    const target = place();
    const { names } = await write(kind, { source: { path: sparse, format: 'raw' }, folder: target });
    let storedBytes = 0;
    for (const name of names) storedBytes += (await stat(join(target, name))).blocks * 512;
    expect(storedBytes).toBeLessThan(24 * MIB);
    await rm(target, { recursive: true });
  });

  it('is read by qemu-img as what it says', async () => {
    for (const [kind, driver] of [
      ['vmdk-stream', 'vmdk'],
      ['vmdk-split', 'vmdk'],
      ['vhd', 'vpc'],
      ['vhd-fixed', 'vpc'],
      ['vhdx', 'vhdx'],
    ] as const) {
      const target = place();
      const { names } = await write(kind, { folder: target });
      const path = join(target, names[0] ?? '');
      const { stdout } = await tools.run('qemu-img', ['compare', '-f', driver, '-F', 'raw', path, disk.path]);
      expect(stdout.toString()).toContain('Images are identical');
    }
  });
});

describe('what a platform asks of an image', () => {
  it('makes a VHD of whole MiB for Azure, by its size and not by its geometry', async () => {
    const target = place();
    const { names, virtualBytes } = await write('vhd-fixed', { folder: target });
    expect(virtualBytes).toBe(13 * MIB);
    const { size } = await stat(join(target, names[0] ?? ''));
    expect(size).toBe(13 * MIB + 512);
    const footer = (await readFile(join(target, names[0] ?? ''))).subarray(-512);
    expect(footer.readBigUInt64BE(48)).toBe(BigInt(13 * MIB));
  });

  it('makes a VHD whose geometry holds all of the disk for Virtual Server', async () => {
    const target = place();
    const { names, virtualBytes } = await write('vhd-geometry', { folder: target });
    const footer = (await readFile(join(target, names[0] ?? ''))).subarray(-512);
    const sectors = footer.readUInt16BE(56) * footer.readUInt8(58) * footer.readUInt8(59);
    expect(sectors * 512).toBe(virtualBytes);
    expect(virtualBytes).toBeGreaterThanOrEqual(disk.sizeBytes);
  });

  it('marks the regions of a VHDX as required, which qemu-img leaves out', async () => {
    const flagsOf = (image: Buffer): number[] =>
      [192 * 1024, 256 * 1024].flatMap((at) => [
        image.readUInt32LE(at + 16 + 28),
        image.readUInt32LE(at + 48 + 28),
      ]);
    const plain = join(folder, 'plain.vhdx');
    await tools.run('qemu-img', ['convert', '-f', 'raw', '-O', 'vhdx', disk.path, plain]);
    expect(flagsOf(await readFile(plain))).toContain(0);
    const target = place();
    const { names } = await write('vhdx', { folder: target });
    expect(flagsOf(await readFile(join(target, names[0] ?? '')))).toEqual([1, 1, 1, 1]);
  });

  it('names the adapter in a VMDK', async () => {
    for (const kind of ['vmdk', 'vmdk-flat', 'vmdk-stream'] as const) {
      const target = place();
      const { names } = await write(kind, { folder: target, vmdkAdapter: 'lsilogic' });
      const front = (await readFile(join(target, names[0] ?? ''))).subarray(0, 8192).toString('latin1');
      expect(front).toContain('ddb.adapterType = "lsilogic"');
    }
  });

  it('makes an OVA that tar unpacks, whose digests are right, with descriptor, disk and manifest in that order', async () => {
    const target = place();
    await write('ova', { folder: target, name: 'web.ova' });
    const unpacked = place();
    await mkdir(unpacked);
    const { stdout } = await runProgram('/bin/tar', ['-xvf', join(target, 'web.ova'), '-C', unpacked]);
    expect(stdout.toString().trim().split('\n')).toEqual(['web.ovf', 'web-disk1.vmdk', 'web.mf']);
    const manifest = await readFile(join(unpacked, 'web.mf'), 'utf8');
    for (const name of ['web.ovf', 'web-disk1.vmdk']) {
      const digest = createHash('sha256')
        .update(await readFile(join(unpacked, name)))
        .digest('hex');
      expect(manifest).toContain(`SHA256(${name})= ${digest}\n`);
    }
    const descriptor = await readFile(join(unpacked, 'web.ovf'), 'utf8');
    const { size } = await stat(join(unpacked, 'web-disk1.vmdk'));
    expect(descriptor).toContain(`ovf:href="web-disk1.vmdk" ovf:size="${size}"`);
    expect(descriptor).toContain('web &amp; database &lt;1&gt;');
    const path = join(unpacked, 'web-disk1.vmdk');
    await tools.run('qemu-img', ['compare', '-f', 'vmdk', '-F', 'raw', path, disk.path]);
  });
});

describe('writing that does not come to its end', () => {
  it.each(['qcow2', 'vmdk-split', 'ova', 'vhd'] as const)(
    'leaves nothing of %s when it is aborted',
    async (kind) => {
      const large = join(folder, `large-${kind}.raw`);
      await writeFile(large, Buffer.alloc(40 * MIB, 'noise and more of it '));
      const target = place();
      const controller = new AbortController();
      const running = write(kind, {
        source: { path: large, format: 'raw' },
        folder: target,
        signal: controller.signal,
        onProgress: () => controller.abort(new Error('enough')),
      });
      await expect(running).rejects.toThrow('enough');
      await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' });
    },
  );

  it.each(['raw', 'qcow2', 'vmdk-stream', 'ova'] as const)('ends %s at its quota', async (kind) => {
    const target = place();
    await expect(write(kind, { folder: target, fileBytesMax: 300_000 })).rejects.toMatchObject({
      code: 'DISK_TOO_LARGE',
    });
    await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('refuses a disk that the kind does not hold, before anything is written', async () => {
    const huge = join(folder, 'huge.raw');
    await writeFile(huge, '');
    await runProgram('/usr/bin/truncate', ['-s', '3T', huge]);
    const target = place();
    for (const kind of ['vhd', 'vhd-geometry', 'vmdk-stream', 'ova'] as const) {
      const failure = write(kind, { source: { path: huge, format: 'raw' }, folder: target });
      await expect(failure).rejects.toMatchObject({ code: 'DISK_TOO_LARGE' });
    }
    await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it.each(['a"b', 'a/b', '.hidden', 'a\nb', 'a:b', 'a\\b', '', 'x'.repeat(201)])(
    'refuses the name %j',
    (name) => expect(write('vmdk', { name })).rejects.toMatchObject({ code: 'TARGET_NAME_UNSUPPORTED' }),
  );

  it('refuses an OVA without a machine to describe', async () => {
    const target = place();
    const options = {
      source: { path: disk.path, format: 'raw' },
      kind: 'ova',
      name: 'web.ova',
      tools,
    } as const;
    await expect(writeImage({ ...options, folder: target })).rejects.toMatchObject({
      code: 'TARGET_IMAGE_KIND_UNSUPPORTED',
    });
    await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('leaves a folder alone that is there already', async () => {
    const target = place();
    await mkdir(target);
    await writeFile(join(target, 'mine'), 'mine');
    await expect(write('qcow2', { folder: target })).rejects.toMatchObject({ code: 'TARGET_DISK_EXISTS' });
    expect(await readdir(target)).toEqual(['mine']);
  });

  it('leaves nothing when the source cannot be read', async () => {
    const target = place();
    const source = { path: join(folder, 'none'), format: 'raw' } as const;
    await expect(write('qcow2', { folder: target, source })).rejects.toMatchObject({
      code: 'DISK_NOT_FOUND',
    });
    await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
