import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { Appliance } from './appliance';
import { openApplianceGuest } from './open-appliance-guest';
import { PASSPHRASE, expectRun, formatLuks, makeEmptyDisk, makeVolume } from './testing/layered-disk';

const TIMEOUT_MS = 120_000;
jest.setTimeout(TIMEOUT_MS);
const RIGHTS = { mode: 0o644, uid: 0, gid: 0 };
const BOOT_UUID = '0b6a2c5e-54a5-4b53-8d2b-b5b1a2f0c0de';
const ROOT = '/dev/mapper/server-root';

describe('a server in an appliance', () => {
  const tools = createHostTools();
  let folder: string;
  let appliance: Appliance;

  beforeAll(async () => {
    await ensureHostTools(['qemu-system-x86_64']);
    folder = await mkdtemp(join(tmpdir(), 'watari-open-guest-spec-'));
    const disk = join(folder, 'disk.raw');
    await makeEmptyDisk(disk, 1024 * 1024 * 1024);
    appliance = await Appliance.start({ disk, format: 'raw', readOnly: false, accelerator: 'tcg', tools });
    await expectRun(appliance, ['sfdisk', '--quiet', '/dev/vda'], 'label: gpt\nsize=64M\nsize=600M\n');
    await expectRun(appliance, ['mke2fs', '-q', '-t', 'ext4', '-U', BOOT_UUID, '/dev/vda1']);
    await formatLuks(appliance, '/dev/vda2', PASSPHRASE);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await appliance.close();
    await rm(folder, { recursive: true, force: true });
  }, TIMEOUT_MS);
  afterEach(() => appliance.unmount());

  it('is not found without the key', async () => {
    await expect(openApplianceGuest(appliance)).rejects.toMatchObject({ code: 'DISK_ENCRYPTED' });
    const keys = [Buffer.from('another')];
    await expect(openApplianceGuest(appliance, { keys })).rejects.toMatchObject({ code: 'DISK_ENCRYPTED' });
  });

  it('is not found where nothing is installed', async () => {
    await makeVolume(appliance, await appliance.openLuks('/dev/vda2', PASSPHRASE), 'server', '400M');
    await expectRun(appliance, ['mkfs.xfs', '-q', ROOT]);
    await expect(openApplianceGuest(appliance)).rejects.toMatchObject({
      code: 'DISK_NO_OPERATING_SYSTEM',
      message: expect.stringContaining(`${ROOT}: xfs`) as string,
    });
  });

  it('is mounted as its fstab says: XFS in LVM in LUKS, and /boot beside it', async () => {
    const { files } = appliance;
    await appliance.mount({ device: ROOT, type: 'xfs', at: '/' });
    await files.makeDirectory('/etc');
    await files.makeDirectory('/boot');
    const fstab = `/dev/server/root / xfs defaults 0 0\nUUID=${BOOT_UUID} /boot/ ext4 defaults 0 2\n/dev/sdb7 /var ext4 nofail 0 2\n`;
    await files.create('/etc/fstab', Buffer.from(fstab), RIGHTS);
    await files.create('/etc/crypttab', Buffer.from('sda2_crypt /dev/sda2 none luks\n'), RIGHTS);
    await appliance.unmount();

    const guest = await openApplianceGuest(appliance, { keys: [PASSPHRASE], mend: true });
    expect(guest.mounts).toMatchObject([
      { device: { path: ROOT }, at: '/', needsRecovery: false },
      { device: { path: '/dev/vda1' }, at: '/boot', needsRecovery: false },
    ]);
    expect(guest.crypttab).toEqual([{ name: 'sda2_crypt', spec: '/dev/sda2' }]);
    await files.create('/boot/vmlinuz-1', Buffer.from('kernel'), RIGHTS);
    await appliance.unmount();
    await appliance.mount({ device: '/dev/vda1', type: 'ext4', at: '/' });
    expect(await files.names('/')).toContain('vmlinuz-1');
  });

  it('is refused when a disk of it was not given', async () => {
    const { files } = appliance;
    await appliance.mount({ device: ROOT, type: 'xfs', at: '/' });
    const fstab = `${(await files.readText('/etc/fstab')) ?? ''}UUID=elsewhere /usr ext4 defaults 0 2\n`;
    await files.replace('/etc/fstab', Buffer.from(fstab));
    await appliance.unmount();
    await expect(openApplianceGuest(appliance)).rejects.toMatchObject({
      code: 'DISK_FILE_SYSTEM_UNSUPPORTED',
      message: expect.stringContaining('UUID=elsewhere') as string,
    });
  });

  it('is found in a subvolume of btrfs', async () => {
    const { files } = appliance;
    await expectRun(appliance, ['mkfs.btrfs', '-q', '-f', ROOT]);
    await appliance.mount({ device: ROOT, type: 'btrfs', at: '/' });
    for (const name of ['@home', '@', '@var'])
      await expectRun(appliance, ['btrfs', 'subvolume', 'create', `/guest/${name}`]);
    await files.makeDirectory('/@/etc');
    await files.makeDirectory('/@/var');
    await files.create('/@/etc/os-release', Buffer.from('ID=opensuse\n'), RIGHTS);
    await files.create('/@var/here', Buffer.alloc(0), RIGHTS);
    const fstab = `${ROOT} / btrfs subvol=/@ 0 0\n${ROOT} /var btrfs noatime,subvol=/@var 0 0\n`;
    await files.create('/@/etc/fstab', Buffer.from(fstab), RIGHTS);
    await appliance.unmount();
    const guest = await openApplianceGuest(appliance);
    expect(guest.mounts).toMatchObject([
      { at: '/', subvolume: '@' },
      { at: '/var', subvolume: '@var' },
    ]);
    expect(await files.names('/var')).toEqual(['here']);
  });
});
