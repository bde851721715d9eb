import type { PlannerDecision } from './decision';
import type { PlannerLimits } from './sample';
import { GUESTS, LIMITS, LINK_BYTES_PER_SECOND, setting } from './testing/settings';
import type { Look, MoveResult } from './testing/simulated-move';
import { simulateMove } from './testing/simulated-move';

const SMALL_RANDOM_WRITER = { ...GUESTS.randomWriter, memoryBytes: 256 * 1024 * 1024 };

function kinds({ looks }: MoveResult): PlannerDecision['kind'][] {
  return looks.map(({ decision }) => decision.kind).filter((kind, index, all) => kind !== all[index - 1]);
}

function limitsFrom(atMs: number, limits: PlannerLimits): (now: { atMs: number }) => PlannerLimits {
  return (now) => ({ ...limits, maySwitch: now.atMs >= atMs });
}

function between({ looks }: MoveResult, fromMs: number, toMs: number): Look[] {
  return looks.filter(({ sample }) => sample.atMs >= fromMs && sample.atMs < toMs);
}

describe('a guest that hardly writes', () => {
  const move = simulateMove(setting(GUESTS.idle));

  it('is switched over as soon as its first pass is over', () => {
    const firstPassMs = move.looks.find(({ sample }) => sample.rounds > 1)!.sample.atMs;
    expect(move.end).toBe('switched');
    expect(move.endedAtMs - firstPassMs).toBeLessThan(1_000);
    expect(move.downtimeMs).toBeLessThan(20);
  });

  it('is not ready during the first pass', () => {
    const first = move.looks.filter(({ sample }) => sample.rounds < 2);
    expect(first.length).toBeGreaterThan(10);
    expect(first.some(({ decision }) => decision.isReady)).toBe(false);
  });

  it('is predicted to pause for what it pauses', () => {
    const { predictedDowntimeMs } = move.looks.at(-1)!.decision.prediction;
    expect(Math.abs(predictedDowntimeMs - move.downtimeMs!)).toBeLessThan(5);
  });
});

describe('a hot writer', () => {
  it('is never finished by plain pre-copy', () => {
    const move = simulateMove(setting(GUESTS.hotWriterWithoutDeltas));
    expect(move.end).toBe('still-copying');
    expect(move.looks.at(-1)!.decision.isConverging).toBe(false);
    expect(move.looks.at(-1)!.decision.prediction.predictedDowntimeMs).toBeGreaterThan(1_000);
  });

  it('is switched within 50 ms and without throttling, because its deltas are small', () => {
    const move = simulateMove(setting(GUESTS.hotWriter));
    expect(move.end).toBe('switched');
    expect(move.downtimeMs).toBeLessThanOrEqual(50);
    expect(kinds(move)).not.toContain('throttle');
    expect(move.looks.every(({ decision }) => decision.isConverging)).toBe(true);
    expect(move.looks.at(-1)!.decision.prediction.reducedShare).toBeLessThan(0.1);
  });

  it('is switched within the budget when device state takes twice what was thought, if there is room', () => {
    const move = simulateMove(setting(GUESTS.hotWriter, { fixedMs: 30 }));
    expect(move.downtimeMs).toBeLessThanOrEqual(50);
  });

  it('keeps to the operator’s bandwidth, and is predicted by it', () => {
    const bandwidth = 20e6;
    const move = simulateMove(
      setting(GUESTS.hotWriter, {
        // The limit is kept by the sender, so that the link seems as slow.
        linkBytesPerSecond: bandwidth,
        limits: { ...LIMITS, bandwidthBytesPerSecondMax: bandwidth },
      }),
    );
    const late = between(move, 2_000, Infinity);
    expect(late.every(({ sample }) => sample.heldBackBy === 'operator')).toBe(true);
    for (const { decision } of late)
      expect(Math.abs(decision.prediction.wireBytesPerSecond / bandwidth - 1)).toBeLessThan(0.05);
    expect(move.end).toBe('switched');
    expect(move.downtimeMs).toBeLessThanOrEqual(50);
  });

  it('is expected at the operator’s bandwidth where the link could do more', () => {
    const bandwidth = LINK_BYTES_PER_SECOND / 4;
    const limits = { ...LIMITS, bandwidthBytesPerSecondMax: bandwidth };
    const move = simulateMove(setting(GUESTS.hotWriter, { limits }));
    for (const { decision } of between(move, 1_000, Infinity))
      expect(decision.prediction.wireBytesPerSecond).toBe(bandwidth);
  });

  it('is told to QEMU with the rate of its pages, not of the link', () => {
    const move = simulateMove(setting(GUESTS.hotWriter));
    const told = move.looks.map(({ decision }) => decision).find(({ kind }) => kind === 'switch-over');
    if (told?.kind !== 'switch-over') throw new Error('It was not switched over.');
    // 250 MB/s is what the ends carry; the link alone would be four times slower for whole pages.
    expect(told.switchoverBandwidthBytesPerSecond).toBeGreaterThan(2.5 * LINK_BYTES_PER_SECOND);
    expect(told.switchoverBandwidthBytesPerSecond).toBeLessThanOrEqual(1.05 * 250e6);
  });
});

