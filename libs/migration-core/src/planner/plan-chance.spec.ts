import { isDeepStrictEqual } from 'node:util';

import { SeededChance } from '../testing/seeded-chance';
import type { SwitchOverSettings } from './decision';
import { plan } from './plan';
import { initialPlannerState } from './planner-state';
import type { PlannerLimits, PlannerSample } from './sample';

/*
 * Chance traces with a seed each. WATARI_FUZZ_SEED repeats one, WATARI_FUZZ_CASES runs more.
 */
const CASES = Number(process.env['WATARI_FUZZ_CASES'] ?? 100);
const SEEDS = process.env['WATARI_FUZZ_SEED']
  ? [Number(process.env['WATARI_FUZZ_SEED'])]
  : Array.from({ length: CASES }, () => Math.floor(Math.random() * 2 ** 32));
const SAMPLES = 120;
const WRONG = [Number.NaN, -1, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e300, 2 ** 53, 0, 0.1];

function chanceLimits(chance: SeededChance): PlannerLimits {
  return {
    downtimeLimitMs: 1 + chance.below(500),
    bandwidthBytesPerSecondMax: chance.below(3) === 0 ? 1 + chance.below(1e8) : null,
    allows: { throttlePercentMax: chance.below(3) * 40, postCopy: chance.below(2) === 0 },
    totalMsMax: chance.below(3) === 0 ? chance.below(40_000) : null,
    fixedCostMs: chance.below(60),
    maySwitch: chance.below(2) === 0,
  };
}

/** Mostly what a move could look like; some of it is what no move could. */
function nextSample(last: PlannerSample, chance: SeededChance, calm: boolean): PlannerSample {
  const rounds = chance.below(3) === 0 ? last.rounds + chance.below(20) : last.rounds;
  const stream = chance.below(20e6);
  const sent = chance.below(4) === 0 ? 0 : stream;
  const queued = calm ? chance.below(1e5) : chance.below(2e7);
  const sample = {
    atMs: last.atMs + 1 + chance.below(200),
    rounds,
    remainingBytes: calm ? chance.below(1e6) : chance.below(1e9),
    dirtyBytesPerSecond: chance.below(2e8),
    streamBytes: last.streamBytes + sent,
    appliedStreamBytes: last.streamBytes,
    wireBytes: last.wireBytes + chance.below(1 + sent) + queued,
    queuedWireBytes: queued,
    unreceivedWireBytes: chance.below(2) === 0 ? queued : Math.round(queued / 3),
    pages: {
      ...last.pages,
      delta: last.pages.delta + Math.floor(sent / 4_104),
      zero: last.pages.zero + chance.below(9),
    },
    heldBackBy: [null, null, 'operator', 'pacing'][chance.below(4)] as PlannerSample['heldBackBy'],
    throttlePercent: chance.below(100),
  };
  if (chance.below(15) > 0) return sample;
  const wrong = WRONG[chance.below(WRONG.length)]!;
  const keys = Object.keys(sample).filter((key) => key !== 'pages' && key !== 'heldBackBy');
  return { ...sample, [keys[chance.below(keys.length)]!]: wrong };
}

const FIRST: PlannerSample = {
  atMs: 0,
  rounds: 1,
  remainingBytes: 1e9,
  dirtyBytesPerSecond: 0,
  streamBytes: 0,
  appliedStreamBytes: 0,
  wireBytes: 0,
  queuedWireBytes: 0,
  unreceivedWireBytes: 0,
  pages: { zero: 0, same: 0, delta: 0, copy: 0, raw: 0 },
  heldBackBy: null,
  throttlePercent: 0,
};

/** Paths of numbers that are none, or below 0. */
function wrongFigures(value: unknown, path = ''): string[] {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? [] : [`${path} is ${value}`];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) => wrongFigures(part, `${path}.${key}`));
}

function check(isSound: boolean, what: string): void {
  if (!isSound) throw new Error(what);
}

function checkSettings(settings: SwitchOverSettings, limits: PlannerLimits): void {
  const { downtimeLimitMs, switchoverBandwidthBytesPerSecond: bandwidth } = settings;
  const isWhole = Number.isInteger(downtimeLimitMs) && Number.isInteger(bandwidth);
  check(isWhole && downtimeLimitMs >= 1 && bandwidth >= 1, 'QEMU takes whole figures from 1.');
  check(downtimeLimitMs <= limits.downtimeLimitMs, `A limit of ${downtimeLimitMs} ms is above the budget.`);
}

function checkTrace(chance: SeededChance): Set<string> {
  let state = initialPlannerState();
  let sample = FIRST;
  let limits = chanceLimits(chance);
  let hasGivenUp = false;
  const kinds = new Set<string>();
  const calmFrom = chance.below(SAMPLES);
  for (let index = 0; index < SAMPLES; index += 1) {
    sample = nextSample(sample, chance, index >= calmFrom);
    if (chance.below(40) === 0) limits = { ...limits, maySwitch: !limits.maySwitch };
    const before = JSON.stringify(state);
    const { state: after, decision } = plan(state, sample, limits);
    kinds.add(decision.kind);
    const stored = JSON.stringify(after);
    check(JSON.stringify(state) === before, 'The state was changed in place.');
    check(wrongFigures({ decision, after }).length === 0, wrongFigures({ decision, after }).join(', '));
    check(/^[A-Z].*\.$/s.test(decision.reason), `No sentence: "${decision.reason}"`);
    check(!/NaN|undefined|Infinity|null/.test(decision.reason), `No words: "${decision.reason}"`);
    check(decision.reason.length < 1_000, `Too long: "${decision.reason}"`);
    check(stored.length < 8_000, `The state has ${stored.length} characters.`);
    const takesGuest = decision.kind === 'switch-over' || decision.kind === 'post-copy';
    check(limits.maySwitch || !takesGuest, `${decision.kind} without the word.`);
    check(sample.rounds >= 2 || !decision.isReady, 'Ready in the first pass.');
    if ('downtimeLimitMs' in decision) checkSettings(decision, limits);
    check(
      decision.kind !== 'throttle' || decision.percent <= limits.allows.throttlePercentMax,
      'Throttled, and may not.',
    );
    check(decision.kind !== 'post-copy' || limits.allows.postCopy, 'Post-copied, and may not.');
    check(!hasGivenUp || decision.kind === 'give-up', `${decision.kind} after it was given up.`);
    hasGivenUp = decision.kind === 'give-up';
    // What is stored and read again decides the same.
    state = JSON.parse(stored) as typeof after;
    check(isDeepStrictEqual(state, after), 'The state is no plain value.');
  }
  return kinds;
}

describe('whatever a move looks like', () => {
  it('is decided in sound figures, in words, and within its limits', () => {
    const seen = new Set<string>();
    for (const seed of SEEDS) {
      try {
        for (const kind of checkTrace(new SeededChance(seed))) seen.add(kind);
      } catch (error) {
        throw new Error(`Failed with WATARI_FUZZ_SEED=${seed}: ${String(error)}`, { cause: error });
      }
    }
    // Shows that the traces reach every kind of decision.
    if (SEEDS.length >= 50) expect([...seen].sort()).toEqual(KINDS);
  });
});

const KINDS = ['continue', 'give-up', 'post-copy', 'set-downtime-limit', 'switch-over', 'throttle'];
