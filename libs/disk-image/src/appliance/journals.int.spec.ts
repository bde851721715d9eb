import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { digestOf } from '../testing/disk-bench';
import { Appliance } from './appliance';
import { expectRun } from './testing/layered-disk';

const TIMEOUT_MS = 120_000;
jest.setTimeout(TIMEOUT_MS);
const RIGHTS = { mode: 0o600, uid: 0, gid: 0 };
const XFS = { device: '/dev/vda1', type: 'xfs' };
const EXT4 = { device: '/dev/vda2', type: 'ext4' };
const BTRFS = { device: '/dev/vda3', type: 'btrfs' };
const ALL = [
  { ...XFS, at: '/' },
  { ...EXT4, at: '/boot' },
  { ...BTRFS, at: '/home' },
];

describe('a qcow2 disk of a server that lost its power', () => {
  const tools = createHostTools();
  let folder: string;
  let disk: string;
  const start = (readOnly: boolean): Promise<Appliance> =>
    Appliance.start({ disk, format: 'qcow2', readOnly, accelerator: 'tcg', memoryMiB: 512, tools });

  beforeAll(async () => {
    await ensureHostTools(['qemu-system-x86_64', 'qemu-img']);
    folder = await mkdtemp(join(tmpdir(), 'watari-journals-spec-'));
    disk = join(folder, 'disk.qcow2');
    await tools.run('qemu-img', ['create', '-q', '-f', 'qcow2', disk, '1G']);
    const server = await start(false);
    const table = 'label: dos\nsize=320M\nsize=64M\nsize=300M\n';
    await expectRun(server, ['sfdisk', '--quiet', '/dev/vda'], table);
    await expectRun(server, ['mkfs.xfs', '-q', XFS.device]);
    await expectRun(server, ['mke2fs', '-q', '-t', 'ext4', EXT4.device]);
    await expectRun(server, ['mkfs.btrfs', '-q', BTRFS.device]);
    const { files } = server;
    for (const mount of ALL) {
      if (mount.at !== '/') await files.makeDirectory(mount.at);
      await server.mount(mount);
    }
    await expectRun(server, ['btrfs', 'subvolume', 'create', '/guest/home/@root']);
    await files.create('/home/@root/inside', Buffer.from('of a subvolume'), RIGHTS);
    for (const path of ['/last', '/boot/last', '/home/last'])
      await files.create(path, Buffer.from(path), RIGHTS);
    await server.kill();
  }, TIMEOUT_MS);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it(
    'is read past its journals, and not changed by a byte',
    async () => {
      const before = await digestOf(disk);
      const reader = await start(true);
      const told = [];
      for (const mount of ALL) {
        told.push((await reader.mount({ ...mount, at: '/' })).needsRecovery);
        await reader.unmount();
      }
      expect(told).toEqual([true, true, true]);
      expect(await reader.check(EXT4.device, EXT4.type)).toMatchObject({ isMended: false });
      await reader.close();
      expect(await digestOf(disk)).toBe(before);
    },
    TIMEOUT_MS,
  );

  it(
    'has all that was written once its journals are replayed on a clone',
    async () => {
      const clone = await start(false);
      const { files } = clone;
      for (const { device, type } of ALL)
        expect(await clone.check(device, type, { mend: true })).toMatchObject({ isClean: true });
      for (const mount of ALL) expect(await clone.mount(mount)).toMatchObject({ needsRecovery: false });
      for (const path of ['/last', '/boot/last', '/home/last']) expect(await files.readText(path)).toBe(path);
      await clone.unmount();

      await clone.mount({ ...BTRFS, at: '/' });
      expect(await clone.subvolumes()).toEqual({ paths: ['@root'], default: null });
      await clone.unmount();
      await clone.mount({ ...BTRFS, at: '/', subvolume: '@root' });
      expect(await files.names('/')).toEqual(['inside']);
      await clone.unmount();
      await expect(clone.mount({ ...BTRFS, at: '/', subvolume: 'none' })).rejects.toThrow(
        /cannot be mounted/,
      );
      await clone.close();
      const { stdout } = await tools.run('qemu-img', ['check', '--output=json', '-f', 'qcow2', disk]);
      expect(JSON.parse(stdout.toString())).not.toHaveProperty('corruptions');
    },
    TIMEOUT_MS,
  );
});
