import { isForAppliance } from './read-guest';

describe('the way to read a disk', () => {
  it.each(['xfs', 'btrfs', 'lvm', 'md-raid'] as const)('is the appliance for %s', (content) => {
    expect(isForAppliance([{ content: 'ext4' }, { content }], {})).toBe(true);
  });

  it('is the appliance for LUKS where a key was given, and only then', () => {
    expect(isForAppliance([{ content: 'luks' }], { keys: [Buffer.from('key')] })).toBe(true);
    expect(isForAppliance([{ content: 'luks' }], {})).toBe(false);
  });

  it.each(['ntfs', 'bitlocker', 'zfs', 'swap', 'unknown'] as const)(
    'is not the appliance for %s, which it cannot open either',
    (content) => {
      expect(isForAppliance([{ content }], { keys: [Buffer.from('key')] })).toBe(false);
    },
  );
});
