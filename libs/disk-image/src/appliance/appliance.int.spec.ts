import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import type { InodeAttributes } from '../file-system/inode-attributes';
import { Appliance } from './appliance';
import type { TreeDigest } from './appliance-files';
import type { BlockDevice, DiskScan } from './scan';
import { LAYOUT, PASSPHRASE, expectRun, makeEmptyDisk, makeLayers } from './testing/layered-disk';

const ODD_NAME = '/srv/odd $(touch x) `id`;\n"it\'s" \udcff é *?|&';
const BINARY = randomBytes(2_500_000);
const TIMEOUT_MS = 180_000;
jest.setTimeout(TIMEOUT_MS);

/** Writes what the tests look for, and takes the tree's digest. */
async function writeGuest({ files }: Appliance): Promise<TreeDigest> {
  for (const path of ['/etc', '/boot', '/srv', '/home']) await files.makeDirectory(path);
  await files.create('/etc/hostname', Buffer.from('before\n'), { mode: 0o640, uid: 7, gid: 8 });
  const attributes = await files.attributes('/etc/hostname');
  const kept: InodeAttributes = {
    ...attributes,
    flags: 0x10,
    times: { mtime: { seconds: 1_600_000_000, extra: 123_456_789 << 2 }, atime: { seconds: 1_500_000_000 } },
    xattrs: [
      {
        name: 'security.selinux',
        valueBase64: Buffer.from('system_u:object_r:etc_t:s0\0').toString('base64'),
      },
      { name: 'trusted.watari', valueBase64: Buffer.from([0, 255, 10]).toString('base64') },
    ],
  };
  await files.setAttributes('/etc/hostname', kept, { withTimes: true });
  await files.create('/boot/initrd.img', BINARY, { mode: 0o600, uid: 0, gid: 0 });
  await files.create(ODD_NAME, Buffer.from('odd'), { mode: 0o644, uid: 0, gid: 0 });
  await files.makeSymlink('/root-link', '/');
  await files.makeSymlink('/up', '../../../../..');
  await files.makeSymlink('/circle', '/circle');
  await files.makeSymlink('/srv/host', '/etc/hostname');
  return files.digest('/');
}

