import { z } from 'zod';

import { HELD_BACK_BY } from './sample';

/*
 * A trace is JSON lines: a header, then samples, each followed by the decision that was taken on it, limits whenever
 * they changed, and the end with what was measured. A trace without its end is one of a move that was cut short.
 */
export const TRACE_FORMAT = 'watari-planner-trace';
export const TRACE_VERSION = 2;
/** About an hour and a half of ten samples a second. */
export const TRACE_BYTES_MAX = 64 * 1024 * 1024;
export const TRACE_LINE_BYTES_MAX = 16 * 1024;

const figure = z.number().min(0);
const count = z.int().min(0);
const reason = z.string().min(1).max(2_000);

const PagesSchema = z.strictObject({ zero: count, same: count, delta: count, copy: count, raw: count });

export const PlannerSampleSchema = z.strictObject({
  atMs: figure,
  rounds: count,
  remainingBytes: figure,
  dirtyBytesPerSecond: figure,
  streamBytes: figure,
  appliedStreamBytes: figure,
  wireBytes: figure,
  queuedWireBytes: figure,
  unreceivedWireBytes: figure,
  pages: PagesSchema,
  heldBackBy: z.enum(HELD_BACK_BY).nullable(),
  throttlePercent: figure.max(100),
});

export const PlannerLimitsSchema = z.strictObject({
  downtimeLimitMs: z.number().min(1),
  bandwidthBytesPerSecondMax: figure.nullable(),
  allows: z.strictObject({ throttlePercentMax: figure.max(99), postCopy: z.boolean() }),
  totalMsMax: figure.nullable(),
  fixedCostMs: figure,
  maySwitch: z.boolean(),
});

const PredictionSchema = z.strictObject({
  predictedDowntimeMs: figure,
  parts: z.strictObject({ fixedMs: figure, queuedMs: figure, dirtyMs: figure, applyMs: figure }),
  dirtyBytes: figure,
  reducedShare: figure,
  wireBytesPerSecond: figure,
  logicalBytesPerSecond: figure,
});

const verdict = {
  reason,
  prediction: PredictionSchema,
  isReady: z.boolean(),
  readyFor: z.enum(['switch-over', 'post-copy']).nullable(),
  isConverging: z.boolean(),
  paceBytesPerSecond: figure.nullable(),
  inFlightMsMax: figure,
};
const settings = { downtimeLimitMs: count, switchoverBandwidthBytesPerSecond: figure };

export const PlannerDecisionSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('continue'), ...verdict }),
  z.strictObject({ kind: z.literal('set-downtime-limit'), ...settings, ...verdict }),
  z.strictObject({ kind: z.literal('throttle'), percent: figure.max(100), ...verdict }),
  z.strictObject({ kind: z.literal('post-copy'), ...verdict }),
  z.strictObject({ kind: z.literal('switch-over'), ...settings, ...verdict }),
  z.strictObject({ kind: z.literal('give-up'), ...verdict }),
]);

export const TraceLineSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('header'),
    format: z.literal(TRACE_FORMAT),
    version: z.literal(TRACE_VERSION),
    limits: PlannerLimitsSchema,
  }),
  z.strictObject({ kind: z.literal('limits'), limits: PlannerLimitsSchema }),
  z.strictObject({ kind: z.literal('sample'), sample: PlannerSampleSchema }),
  z.strictObject({ kind: z.literal('decision'), decision: PlannerDecisionSchema }),
  z.strictObject({
    kind: z.literal('end'),
    /** From STOP to RESUME; null when the guest was not taken from its source. */
    downtimeMs: figure.nullable(),
    /** On the clock of the samples. */
    stoppedAtMs: figure.nullable(),
  }),
]);
export type TraceLine = z.infer<typeof TraceLineSchema>;
