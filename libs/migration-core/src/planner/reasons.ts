import type { SwitchOverSettings } from './decision';
import type { Prediction } from './prediction';
import { roomMs } from './readiness';
import type { PlannerLimits, PlannerSample } from './sample';
import { bytesInWords, msInWords, rateInWords } from './words';

/** What a sentence is made from. */
export interface Situation {
  readonly sample: PlannerSample;
  readonly prediction: Prediction;
  readonly limits: PlannerLimits;
}

export function expectation({ prediction, limits }: Situation): string {
  return `a pause of ${msInWords(prediction.predictedDowntimeMs)} is expected, the budget is ${msInWords(limits.downtimeLimitMs)}`;
}

export function whyCopying(situation: Situation): string {
  const { sample, prediction } = situation;
  const left = `${bytesInWords(sample.remainingBytes)} left at ${rateInWords(prediction.wireBytesPerSecond)} on the link`;
  if (sample.rounds < 2) return `The first pass over the memory is under way: ${left}.`;
  return `Pass ${sample.rounds}, ${left}: ${expectation(situation)} (${pages(prediction)}).`;
}

export function whyWaiting(situation: Situation, paceBytesPerSecond: number): string {
  return `Ready: ${expectation(situation)}. Waiting for the word to switch over, and copying only what the guest writes, at ${rateInWords(paceBytesPerSecond)}.`;
}

export function whyFirstLimit(settings: SwitchOverSettings): string {
  return `QEMU is told a downtime limit of ${told(settings)}: it copies on, and the limit rises from there once the guest may be stopped.`;
}

export function whyLimitBack(situation: Situation, settings: SwitchOverSettings): string {
  return `The switch-over is put off: ${expectation(situation)}. QEMU is told a downtime limit of ${told(settings)} and copies on.`;
}

export function whySwitchOver(situation: Situation, settings: SwitchOverSettings, isFirst: boolean): string {
  return isFirst
    ? `Switch over: ${expectation(situation)} (${pages(situation.prediction)}). QEMU may stop the guest once the rest takes ${told(settings)}.`
    : `QEMU has not stopped the guest yet and is told ${told(settings)} now; ${expectation(situation)}.`;
}

export function whySwitching(situation: Situation, settings: SwitchOverSettings): string {
  return `The switch-over is asked for: QEMU stops the guest once the rest takes ${told(settings)}; ${expectation(situation)}.`;
}

export function whyThrottle(situation: Situation, percent: number, passes: number): string {
  return `${noProgress(situation, passes)} The guest is kept from running for ${percent} % of its time, as the plan allows.`;
}

export function whyPostCopy(situation: Situation, passes: number, isThrottled: boolean): string {
  const before = isThrottled ? ' Throttling did not help.' : '';
  return `${noProgress(situation, passes)}${before} The guest goes on at the target and fetches its pages from there (post-copy), as the plan allows; from now on it is lost if either side is.`;
}

export function whyPostCopyWaits(situation: Situation, passes: number): string {
  return `${noProgress(situation, passes)} Ready for post-copy, which the plan allows; waiting for the word to switch over.`;
}

export function afterPostCopy(): string {
  return 'Post-copy was begun: the guest runs on the target, and the rest of its memory follows.';
}

export function whyStuck(situation: Situation, passes: number): string {
  const { limits } = situation;
  const until =
    limits.totalMsMax === null
      ? 'Copying goes on until the guest writes less or the move is cancelled.'
      : `Copying goes on until ${msInWords(limits.totalMsMax)} are over.`;
  if (roomMs(limits) === 0)
    return `The fixed cost of a pause (${msInWords(limits.fixedCostMs)}) takes the whole budget of ${msInWords(limits.downtimeLimitMs)}, and copying cannot lower it: raise the budget. ${until}`;
  const spent =
    situation.sample.throttlePercent > 0
      ? 'no further means is allowed'
      : 'neither throttling nor post-copy is allowed';
  return `${noProgress(situation, passes)} Not converging, and ${spent}. ${until}`;
}

export function whyGiveUp(situation: Situation, elapsedMs: number): string {
  return `Given up after ${msInWords(elapsedMs)}, of which the plan allows ${msInWords(situation.limits.totalMsMax ?? 0)}: ${expectation(situation)}. The guest goes on running at its source.`;
}

export function afterGiveUp(): string {
  return 'The move was given up; the guest goes on running at its source.';
}

function noProgress(situation: Situation, passes: number): string {
  const { prediction } = situation;
  return `The last ${passes} passes did not bring the pause down by a tenth: ${expectation(situation)} (${pages(prediction)}).`;
}

function pages({ dirtyBytes, reducedShare, wireBytesPerSecond }: Prediction): string {
  return `${bytesInWords(dirtyBytes)} written again, reduced to ${(reducedShare * 100).toFixed(1)} %, at ${rateInWords(wireBytesPerSecond)}`;
}

function told({ downtimeLimitMs, switchoverBandwidthBytesPerSecond }: SwitchOverSettings): string {
  return `${msInWords(downtimeLimitMs)} at ${rateInWords(switchoverBandwidthBytesPerSecond)} of its pages`;
}
