import { WORTHWHILE_SHARE } from './codecs';
import {
  type CompressionLevel,
  type CompressionMode,
  expectedFigures,
  initialKnowledge,
  type Knowledge,
  type LevelMeasurement,
  withMeasurement,
  ZSTD_LEVELS,
  type ZstdLevel,
} from './level-figures';
import { levelName, reasonFor } from './level-reason';

/** What a batch meets. */
export interface CompressionSituation {
  /** What the link takes, or what the operator lets it take if that is less; null while it was not measured. */
  readonly linkBytesPerSecond: number | null;
  /** Batches that can be compressed at the same time; at least 1. */
  readonly workerCount: number;
  /** As `seemsIncompressible` says of the batch. */
  readonly isIncompressible: boolean;
  /** False where the agents share no codec. */
  readonly canCompress: boolean;
}

export interface CompressionPlan {
  readonly level: CompressionLevel;
  /** The batch goes another way than the best known one, to see what that gives now. */
  readonly isProbe: boolean;
  /**
   * How many are to work at a time. Of a stream, no more than it takes to keep up with the link: what one of them has
   * seen, the others cannot build on.
   */
  readonly workerCount: number;
  /** In words, for whoever watches the move. */
  readonly reason: string;
}

/** All that the chooser knows; plain data, to be recorded and replayed. */
export interface ChooserState {
  readonly mode: CompressionMode;
  readonly knowledge: Knowledge;
  /** Batches planned so far, those apart that could not be compressed anyway. */
  readonly batch: number;
  /** The settled level; null before the first batch that could be compressed. */
  readonly level: CompressionLevel | null;
  readonly settledAtBatch: number;
  readonly linkBytesPerSecond: number | null;
  /** What has been better than the settled level, and for how many batches on end. */
  readonly challenger: CompressionLevel | null;
  readonly challengerWins: number;
}

export interface LevelCost {
  readonly level: CompressionLevel;
  /** Of raw bytes, with all workers. */
  readonly compressBytesPerSecond: number;
  /** Of raw bytes, as many as the link takes once compressed. */
  readonly linkRawBytesPerSecond: number;
  readonly ratio: number;
  /** Seconds per raw byte: the slower of the two, and a little for the processor time that guests go without. */
  readonly cost: number;
}

export const PROBE_EVERY_BATCHES = 32;
/**
 * A better level replaces the settled one when it is better by this much for so many batches on end, and never sooner
 * than so many after the last change. A stream loses what it has seen with a change: so a trial is not worth
 * one while it runs, and another level is judged by what is typical of it. Nor is another level than the assumed one
 * looked at before so many batches have been seen. Where threads wait for processors, compressing is measured slower
 * than it is by half: a level below it, chosen for that, gains nothing in time and costs a fifth more bytes.
 */
const CHANGES = {
  batches: { unsettledBatches: 0, betterBy: 0.03, winsNeeded: 8, settledBatchesMin: 16, hasProbes: true },
  stream: { unsettledBatches: 32, betterBy: 0.3, winsNeeded: 32, settledBatchesMin: 128, hasProbes: false },
} as const;
const LINK_WEIGHT = 1 / 8;
const PROCESSOR_WEIGHT = 0.05;
const ASSUMED_LEVEL: ZstdLevel = 1;

export function initialChooserState(mode: CompressionMode): ChooserState {
  return {
    mode,
    knowledge: initialKnowledge(mode),
    batch: 0,
    level: null,
    settledAtBatch: 0,
    linkBytesPerSecond: null,
    challenger: null,
    challengerWins: 0,
  };
}

/** The state once a compressed batch has been measured. Measurements may come late and in any order. */
export function observeBatch(state: ChooserState, measured: LevelMeasurement): ChooserState {
  return { ...state, knowledge: withMeasurement(state.knowledge, measured, state.batch, state.mode) };
}

/**
 * Chooses how the next batch goes, so that max(compress time ÷ workers, bytes ÷ bandwidth) is least. Pure. Keeps its
 * choice unless another is clearly better for a while; tries another level on one batch in 32, unless that would end
 * a stream; stores what seems incompressible. Throws RangeError for a bandwidth or a number of workers that cannot be.
 */
