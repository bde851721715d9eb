import type { InodeAttributes } from '../file-system/inode-attributes';

type InodeTime = InodeAttributes['times']['mtime'];

const SECOND_NS = 1_000_000_000n;
const EPOCH = 1n << 32n;

/** As ext4 stores a time: 32 bits of seconds, and nanoseconds with two more bits of the seconds. */
export function toInodeTime(nanoseconds: bigint): InodeTime {
  const within = ((nanoseconds % SECOND_NS) + SECOND_NS) % SECOND_NS;
  const seconds = (nanoseconds - within) / SECOND_NS;
  const low = BigInt.asUintN(32, seconds);
  const epoch = BigInt.asUintN(2, (seconds - BigInt.asIntN(32, seconds)) / EPOCH);
  return { seconds: Number(low), extra: Number((within << 2n) | epoch) };
}

export function fromInodeTime({ seconds, extra = 0 }: InodeTime): bigint {
  const epoch = BigInt(extra) & 3n;
  const whole = BigInt.asIntN(32, BigInt(seconds)) + epoch * EPOCH;
  return whole * SECOND_NS + (BigInt(extra) >> 2n);
}
