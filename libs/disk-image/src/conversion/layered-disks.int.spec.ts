import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { Appliance } from '../appliance/appliance';
import { openApplianceGuest } from '../appliance/open-appliance-guest';
import {
  PASSPHRASE,
  expectRun,
  formatLuks,
  makeEmptyDisk,
  makeVolume,
} from '../appliance/testing/layered-disk';
import type { GuestFiles } from '../guest/guest-files';
import { BOOT_UUID, type Files, bootFiles, rootFiles } from '../testing/fake-server';
import { convertDisk } from './convert-disk';
import { revertDisk } from './revert-disk';

jest.setTimeout(300_000);

const tools = createHostTools();
const RIGHTS = { mode: 0o644, uid: 0, gid: 0 };
const BOOT = '/dev/vda1';
const REST = '/dev/vda2';
/** Five appliances start for each server: one that has every layer is enough for the usual run. */
const ifAll = process.env['WATARI_ALL_GUESTS'] === '1' ? it : it.skip;
const PATHS = ['/etc/fstab', '/etc/crypttab', '/etc/default/grub', '/boot/grub/grub.cfg'];
let folder: string;
let diskPath: string;

beforeAll(() => ensureHostTools(['qemu-system-x86_64', 'debugfs', 'e2fsck']), 180_000);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'disk-image-layers-'));
  diskPath = join(folder, 'server.raw');
  await makeEmptyDisk(diskPath, 768 * 1024 * 1024);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function withAppliance<Result>(
  disk: string,
  readOnly: boolean,
  work: (appliance: Appliance) => Promise<Result>,
): Promise<Result> {
  const appliance = await Appliance.start({ disk, format: 'raw', readOnly, accelerator: 'tcg', tools });
  try {
    const result = await work(appliance);
    await appliance.close();
    return result;
  } catch (error) {
    await appliance.kill();
    throw error;
  }
}

/** /boot on ext4; what lies beside it is made by `prepare`, which gives the root's device, type and subvolume. */
async function makeServer(
  prepare: (appliance: Appliance) => Promise<{ device: string; type: string; subvolume?: string }>,
  settings: Files,
): Promise<void> {
  await withAppliance(diskPath, false, async (appliance) => {
    await expectRun(appliance, ['sfdisk', '--quiet', '/dev/vda'], 'label: gpt\nsize=64M\nsize=680M\n');
    await expectRun(appliance, ['mke2fs', '-q', '-t', 'ext4', '-U', BOOT_UUID, BOOT]);
    const root = await prepare(appliance);
    await appliance.mount({ ...root, at: '/' });
    const files: Files = { ...rootFiles(), ...settings };
    delete files['boot/hidden-below-the-mount'];
    // Without symlinks, which the port does not make.
    files['etc/os-release'] = files['usr/lib/os-release']!;
    await put(appliance.files, '', files);
    await appliance.files.makeDirectory('/boot');
    await appliance.mount({ device: BOOT, type: 'ext4', at: '/boot' });
    await put(appliance.files, '/boot', bootFiles());
    await expectRun(appliance, ['sh', '-c', '/usr/sbin/busybox ln -s usr/lib /guest/lib']);
    await appliance.unmount();
  });
}

async function put(guest: GuestFiles, at: string, files: Files): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    if (typeof content !== 'string' && !Buffer.isBuffer(content)) continue;
    await makeFolders(guest, dirname(`${at}/${path}`));
    await guest.create(`${at}/${path}`, Buffer.from(content), RIGHTS);
  }
}

async function makeFolders(guest: GuestFiles, path: string): Promise<void> {
  if (path === '/' || (await guest.find(path))) return;
  await makeFolders(guest, dirname(path));
  await guest.makeDirectory(path);
}

async function readAll(disk: string, paths: readonly string[]): Promise<Record<string, string>> {
  return withAppliance(disk, true, async (appliance) => {
    await openApplianceGuest(appliance, { keys: [PASSPHRASE] });
    const texts: Record<string, string> = {};
    for (const path of paths)
      texts[path] = (await appliance.files.read(path, 64 * 1024 * 1024))?.toString('base64') ?? 'not there';
    return texts;
  });
}

