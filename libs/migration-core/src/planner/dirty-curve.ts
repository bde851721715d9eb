import { type PlannerSample, sentPageBytes } from './sample';

/** How much memory the guest makes different within an interval. */
export interface DirtyCurveState {
  /** What passes found, newest first. */
  readonly observations: readonly DirtyObservation[];
  /** Since when, and what was found by the passes that began since then. */
  readonly open: { readonly sinceMs: number; readonly passes: number; readonly uniqueBytes: number } | null;
  /** When the bitmap was read the last time, as far as the samples tell. */
  readonly passBeganMs: number;
  /** The most that was ever left to send: all of the memory, at the beginning. */
  readonly memoryBytes: number;
  readonly fit: DirtyFit | null;
}

export interface DirtyObservation {
  readonly intervalMs: number;
  /** Pages that were written in the interval, each counted once. */
  readonly uniqueBytes: number;
}

/** unique(t) = set x (1 - exp(-rate x t / set)) */
interface DirtyModel {
  readonly setBytes: number;
  readonly bytesPerSecond: number;
}

/** What the observations allow: the smallest written set and the largest. */
export interface DirtyFit {
  readonly smallest: DirtyModel;
  readonly largest: DirtyModel;
}

const OBSERVATIONS_MAX = 8;
/** Weight of each observation against the next newer one. */
const AGEING = 0.6;
/** Samples see a pass begin to about 100 ms; shorter passes are taken together. */
const OBSERVED_MS_MIN = 200;
/** Sizes of the written set to try, in largest observations. */
const SET_SHARES = [1.02, 1.1, 1.3, 1.7, 2.5, 5, 20, 1_000];
/** Below this a difference is no error. */
const OBSERVED_BYTES_MIN = 64 * 1024;
/** Errors (squared shares) that are as good as the best. */
const ERROR_FACTOR = 1.5;
const ERROR_ALLOWED = 0.002;

export const INITIAL_DIRTY_CURVE: DirtyCurveState = {
  observations: [],
  open: null,
  passBeganMs: 0,
  memoryBytes: 0,
  fit: null,
};

/**
 * Learns from what a new pass finds: what is left grew by it, and shrank by what was sent. Counting pages once
 * matters, since most writes hit pages that are dirty already: what a pass of half the length finds is more than
 * half (Clark et al., NSDI'05, "writable working set"), so that a rate times an interval is wrong at both ends.
 */
export function observeDirtying(
  before: DirtyCurveState,
  last: PlannerSample | null,
  sample: PlannerSample,
): DirtyCurveState {
  const memoryBytes = Math.max(before.memoryBytes, sample.remainingBytes);
  const state = { ...before, memoryBytes };
  if (!last || sample.atMs <= last.atMs || sample.rounds < last.rounds)
    return { ...state, open: null, passBeganMs: sample.atMs };
  const passes = sample.rounds - last.rounds;
  const open = state.open ?? { sinceMs: last.atMs, passes: 0, uniqueBytes: 0 };
  if (passes === 0) return { ...state, open };
  // Evenly spread: so the last of several began this long ago.
  const passBeganMs = sample.atMs - (sample.atMs - last.atMs) / (passes + 1);
  const found = {
    sinceMs: open.sinceMs,
    passes: open.passes + passes,
    uniqueBytes:
      open.uniqueBytes +
      Math.max(0, sample.remainingBytes - last.remainingBytes + sentPageBytes(last, sample)),
  };
  const spanMs = sample.atMs - found.sinceMs;
  if (spanMs < OBSERVED_MS_MIN) return { ...state, open: found, passBeganMs };
  const observation = { intervalMs: spanMs / found.passes, uniqueBytes: found.uniqueBytes / found.passes };
  const observations = [observation, ...state.observations].slice(0, OBSERVATIONS_MAX);
  return {
    memoryBytes,
    observations,
    open: { sinceMs: sample.atMs, passes: 0, uniqueBytes: 0 },
    passBeganMs,
    fit: fitted(observations),
  };
}

/**
 * Unique bytes that the guest writes in an interval. Passes of one length do not tell the size of the set: a small
 * one means more in shorter intervals, a large one more in longer ones. So the more of the two is expected.
 */
export function uniqueDirtyBytes({ smallest, largest }: DirtyFit, intervalMs: number): number {
  return Math.max(modelled(smallest, intervalMs), modelled(largest, intervalMs));
}

function modelled({ setBytes, bytesPerSecond }: DirtyModel, intervalMs: number): number {
  if (setBytes <= 0) return 0;
  return setBytes * -Math.expm1((-bytesPerSecond * intervalMs) / 1_000 / setBytes);
}

/** The sets that come nearest to what was observed, the newest counting most. */
function fitted(observations: readonly DirtyObservation[]): DirtyFit {
  const most = Math.max(...observations.map(({ uniqueBytes }) => uniqueBytes));
  const nothing = { setBytes: 0, bytesPerSecond: 0 };
  if (most <= 0) return { smallest: nothing, largest: nothing };
  const tried = SET_SHARES.map((share) => {
    const model = withSet(most * share, observations);
    return { model, error: errorOf(model, observations) };
  });
  const allowed = Math.min(...tried.map(({ error }) => error)) * ERROR_FACTOR + ERROR_ALLOWED;
  const good = tried.filter(({ error }) => error <= allowed);
  return { smallest: good.at(0)?.model ?? nothing, largest: good.at(-1)?.model ?? nothing };
}

function withSet(setBytes: number, observations: readonly DirtyObservation[]): DirtyModel {
  let sum = 0;
  let weights = 0;
  observations.forEach(({ intervalMs, uniqueBytes }, age) => {
    const weight = AGEING ** age;
    sum += (weight * (-setBytes * Math.log1p(-uniqueBytes / setBytes) * 1_000)) / intervalMs;
    weights += weight;
  });
  return { setBytes, bytesPerSecond: sum / weights };
}

function errorOf(model: DirtyModel, observations: readonly DirtyObservation[]): number {
  let error = 0;
  observations.forEach(({ intervalMs, uniqueBytes }, age) => {
    const off = (modelled(model, intervalMs) - uniqueBytes) / (uniqueBytes + OBSERVED_BYTES_MIN);
    error += AGEING ** age * off * off;
  });
  return error;
}