export function planBatch(
  before: ChooserState,
  situation: CompressionSituation,
): { readonly state: ChooserState; readonly plan: CompressionPlan } {
  requireSituation(situation);
  const { workerCount } = situation;
  const seen = { ...before, linkBytesPerSecond: smoothedLink(before, situation) };
  const stored = (reason: string) => ({
    state: seen,
    plan: { level: 'stored' as const, isProbe: false, workerCount, reason: `stored: ${reason}` },
  });
  if (!situation.canCompress) return stored('the agents share no way to compress');
  // Not tried even as a probe: what it gives says nothing of the batches that are compressed.
  if (situation.isIncompressible)
    return stored('a sample of the batch looks like random bytes, so compressing would be in vain');
  const state = { ...seen, batch: before.batch + 1 };
  if (state.linkBytesPerSecond === null) {
    const reason = `${levelName(ASSUMED_LEVEL)}: the link has not been measured yet`;
    return { state, plan: { level: ASSUMED_LEVEL, isProbe: false, workerCount: 1, reason } };
  }
  if (state.batch <= CHANGES[state.mode].unsettledBatches) {
    const reason = `${levelName(ASSUMED_LEVEL)}: too little was compressed yet to choose by`;
    return {
      state: { ...state, level: ASSUMED_LEVEL },
      plan: { level: ASSUMED_LEVEL, isProbe: false, workerCount: 1, reason },
    };
  }
  const costs = levelCosts(state.knowledge, state.linkBytesPerSecond, workerCount);
  const settled = settle(state, costs);
  const mayProbe = CHANGES[state.mode].hasProbes || settled.level === 'stored';
  if (mayProbe && state.batch % PROBE_EVERY_BATCHES === 0) {
    const level = levelToProbe(settled);
    const reason = `${levelName(level)}: a trial, as every ${PROBE_EVERY_BATCHES}th batch; ${levelName(settled.level)} is in use`;
    return { state: settled, plan: { level, isProbe: true, workerCount, reason } };
  }
  const working = state.mode === 'stream' && keepsUpAlone(settled, costs, workerCount) ? 1 : workerCount;
  const used =
    working === workerCount ? costs : levelCosts(state.knowledge, state.linkBytesPerSecond, working);
  const reason = reasonFor(settled.level, used, state.linkBytesPerSecond, working);
  return { state: settled, plan: { level: settled.level, isProbe: false, workerCount: working, reason } };
}

function keepsUpAlone({ level }: SettledState, costs: readonly LevelCost[], workerCount: number): boolean {
  const settled = costs.find((cost) => cost.level === level);
  return !settled || settled.compressBytesPerSecond / workerCount >= settled.linkRawBytesPerSecond;
}

/** What each way costs, in the order of ZSTD_LEVELS with 'stored' first. */
export function levelCosts(
  knowledge: Knowledge,
  linkBytesPerSecond: number,
  workerCount: number,
): LevelCost[] {
  const stored: LevelCost = {
    level: 'stored',
    compressBytesPerSecond: Infinity,
    linkRawBytesPerSecond: linkBytesPerSecond,
    ratio: 1,
    cost: 1 / linkBytesPerSecond,
  };
  const compressed = ZSTD_LEVELS.map((level): LevelCost => {
    const { bytesPerSecond, ratio } = expectedFigures(knowledge, level);
    const compressBytesPerSecond = bytesPerSecond * workerCount;
    // What compression hardly makes smaller goes stored, so the work would be for nothing.
    const linkRawBytesPerSecond = linkBytesPerSecond * Math.max(1, ratio);
    const cost =
      1 / ratio > WORTHWHILE_SHARE
        ? Infinity
        : Math.max(1 / compressBytesPerSecond, 1 / linkRawBytesPerSecond) +
          PROCESSOR_WEIGHT / compressBytesPerSecond;
    return { level, compressBytesPerSecond, linkRawBytesPerSecond, ratio, cost };
  });
  return [stored, ...compressed];
}

interface SettledState extends ChooserState {
  readonly level: CompressionLevel;
}

function settle(state: ChooserState, costs: readonly LevelCost[]): SettledState {
  const { betterBy, winsNeeded, settledBatchesMin } = CHANGES[state.mode];
  const best = costs.reduce((least, next) => (next.cost < least.cost ? next : least));
  const settled = costs.find(({ level }) => level === state.level);
  if (state.level === null || !settled)
    return { ...state, level: best.level, settledAtBatch: state.batch, challenger: null, challengerWins: 0 };
  const { level } = settled;
  if (best.cost > settled.cost * (1 - betterBy))
    return { ...state, level, challenger: null, challengerWins: 0 };
  // A run of wins counts for all that beat the settled level: which of them is best may change with every batch.
  const challengerWins = state.challengerWins + 1;
  const hasRested = state.batch - state.settledAtBatch >= settledBatchesMin;
  if (challengerWins < winsNeeded || !hasRested)
    return { ...state, level, challenger: best.level, challengerWins };
  return { ...state, level: best.level, settledAtBatch: state.batch, challenger: null, challengerWins: 0 };
}

/** The level whose figures are oldest, the settled one apart: that is measured all the time. */
function levelToProbe({ knowledge, level: settled }: SettledState): ZstdLevel {
  const age = (level: ZstdLevel) => knowledge[level].measuredAtBatch ?? -1;
  return ZSTD_LEVELS.filter((level) => level !== settled).reduce((oldest, next) =>
    age(next) < age(oldest) ? next : oldest,
  );
}

function smoothedLink(
  state: ChooserState,
  { linkBytesPerSecond: seen }: CompressionSituation,
): number | null {
  const known = state.linkBytesPerSecond;
  if (seen === null || known === null) return seen ?? known;
  return known + (seen - known) * LINK_WEIGHT;
}

function requireSituation({ linkBytesPerSecond, workerCount }: CompressionSituation): void {
  if (linkBytesPerSecond !== null && !(linkBytesPerSecond > 0 && Number.isFinite(linkBytesPerSecond)))
    throw new RangeError(
      `A link of ${linkBytesPerSecond} bytes per second cannot be planned for; give null if unknown.`,
    );
  if (!Number.isInteger(workerCount) || workerCount < 1)
    throw new RangeError(`${workerCount} workers were named; at least one compresses.`);
}
