import { fromInodeTime, toInodeTime } from './inode-times';

describe('times of a file', () => {
  it.each([0n, 1n, 999_999_999n, 1_700_000_000_123_456_789n, -1n, -2_000_000_000_000_000_001n])(
    'come back as they were: %s ns',
    (nanoseconds) => {
      expect(fromInodeTime(toInodeTime(nanoseconds))).toBe(nanoseconds);
    },
  );

  it('go past the year 2038 by the two bits beside the nanoseconds', () => {
    const time = toInodeTime(BigInt(Date.UTC(2100, 0, 1)) * 1_000_000n);
    expect(time).toEqual({ seconds: 4102444800, extra: 1 });
    expect(fromInodeTime(time)).toBe(4102444800n * 1_000_000_000n);
  });

  it('are read from file systems that keep no nanoseconds', () => {
    expect(fromInodeTime({ seconds: 1700000000 })).toBe(1_700_000_000n * 1_000_000_000n);
  });
});
