import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { Appliance } from './appliance';
import {
  PASSPHRASE,
  expectRun,
  formatLuks,
  makeEmptyDisk,
  makeVolume,
} from './appliance/testing/layered-disk';
import { type DiskInspection, inspectDisk } from './inspect-disk';

const TIMEOUT_MS = 180_000;
jest.setTimeout(TIMEOUT_MS);
const RIGHTS = { mode: 0o644, uid: 0, gid: 0 };
const ROOT = '/dev/mapper/server-root';

describe('looking at a disk that programs on plain files cannot read', () => {
  const tools = createHostTools();
  let folder: string;
  let disk: string;

  const inspect = (keys?: readonly Buffer[]): Promise<DiskInspection> =>
    inspectDisk({
      path: disk,
      format: 'raw',
      tools,
      appliance: { accelerator: 'tcg', ...(keys && { keys }) },
    });

  async function install(appliance: Appliance, device: string): Promise<void> {
    await expectRun(appliance, ['mkfs.xfs', '-q', '-f', device]);
    await appliance.mount({ device, type: 'xfs', at: '/' });
    const { files } = appliance;
    await files.makeDirectory('/etc');
    const release = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n';
    await files.create('/etc/os-release', Buffer.from(release), RIGHTS);
    await files.create('/etc/hostname', Buffer.from('db-7\n'), RIGHTS);
    await files.create('/etc/fstab', Buffer.from(`${device} / xfs defaults 0 0\n`), RIGHTS);
    await appliance.unmount();
  }

  beforeAll(async () => {
    await ensureHostTools(['qemu-system-x86_64', 'qemu-img', 'debugfs']);
  }, TIMEOUT_MS);
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'watari-inspect-appliance-spec-'));
    disk = join(folder, 'disk.raw');
    await makeEmptyDisk(disk, 512 * 1024 * 1024);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function prepare(make: (appliance: Appliance) => Promise<void>): Promise<void> {
    const appliance = await Appliance.start({
      disk,
      format: 'raw',
      readOnly: false,
      accelerator: 'tcg',
      tools,
    });
    try {
      await expectRun(appliance, ['sfdisk', '--quiet', '/dev/vda'], 'label: gpt\nsize=450M\n');
      await make(appliance);
    } finally {
      await appliance.close();
    }
  }

  it('reads a root on XFS, and changes nothing; without an appliance it is refused', async () => {
    await prepare((appliance) => install(appliance, '/dev/vda1'));
    const before = await readFile(disk);
    expect(await inspect()).toMatchObject({
      hostname: 'db-7',
      operatingSystem: { name: 'Debian GNU/Linux 12 (bookworm)' },
      rootFileSystem: 'xfs',
      fileSystemDirty: false,
      partitions: [{ number: 1, content: 'xfs' }],
      mounts: [{ spec: '/dev/vda1', mountPoint: '/', type: 'xfs' }],
    });
    expect((await readFile(disk)).equals(before)).toBe(true);
    await expect(inspectDisk({ path: disk, format: 'raw', tools })).rejects.toMatchObject({
      code: 'DISK_FILE_SYSTEM_UNSUPPORTED',
    });
  });

  it('reads a root in LVM in LUKS with its key alone', async () => {
    await prepare(async (appliance) => {
      await formatLuks(appliance, '/dev/vda1', PASSPHRASE);
      await makeVolume(appliance, await appliance.openLuks('/dev/vda1', PASSPHRASE), 'server', '380M');
      await install(appliance, ROOT);
    });
    await expect(inspect()).rejects.toMatchObject({ code: 'DISK_ENCRYPTED' });
    await expect(inspect([Buffer.from('another')])).rejects.toMatchObject({ code: 'DISK_ENCRYPTED' });
    expect(await inspect([PASSPHRASE])).toMatchObject({
      hostname: 'db-7',
      rootFileSystem: 'xfs',
      partitions: [{ number: 1, content: 'luks' }],
    });
  });
});
