import type { PlannerDecision } from '../decision';
import { plan } from '../plan';
import { initialPlannerState, type PlannerState } from '../planner-state';
import type { PlannerLimits, PlannerSample } from '../sample';
import { type GuestShape, SimulatedGuest } from './simulated-guest';
import { SimulatedLink } from './simulated-link';

export interface MoveSetting {
  readonly guest: GuestShape;
  readonly linkBytesPerSecond: number;
  readonly limits: PlannerLimits;
  /** What the pause costs in truth, beside the copying. */
  readonly fixedMs: number;
  /** What encoding and applying carry of the stream. */
  readonly codecBytesPerSecond: number;
  readonly durationMsMax: number;
  /** Called before each sample: changes the link or the guest, and says what is allowed from now on. */
  readonly onSample?: (now: {
    atMs: number;
    link: SimulatedLink;
    guest: SimulatedGuest;
    limits: PlannerLimits;
    last: PlannerDecision | undefined;
  }) => PlannerLimits;
}

export interface Look {
  readonly sample: PlannerSample;
  readonly limits: PlannerLimits;
  readonly decision: PlannerDecision;
  /** After the call. */
  readonly state: PlannerState;
}

export interface MoveResult {
  readonly looks: readonly Look[];
  readonly end: 'switched' | 'post-copy' | 'given-up' | 'still-copying';
  readonly endedAtMs: number;
  /** Of the guest, by the simulated link; null unless it was switched over. */
  readonly downtimeMs: number | null;
  readonly wireBytes: number;
}

const STEP_MS = 1;
const SAMPLE_MS = 100;
const DELAY_MS = 1;
const IN_FLIGHT_BYTES_MIN = 64 * 1024;

/** Moves a simulated guest as the planner says, in steps of a millisecond of simulated time. */
export function simulateMove(setting: MoveSetting): MoveResult {
  const move = new SimulatedMove(setting);
  for (let atMs = 0; atMs < setting.durationMsMax; atMs += STEP_MS) {
    const end = move.step(atMs);
    if (end) return move.result(end, atMs);
  }
  return move.result('still-copying', setting.durationMsMax);
}

class SimulatedMove {
  readonly #guest: SimulatedGuest;
  readonly #link: SimulatedLink;
  readonly #looks: Look[] = [];
  readonly #kinds = { zero: 0, delta: 0, raw: 0 };
  #limits: PlannerLimits;
  #state = initialPlannerState();
  #thresholdBytes = 1;
  #maySwitch = false;
  #pace: number | null = null;
  #credit = 0;
  #inFlightBytes = 4 * 1024 * 1024;
  #downtimeMs: number | null = null;

  constructor(private readonly setting: MoveSetting) {
    this.#guest = new SimulatedGuest(setting.guest);
    this.#link = new SimulatedLink(setting.linkBytesPerSecond, DELAY_MS);
    this.#limits = setting.limits;
  }

  result(end: MoveResult['end'], endedAtMs: number): MoveResult {
    const { wireBytes } = this.#link;
    return { looks: this.#looks, end, endedAtMs, downtimeMs: this.#downtimeMs, wireBytes };
  }

  step(atMs: number): MoveResult['end'] | null {
    this.#guest.run(STEP_MS);
    this.#send();
    this.#link.run(atMs, STEP_MS);
    if (this.#guest.look(this.#thresholdBytes) && this.#maySwitch) {
      this.#downtimeMs = this.#pauseMs();
      return 'switched';
    }
    return atMs % SAMPLE_MS === 0 ? this.#look(atMs) : null;
  }

  #send(): void {
    const rate = Math.min(this.setting.codecBytesPerSecond, this.#pace ?? Number.POSITIVE_INFINITY);
    this.#credit = Math.min(rate / 10, this.#credit + (rate * STEP_MS) / 1_000);
    if (this.#link.unacknowledgedWireBytes >= this.#inFlightBytes) return;
    // A step at a time: the window is looked at again before more is read.
    const sent = this.#guest.send(
      Math.min(this.#credit, (this.setting.codecBytesPerSecond * STEP_MS) / 1_000),
    );
    if (sent.pages === 0) return;
    this.#credit -= sent.streamBytes;
    this.#kinds.zero += sent.zeroPages;
    this.#kinds[sent.isFirst ? 'raw' : 'delta'] += sent.pages - sent.zeroPages;
    this.#link.put(sent);
  }

  /** What is in the link has to cross first, then the rest, as fast as the slower of link and codec. */
  #pauseMs(): number {
    const { queuedWireBytes, bytesPerSecond } = this.#link;
    const queueMs = (queuedWireBytes * 1_000) / bytesPerSecond;
    const wireMs = (this.#guest.restWireBytes * 1_000) / bytesPerSecond;
    const codecMs = (this.#guest.remainingBytes * 1_000) / this.setting.codecBytesPerSecond;
    return this.setting.fixedMs + queueMs + Math.max(wireMs, codecMs) + DELAY_MS;
  }

  #look(atMs: number): MoveResult['end'] | null {
    const last = this.#looks.at(-1)?.decision;
    const { onSample } = this.setting;
    if (onSample)
      this.#limits = onSample({ atMs, link: this.#link, guest: this.#guest, limits: this.#limits, last });
    const sample = this.#sample(atMs);
    const { state, decision } = plan(this.#state, sample, this.#limits);
    this.#state = state;
    this.#looks.push({ sample, limits: this.#limits, decision, state });
    return this.#obey(decision);
  }

  #sample(atMs: number): PlannerSample {
    return {
      atMs,
      rounds: this.#guest.rounds,
      remainingBytes: Math.round(this.#guest.remainingBytes),
      dirtyBytesPerSecond: Math.round(this.#guest.dirtyBytesPerSecond),
      streamBytes: Math.round(this.#link.streamBytes),
      appliedStreamBytes: Math.round(this.#link.appliedStreamBytes),
      wireBytes: Math.round(this.#link.wireBytes),
      queuedWireBytes: Math.round(this.#link.unacknowledgedWireBytes),
      unreceivedWireBytes: Math.round(this.#link.unacknowledgedWireBytes),
      pages: {
        zero: Math.round(this.#kinds.zero),
        same: 0,
        delta: Math.round(this.#kinds.delta),
        copy: 0,
        raw: Math.round(this.#kinds.raw),
      },
      heldBackBy: this.#pace === null ? this.#operatorHolds() : 'pacing',
      throttlePercent: this.#guest.throttlePercent,
    };
  }

  #operatorHolds(): 'operator' | null {
    const limit = this.#limits.bandwidthBytesPerSecondMax;
    return limit !== null && limit <= this.#link.bytesPerSecond ? 'operator' : null;
  }

  #obey(decision: PlannerDecision): MoveResult['end'] | null {
    this.#pace = decision.paceBytesPerSecond;
    this.#inFlightBytes = Math.max(
      IN_FLIGHT_BYTES_MIN,
      (decision.prediction.wireBytesPerSecond * decision.inFlightMsMax) / 1_000,
    );
    if (decision.kind === 'post-copy') return 'post-copy';
    if (decision.kind === 'give-up') return 'given-up';
    if (decision.kind === 'throttle') this.#guest.throttlePercent = decision.percent;
    if (decision.kind === 'switch-over') this.#maySwitch = true;
    if (decision.kind === 'switch-over' || decision.kind === 'set-downtime-limit')
      this.#thresholdBytes = (decision.switchoverBandwidthBytesPerSecond * decision.downtimeLimitMs) / 1_000;
    return null;
  }
}
