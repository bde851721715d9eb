export type {
  AdjustContext,
  AdjustNic,
  AdjustStep,
  AgentFamily,
  DriverNeed,
  FileEdit,
  LeftUndone,
  StepPlan,
  TargetMachine,
} from './adjustment';
export { adjustGuest } from './adjust-guest';
export type { AdjustGuestOptions, AdjustedGuest } from './adjust-guest';
export { adjustSteps } from './adjust-steps';
export type { NamedStep } from './adjust-steps';
export { readServerMacs } from './network/keep-nics';
export { applyEdits, planAdjustments, summaryOf } from './plan-adjustments';
export type { EditSink, StepOutcome } from './plan-adjustments';
export { readMovedDisks } from './storage/moved-disks';
export { readGuestSystem } from './system/guest-system';
export type { DistributionFamily, GuestSystem, InitSystem } from './system/guest-system';
