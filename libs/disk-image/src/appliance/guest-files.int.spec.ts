import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { EditableVolume } from '../file-system/editable-volume';
import { readExtSuperblock } from '../file-system/ext-superblock';
import { Scratch } from '../file-system/scratch';
import { GuestTree } from '../guest/guest-tree';
import { openReadOnly, sliceOf } from '../image/byte-source';
import { Appliance } from './appliance';
import { ExtGuestFiles } from '../guest/ext-guest-files';
import type { GuestFiles } from '../guest/guest-files';
import { makeEmptyDisk } from './testing/layered-disk';

const DISK_BYTES = 64 * 1024 * 1024;
const TIMEOUT_MS = 120_000;
jest.setTimeout(TIMEOUT_MS);
const ROOT = { mode: 0o644, uid: 0, gid: 0 };
/** Both ways start from the same file system, down to its UUID. */
const UUID = [
  '-U',
  '7d5c1f62-1b2c-4f6e-9a33-2d7a54a1c001',
  '-E',
  'hash_seed=7d5c1f62-1b2c-4f6e-9a33-2d7a54a1c002',
];

describe("a guest's files, by debugfs and by an appliance", () => {
  const tools = createHostTools();
  let folder: string;
  let scratch: Scratch;
  let appliance: Appliance;
  const disk = (name: string): string => join(folder, name);

  async function extFiles(path: string): Promise<GuestFiles> {
    const source = await openReadOnly(path);
    const superblock = await readExtSuperblock(sliceOf(source, 0, DISK_BYTES), 'the disk');
    await source.close();
    const diskPath = await scratch.link(path);
    const volume = new EditableVolume({
      tools,
      scratch,
      diskPath,
      offsetBytes: 0,
      name: 'the disk',
      superblock,
    });
    return new ExtGuestFiles(new GuestTree(volume));
  }

  beforeAll(async () => {
    await ensureHostTools(['qemu-system-x86_64', 'mke2fs', 'debugfs', 'dumpe2fs']);
    folder = await mkdtemp(join(tmpdir(), 'watari-guest-files-spec-'));
    scratch = await Scratch.make();
    for (const name of ['debugfs', 'appliance']) {
      await makeEmptyDisk(disk(name), DISK_BYTES);
      await tools.run('mke2fs', ['-q', '-t', 'ext4', ...UUID, disk(name)]);
    }
    // The first disk is written by debugfs alone, before the appliance opens it.
    await change(await extFiles(disk('debugfs')));
    appliance = await Appliance.start({
      disk: disk('debugfs'),
      format: 'raw',
      moreDisks: [{ path: disk('appliance'), format: 'raw' }],
      readOnly: false,
      accelerator: 'tcg',
      tools,
    });
  }, TIMEOUT_MS);
  afterAll(async () => {
    await appliance.close();
    await scratch.remove();
    await rm(folder, { recursive: true, force: true });
  }, TIMEOUT_MS);

  /** What conversion steps do, and what they may run into. */
  async function change(files: GuestFiles): Promise<void> {
    expect(await files.makeDirectory('/etc')).toBe('/etc');
    await files.makeDirectory('/etc/udev');
    await files.makeDirectory('/empty');
    expect(
      await files.create('/etc/../etc/fstab', Buffer.from('old'), { mode: 0o640, uid: 3, gid: 70_000 }),
    ).toBe('/etc/fstab');
    const before = await files.attributes('/etc/fstab');
    expect(before).toMatchObject({ mode: 0o640, uid: 3, gid: 70_000, links: 1, flags: 0, xattrs: [] });
    const changed = {
      ...before,
      mode: 0o600,
      flags: 0x80,
      times: { mtime: { seconds: 1_600_000_000, extra: 4 }, atime: { seconds: 4_000_000_000, extra: 8 } },
      xattrs: [{ name: 'security.selinux', valueBase64: Buffer.from('u:r:t:s0\0').toString('base64') }],
    };
    await files.setAttributes('/etc/fstab', changed, { withTimes: true });
    expect(await files.attributes('/etc/fstab')).toEqual(changed);
    await files.replace('/etc/fstab', Buffer.from('new content\n'));
    const { times, ...kept } = await files.attributes('/etc/fstab');
    expect({ ...kept, times: changed.times }).toEqual(changed);
    expect(times.mtime).not.toEqual(changed.times.mtime);
    await files.create('/etc/gone', Buffer.alloc(5000, 1), ROOT);
    await files.remove('/etc/gone');
    await files.removeDirectory('/empty');
    await files.create('/large', Buffer.alloc(3_000_000, 'x'), ROOT);

    expect(await files.names('/etc')).toEqual(['fstab', 'udev']);
    expect(await files.names('/none')).toEqual([]);
    expect(await files.find('/etc/fstab')).toMatchObject({
      path: '/etc/fstab',
      entry: { kind: 'file', mode: 0o100600, uid: 3, gid: 70_000, sizeBytes: 12 },
    });
    expect(await files.readText('/etc/fstab')).toBe('new content\n');
    expect(await files.read('/large')).toBeUndefined();
    expect((await files.read('/large', 3_000_000))?.length).toBe(3_000_000);
    expect(await files.read('/etc')).toBeUndefined();
    for (const refused of [
      () => files.create('/etc/fstab', Buffer.alloc(0), ROOT),
      () => files.create('/none/fstab', Buffer.alloc(0), ROOT),
      () => files.create('/etc/..', Buffer.alloc(0), ROOT),
      () => files.replace('/etc', Buffer.alloc(0)),
      () => files.replace('/etc/none', Buffer.alloc(0)),
      () => files.makeDirectory('/etc/fstab'),
      () => files.removeDirectory('/etc'),
      () => files.removeDirectory('/etc/fstab'),
      () => files.remove('/etc/none'),
      () => files.remove('/etc'),
      () => files.attributes('/etc'),
    ])
      await expect(refused()).rejects.toMatchObject({ code: 'DISK_FILE_UNSUPPORTED' });
  }

  it(
    'come out the same',
    async () => {
      await appliance.mount({ device: '/dev/vdb', type: 'ext4', at: '/' });
      await change(appliance.files);
      const digest = await appliance.files.digest('/');
      await appliance.unmount();
      expect(await appliance.check('/dev/vda', 'ext4')).toMatchObject({ isClean: true });
      await appliance.mount({ device: '/dev/vda', type: 'ext4', at: '/' });
      expect(await appliance.files.digest('/')).toEqual(digest);
    },
    TIMEOUT_MS,
  );
});
