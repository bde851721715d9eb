import { clockOffset } from './clock-offset';
import { downtime, parseInstantMs } from './downtime';
import { Pace, type PaceSample } from './pace';
import { windowBytes } from './source-stream';

const MIB = 1024 * 1024;

describe('pace of a move', () => {
  function samples(count: number, change: Partial<PaceSample> = {}): PaceSample[] {
    // 100 MiB a second.
    return Array.from({ length: count }, (_, index) => ({
      atMs: index * 250,
      rounds: 3,
      remainingBytes: MIB,
      dirtyBytesPerSecond: MIB,
      appliedBytes: index * 25 * MIB,
      ...change,
    }));
  }
  function judge(pace: Pace, all: PaceSample[]): boolean {
    return all.map((sample) => pace.judge(sample, false).isReady).at(-1) as boolean;
  }

  it('is ready after two looks at a rest that fits into the limit', () => {
    const pace = new Pace(300);
    expect(judge(pace, samples(1))).toBe(false);
    expect(judge(pace, samples(3))).toBe(true);
  });

  it('is not ready during the first pass, whatever is left', () => {
    expect(judge(new Pace(300), samples(10, { rounds: 1, remainingBytes: 0 }))).toBe(false);
  });

  it('is not ready while the guest writes about as fast as the link takes it', () => {
    expect(judge(new Pace(300), samples(10, { dirtyBytesPerSecond: 90 * MIB, remainingBytes: 0 }))).toBe(
      false,
    );
  });

  it('is not ready while the rest takes longer than the limit', () => {
    expect(judge(new Pace(50), samples(10, { remainingBytes: 20 * MIB }))).toBe(false);
    expect(judge(new Pace(300), samples(10, { remainingBytes: 20 * MIB }))).toBe(true);
  });

  it('stays ready over a burst, and not over a longer one', () => {
    const pace = new Pace(300);
    judge(pace, samples(4));
    expect(judge(pace, samples(3, { remainingBytes: 500 * MIB }))).toBe(true);
    expect(judge(pace, samples(1, { remainingBytes: 500 * MIB }))).toBe(false);
  });

  it('learns nothing about the link while the source is held back', () => {
    const pace = new Pace(300);
    judge(pace, samples(4));
    const before = pace.bytesPerSecond;
    for (const sample of samples(50, { appliedBytes: 0 })) pace.judge(sample, true);
    expect(pace.bytesPerSecond).toBe(before);
  });

  it('keeps little on its way at the switch-over, and never nothing', () => {
    expect(windowBytes(100 * MIB, false)).toBe(20 * MIB);
    expect(windowBytes(100 * MIB, true)).toBe(2 * MIB);
    expect(windowBytes(0, true)).toBe(256 * 1024);
    expect(windowBytes(1e12, false)).toBe(64 * MIB);
  });
});

describe('downtime', () => {
  it('is corrected by the fastest round trip', () => {
    const clock = clockOffset([
      { sentMs: 0, theirsMs: 1_050, receivedMs: 20 },
      { sentMs: 100, theirsMs: 1_101, receivedMs: 102 },
    ]);
    expect(clock).toEqual({ offsetMs: 1_000, uncertaintyMs: 1 });
    expect(downtime(5_000, 6_025.5, clock)).toEqual({ downtimeMs: 25.5, downtimeUncertaintyMs: 1 });
  });

  it('reads times to the microsecond', () => {
    expect(parseInstantMs('2023-11-14T22:13:20.000042Z')).toBeCloseTo(1_700_000_000_000.042, 3);
    expect(parseInstantMs('2023-11-14T22:13:20Z')).toBe(1_700_000_000_000);
  });
});
