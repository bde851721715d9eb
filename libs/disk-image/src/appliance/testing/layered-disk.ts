import { open } from 'node:fs/promises';
import type { Appliance } from '../appliance';

/** One disk with everything that programs on plain files cannot open. */
export const LAYOUT = {
  xfs: '/dev/vda1',
  btrfs: '/dev/vda2',
  lvm: '/dev/vda3',
  luks: '/dev/vda4',
  raid: ['/dev/vda5', '/dev/vda6'],
  logicalVolume: '/dev/mapper/vg_plain-root',
  /** Inside of the encrypted partition. */
  encryptedVolume: '/dev/mapper/vg_secret-root',
} as const;
export const PASSPHRASE = Buffer.from('a passphrase with $(shell) "letters"\n');

const DISK_BYTES = 2 * 1024 ** 3;
const TABLE = [
  'label: gpt',
  'size=320M',
  'size=300M',
  'size=128M, type=lvm',
  'size=400M',
  'size=96M, type=raid',
  'size=96M, type=raid',
  '',
].join('\n');
/** The cheapest that cryptsetup makes: the tests are not about how long a guess takes. */
const CHEAP_KEY = [
  '--pbkdf',
  'pbkdf2',
  '--pbkdf-force-iterations',
  '1000',
  '--batch-mode',
  '--disable-locks',
  '--key-file',
  '-',
];

export async function makeEmptyDisk(path: string, sizeBytes = DISK_BYTES): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.truncate(sizeBytes);
  } finally {
    await file.close();
  }
}

/** Fills the first disk of an appliance by the appliance's own programs. */
export async function makeLayers(appliance: Appliance): Promise<void> {
  await expectRun(appliance, ['sfdisk', '--quiet', '/dev/vda'], TABLE);
  await expectRun(appliance, ['mkfs.xfs', '-q', '-L', 'the-xfs', LAYOUT.xfs]);
  await expectRun(appliance, ['mkfs.btrfs', '-q', LAYOUT.btrfs]);
  await makeVolume(appliance, LAYOUT.lvm, 'vg_plain', '64M');
  await expectRun(appliance, ['mke2fs', '-q', '-t', 'ext4', LAYOUT.logicalVolume]);
  await formatLuks(appliance, LAYOUT.luks, PASSPHRASE);
  const opened = await appliance.openLuks(LAYOUT.luks, PASSPHRASE);
  await makeVolume(appliance, opened, 'vg_secret', '320M');
  await expectRun(appliance, ['mkfs.xfs', '-q', LAYOUT.encryptedVolume]);
  const mirror = ['--level=1', '--metadata=1.2', '--raid-devices=2', ...LAYOUT.raid];
  await expectRun(appliance, ['mdadm', '--create', '/dev/md0', '--run', '--assume-clean', ...mirror]);
  await expectRun(appliance, ['mke2fs', '-q', '-t', 'ext4', '/dev/md0']);
}

export async function formatLuks(appliance: Appliance, device: string, key: Buffer): Promise<void> {
  await expectRun(appliance, ['cryptsetup', 'luksFormat', ...CHEAP_KEY, device], key.toString());
}

/** A volume group of its own on the device, with one volume, `root`. */
export async function makeVolume(
  appliance: Appliance,
  device: string,
  group: string,
  size: string,
): Promise<void> {
  await expectRun(appliance, ['lvm', 'pvcreate', '-q', device]);
  await expectRun(appliance, ['lvm', 'vgcreate', '-q', group, device]);
  await expectRun(appliance, ['lvm', 'lvcreate', '-q', '-y', '-L', size, '-n', 'root', group]);
}

/** Runs a program of the appliance. Throws with what it said where it does not end with 0. */
export async function expectRun(appliance: Appliance, argv: readonly string[], stdin = ''): Promise<string> {
  const { status, stdout, stderr } = await appliance.run(argv, { stdin });
  if (status !== 0) throw new Error(`${argv.join(' ')} ended with ${status}: ${stderr}${stdout}`);
  return stdout;
}