describe('the downtime limit', () => {
  it('is as low as it gets until the switch-over, and rises from low to less than the budget then', () => {
    // Pages that take most of the room each pass.
    const writer = { ...GUESTS.hotWriter, hotBytes: 2.2 * 1024 * 1024, pageWritesPerSecond: 200_000 };
    const move = simulateMove(setting(writer));
    const limits = move.looks.flatMap(({ decision }) =>
      decision.kind === 'switch-over' ? [decision.downtimeLimitMs] : [],
    );
    expect(move.looks[0]!.decision).toMatchObject({ kind: 'set-downtime-limit', downtimeLimitMs: 1 });
    expect(limits[0]).toBe(3);
    expect(limits).toEqual([...limits].sort((a, b) => a - b));
    expect(limits.length).toBeGreaterThan(1);
    expect(Math.max(...limits)).toBeLessThan(35);
    expect(move.end).toBe('switched');
    expect(move.downtimeMs).toBeLessThanOrEqual(50);
  });

  it('leaves nothing to hope for when the fixed cost takes the whole budget, and says so', () => {
    const allows = { throttlePercentMax: 95, postCopy: true };
    const limits = { ...LIMITS, downtimeLimitMs: 20, fixedCostMs: 30, totalMsMax: 20_000, allows };
    const move = simulateMove(setting(GUESTS.idle, { limits }));
    expect(move.end).toBe('given-up');
    expect(kinds(move)).not.toContain('throttle');
    const late = between(move, 15_000, 19_000).map(({ decision }) => decision.reason);
    expect(late.every((reason) => reason.includes('raise the budget'))).toBe(true);
  });
});

describe('a writer of random pages', () => {
  const story = (allows: PlannerLimits['allows'], change: Partial<PlannerLimits> = {}): MoveResult =>
    simulateMove(
      setting(SMALL_RANDOM_WRITER, { durationMsMax: 120_000, limits: { ...LIMITS, allows, ...change } }),
    );

  it('is told not converging after three passes that did not shorten the pause', () => {
    const move = story({ throttlePercentMax: 0, postCopy: false });
    const said = move.looks.find(({ decision }) => !decision.isConverging)!;
    // The second pass is the first to be judged; three more follow.
    expect(said.sample.rounds).toBe(5);
    expect(said.decision.reason).toContain('Not converging');
  });

  it('is throttled, more each time, when that is allowed', () => {
    const move = story({ throttlePercentMax: 95, postCopy: true });
    const percents = move.looks.flatMap(({ decision }) =>
      decision.kind === 'throttle' ? [decision.percent] : [],
    );
    expect(percents).toEqual([20, 40, 60, 80]);
    expect(move.end).toBe('switched');
    expect(move.downtimeMs).toBeLessThanOrEqual(50);
    expect(kinds(move)).not.toContain('post-copy');
  });

  it('is post-copied once throttling has not helped', () => {
    const busy = { ...SMALL_RANDOM_WRITER, pageWritesPerSecond: 4_000_000 };
    const limits = { ...LIMITS, allows: { throttlePercentMax: 95, postCopy: true } };
    const move = simulateMove(setting(busy, { durationMsMax: 150_000, limits }));
    const means = kinds(move).filter((kind) => kind === 'throttle' || kind === 'post-copy');
    expect(means).toEqual([...Array.from({ length: 5 }, () => 'throttle'), 'post-copy']);
    expect(move.looks.at(-1)!.decision.reason).toMatch(/lost if either side is/);
  });

  it('is post-copied at once where throttling is not allowed', () => {
    const move = story({ throttlePercentMax: 0, postCopy: true });
    expect(move.end).toBe('post-copy');
    expect(kinds(move)).not.toContain('throttle');
  });

  it('waits for the word before post-copy, and says that it is ready for it', () => {
    const allows = { throttlePercentMax: 0, postCopy: true };
    const limits = { ...LIMITS, allows };
    const move = simulateMove(
      setting(SMALL_RANDOM_WRITER, {
        durationMsMax: 60_000,
        limits,
        onSample: ({ atMs }) => limitsFrom(40_000, limits)({ atMs }),
      }),
    );
    expect(move.end).toBe('post-copy');
    expect(move.endedAtMs).toBeGreaterThanOrEqual(40_000);
    const waiting = between(move, 30_000, 40_000).map(({ decision }) => decision);
    expect(waiting.every(({ readyFor, isReady }) => readyFor === 'post-copy' && !isReady)).toBe(true);
  });

  it('goes on to the end of its time where nothing is allowed, and is given up with the source running', () => {
    const move = story({ throttlePercentMax: 0, postCopy: false }, { totalMsMax: 60_000 });
    expect(move.end).toBe('given-up');
    expect(move.endedAtMs).toBe(60_000);
    expect(kinds(move)).toEqual(['set-downtime-limit', 'continue', 'give-up']);
    expect(move.looks.at(-1)!.decision.reason).toContain('goes on running at its source');
  });

  it('is never given up without a limit on its time', () => {
    expect(story({ throttlePercentMax: 0, postCopy: false }).end).toBe('still-copying');
  });
});

