import { findDevice, parseCrypttab } from './find-device';
import type { BlockDevice, DiskScan } from './scan';

const device = (path: string, more: Partial<BlockDevice> = {}): BlockDevice => ({
  path,
  kind: 'disk',
  sizeBytes: 1024,
  isReadOnly: true,
  parents: [],
  ...more,
});
const content = (type: string, uuid: string, label = ''): BlockDevice['content'] => ({
  type,
  uuid,
  label,
  version: '',
});
const partition = (number: number, more: Partial<BlockDevice>): BlockDevice =>
  device(`/dev/vda${number}`, {
    kind: 'partition',
    parents: ['/dev/vda'],
    partition: { number, startBytes: 512, uuid: `0000-0${number}`, name: `part ${number}` },
    ...more,
  });

const SCAN: DiskScan = {
  problems: [],
  volumeGroups: [],
  devices: [
    device('/dev/mapper/my--vg-root', { kind: 'lvm', content: content('xfs', 'AAAA-1') }),
    device('/dev/mapper/watari-0', { kind: 'crypt', parents: ['/dev/vda3'] }),
    device('/dev/md127', { kind: 'raid', content: content('ext4', 'BBBB-2') }),
    device('/dev/vda'),
    partition(1, { content: content('vfat', 'CCCC-3', 'EFI') }),
    partition(2, { content: content('linux_raid_member', 'BBBB-2', 'EFI') }),
    partition(3, { content: content('crypto_LUKS', 'DDDD-4') }),
  ],
};
const CRYPTTAB = parseCrypttab('# name  device\n\nsda3_crypt UUID=dddd-4 none luks\nbroken\n');

describe('the device that a guest means', () => {
  it.each([
    ['UUID=aaaa-1', '/dev/mapper/my--vg-root'],
    ['UUID="BBBB-2"', '/dev/md127'],
    ['/dev/disk/by-uuid/CCCC-3', '/dev/vda1'],
    ['LABEL=EFI', '/dev/vda1'],
    ['PARTUUID=0000-03', '/dev/vda3'],
    ['PARTLABEL="part 2"', '/dev/vda2'],
    ['/dev/mapper/my--vg-root', '/dev/mapper/my--vg-root'],
    ['/dev/my-vg/root', '/dev/mapper/my--vg-root'],
    ['/dev/mapper/sda3_crypt', '/dev/mapper/watari-0'],
    ['/dev/md0', '/dev/md127'],
    ['/dev/md/server:0', '/dev/md127'],
    ['/dev/sdb1', '/dev/vda1'],
    ['/dev/nvme0n1p2', '/dev/vda2'],
  ])('by %s is %s', (spec, path) => {
    expect(findDevice(SCAN, spec, CRYPTTAB)?.path).toBe(path);
  });

  it.each([
    'UUID=none',
    '/dev/mapper/other',
    '/dev/mapper/watari-0',
    '/dev/sda9',
    'tmpfs',
    '//server/share',
    '',
  ])('by "%s" is none', (spec) => {
    expect(findDevice(SCAN, spec, CRYPTTAB)).toBeUndefined();
  });
});