const text = (texts: Record<string, string>, path: string): string =>
  Buffer.from(texts[path] ?? '', 'base64').toString('utf8');

async function convertThereAndBack() {
  const appliance = { accelerator: 'tcg' as const, keys: [PASSPHRASE] };
  const target = 'kvm-virtio' as const;
  const targetPath = join(folder, 'guest.raw');
  const converted = await convertDisk({
    sourcePath: diskPath,
    sourceFormat: 'raw',
    targetPath,
    target,
    appliance,
    tools,
  });
  const backPath = join(folder, 'back.raw');
  const { remarks } = await revertDisk({
    diskPath: targetPath,
    manifest: converted.manifest,
    targetPath: backPath,
    appliance,
    tools,
  });
  expect(remarks).toEqual([]);
  const changed = converted.manifest.changes.map(({ path }) => path);
  expect(changed.some((path) => path.startsWith('/boot/initrd.img-'))).toBe(true);
  expect(await readAll(backPath, changed)).toEqual(await readAll(diskPath, changed));
  return readAll(targetPath, PATHS);
}

it('converts and reverts a server on XFS in LVM in LUKS; names of volumes stay, the rest gets names that stay', async () => {
  await makeServer(
    async (appliance) => {
      await formatLuks(appliance, REST, PASSPHRASE);
      await makeVolume(appliance, await appliance.openLuks(REST, PASSPHRASE), 'server', '500M');
      await expectRun(appliance, ['mkfs.xfs', '-q', '/dev/mapper/server-root']);
      return { device: '/dev/mapper/server-root', type: 'xfs' };
    },
    {
      'etc/fstab': '/dev/mapper/server-root / xfs defaults 0 0\n/dev/sda1 /boot ext4 defaults 0 2\n',
      'etc/crypttab': 'sda2_crypt /dev/sda2 none luks\n',
    },
  );
  const texts = await convertThereAndBack();
  expect(text(texts, '/etc/fstab')).toBe(
    `/dev/mapper/server-root / xfs defaults 0 0\nUUID=${BOOT_UUID} /boot ext4 defaults 0 2\n`,
  );
  expect(text(texts, '/etc/crypttab')).toMatch(/^sda2_crypt UUID=[0-9a-f-]{36} none luks\n$/);
});

ifAll('converts and reverts a server on a subvolume of btrfs, which keeps its options', async () => {
  await makeServer(
    async (appliance) => {
      await expectRun(appliance, ['mkfs.btrfs', '-q', REST]);
      await appliance.mount({ device: REST, type: 'btrfs', at: '/' });
      await expectRun(appliance, ['btrfs', 'subvolume', 'create', '/guest/@']);
      await appliance.unmount();
      return { device: REST, type: 'btrfs', subvolume: '@' };
    },
    { 'etc/fstab': '/dev/sda2 / btrfs subvol=@,noatime 0 0\n/dev/sda1 /boot ext4 defaults 0 2\n' },
  );
  const texts = await convertThereAndBack();
  expect(text(texts, '/etc/fstab')).toMatch(
    /^UUID=[0-9a-f-]{36} \/ btrfs subvol=@,noatime 0 0\nUUID=11111111/,
  );
});

it('asks for the key of an encrypted disk', async () => {
  await withAppliance(diskPath, false, async (appliance) => {
    await expectRun(appliance, ['sfdisk', '--quiet', '/dev/vda'], 'label: gpt\nsize=64M\nsize=680M\n');
    await formatLuks(appliance, REST, PASSPHRASE);
  });
  const converting = convertDisk({
    sourcePath: diskPath,
    sourceFormat: 'raw',
    targetPath: join(folder, 'guest.raw'),
    target: 'kvm-virtio',
    appliance: { accelerator: 'tcg' },
    tools,
  });
  await expect(converting).rejects.toMatchObject({
    code: 'DISK_ENCRYPTED',
    message: expect.stringContaining('key'),
  });
});
