export type { PlannerAction, PlannerDecision, PlannerDecisionKind, SwitchOverSettings } from './decision';
export { plan, type Planned } from './plan';
export { initialPlannerState, type KnownLink, type PlannerState } from './planner-state';
export type { DowntimeParts, Prediction } from './prediction';
export {
  FIXED_COST_START_MS,
  HELD_BACK_BY,
  type HeldBackBy,
  type PagesByKind,
  type PlannerLimits,
  type PlannerSample,
} from './sample';
export { learnFixedCost } from './fixed-cost';
export {
  parseTrace,
  PlannerTraceError,
  type PlannerTraceErrorCode,
  type Trace,
  type TraceRecord,
} from './trace';
export { TraceRecorder } from './trace-recorder';
export { type PredictionError, predictionError, type Replay, replayTrace } from './trace-replay';
