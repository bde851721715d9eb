import { expectedFigures, initialKnowledge, withMeasurement, ZSTD_LEVELS } from './level-figures';

const measured = (bytesPerSecond: number, ratio: number) => ({
  level: 1 as const,
  rawBytes: 1e6,
  packedBytes: 1e6 / ratio,
  compressMs: (1e6 / bytesPerSecond) * 1_000,
});

describe('what is known of the levels', () => {
  it('is what was first measured, and then moves with every further batch', () => {
    const first = withMeasurement(initialKnowledge('batches'), measured(300e6, 3), 1);
    expect(first[1].bytesPerSecond).toBeCloseTo(300e6, 0);
    const second = withMeasurement(first, measured(100e6, 1), 2);
    // A quarter of the way, in lengths: three quarters of a third and a quarter of one make a half.
    expect(second[1].ratio).toBeCloseTo(2, 9);
    // A sixteenth, in durations: the batch may have waited for its turn.
    expect(second[1].bytesPerSecond).toBeCloseTo(1 / (15 / 16 / 300e6 + 1 / 16 / 100e6), 0);
    // Half the way where it was faster: that cannot be chance.
    const third = withMeasurement(first, measured(600e6, 3), 2);
    expect(third[1].bytesPerSecond).toBeCloseTo(400e6, 0);
    expect(second[1].measuredAtBatch).toBe(2);
    expect(second[3]).toBe(first[3]);
  });

  it('of levels never measured follows the one that was', () => {
    const before = initialKnowledge('batches');
    const halfAsFast = withMeasurement(before, measured(before[1].bytesPerSecond / 2, before[1].ratio), 1);
    for (const level of ZSTD_LEVELS) {
      expect(expectedFigures(halfAsFast, level).bytesPerSecond).toBeCloseTo(
        before[level].bytesPerSecond / 2,
        0,
      );
      expect(expectedFigures(halfAsFast, level).ratio).toBeCloseTo(before[level].ratio, 9);
    }
    const dense = withMeasurement(before, measured(before[1].bytesPerSecond, 1), 1);
    expect(expectedFigures(dense, 3).ratio).toBeCloseTo(1, 9);
    const zeros = withMeasurement(before, measured(2e9, 5_000), 1);
    expect(expectedFigures(zeros, 3).ratio).toBe(100);
  });

  it('of a level that was measured is its own', () => {
    const known = withMeasurement(initialKnowledge('batches'), { ...measured(50e6, 4), level: 3 }, 1);
    expect(expectedFigures(withMeasurement(known, measured(1e6, 1), 9), 3)).toMatchObject({ ratio: 4 });
  });
});
