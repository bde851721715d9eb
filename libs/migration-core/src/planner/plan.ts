import { afterMeans, isConverging, judgeConvergence } from './convergence';
import type { PlannerAction, PlannerDecision } from './decision';
import { observeDirtying } from './dirty-curve';
import { measureLink } from './link-rate';
import { waitingPace } from './pacing';
import type { PlannerState } from './planner-state';
import { predict } from './prediction';
import { inFlightMsMax, judgeReadiness, type Readiness, roomMs } from './readiness';
import * as reasons from './reasons';
import { observeReduction } from './reduction';
import { type PlannerLimits, type PlannerSample, soundLimits, soundSample } from './sample';
import { COPYING_SETTINGS, mustTell, switchOverSettings } from './switch-over-limit';

export interface Planned {
  readonly state: PlannerState;
  readonly decision: PlannerDecision;
}

/** Shares of its time that the guest is kept from running, one after the other. */
const THROTTLE_PERCENTS = [20, 40, 60, 80, 95] as const;
/** A move that is ready when its time is over may still switch over, for this long. */
const SWITCH_OVER_GRACE_MS = 2_000;

interface Situation extends reasons.Situation {
  /** With what this sample taught. */
  readonly state: PlannerState;
  readonly readiness: Readiness;
  readonly elapsedMs: number;
  readonly pace: number;
}

interface Choice {
  readonly action: PlannerAction;
  readonly reason: string;
  readonly change?: Partial<PlannerState>;
  readonly readyFor?: PlannerDecision['readyFor'];
  readonly isPaced?: boolean;
}

/**
 * Decides what to do with a migration under way, from what was measured so far and what is allowed. Pure: the same
 * calls give the same decisions. To be called about ten times a second. Figures that cannot be (negative, not a
 * number) count as 0; never throws.
 *
 * In this order: give up when the time is over; switch over, or wait for the word, when the pause would keep its
 * budget; go on while passes still shorten the pause (deltas do that unasked, and a low limit lets them); then, when
 * three passes did not by a tenth, throttle the guest, then post-copy, each only when allowed.
 */
export function plan(before: PlannerState, rawSample: PlannerSample, rawLimits: PlannerLimits): Planned {
  const sample = soundSample(rawSample);
  const limits = soundLimits(rawLimits);
  const measured = {
    link: measureLink(before.link, sample),
    curve: observeDirtying(before.curve, before.last, sample),
    reduction: observeReduction(before.reduction, before.last, sample),
  };
  const prediction = predict(measured, sample, limits);
  const readiness = judgeReadiness(before, sample, prediction, limits);
  const beganMs = Math.min(before.beganMs ?? sample.atMs, sample.atMs);
  const convergence = judgeConvergence(before.convergence, {
    atMs: sample.atMs,
    rounds: sample.rounds,
    predictedDowntimeMs: prediction.predictedDowntimeMs,
    isHeldBack: sample.heldBackBy === 'pacing',
    isReady: readiness.isReady,
  });
  const state = { ...before, ...measured, ...readiness, beganMs, convergence, last: sample };
  const pace = waitingPace(measured.curve.fit, sample, prediction, limits);
  const situation = { sample, limits, prediction, state, readiness, elapsedMs: sample.atMs - beganMs, pace };
  const choice = choose(situation);
  return {
    state: { ...state, ...choice.change },
    decision: {
      ...choice.action,
      reason: choice.reason,
      prediction,
      isReady: readiness.isReady,
      readyFor: choice.readyFor ?? null,
      isConverging: isConverging(convergence),
      paceBytesPerSecond: choice.isPaced ? pace : null,
      inFlightMsMax: inFlightMsMax(readiness, limits),
    },
  };
}

