import type { SwitchOverSettings } from './decision';
import type { Prediction } from './prediction';
import type { PlannerState } from './planner-state';
import { inFlightMsMax, type Readiness, roomMs } from './readiness';
import type { PlannerLimits, PlannerSample } from './sample';

/** The first limit, of the room there is. */
const LOWEST_SHARE = 0.1;
/** Between QEMU's last look at the bitmap and its stop the guest writes on. */
const USABLE_SHARE = 0.9;
const RAISE_FACTOR = 1.5;
/** Time for QEMU to find that the limit does not do. */
const RAISE_AFTER_MS = 300;
/** QEMU is told again when the bandwidth has moved this far. */
const BANDWIDTH_CHANGE_SHARE = 0.25;
const TELL_AGAIN_AFTER_MS = 1_000;

/**
 * The limit from which the ramp begins. Passes near the end cost about a megabyte each, so that a low limit is
 * nearly free, while a start at the budget takes the first pause that fits instead of the shortest.
 */
export function lowestLimitMs(limits: PlannerLimits): number {
  return Math.max(1, Math.floor(roomMs(limits) * LOWEST_SHARE));
}

/**
 * The highest: QEMU counts the pages alone, so that the fixed cost and what is in flight are taken off first. At
 * least the 1 ms that QEMU needs, which is within every budget.
 */
export function highestLimitMs(readiness: Readiness, limits: PlannerLimits): number {
  return Math.max(1, Math.floor((roomMs(limits) - inFlightMsMax(readiness, limits)) * USABLE_SHARE));
}

/**
 * While QEMU may not stop the guest. With 1 ms and a low bandwidth in its estimate, QEMU copies until next to nothing
 * is left; with more it would read the bitmap again and again from there on, and still not stop.
 */
export const COPYING_SETTINGS: SwitchOverSettings = {
  downtimeLimitMs: 1,
  switchoverBandwidthBytesPerSecond: 4 * 1024 * 1024,
};

/** For QEMU to stop the guest: low at first, then higher until QEMU stops. */
export function switchOverSettings(
  state: PlannerState,
  now: { sample: PlannerSample; prediction: Prediction; readiness: Readiness; limits: PlannerLimits },
): { settings: SwitchOverSettings; switching: NonNullable<PlannerState['switching']> } {
  const { sample, prediction, readiness, limits } = now;
  const highest = highestLimitMs(readiness, limits);
  const lowest = Math.min(highest, lowestLimitMs(limits));
  const { switching, told } = state;
  if (!switching || !told) {
    return {
      settings: { downtimeLimitMs: lowest, ...bandwidth(prediction) },
      switching: { sinceMs: sample.atMs, raisedMs: sample.atMs, rounds: sample.rounds },
    };
  }
  const isDue = sample.atMs - switching.raisedMs >= RAISE_AFTER_MS && sample.rounds > switching.rounds;
  const raised = isDue ? Math.ceil(told.downtimeLimitMs * RAISE_FACTOR) : told.downtimeLimitMs;
  return {
    settings: { downtimeLimitMs: Math.min(highest, raised), ...bandwidth(prediction) },
    switching: isDue ? { ...switching, raisedMs: sample.atMs, rounds: sample.rounds } : switching,
  };
}

/** Whether QEMU must be told. A higher bandwidth can wait; with one that is too high the pause outlasts its limit. */
export function mustTell(told: PlannerState['told'], settings: SwitchOverSettings, atMs: number): boolean {
  if (!told || told.downtimeLimitMs !== settings.downtimeLimitMs) return true;
  const ratio = settings.switchoverBandwidthBytesPerSecond / told.switchoverBandwidthBytesPerSecond;
  if (ratio < 1 - BANDWIDTH_CHANGE_SHARE) return true;
  return ratio > 1 + BANDWIDTH_CHANGE_SHARE && Math.abs(atMs - told.atMs) >= TELL_AGAIN_AFTER_MS;
}

function bandwidth({
  logicalBytesPerSecond,
}: Prediction): Pick<SwitchOverSettings, 'switchoverBandwidthBytesPerSecond'> {
  return { switchoverBandwidthBytesPerSecond: Math.max(1, Math.floor(logicalBytesPerSecond)) };
}
