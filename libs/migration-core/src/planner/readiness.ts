import { copyMs, type Prediction } from './prediction';
import type { PlannerState } from './planner-state';
import type { PlannerLimits, PlannerSample } from './sample';

const READY_AFTER = 2;
const UNREADY_AFTER = 4;
/** Once near, a move stays near until the pages take twice what is there for them. */
const STAYS_NEAR = 2;

/** In flight: enough to keep a link full while copying; what is in flight at the stop adds to the pause. */
const IN_FLIGHT_COPYING_MS = 200;
const IN_FLIGHT_NEAR_MS_MAX = 20;
const IN_FLIGHT_NEAR_MS_MIN = 2;
const IN_FLIGHT_SHARE = 0.25;

export type Readiness = Pick<PlannerState, 'goodSamples' | 'badSamples' | 'isReady' | 'isNear'>;

/**
 * Ready takes two good samples in a row, not ready any more takes four bad ones: what is left falls and jumps with
 * every pass. Never ready in the first pass, which says nothing of what the guest writes.
 */
export function judgeReadiness(
  state: Readiness,
  sample: PlannerSample,
  prediction: Prediction,
  limits: PlannerLimits,
): Readiness {
  const isGood = sample.rounds >= 2 && prediction.predictedDowntimeMs <= limits.downtimeLimitMs;
  const goodSamples = isGood ? Math.min(READY_AFTER, state.goodSamples + 1) : 0;
  const badSamples = isGood ? 0 : Math.min(UNREADY_AFTER, state.badSamples + 1);
  const isReady = goodSamples >= READY_AFTER || (state.isReady && badSamples < UNREADY_AFTER);
  const isNear = sample.rounds >= 2 && copyMs(prediction) <= roomMs(limits) * (state.isNear ? STAYS_NEAR : 1);
  return { goodSamples, badSamples, isReady: isReady && sample.rounds >= 2, isNear };
}

/** What the budget leaves for pages and queue; 0 when the fixed cost takes all of it. */
export function roomMs({ downtimeLimitMs, fixedCostMs }: PlannerLimits): number {
  return Math.max(0, downtimeLimitMs - fixedCostMs);
}

export function inFlightMsMax({ isNear, isReady }: Readiness, limits: PlannerLimits): number {
  if (!isNear && !isReady) return IN_FLIGHT_COPYING_MS;
  return Math.min(IN_FLIGHT_NEAR_MS_MAX, Math.max(IN_FLIGHT_NEAR_MS_MIN, roomMs(limits) * IN_FLIGHT_SHARE));
}