describe('a link that gets ten times slower', () => {
  const slow = LINK_BYTES_PER_SECOND / 10;

  it('is noticed within three seconds, and the budget is kept at its new speed', () => {
    const writer = { ...GUESTS.hotWriter, pageWritesPerSecond: 5_000 };
    const move = simulateMove(
      setting(writer, {
        onSample: ({ atMs, link, limits }) => {
          if (atMs >= 2_000) link.bytesPerSecond = slow;
          return limits;
        },
      }),
    );
    for (const { decision } of between(move, 5_000, 15_000))
      expect(Math.abs(decision.prediction.wireBytesPerSecond / slow - 1)).toBeLessThan(0.15);
    expect(move.end).toBe('switched');
    expect(move.downtimeMs).toBeLessThanOrEqual(50);
  });

  it('takes a waiting move out of its readiness when the guest writes more than it carries', () => {
    const limits = { ...LIMITS, maySwitch: false };
    const move = simulateMove(
      setting(GUESTS.hotWriter, {
        durationMsMax: 20_000,
        limits,
        onSample: ({ atMs, link }) => {
          if (atMs >= 10_000) link.bytesPerSecond = slow;
          return limits;
        },
      }),
    );
    expect(between(move, 6_000, 10_000).every(({ decision }) => decision.isReady)).toBe(true);
    expect(between(move, 12_000, 20_000).some(({ decision }) => decision.isReady)).toBe(false);
  });
});

describe('a move that waits for its word', () => {
  const limits = { ...LIMITS, totalMsMax: 20_000 };
  const move = simulateMove(
    setting(GUESTS.hotWriter, {
      limits,
      onSample: ({ atMs }) => limitsFrom(30_000, limits)({ atMs }),
    }),
  );
  const waiting = between(move, 6_000, 30_000);

  it('stays ready, is not given up, and is not switched over', () => {
    expect(waiting).toHaveLength(240);
    for (const { decision } of waiting)
      expect(decision).toMatchObject({ kind: 'continue', isReady: true, readyFor: 'switch-over' });
  });

  it('asks QEMU to copy about as fast as the guest writes, and says so', () => {
    // 30,000 pages a second; nearly all are different in the short passes of a waiting move.
    const written = 30_000 * 4_096;
    const paces = waiting.map(({ decision }) => decision.paceBytesPerSecond!);
    expect(Math.min(...paces)).toBeGreaterThan(0.6 * written);
    expect(Math.max(...paces)).toBeLessThan(1.2 * written);
    expect(waiting.every(({ decision }) => decision.reason.includes('Waiting for the word'))).toBe(true);
  });

  it('has QEMU begin far fewer passes than it could', () => {
    const passes = waiting.at(-1)!.sample.rounds - waiting[0]!.sample.rounds;
    expect(passes).toBeLessThan(24_000 / 10);
  });

  it('is switched over within the budget soon after the word, though its time is over', () => {
    expect(move.end).toBe('switched');
    expect(move.endedAtMs - 30_000).toBeLessThan(1_000);
    expect(move.downtimeMs).toBeLessThanOrEqual(50);
    expect(move.looks.at(-1)!.decision.paceBytesPerSecond).toBeNull();
  });
});

it('keeps much on its way while it copies, and little once the pause is near', () => {
  const { looks } = simulateMove(setting(GUESTS.hotWriter));
  expect(looks[5]!.decision.inFlightMsMax).toBe(200);
  expect(looks.at(-1)!.decision.inFlightMsMax).toBe((50 - 15) / 4);
});

it('predicts the sum of its parts', () => {
  for (const guest of Object.values(GUESTS))
    for (const { decision } of simulateMove(setting(guest, { durationMsMax: 10_000 })).looks) {
      const { parts, predictedDowntimeMs } = decision.prediction;
      const { fixedMs, queuedMs, dirtyMs, applyMs } = parts;
      expect(fixedMs + queuedMs + dirtyMs + applyMs).toBe(predictedDowntimeMs);
    }
});
