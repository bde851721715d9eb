import type { MoveRequest } from '@watari/host-agent-client';
import {
  FIXED_COST_START_MS,
  initialPlannerState,
  type KnownLink,
  learnFixedCost,
  plan,
  type PlannerDecision,
  type PlannerLimits,
  type PlannerSample,
  type PlannerState,
  type TraceRecorder,
} from '@watari/migration-core';

import type { Machine } from '../guests/machine';
import { BANDWIDTH_UNLIMITED, setBandwidth, setSwitchOver, setThrottle } from './migration-settings';

export type SteeringRequest = Pick<
  MoveRequest,
  'downtimeLimitMs' | 'bandwidthBytesPerSecondMax' | 'throttlePercentMax' | 'target'
>;

/** What this host's moves have shown; kept from one to the next, until the agent ends. */
export class Experience {
  #fixedCostMs = FIXED_COST_START_MS;
  /** By the address of the target. */
  readonly #links = new Map<string, KnownLink>();

  /** What a pause costs with nothing left to copy. */
  get fixedCostMs(): number {
    return this.#fixedCostMs;
  }

  learnPause(prediction: PlannerDecision['prediction'], measuredDowntimeMs: number): void {
    this.#fixedCostMs = learnFixedCost(this.#fixedCostMs, prediction, measuredDowntimeMs);
  }

  /** The link to a target, as it was last found; null where nothing went before. */
  linkTo(target: string): KnownLink | null {
    return this.#links.get(target) ?? null;
  }

  learnLink(target: string, { wireBytesPerSecond, leastDelayMs }: KnownLink): void {
    if (wireBytesPerSecond !== null) this.#links.set(target, { wireBytesPerSecond, leastDelayMs });
  }
}

/** Asks the planner about every look at a move, and tells QEMU what it decides. */
export class Steering {
  #state: PlannerState;
  #decision: PlannerDecision | null = null;
  /** The bandwidth that QEMU was last told. */
  #bandwidth: number;
  #maySwitch = false;
  #isLetSwitch = false;
  #trace: TraceRecorder | null = null;

  constructor(
    private readonly machine: Machine,
    private readonly request: SteeringRequest,
    private readonly experience: Experience,
    private readonly beginTrace: (limits: PlannerLimits) => TraceRecorder,
  ) {
    this.#bandwidth = BANDWIDTH_UNLIMITED;
    this.#state = initialPlannerState(experience.linkTo(this.#target));
  }

  /** The last decision; null before the first look. */
  get decision(): PlannerDecision | null {
    return this.#decision;
  }

  /** QEMU is copying no faster than the guest writes, so that its speed says nothing of the link. */
  get isPaced(): boolean {
    return this.#bandwidth !== BANDWIDTH_UNLIMITED;
  }

  /** QEMU was told to switch over as soon as it can keep the limit; then it needs the target's consent. */
  get isLetSwitch(): boolean {
    return this.#isLetSwitch;
  }

  /** The control plane has given its word. */
  allowSwitch(): void {
    this.#maySwitch = true;
  }

  async look(sample: PlannerSample): Promise<PlannerDecision> {
    const limits = this.#limits;
    const { state, decision } = plan(this.#state, sample, limits);
    this.#state = state;
    this.#decision = decision;
    this.#trace ??= this.beginTrace(limits);
    this.#trace.record(sample, limits, decision);
    const bandwidth = decision.paceBytesPerSecond ?? BANDWIDTH_UNLIMITED;
    if (decision.kind === 'throttle') await setThrottle(this.machine, decision.percent);
    if (decision.kind === 'switch-over' || decision.kind === 'set-downtime-limit') {
      await setSwitchOver(this.machine, {
        downtimeLimitMs: decision.downtimeLimitMs,
        measuredBytesPerSecond: decision.switchoverBandwidthBytesPerSecond,
        bandwidthBytesPerSecond: bandwidth,
      });
      this.#bandwidth = bandwidth;
      if (decision.kind === 'switch-over') this.#isLetSwitch = true;
    } else if (bandwidth !== this.#bandwidth) {
      await setBandwidth(this.machine, bandwidth);
      this.#bandwidth = bandwidth;
    }
    return decision;
  }

  /** The pause is over: the next move on this host predicts its own better. */
  learn(measuredDowntimeMs: number): void {
    if (this.#decision) this.experience.learnPause(this.#decision.prediction, measuredDowntimeMs);
  }

  /** The move is over; what of a pause there was. `stoppedAtMs` is on the clock of the samples. */
  end(measured: { readonly downtimeMs: number | null; readonly stoppedAtMs: number | null }): void {
    this.#trace?.end(measured);
    this.#trace = null;
    this.experience.learnLink(this.#target, this.#state.link);
  }

  get #target(): string {
    const { host, port } = this.request.target.dataAddress;
    return `${host} ${port}`;
  }

  get #limits(): PlannerLimits {
    return {
      downtimeLimitMs: this.request.downtimeLimitMs,
      bandwidthBytesPerSecondMax: this.request.bandwidthBytesPerSecondMax ?? null,
      allows: { throttlePercentMax: this.request.throttlePercentMax ?? 0, postCopy: false },
      totalMsMax: null,
      fixedCostMs: this.experience.fixedCostMs,
      maySwitch: this.#maySwitch,
    };
  }
}
