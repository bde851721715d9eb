import type { Prediction } from './prediction';

/** What to tell QEMU: `downtime-limit`, and `avail-switchover-bandwidth` in bytes of its stream. */
export interface SwitchOverSettings {
  /** Whole milliseconds; what is left of the budget for pages, never the budget itself. */
  readonly downtimeLimitMs: number;
  readonly switchoverBandwidthBytesPerSecond: number;
}

export type PlannerAction =
  /** Change nothing in QEMU. */
  | { readonly kind: 'continue' }
  | ({ readonly kind: 'set-downtime-limit' } & SwitchOverSettings)
  /** Keep the guest from running for this share of its time. */
  | { readonly kind: 'throttle'; readonly percent: number }
  /** Let the guest run on the target with what it has, and fetch the rest. */
  | { readonly kind: 'post-copy' }
  /** Set these limits and let QEMU stop the guest as soon as it keeps them. Said again when they change. */
  | ({ readonly kind: 'switch-over' } & SwitchOverSettings)
  /** Cancel; the guest goes on at its source. */
  | { readonly kind: 'give-up' };

export type PlannerDecision = PlannerAction & {
  /** For an operator, with figures. */
  readonly reason: string;
  readonly prediction: Prediction;
  /** A switch-over now would keep the budget. */
  readonly isReady: boolean;
  /**
   * What the move would do at the control plane's word; null while it would do nothing. Post-copy takes the guest
   * away from its source too, and waits for the word as a switch-over does.
   */
  readonly readyFor: 'switch-over' | 'post-copy' | null;
  /** Passes still bring the pause down; false after three that did not. */
  readonly isConverging: boolean;
  /** What QEMU may send a second, in stream bytes (`max-bandwidth`); null for all it can. */
  readonly paceBytesPerSecond: number | null;
  /** What may be on its way, in time of the link: much while copying, little when the pause is near. */
  readonly inFlightMsMax: number;
};

export type PlannerDecisionKind = PlannerDecision['kind'];
