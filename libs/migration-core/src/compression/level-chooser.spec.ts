import { SeededChance } from '../testing/seeded-chance';
import {
  type ChooserState,
  type CompressionPlan,
  type CompressionSituation,
  initialChooserState,
  observeBatch,
  planBatch,
} from './level-chooser';
import { type CompressionLevel, ZSTD_LEVELS } from './level-figures';

const BATCH_BYTES = 512 * 1_024;
/** What a simulated machine does at each level: raw bytes per second of a worker, and the ratio. */
const MACHINE = {
  '-5': [400e6, 1.85],
  '-1': [350e6, 2.15],
  1: [310e6, 2.4],
  3: [160e6, 2.56],
  6: [70e6, 2.7],
} as const;

const STREAM_MACHINE = {
  '-5': [325e6, 2.2],
  '-1': [305e6, 2.5],
  1: [240e6, 3.05],
  3: [200e6, 3.1],
  6: [100e6, 3.25],
} as const;

interface Run {
  state: ChooserState;
  plans: CompressionPlan[];
  /** Settled levels, one for each batch that was no probe. */
  levels: CompressionLevel[];
}

function run(
  batches: number,
  link: (batch: number) => number | null,
  more: Partial<CompressionSituation> & { speed?: (batch: number) => number; state?: ChooserState } = {},
): Run {
  const result: Run = { state: more.state ?? initialChooserState('batches'), plans: [], levels: [] };
  for (let batch = 0; batch < batches; batch += 1) {
    const { state, plan } = planBatch(result.state, {
      workerCount: 2,
      isIncompressible: false,
      canCompress: true,
      ...more,
      linkBytesPerSecond: link(batch),
    });
    result.state = state;
    result.plans.push(plan);
    if (!plan.isProbe) result.levels.push(plan.level);
    if (plan.level === 'stored') continue;
    const [bytesPerSecond, ratio] = (state.mode === 'stream' ? STREAM_MACHINE : MACHINE)[plan.level];
    result.state = observeBatch(result.state, {
      level: plan.level,
      rawBytes: BATCH_BYTES,
      packedBytes: BATCH_BYTES / ratio,
      compressMs: (BATCH_BYTES / (bytesPerSecond * (more.speed?.(batch) ?? 1))) * 1_000,
    });
  }
  return result;
}

const changes = (levels: readonly CompressionLevel[]) =>
  levels.filter((level, index) => index > 0 && level !== levels[index - 1]).length;

