import { type DirtyCurveState, INITIAL_DIRTY_CURVE, observeDirtying, uniqueDirtyBytes } from './dirty-curve';
import { INITIAL_LINK_RATE, type LinkRateState, measureLink } from './link-rate';
import { initialPlannerState } from './planner-state';
import { INITIAL_REDUCTION, observeReduction, reducedShare } from './reduction';
import type { PlannerSample } from './sample';

const MB = 1e6;

function sample(change: Partial<PlannerSample>): PlannerSample {
  return {
    atMs: 0,
    rounds: 1,
    remainingBytes: 0,
    dirtyBytesPerSecond: 0,
    streamBytes: 0,
    appliedStreamBytes: 0,
    wireBytes: 0,
    queuedWireBytes: 0,
    unreceivedWireBytes: 0,
    pages: { zero: 0, same: 0, delta: 0, copy: 0, raw: 0 },
    heldBackBy: null,
    throttlePercent: 0,
    ...change,
  };
}

describe('the dirty curve', () => {
  const SET = 96 * MB;
  const RATE = 120 * MB;

  /** Passes of these lengths, one after the other, each sent before the next. */
  function observed(passesMs: readonly number[]): DirtyCurveState {
    let state = INITIAL_DIRTY_CURVE;
    let last = sample({ remainingBytes: 1_000 * MB });
    state = observeDirtying(state, null, last);
    for (const ms of passesMs) {
      const found = SET * (1 - Math.exp((-RATE * ms) / 1_000 / SET));
      const next = sample({
        atMs: last.atMs + ms,
        rounds: last.rounds + 1,
        remainingBytes: found,
        // All that was left has gone.
        streamBytes: last.streamBytes + last.remainingBytes,
      });
      state = observeDirtying(state, last, next);
      last = next;
    }
    return state;
  }
  const truth = (ms: number): number => SET * (1 - Math.exp((-RATE * ms) / 1_000 / SET));

  it('finds the set and the rate from passes of different lengths', () => {
    const { fit } = observed([4_000, 1_500, 700, 400]);
    for (const ms of [100, 300, 1_000, 3_000])
      expect(Math.abs(uniqueDirtyBytes(fit!, ms) / truth(ms) - 1)).toBeLessThan(0.1);
  });

  it('is concave: half the time finds more than half the pages', () => {
    const { fit } = observed([4_000, 1_500, 700]);
    for (const ms of [200, 800, 2_000])
      expect(uniqueDirtyBytes(fit!, ms)).toBeGreaterThan(uniqueDirtyBytes(fit!, 2 * ms) / 2);
  });

  it('expects the worse of what passes of one length leave open', () => {
    const { fit } = observed([300, 300, 300]);
    const found = truth(300);
    expect(uniqueDirtyBytes(fit!, 300) / found).toBeCloseTo(1, 1);
    expect(uniqueDirtyBytes(fit!, 100)).toBeGreaterThan(truth(100));
    expect(uniqueDirtyBytes(fit!, 1_200)).toBeGreaterThan(truth(1_200));
  });

  it('knows a guest that writes nothing', () => {
    let state = observeDirtying(INITIAL_DIRTY_CURVE, null, sample({ remainingBytes: MB }));
    const next = sample({ atMs: 1_000, rounds: 2, streamBytes: MB });
    state = observeDirtying(state, sample({ remainingBytes: MB }), next);
    expect(uniqueDirtyBytes(state.fit!, 10_000)).toBe(0);
  });

  it('keeps a bounded number of passes, and forgets a guest that writes otherwise', () => {
    const { observations } = observed(Array.from({ length: 30 }, () => 300));
    expect(observations).toHaveLength(8);
  });
});

