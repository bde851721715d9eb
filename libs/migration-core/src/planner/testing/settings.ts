import type { PlannerLimits } from '../sample';
import type { GuestShape } from './simulated-guest';
import type { MoveSetting } from './simulated-move';

const MIB = 1024 * 1024;

/** 500 Mbit/s. */
export const LINK_BYTES_PER_SECOND = 62.5e6;

/** Writes a little, and mostly the same. */
export const QUIET: GuestShape = {
  memoryBytes: 1024 * MIB,
  zeroShare: 0.5,
  hotBytes: 4 * MIB,
  pageWritesPerSecond: 50,
  hotWriteShare: 0.9,
  firstPageWireBytes: 1_900,
  againPageWireBytes: 120,
};

/** Guests that the specs speak of. */
export const GUESTS = {
  idle: QUIET,
  /** One record of 256 bytes in each page that it writes. */
  hotWriter: {
    ...QUIET,
    hotBytes: 96 * MIB,
    pageWritesPerSecond: 30_000,
    hotWriteShare: 0.999,
    againPageWireBytes: 290,
  },
  /** The same, and the target knows no older version: QEMU alone. */
  hotWriterWithoutDeltas: {
    ...QUIET,
    hotBytes: 96 * MIB,
    pageWritesPerSecond: 30_000,
    hotWriteShare: 0.999,
    againPageWireBytes: 4_104,
  },
  /** Whole pages of chance, all over its memory. */
  randomWriter: {
    ...QUIET,
    hotBytes: 0,
    pageWritesPerSecond: 40_000,
    hotWriteShare: 0,
    againPageWireBytes: 4_116,
    firstPageWireBytes: 4_116,
  },
} as const satisfies Record<string, GuestShape>;

export const LIMITS: PlannerLimits = {
  downtimeLimitMs: 50,
  bandwidthBytesPerSecondMax: null,
  allows: { throttlePercentMax: 0, postCopy: false },
  totalMsMax: null,
  fixedCostMs: 15,
  maySwitch: true,
};

export function setting(guest: GuestShape, change: Partial<MoveSetting> = {}): MoveSetting {
  return {
    guest,
    linkBytesPerSecond: LINK_BYTES_PER_SECOND,
    limits: LIMITS,
    fixedMs: 15,
    codecBytesPerSecond: 250e6,
    durationMsMax: 60_000,
    ...change,
  };
}
