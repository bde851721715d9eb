import type { Prediction } from './prediction';

/** Too low a cost breaks the budget, too high a one only asks for another pass: it rises fast and falls slowly. */
const RISE_SHARE = 0.5;
const FALL_SHARE = 0.2;
const FIXED_COST_MS_MAX = 10_000;

/**
 * The fixed cost to begin the next move with, from the one that this move began with, its last prediction, and the
 * pause from STOP to RESUME that was measured. What the pages did not explain was fixed.
 */
export function learnFixedCost(knownMs: number, { parts }: Prediction, measuredDowntimeMs: number): number {
  const unexplainedMs = Math.max(0, measuredDowntimeMs - parts.queuedMs - parts.dirtyMs - parts.applyMs);
  const share = unexplainedMs > knownMs ? RISE_SHARE : FALL_SHARE;
  return Math.min(FIXED_COST_MS_MAX, knownMs + (unexplainedMs - knownMs) * share);
}