describe('a disk of layers', () => {
  const tools = createHostTools();
  let folder: string;
  let disk: string;
  let written: Record<string, TreeDigest>;

  beforeAll(async () => {
    await ensureHostTools(['qemu-system-x86_64']);
    folder = await mkdtemp(join(tmpdir(), 'watari-appliance-spec-'));
    disk = join(folder, 'disk.raw');
    await makeEmptyDisk(disk);
  }, TIMEOUT_MS);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  describe('that is written to', () => {
    let appliance: Appliance;
    beforeAll(async () => {
      appliance = await Appliance.start({ disk, format: 'raw', readOnly: false, accelerator: 'tcg', tools });
      await makeLayers(appliance);
      written = {};
    }, TIMEOUT_MS);
    afterAll(() => appliance.close(), TIMEOUT_MS);
    afterEach(() => appliance.unmount());

    it.each([
      ['xfs', LAYOUT.xfs],
      ['btrfs', LAYOUT.btrfs],
      ['ext4', LAYOUT.logicalVolume],
      ['xfs', LAYOUT.encryptedVolume],
      ['ext4', '/dev/md0'],
    ])('takes files on %s at %s', async (type, device) => {
      await appliance.mount({ device, type, at: '/' });
      written[device] = await writeGuest(appliance);
      expect(written[device]?.entryCount).toBeGreaterThan(10);
    });

    it('replaces a file whole: owner, rights, extended attributes and flags stay, times do not', async () => {
      const { files } = appliance;
      await appliance.mount({ device: LAYOUT.xfs, type: 'xfs', at: '/' });
      const before = await files.attributes('/etc/hostname');
      await files.replace('/srv/host', Buffer.from('after\n'));
      const after = await files.attributes('/etc/hostname');
      expect({ ...after, times: before.times }).toEqual(before);
      expect(after.times.mtime).not.toEqual(before.times.mtime);
      expect(await files.read('/etc/hostname', 100)).toEqual(Buffer.from('after\n'));
      const changed = await files.digest('/');
      expect(changed.sha256).not.toBe(written[LAYOUT.xfs]?.sha256);
      await files.replace('/etc/hostname', Buffer.from('before\n'));
      await files.setAttributes('/etc/hostname', before, { withTimes: true });
      expect(await files.attributes('/etc/hostname')).toEqual(before);
      expect(await files.digest('/')).toEqual(written[LAYOUT.xfs]);
    });

    it('renames and removes, and says why where it cannot', async () => {
      const { files } = appliance;
      await appliance.mount({ device: LAYOUT.btrfs, type: 'btrfs', at: '/' });
      const rights = { mode: 0o600, uid: 0, gid: 0 };
      const real = await files.create('/root-link/home/one', Buffer.from('1'), rights);
      expect(real).toBe('/home/one');
      await expect(files.create('/home/one', Buffer.from('2'), rights)).rejects.toMatchObject({
        code: 'DISK_FILE_UNSUPPORTED',
      });
      await files.rename('/home/one', '/home/two');
      await expect(files.rename('/home/two', '/etc/hostname')).rejects.toThrow(/name is taken/);
      await expect(files.removeDirectory('/home')).rejects.toMatchObject({ code: 'DISK_FILE_UNSUPPORTED' });
      await expect(files.replace('/home/none', Buffer.from('x'))).rejects.toThrow(/not there/);
      expect((await files.entries('/home')).map(({ name }) => name)).toEqual(['two']);
      await files.remove('/home/two');
      await files.remove('/up');
      await files.makeSymlink('/up', '../../../../..');
      expect(await files.entries('/home')).toEqual([]);
      expect(await files.entries('/etc')).toHaveLength(1);
    });

    it('neither waits for a pipe nor breaks a hard link', async () => {
      const { files } = appliance;
      await appliance.mount({ device: LAYOUT.xfs, type: 'xfs', at: '/' });
      await expectRun(appliance, ['busybox', 'mkfifo', '/guest/home/pipe']);
      await expectRun(appliance, ['busybox', 'ln', '/guest/boot/initrd.img', '/guest/home/second']);
      expect(await files.read('/home/pipe', 100)).toBeUndefined();
      await expect(files.replace('/home/pipe', Buffer.from('x'))).rejects.toThrow(/no plain file/);
      await expect(files.replace('/home/second', Buffer.from('x'))).rejects.toThrow(/2 hard links/);
      await files.remove('/home/pipe');
      await files.remove('/home/second');
    });

    it('says when there is no room, and leaves nothing behind', async () => {
      const { files } = appliance;
      await appliance.mount({ device: '/dev/md0', type: 'ext4', at: '/' });
      const { freeBytes } = await files.space('/');
      const large = Buffer.alloc(freeBytes + 4096);
      await expect(files.create('/home/large', large, { mode: 0o600, uid: 0, gid: 0 })).rejects.toMatchObject(
        { code: 'DISK_FILE_SYSTEM_FULL' },
      );
      expect(await files.entries('/home')).toEqual([]);
    });

    it('mounts a folder of its own below the root, where a symlink of the guest leads', async () => {
      const { files } = appliance;
      await appliance.mount({ device: LAYOUT.xfs, type: 'xfs', at: '/' });
      const { at } = await appliance.mount({ device: '/dev/md0', type: 'ext4', at: '/root-link/up/home' });
      expect(at).toBe('/home');
      expect(await files.read('/home/etc/hostname', 100)).toEqual(Buffer.from('before\n'));
    });

    it('finds all of its file systems whole', async () => {
      for (const [type, device] of [
        ['xfs', LAYOUT.xfs],
        ['btrfs', LAYOUT.btrfs],
        ['ext4', LAYOUT.logicalVolume],
      ] as const)
        expect(await appliance.check(device, type, { mend: true })).toMatchObject({ isClean: true });
    });
  });

  describe('that is read by another appliance', () => {
    let appliance: Appliance;
    let scan: DiskScan;
    const device = (path: string): BlockDevice | undefined => scan.devices.find((one) => one.path === path);

    beforeAll(async () => {
      appliance = await Appliance.start({ disk, format: 'raw', readOnly: true, accelerator: 'tcg', tools });
      scan = await appliance.scan();
    }, TIMEOUT_MS);
    afterAll(() => appliance.close(), TIMEOUT_MS);
    afterEach(() => appliance.unmount());

    it('shows partitions, arrays and volumes with what they hold', () => {
      expect(scan.problems).toEqual([]);
      expect(device('/dev/vda')).toMatchObject({ kind: 'disk', isReadOnly: true, table: { kind: 'gpt' } });
      expect(device(LAYOUT.xfs)).toMatchObject({
        kind: 'partition',
        parents: ['/dev/vda'],
        content: { type: 'xfs', label: 'the-xfs' },
        partition: { number: 1, startBytes: 1024 * 1024 },
      });
      expect(device(LAYOUT.logicalVolume)).toMatchObject({
        kind: 'lvm',
        parents: [LAYOUT.lvm],
        content: { type: 'ext4' },
      });
      expect(scan.volumeGroups).toMatchObject([
        { name: 'vg_plain', missingCount: 0, logicalVolumes: [{ name: 'root', isActive: true }] },
      ]);
      const array = scan.devices.find(({ kind }) => kind === 'raid');
      expect(array).toMatchObject({
        parents: LAYOUT.raid,
        content: { type: 'ext4' },
        raid: { level: 'raid1', memberCount: 2, missingCount: 0 },
      });
    });

    it('opens nothing encrypted without its key', async () => {
      expect(device(LAYOUT.luks)).toMatchObject({ content: { type: 'crypto_LUKS' } });
      expect(device(LAYOUT.encryptedVolume)).toBeUndefined();
      const mount = appliance.mount({ device: LAYOUT.luks, type: 'crypto_LUKS', at: '/' });
      await expect(mount).rejects.toMatchObject({ code: 'DISK_ENCRYPTED' });
      for (const key of ['wrong', ''])
        await expect(appliance.openLuks(LAYOUT.luks, Buffer.from(key))).rejects.toMatchObject({
          code: 'DISK_ENCRYPTED',
        });
    });

    it('opens it with the key, which no console or message repeats', async () => {
      await appliance.openLuks(LAYOUT.luks, PASSPHRASE);
      scan = await appliance.scan();
      expect(device(LAYOUT.encryptedVolume)).toMatchObject({ kind: 'lvm', content: { type: 'xfs' } });
      expect(appliance.consoleTail).not.toContain('passphrase');
    });

    it.each([
      ['xfs', LAYOUT.xfs],
      ['btrfs', LAYOUT.btrfs],
      ['ext4', LAYOUT.logicalVolume],
      ['xfs', LAYOUT.encryptedVolume],
      ['ext4', '/dev/md0'],
    ])('has all that was written on %s at %s', async (type, path) => {
      const { files } = appliance;
      const place = path === '/dev/md0' ? scan.devices.find(({ kind }) => kind === 'raid')?.path : path;
      expect(await appliance.mount({ device: place ?? '', type, at: '/' })).toEqual({
        at: '/',
        needsRecovery: false,
      });
      expect(await files.digest('/')).toEqual(written[path]);
      expect(await files.find('/srv/host')).toEqual({
        path: '/etc/hostname',
        entry: { kind: 'file', mode: 0o100640, uid: 7, gid: 8, sizeBytes: 7 },
      });
      expect(await files.attributes('/etc/hostname')).toMatchObject({
        flags: 0x10,
        times: { mtime: { seconds: 1_600_000_000, extra: 123_456_789 << 2 } },
        xattrs: [
          { name: 'security.selinux' },
          { name: 'trusted.watari', valueBase64: Buffer.from([0, 255, 10]).toString('base64') },
        ],
      });
      expect((await files.read('/boot/initrd.img', BINARY.length))?.equals(BINARY)).toBe(true);
      expect(await files.read('/boot/initrd.img', BINARY.length - 1)).toBeUndefined();
      expect(await files.read(ODD_NAME, 100)).toEqual(Buffer.from('odd'));
      expect((await files.entries('/srv')).map(({ name }) => `/srv/${name}`)).toContain(ODD_NAME);
    });

    it("keeps to the guest's root, wherever its symlinks lead", async () => {
      const { files } = appliance;
      await appliance.mount({ device: LAYOUT.xfs, type: 'xfs', at: '/' });
      const hostname = Buffer.from('before\n');
      expect(await files.read('/up/root-link/up/etc/hostname', 100)).toEqual(hostname);
      expect(await files.read('/../../etc/hostname', 100)).toEqual(hostname);
      expect(await files.readLink('/up')).toBe('../../../../..');
      for (const path of ['/init', '/up/init', '/root-link/proc/self/status', '/../usr/lib/watari/main.pyc'])
        expect(await files.find(path)).toBeUndefined();
      expect(await files.find('/circle/x')).toBeUndefined();
      expect(await files.entries('/up/none')).toEqual([]);
    });

    it('cannot be changed', async () => {
      const { files } = appliance;
      await appliance.mount({ device: LAYOUT.xfs, type: 'xfs', at: '/' });
      await expect(
        files.create('/new', Buffer.from('x'), { mode: 0o600, uid: 0, gid: 0 }),
      ).rejects.toMatchObject({ code: 'DISK_NOT_READABLE' });
      const { status, stderr } = await appliance.run(['mke2fs', '-q', '-F', LAYOUT.raid[0]]);
      expect({ status, stderr }).toMatchObject({ status: 1 });
    });
  });
});
