import { INITIAL_CONVERGENCE, isConverging, judgeConvergence } from './convergence';
import { plan } from './plan';
import { initialPlannerState } from './planner-state';
import type { Readiness } from './readiness';
import { highestLimitMs, switchOverSettings } from './switch-over-limit';
import type { PlannerSample } from './sample';
import { GUESTS, LIMITS, setting } from './testing/settings';
import { simulateMove } from './testing/simulated-move';

const READY: Readiness = { goodSamples: 2, badSamples: 0, isReady: true, isNear: true };
const limits = { ...LIMITS, maySwitch: false };
const waiting = simulateMove(setting(GUESTS.hotWriter, { durationMsMax: 8_000, limits })).looks.at(-1)!;
const { prediction } = waiting.decision;

/** So many looks later, with passes of 20 ms that find and send what this guest writes in them. */
function later(looks: number): PlannerSample {
  const { sample } = waiting;
  const streamBytes = looks * 11e6;
  return {
    ...sample,
    atMs: sample.atMs + looks * 100,
    rounds: sample.rounds + looks * 5,
    streamBytes: sample.streamBytes + streamBytes,
    appliedStreamBytes: sample.appliedStreamBytes + streamBytes,
    wireBytes: sample.wireBytes + streamBytes * 0.07,
  };
}

describe('the ramp of the limit', () => {
  /** Limits told while QEMU does not stop, looked at every 100 ms. */
  function ramp(roundsPerLook: number): number[] {
    let state = initialPlannerState();
    return Array.from({ length: 40 }, (_, index) => {
      const sample = { ...waiting.sample, atMs: index * 100, rounds: 10 + index * roundsPerLook };
      const next = switchOverSettings(state, { sample, prediction, readiness: READY, limits: LIMITS });
      state = {
        ...state,
        switching: next.switching,
        told: { ...next.settings, atMs: sample.atMs },
      };
      return next.settings.downtimeLimitMs;
    });
  }

  it('ends where fixed cost and what is in flight are still within the budget', () => {
    // (50 - 15 - 8.75) x 0.9: the budget, the fixed cost, the in-flight share, and a margin.
    expect(highestLimitMs(READY, LIMITS)).toBe(23);
    expect([...new Set(ramp(1))]).toEqual([3, 5, 8, 12, 18, 23]);
  });

  it('takes its time at each step', () => {
    expect(ramp(1).indexOf(5)).toBe(3);
    expect(ramp(1).indexOf(8)).toBe(6);
  });

  it('does not rise before QEMU has looked again', () => {
    expect(new Set(ramp(0))).toEqual(new Set([3]));
  });

  it('ends at 1 ms, the least there is, when nothing is left of the budget', () => {
    expect(highestLimitMs(READY, { ...LIMITS, fixedCostMs: 80 })).toBe(1);
  });
});

describe('the word to switch over', () => {
  const spoken = { ...LIMITS, maySwitch: true };

  it('is followed at once by a move that is ready', () => {
    const { decision } = plan(waiting.state, later(1), spoken);
    expect(decision.kind).toBe('switch-over');
  });

  it('is not followed on a bad sample, though one does not end the readiness', () => {
    const burst = { ...later(1), remainingBytes: 400e6 };
    const first = plan(waiting.state, burst, spoken);
    expect(first.decision).toMatchObject({ kind: 'continue', isReady: true, paceBytesPerSecond: null });
    expect(first.decision.reason).not.toContain('Waiting for the word');
  });

  it('can be taken back: QEMU is told the lowest limit again', () => {
    const switching = plan(waiting.state, later(1), spoken);
    const { decision } = plan(switching.state, later(2), limits);
    expect(decision).toMatchObject({ kind: 'set-downtime-limit', downtimeLimitMs: 1 });
  });

  it('does not hold a move forever when QEMU never stops the guest and the time is over', () => {
    const timed = { ...spoken, totalMsMax: 8_000 };
    let { state } = waiting;
    const kinds = Array.from({ length: 30 }, (_, index) => {
      const planned = plan(state, later(index + 1), timed);
      state = planned.state;
      return planned.decision.kind;
    });
    expect(kinds[0]).toBe('switch-over');
    expect(kinds.slice(0, 20)).not.toContain('give-up');
    expect(kinds.slice(20)).toEqual(Array.from({ length: 10 }, () => 'give-up'));
  });
});

describe('convergence', () => {
  const looks = (predictions: readonly number[], isHeldBack = false): boolean => {
    let state = INITIAL_CONVERGENCE;
    predictions.forEach((predictedDowntimeMs, index) => {
      const now = { atMs: 1_000 * index, rounds: 2 + index, predictedDowntimeMs, isHeldBack, isReady: false };
      state = judgeConvergence(state, now);
    });
    return isConverging(state);
  };

  it('ends with the third pass that does not bring the pause down by a tenth', () => {
    expect(looks([1_000, 1_000, 950, 920])).toBe(true);
    expect(looks([1_000, 1_000, 950, 920, 905])).toBe(false);
  });

  it('goes on with every pass that does', () => {
    expect(looks([1_000, 950, 920, 890, 880, 870, 780, 770])).toBe(true);
  });

  it('is not judged by passes of a source that is held back', () => {
    expect(looks([1_000, 1_000, 1_000, 1_000, 1_000, 1_000], true)).toBe(true);
  });
});