describe('the choice of a level', () => {
  it('is the densest on a slow link, and says that the link is the limit', () => {
    const { plans } = run(10, () => 12.5e6);
    expect(plans.at(-1)).toMatchObject({ level: 6, isProbe: false });
    expect(plans.at(-1)!.reason).toBe(
      'zstd 6: the link takes 13 MB/s, zstd 6 gives 140 MB/s by 2 workers at 2.70x: the link is the limit',
    );
  });

  it('is quicker as the link is quicker, and stored in the end', () => {
    const chosen = [12.5e6, 62e6, 200e6, 300e6, 700e6, 5e9].map((link) => run(200, () => link).levels.at(-1));
    expect(chosen).toEqual([6, 3, 1, -1, -5, 'stored']);
    expect(run(10, () => 5e9).plans.at(-1)!.reason).toMatch(
      /^stored: the link takes 5000 MB\/s, zstd -5 gives 800 MB\/s by 2 workers at 1\.85x: compressing would be the limit$/,
    );
  });

  it('counts the workers', () => {
    expect(run(50, () => 700e6, { workerCount: 8 }).levels.at(-1)).toBe(1);
  });

  it('follows the machine: where compressing is slow, a quicker level does', () => {
    const { levels, state } = run(400, () => 62e6, { speed: () => 0.15 });
    expect(levels.at(-1)).not.toBe(3);
    expect(state.knowledge[1].bytesPerSecond).toBeCloseTo(0.15 * 310e6, -5);
  });

  it('stays where it is while measurements swing about a border', () => {
    const chance = new SeededChance(8);
    const steady = run(2_000, () => 265e6);
    const swinging = run(2_000, () => 265e6 * (0.5 + chance.fraction()), {
      speed: () => 0.7 + 0.6 * chance.fraction(),
    });
    expect(changes(steady.levels)).toBeLessThanOrEqual(1);
    expect(changes(swinging.levels)).toBeLessThanOrEqual(2_000 / 100);
    const alternating = run(2_000, (batch) => (batch % 2 === 0 ? 60e6 : 2e9));
    expect(changes(alternating.levels)).toBeLessThanOrEqual(2);
  });

  it('is hardly moved by one measurement of the link that is far off', () => {
    const { state } = run(100, (batch) => (batch === 99 ? 5e9 : 62e6));
    expect(state.linkBytesPerSecond).toBeGreaterThan(62e6);
    expect(state.linkBytesPerSecond).toBeLessThan(700e6);
  });

  it('changes within fifty batches when the link really changes', () => {
    const { levels } = run(120, (batch) => (batch < 60 ? 12.5e6 : 5e9));
    expect(levels[50]).toBe(6);
    expect(levels.at(-10)).toBe('stored');
    expect(changes(levels)).toBeLessThanOrEqual(3);
  });

  it('tries another level on one batch in 32, and each in its turn', () => {
    const { plans } = run(32 * 12, () => 62e6);
    const probes = plans.filter(({ isProbe }) => isProbe);
    expect(probes).toHaveLength(12);
    plans.forEach((plan, index) => expect(plan.isProbe).toBe((index + 1) % 32 === 0));
    expect(new Set(probes.map(({ level }) => level))).toEqual(
      new Set(ZSTD_LEVELS.filter((level) => level !== 3)),
    );
    expect(probes[0]!.reason).toContain('a trial');
  });

  it('learns by trials that compressing pays again while it stores', () => {
    const slow = run(300, () => 400e6, { speed: () => 0.2 });
    expect(slow.levels.at(-1)).toBe('stored');
    const quick = run(1_000, () => 400e6, { state: slow.state });
    expect(quick.levels.at(-1)).not.toBe('stored');
  });

  it('stores incompressible batches without a trial and goes on as before after them', () => {
    const before = run(40, () => 62e6);
    const random = run(100, () => 62e6, { isIncompressible: true, state: before.state });
    expect(new Set(random.plans.map(({ level }) => level))).toEqual(new Set(['stored']));
    expect(random.plans.some(({ isProbe }) => isProbe)).toBe(false);
    expect(random.plans[0]!.reason).toContain('looks like random bytes');
    expect(run(1, () => 62e6, { state: random.state }).levels).toEqual([before.levels.at(-1)]);
  });

  it('gives up compressing content that a sample took for compressible', () => {
    let state = initialChooserState('batches');
    const levels: CompressionLevel[] = [];
    for (let batch = 0; batch < 400; batch += 1) {
      const next = planBatch(state, {
        linkBytesPerSecond: 62e6,
        workerCount: 2,
        isIncompressible: false,
        canCompress: true,
      });
      state = next.state;
      levels.push(next.plan.level);
      if (next.plan.level !== 'stored')
        state = observeBatch(state, {
          level: next.plan.level,
          rawBytes: 1e6,
          packedBytes: 1.001e6,
          compressMs: 3,
        });
    }
    expect(levels.slice(-31).filter((level) => level !== 'stored').length).toBeLessThanOrEqual(1);
  });

  it('begins with zstd 1 until the link is measured', () => {
    const { plans } = run(5, () => null);
    expect(plans.at(-1)).toMatchObject({ level: 1, reason: 'zstd 1: the link has not been measured yet' });
  });

  it('stores when the agents share no codec', () => {
    const { plans } = run(3, () => 1e6, { canCompress: false });
    expect(plans.at(-1)!.level).toBe('stored');
  });

  it('passes over measurements of nothing', () => {
    const before = initialChooserState('batches');
    for (const broken of [{ rawBytes: 0 }, { packedBytes: 0 }, { compressMs: 0 }, { compressMs: Number.NaN }])
      expect(
        observeBatch(before, { level: 1, rawBytes: 1, packedBytes: 1, compressMs: 1, ...broken }).knowledge,
      ).toBe(before.knowledge);
  });

  describe('of a stream', () => {
    const stream = () => initialChooserState('stream');

    it('is never tried out, since a change of level forgets what the stream has seen', () => {
      const { plans } = run(400, () => 62e6, { state: stream() });
      expect(plans.some(({ isProbe }) => isProbe)).toBe(false);
    });

    it('is not chosen by its first batches', () => {
      const { plans } = run(40, () => 3e9, { state: stream() });
      expect(plans[30]).toMatchObject({
        level: 1,
        reason: 'zstd 1: too little was compressed yet to choose by',
      });
    });

    it('changes for what is clearly better alone, and not within 128 batches of the last change', () => {
      for (const link of [1e6, 12.5e6, 62.5e6, 125e6])
        expect(new Set(run(900, () => link, { state: stream() }).levels)).toEqual(new Set([1]));
      const { levels } = run(900, (batch) => (batch < 400 ? 3e9 : 12.5e6), { state: stream() });
      const changedAt = [levels.findIndex((level) => level !== 1), levels.lastIndexOf('stored') + 1];
      expect(levels[changedAt[0]!]).toBe('stored');
      expect(changedAt[0]).toBeGreaterThanOrEqual(127);
      expect(changedAt[0]).toBeLessThan(200);
      expect(levels[changedAt[1]!]).toBe(6);
      expect(changedAt[1]).toBeLessThan(500);
    });

    it('is not moved by batches that repeat themselves, nor by some that waited for a processor', () => {
      const chance = new SeededChance(4);
      const { levels } = run(2_000, () => 62e6, {
        speed: () => 0.3 + 1.2 * chance.fraction(),
        state: stream(),
      });
      expect(changes(levels.slice(32))).toBeLessThanOrEqual(1);
    });

    it('is worked on by one while that one keeps up with the link, and by all where it does not', () => {
      expect(run(50, () => 12.5e6, { state: stream(), workerCount: 3 }).plans.at(-1)!.workerCount).toBe(1);
      const quick = run(50, () => 300e6, { state: stream(), workerCount: 3 }).plans.at(-1)!;
      expect(quick.workerCount).toBe(3);
      expect(quick.reason).toContain('by 3 workers');
    });

    it('is tried again while batches are stored, when there is nothing to forget', () => {
      const slow = run(900, () => 400e6, { speed: () => 0.1, state: stream() });
      expect(slow.levels.at(-1)).toBe('stored');
      const quick = run(9_000, () => 400e6, { state: slow.state });
      expect(quick.levels.at(-1)).not.toBe('stored');
    });
  });

  it('refuses bandwidths and workers that cannot be', () => {
    for (const link of [0, -1, Number.NaN, Infinity]) expect(() => run(1, () => link)).toThrow(RangeError);
    for (const workerCount of [0, 1.5]) expect(() => run(1, () => 1e6, { workerCount })).toThrow(RangeError);
  });
});
