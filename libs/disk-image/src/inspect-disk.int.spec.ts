import { createHash } from 'node:crypto';
import { mkdtemp, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { inspectDisk } from './inspect-disk';
import {
  BOOT_OFFSET_BYTES,
  KERNEL,
  MAC,
  ROOT_OFFSET_BYTES,
  makeFakeServer,
  rootFiles,
} from './testing/fake-server';
import { qcow2Image } from './testing/synthetic-disks';

const tools = createHostTools();
let folder: string;
let server: string;

beforeAll(async () => {
  await ensureHostTools(['debugfs', 'e2fsck', 'mke2fs', 'dumpe2fs', 'zstd', 'xz', 'qemu-img']);
  folder = await mkdtemp(join(tmpdir(), 'disk-image-spec-'));
  server = await makeFakeServer({ folder, tools });
}, 600_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

const inspect = (path: string, format?: 'raw' | 'qcow2') =>
  inspectDisk({ path, tools, ...(format && { format }) });
const fileOf = async (name: string, content: Buffer): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
};
/** A copy of the server's disk with some bytes changed. */
const changed = async (name: string, patches: readonly [number, Buffer][]): Promise<string> => {
  const path = await fileOf(name, await readFile(server));
  const file = await open(path, 'r+');
  for (const [offset, bytes] of patches) await file.write(bytes, 0, bytes.length, offset);
  await file.close();
  return path;
};
const WIPED = Buffer.alloc(2048);

describe('inspecting a disk', () => {
  it('finds what is on it, over its mounts', async () => {
    expect(await inspect(server)).toMatchObject({
      hostname: 'old-server',
      operatingSystem: {
        id: 'debian12',
        name: 'Debian GNU/Linux 12 (bookworm)',
        version: '12',
        architecture: 'x86_64',
      },
      firmware: 'bios',
      partitionTable: 'mbr',
      format: 'raw',
      rootFileSystem: 'ext4',
      fileSystemDirty: false,
      partitions: [{ content: 'ext4' }, { content: 'swap' }, { content: 'ext4' }],
      kernels: [{ version: KERNEL, hasVirtio: false, initramfsCompression: 'gzip' }],
      kernelRoots: ['/dev/sda3'],
      nicRules: [{ mac: MAC, name: 'eth0', kind: 'udev-rule' }],
      configuredNics: ['eth0'],
      applications: [
        { name: 'nginx', version: '1.22.1-9' },
        { name: 'stock', version: '' },
      ],
    });
  });

  it('leaves the image as it was, to the byte and to the time', async () => {
    const digest = async () =>
      createHash('sha256')
        .update(await readFile(server))
        .digest('hex');
    const before = { digest: await digest(), mtimeMs: (await stat(server)).mtimeMs };
    await inspect(server);
    expect({ digest: await digest(), mtimeMs: (await stat(server)).mtimeMs }).toEqual(before);
  });

  it('finds the same in a qcow2 image', async () => {
    const path = join(folder, 'server.qcow2');
    await tools.run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', server, path]);
    const { format, allocatedBytes, virtualSizeBytes, ...found } = await inspect(path);
    const raw = await inspect(server);
    expect(format).toBe('qcow2');
    expect(virtualSizeBytes).toBe(raw.virtualSizeBytes);
    expect(allocatedBytes).toBeGreaterThan(0);
    expect(raw).toMatchObject(found);
    await truncate(path, Math.floor((await stat(path)).size / 2 / 65536) * 65536);
    await expect(inspect(path)).rejects.toMatchObject({
      code: expect.stringMatching(/^DISK_(DAMAGED|TRUNCATED)$/),
    });
  });

  it.each([
    ['a file that is not there', 'DISK_NOT_FOUND', () => Promise.resolve(join(folder, 'nowhere'))],
    ['a folder', 'DISK_NOT_AN_IMAGE', () => Promise.resolve(folder)],
    ['an empty file', 'DISK_NOT_AN_IMAGE', () => fileOf('empty', Buffer.alloc(0))],
    ['a blank disk', 'DISK_NOT_AN_IMAGE', () => fileOf('blank', Buffer.alloc(4 * 1024 * 1024))],
    ['text', 'DISK_NOT_AN_IMAGE', () => fileOf('text', Buffer.from('hello\n'.repeat(50_000)))],
    [
      'a qcow2 that names a backing file',
      'DISK_HAS_BACKING_FILE',
      () =>
        fileOf(
          'backed',
          qcow2Image(2 ** 30, (image) => {
            image.writeBigUInt64BE(512n, 8);
            image.writeUInt32BE(image.write('/etc/passwd', 512), 16);
          }),
        ),
    ],
    [
      'a LUKS container',
      'DISK_ENCRYPTED',
      () =>
        fileOf(
          'luks',
          Buffer.concat([Buffer.from('LUKS\xba\xbe\0\x02', 'latin1'), Buffer.alloc(2 ** 20 - 8)]),
        ),
    ],
    [
      'a disk whose root is encrypted',
      'DISK_ENCRYPTED',
      () =>
        changed('luks-root', [
          [ROOT_OFFSET_BYTES, WIPED],
          [ROOT_OFFSET_BYTES, Buffer.from('LUKS\xba\xbe\0\x02', 'latin1')],
        ]),
    ],
    [
      'a disk whose root is on XFS',
      'DISK_FILE_SYSTEM_UNSUPPORTED',
      () =>
        changed('xfs-root', [
          [ROOT_OFFSET_BYTES, WIPED],
          [ROOT_OFFSET_BYTES, Buffer.from('XFSB')],
        ]),
    ],
    [
      'a disk whose root is on LVM',
      'DISK_FILE_SYSTEM_UNSUPPORTED',
      () =>
        changed('lvm-root', [
          [ROOT_OFFSET_BYTES, WIPED],
          [ROOT_OFFSET_BYTES + 512, Buffer.from('LABELONE')],
        ]),
    ],
    [
      'a disk whose /boot is on btrfs',
      'DISK_FILE_SYSTEM_UNSUPPORTED',
      () =>
        changed('btrfs-boot', [
          [BOOT_OFFSET_BYTES, WIPED],
          [BOOT_OFFSET_BYTES + 0x10040, Buffer.from('_BHRfS_M')],
        ]),
    ],
    [
      'a disk without a root',
      'DISK_NO_OPERATING_SYSTEM',
      () => changed('no-root', [[ROOT_OFFSET_BYTES, WIPED]]),
    ],
    [
      'a disk that is cut off',
      'DISK_TRUNCATED',
      async () => fileOf('cut', (await readFile(server)).subarray(0, 60 * 1024 * 1024)),
    ],
  ])('refuses %s', async (_what, code, make) => {
    const failure = inspect(await make());
    await expect(failure).rejects.toMatchObject({ code });
    await expect(failure).rejects.toThrow(/Give |Copy |Check |copy |Write |at this stage|Make /);
  });

  it('never lets a name of the guest become a command', async () => {
    const marker = join(folder, 'written-by-a-name');
    const name = `70-x\ndump <2> ${marker}\n`;
    const quoted = `a" b ${'`'}touch x${'`'}.rules`;
    const place = await mkdtemp(join(folder, 'names-'));
    const path = await makeFakeServer({
      folder: place,
      tools,
      root: {
        ...rootFiles(),
        [`etc/udev/rules.d/${name.replaceAll('/', '_')}.rules`]: 'x',
        [`etc/udev/rules.d/${quoted}`]: `ATTR{address}=="52:54:00:aa:bb:99", NAME="lan9"\n`,
      },
    });
    const { nicRules } = await inspect(path);
    expect(nicRules.map(({ name: nic }) => nic)).toEqual(['eth0', 'lan9']);
    await expect(stat(marker)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('reads an image whose own name is odd', async () => {
    const path = join(folder, 'odd ?offset=1 "name" \n.raw');
    await writeFile(path, await readFile(server));
    expect((await inspect(path)).hostname).toBe('old-server');
  });
});