describe('the link', () => {
  interface Second {
    readonly wire: number;
    readonly queued?: number;
    readonly heldBackBy?: PlannerSample['heldBackBy'];
    readonly remaining?: number;
    /** What was believed before. */
    readonly from?: LinkRateState;
  }

  /** A tenth of a second each, with these rates a second. */
  function after(...stretches: readonly (Second & { readonly count: number })[]): LinkRateState {
    let state = stretches[0]?.from ?? INITIAL_LINK_RATE;
    let applied = 0;
    let atMs = 0;
    for (const { count, wire, queued = 0, heldBackBy = null, remaining = 0 } of stretches)
      for (let index = 0; index < count; index += 1) {
        atMs += 100;
        applied += wire / 10;
        state = measureLink(
          state,
          sample({
            atMs,
            wireBytes: applied + queued,
            queuedWireBytes: queued,
            unreceivedWireBytes: queued,
            streamBytes: applied,
            appliedStreamBytes: applied,
            heldBackBy,
            remainingBytes: remaining,
          }),
        );
      }
    return state;
  }
  const speed = (state: LinkRateState): number => Math.round(state.wireBytesPerSecond ?? 0);

  it('is measured by what was acknowledged', () => {
    expect(speed(after({ count: 2, wire: 50 * MB }))).toBe(0);
    expect(speed(after({ count: 10, wire: 50 * MB }))).toBe(50 * MB);
  });

  it('is believed to be as fast as before while the source has nothing to send, for some seconds', () => {
    const quiet = after({ count: 20, wire: 50 * MB }, { count: 20, wire: 0 });
    expect(speed(quiet)).toBeGreaterThan(40 * MB);
  });

  it('is believed to be slower soon while bytes wait for it', () => {
    const slower = after({ count: 20, wire: 50 * MB }, { count: 25, wire: 5 * MB, queued: 10 * MB });
    expect(speed(slower)).toBeLessThan(8 * MB);
  });

  it('is not believed to be slower while the source is held back', () => {
    const held = after({ count: 20, wire: 50 * MB }, { count: 100, wire: MB, heldBackBy: 'pacing' });
    expect(speed(held)).toBe(50 * MB);
  });

  it('is believed to be slower even then, when much waits for it', () => {
    const held = { heldBackBy: 'pacing', count: 20, wire: 5 * MB, queued: 5 * MB } as const;
    expect(speed(after({ count: 20, wire: 50 * MB }, held))).toBeLessThan(8 * MB);
  });

  it('is not believed to be slower because the target is', () => {
    const slow = { heldBackBy: 'target', count: 20, wire: 5 * MB, queued: 5 * MB } as const;
    expect(speed(after({ count: 20, wire: 50 * MB }, slow))).toBe(50 * MB);
  });

  it('is known from the move before, and corrected when it turns out slower', () => {
    const { link } = initialPlannerState({ wireBytesPerSecond: 50 * MB, leastDelayMs: 20 });
    expect(speed(measureLink(link, sample({ atMs: 100 })))).toBe(50 * MB);
    expect(speed(after({ count: 40, wire: 5 * MB, queued: 5 * MB, from: link }))).toBeLessThan(8 * MB);
  });

  it('is not believed to be slower because a little is always under way', () => {
    // 30 ms of packing and applying, over a link that carries much more than is sent.
    const busy = { count: 200, wire: 10 * MB, queued: 0.3 * MB };
    const after20s = speed(
      after({ count: 20, wire: 50 * MB, queued: 1.5 * MB }, { ...busy, heldBackBy: 'pacing' }),
    );
    expect(after20s).toBe(50 * MB);
    expect(
      speed(after({ count: 20, wire: 50 * MB, queued: 1.5 * MB }, { ...busy, count: 20 })),
    ).toBeGreaterThan(40 * MB);
  });

  it('may be a long way off: what is under way on it is no queue', () => {
    // 150 ms there and back.
    const far = { wire: 20 * MB, queued: 3 * MB } as const;
    const slow = { wire: 10 * MB, queued: 1.5 * MB, heldBackBy: 'pacing' } as const;
    expect(speed(after({ count: 20, ...far }, { count: 100, ...slow }))).toBe(20 * MB);
  });

  it('shows what it carries at least when the source is held back from the beginning', () => {
    expect(speed(after({ count: 20, wire: 20 * MB, heldBackBy: 'operator' }))).toBe(20 * MB);
  });

  it('has ends that are slower than it, when much is left and yet it is idle', () => {
    const busy = after({ count: 20, wire: 300 * MB }, { count: 30, wire: 60 * MB, remaining: 500 * MB });
    expect(busy.streamBytesPerSecond).toBeLessThan(90 * MB);
    const idle = after({ count: 20, wire: 300 * MB }, { count: 30, wire: 60 * MB, remaining: MB });
    expect(idle.streamBytesPerSecond).toBeGreaterThan(250 * MB);
  });
});

describe('the reduction', () => {
  const pages = (delta: number): PlannerSample['pages'] => ({ zero: 0, same: 0, delta, copy: 0, raw: 0 });
  const first = sample({ atMs: 100, pages: pages(1_000), wireBytes: 2_048 * 1_000 });

  it('of the first pass counts until later ones are known, without its zero pages', () => {
    const zeros = { ...first, pages: { ...first.pages, zero: 100_000 } };
    const state = observeReduction(INITIAL_REDUCTION, sample({}), zeros);
    expect(reducedShare(state)).toBeCloseTo(0.5, 6);
  });

  it('of later passes takes its place', () => {
    let state = observeReduction(INITIAL_REDUCTION, sample({}), first);
    const second = { ...first, rounds: 2, atMs: 200 };
    state = observeReduction(state, first, second);
    const more = { ...second, atMs: 300, pages: pages(11_000), wireBytes: second.wireBytes + 41 * 10_000 };
    state = observeReduction(state, second, more);
    expect(reducedShare(state)).toBeCloseTo(0.01, 2);
  });

  it('is none before anything is known', () => {
    expect(reducedShare(INITIAL_REDUCTION)).toBe(1);
  });
});
