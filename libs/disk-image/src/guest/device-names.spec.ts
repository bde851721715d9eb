import { type IdentifiedPartition, findPartition, parseDeviceName } from './block-devices';
import { deviceNames } from './device-names';

const partition = (
  number: number,
  content: IdentifiedPartition['content'],
  uuid?: string,
): IdentifiedPartition => ({
  partition: { number, startBytes: 0, sizeBytes: 1, type: '83', partUuid: `cafe0001-0${number}` },
  content,
  ...(uuid && { uuid }),
});
const ROOT = 'aaaaaaaa-0000-4000-8000-000000000001';
const partitions = [partition(1, 'ext4', ROOT), partition(2, 'swap')];
const devices = deviceNames(partitions, new Set(['sda']));

describe('names of partitions', () => {
  it.each([
    ['/dev/sda1', { disk: 'sda', partitionNumber: 1 }],
    ['/dev/nvme0n1p3', { disk: 'nvme0n1', partitionNumber: 3 }],
    ['/dev/disk/by-id/ata-ACME_1-part2', { disk: 'ata-ACME_1', partitionNumber: 2 }],
    ['/dev/sda', undefined],
    ['/dev/mapper/vg-root', undefined],
    ['UUID=1', undefined],
  ])('reads %s', (spec, expected) => expect(parseDeviceName(spec)).toEqual(expected));

  it('finds a partition by every kind of name', () => {
    for (const spec of [
      '/dev/sda1',
      `UUID="${ROOT.toUpperCase()}"`,
      `/dev/disk/by-uuid/${ROOT}`,
      'PARTUUID=cafe0001-01',
    ])
      expect(findPartition(partitions, spec)?.partition.number).toBe(1);
    expect(findPartition(partitions, 'LABEL=none')).toBeUndefined();
  });

  it('gives a name that stays to partitions of the moved disk alone', () => {
    expect(devices.stable('/dev/sda1')).toBe(`UUID=${ROOT}`);
    expect(devices.stable('/dev/sda2')).toBe('PARTUUID=cafe0001-02');
    expect(devices.stable('/dev/sdb1')).toBeUndefined();
    expect(devices.stable('/dev/sda9')).toBeUndefined();
    expect(devices.isOtherDisk('/dev/sdb1')).toBe(true);
  });

  it('does not take an ext4 partition for a swap area', () =>
    expect(devices.stable('/dev/sda1', 'swap')).toBeUndefined());
});
