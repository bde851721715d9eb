import type { PlannerDecision } from './decision';
import { plan } from './plan';
import { initialPlannerState } from './planner-state';
import type { DowntimeParts } from './prediction';
import { parseTrace, type Trace } from './trace';

export interface Replay {
  readonly decisions: readonly PlannerDecision[];
  /** Lines whose recorded decision is another; empty unless another planner wrote the trace. */
  readonly differingLines: readonly number[];
}

/** Decides again from the samples of a trace. Throws PlannerTraceError when the text is no trace. */
export function replayTrace(text: string): Replay {
  const decisions: PlannerDecision[] = [];
  const differingLines: number[] = [];
  let state = initialPlannerState();
  for (const { line, sample, limits, decision: recorded } of parseTrace(text).records) {
    const planned = plan(state, sample, limits);
    state = planned.state;
    decisions.push(planned.decision);
    if (ordered(planned.decision) !== ordered(recorded)) differingLines.push(line);
  }
  return { decisions, differingLines };
}

export interface PredictionError {
  readonly predictedDowntimeMs: number;
  readonly measuredDowntimeMs: number;
  /** Measured less predicted: positive when the pause was longer than the planner said. */
  readonly errorMs: number;
  readonly downtimeLimitMs: number;
  readonly isWithinBudget: boolean;
  readonly parts: DowntimeParts;
}

/** How well the last prediction before the guest stopped held; null when the trace has no pause to compare with. */
export function predictionError(trace: Trace): PredictionError | null {
  const { downtimeMs, stoppedAtMs } = trace;
  if (downtimeMs === null) return null;
  const last = trace.records.findLast(({ sample }) => stoppedAtMs === null || sample.atMs <= stoppedAtMs);
  if (!last) return null;
  const { predictedDowntimeMs, parts } = last.decision.prediction;
  const { downtimeLimitMs } = last.limits;
  return {
    predictedDowntimeMs,
    measuredDowntimeMs: downtimeMs,
    errorMs: downtimeMs - predictedDowntimeMs,
    downtimeLimitMs,
    isWithinBudget: downtimeMs <= downtimeLimitMs,
    parts,
  };
}

/** As text that does not depend on the order of keys. */
function ordered(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
