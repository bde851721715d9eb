import { type ConvergenceState, INITIAL_CONVERGENCE } from './convergence';
import type { SwitchOverSettings } from './decision';
import { type DirtyCurveState, INITIAL_DIRTY_CURVE } from './dirty-curve';
import { INITIAL_LINK_RATE, type LinkRateState } from './link-rate';
import { INITIAL_REDUCTION, type ReductionState } from './reduction';
import type { PlannerSample } from './sample';

/** All that the planner knows between two calls: plain values of bounded number, so that it can be stored and replayed. */
export interface PlannerState {
  readonly beganMs: number | null;
  readonly last: PlannerSample | null;
  readonly link: LinkRateState;
  readonly curve: DirtyCurveState;
  readonly reduction: ReductionState;
  readonly convergence: ConvergenceState;
  readonly goodSamples: number;
  readonly badSamples: number;
  readonly isReady: boolean;
  /** The pages fit the budget, or did lately: little may be on its way. */
  readonly isNear: boolean;
  /** What QEMU was last told, and when. */
  readonly told: (SwitchOverSettings & { readonly atMs: number }) | null;
  readonly switching: { readonly sinceMs: number; readonly raisedMs: number; readonly rounds: number } | null;
  readonly throttlePercent: number;
  /** A way of no return was taken. */
  readonly outcome: 'post-copy' | 'give-up' | null;
}

/** What an earlier move to the same target found of its link. */
export type KnownLink = Pick<LinkRateState, 'wireBytesPerSecond' | 'leastDelayMs'>;

/** With what is known of the link, which is corrected like any other belief. */
export function initialPlannerState(link: KnownLink | null = null): PlannerState {
  return {
    beganMs: null,
    last: null,
    link: { ...INITIAL_LINK_RATE, ...link },
    curve: INITIAL_DIRTY_CURVE,
    reduction: INITIAL_REDUCTION,
    convergence: INITIAL_CONVERGENCE,
    goodSamples: 0,
    badSamples: 0,
    isReady: false,
    isNear: false,
    told: null,
    switching: null,
    throttlePercent: 0,
    outcome: null,
  };
}