function choose(situation: Situation): Choice {
  const { state, limits, readiness } = situation;
  if (state.outcome === 'post-copy') return goOn(reasons.afterPostCopy());
  if (state.outcome === 'give-up') return { action: { kind: 'give-up' }, reason: reasons.afterGiveUp() };
  if (isTimeOver(situation))
    return {
      action: { kind: 'give-up' },
      reason: reasons.whyGiveUp(situation, situation.elapsedMs),
      change: { outcome: 'give-up' },
    };
  if (!readiness.isReady) return copyOn(situation);
  if (!limits.maySwitch) return wait(situation);
  // One bad sample does not end readiness, but no switch-over begins on it.
  if (state.switching || readiness.badSamples === 0) return switchOver(situation);
  return { ...tellIfDue(situation, goOn(reasons.whyCopying(situation))), readyFor: 'switch-over' };
}

function isTimeOver({ state, limits, readiness, elapsedMs, sample }: Situation): boolean {
  if (limits.totalMsMax === null || elapsedMs < limits.totalMsMax) return false;
  if (!readiness.isReady) return true;
  return state.switching !== null && sample.atMs - state.switching.sinceMs >= SWITCH_OVER_GRACE_MS;
}

function switchOver(situation: Situation): Choice {
  const { state, sample } = situation;
  const { settings, switching } = switchOverSettings(state, situation);
  const readyFor = 'switch-over';
  if (state.switching && !mustTell(state.told, settings, sample.atMs))
    return { ...goOn(reasons.whySwitching(situation, settings)), readyFor, change: { switching } };
  return {
    action: { kind: 'switch-over', ...settings },
    reason: reasons.whySwitchOver(situation, settings, state.switching === null),
    readyFor,
    change: { switching, told: { ...settings, atMs: sample.atMs } },
  };
}

/** Ready, and the word is not spoken. */
function wait(situation: Situation): Choice {
  return {
    ...tellIfDue(situation, goOn(reasons.whyWaiting(situation, situation.pace))),
    readyFor: 'switch-over',
    isPaced: true,
  };
}

function copyOn(situation: Situation): Choice {
  const { state, limits } = situation;
  const { convergence } = state;
  const passes = convergence.stagnantPasses;
  // Where the pages fit the room, what is missing is only that the link runs empty.
  if (isConverging(convergence) || (state.isNear && roomMs(limits) > 0))
    return tellIfDue(situation, goOn(reasons.whyCopying(situation)));
  if (roomMs(limits) === 0) return tellIfDue(situation, goOn(reasons.whyStuck(situation, passes)));
  const applied = Math.max(state.throttlePercent, situation.sample.throttlePercent);
  const percent = nextThrottle(applied, limits.allows.throttlePercentMax);
  if (percent !== undefined)
    return {
      action: { kind: 'throttle', percent },
      reason: reasons.whyThrottle(situation, percent, passes),
      change: { throttlePercent: percent, convergence: afterMeans(convergence), switching: null },
    };
  if (!limits.allows.postCopy) return tellIfDue(situation, goOn(reasons.whyStuck(situation, passes)));
  if (!limits.maySwitch)
    return {
      ...tellIfDue(situation, goOn(reasons.whyPostCopyWaits(situation, passes))),
      readyFor: 'post-copy',
    };
  return {
    action: { kind: 'post-copy' },
    reason: reasons.whyPostCopy(situation, passes, applied > 0),
    readyFor: 'post-copy',
    change: { outcome: 'post-copy', switching: null },
  };
}

/** The next step, or the most that is allowed; undefined when that has been taken. */
function nextThrottle(applied: number, most: number): number | undefined {
  if (applied >= most) return undefined;
  return Math.min(most, THROTTLE_PERCENTS.find((step) => step > applied) ?? most);
}

/** What QEMU must be told while it may not stop the guest goes before a look that changes nothing. */
function tellIfDue(situation: Situation, otherwise: Choice): Choice {
  const { state, sample } = situation;
  const settings = COPYING_SETTINGS;
  if (!mustTell(state.told, settings, sample.atMs)) return { ...otherwise, change: { switching: null } };
  return {
    action: { kind: 'set-downtime-limit', ...settings },
    reason: state.told ? reasons.whyLimitBack(situation, settings) : reasons.whyFirstLimit(settings),
    change: { switching: null, told: { ...settings, atMs: sample.atMs } },
  };
}

function goOn(reason: string): Choice {
  return { action: { kind: 'continue' }, reason };
}
