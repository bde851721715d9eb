import { type DirtyFit, uniqueDirtyBytes } from './dirty-curve';
import { copyMs, type Prediction } from './prediction';
import { roomMs } from './readiness';
import type { PlannerLimits, PlannerSample } from './sample';

/** A guest that hardly writes would have QEMU look for changes thousands of times a second while it waits. */
const WAITING_BYTES_PER_SECOND_MIN = 128 * 1024;
/** Passes while waiting are as long as leaves the pages this share of the room. */
const ROOM_SHARE = 0.5;
/** Of what is written: less while the pages are few, so that passes get longer; more before they are too many. */
const SHARE_MIN = 0.7;
const SHARE_MAX = 1.5;
const PASS_MS_MAX = 1_000;
const PASS_MS_MIN = 10;
const HALVINGS = 12;

/**
 * While a move waits for its switch-over, QEMU copies what the guest writes and no faster. Longer passes find fewer
 * pages a second, and cost the guest and the link less; so that the pace is that of the longest pass after which the
 * pages still take half the room, with more or less of it as the pages are more or fewer than that.
 */
export function waitingPace(
  fit: DirtyFit | null,
  sample: PlannerSample,
  prediction: Prediction,
  limits: PlannerLimits,
): number {
  const aimMs = roomMs(limits) * ROOM_SHARE;
  const written = fit === null ? sample.dirtyBytesPerSecond : rateOver(fit, passMs(fit, prediction, aimMs));
  const filled = aimMs > 0 ? copyMs(prediction) / aimMs : SHARE_MAX;
  const share = Math.min(SHARE_MAX, SHARE_MIN + (filled * (SHARE_MAX - SHARE_MIN)) / 2);
  return Math.round(Math.max(WAITING_BYTES_PER_SECOND_MIN, share * written));
}

function rateOver(fit: DirtyFit, intervalMs: number): number {
  return (uniqueDirtyBytes(fit, intervalMs) * 1_000) / intervalMs;
}

function passMs(fit: DirtyFit, { logicalBytesPerSecond }: Prediction, aimMs: number): number {
  const bytes = (logicalBytesPerSecond * aimMs) / 1_000;
  if (uniqueDirtyBytes(fit, PASS_MS_MAX) <= bytes) return PASS_MS_MAX;
  let low = PASS_MS_MIN;
  let high = PASS_MS_MAX;
  for (let halving = 0; halving < HALVINGS; halving += 1) {
    const middle = (low + high) / 2;
    if (uniqueDirtyBytes(fit, middle) <= bytes) low = middle;
    else high = middle;
  }
  return low;
}
