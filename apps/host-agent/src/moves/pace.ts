/** One look at a migration under way. */
export interface PaceSample {
  readonly atMs: number;
  /** Passes over the memory that QEMU has begun. */
  readonly rounds: number;
  readonly remainingBytes: number;
  readonly dirtyBytesPerSecond: number;
  /** Stream bytes that the target has taken, in all. */
  readonly appliedBytes: number;
}

export interface PaceVerdict {
  readonly isReady: boolean;
  readonly bytesPerSecond: number;
  /** What the pause would be if it began now. */
  readonly expectedDowntimeMs: number;
}

/** Device state, its loading, and the words between the agents; measured at 10 to 40 ms under emulation. */
const FIXED_DOWNTIME_MS = 30;
/** A guest that dirties memory nearly as fast as the link takes it does not converge. */
const CONVERGING_SHARE = 0.8;
/** Until the link was seen at work. */
const ASSUMED_BYTES_PER_SECOND = 10 * 1024 * 1024;
const READY_AFTER = 2;
const UNREADY_AFTER = 4;
/** A faster second that is long past says little of what the link does now. */
const DECAY = 0.98;

/**
 * Judges from samples whether the switch-over would keep its limit. Ready takes two good samples in a row, not
 * ready any more takes four bad ones: what is left falls and jumps with every round.
 */
export class Pace {
  #bestBytesPerSecond = 0;
  #lastBytesPerSecond = 0;
  #last: PaceSample | null = null;
  #goodCount = 0;
  #badCount = 0;
  #isReady = false;

  constructor(private readonly downtimeLimitMs: number) {}

  get bytesPerSecond(): number {
    return this.#bestBytesPerSecond > 0 ? this.#bestBytesPerSecond : ASSUMED_BYTES_PER_SECOND;
  }

  /** `isThrottled`: the source is held back on purpose, so that its speed says nothing of the link. */
  judge(sample: PaceSample, isThrottled: boolean): PaceVerdict {
    this.#measure(sample, isThrottled);
    const expectedDowntimeMs =
      FIXED_DOWNTIME_MS + Math.round((sample.remainingBytes * 1_000) / this.bytesPerSecond);
    const isGood =
      // The first pass must be over; what changed during it is being sent.
      sample.rounds >= 2 &&
      sample.dirtyBytesPerSecond < CONVERGING_SHARE * this.bytesPerSecond &&
      (sample.remainingBytes * 1_000) / this.bytesPerSecond <= this.downtimeLimitMs;
    this.#goodCount = isGood ? this.#goodCount + 1 : 0;
    this.#badCount = isGood ? 0 : this.#badCount + 1;
    if (this.#goodCount >= READY_AFTER) this.#isReady = true;
    if (this.#badCount >= UNREADY_AFTER) this.#isReady = false;
    return { isReady: this.#isReady, bytesPerSecond: this.#lastBytesPerSecond, expectedDowntimeMs };
  }

  #measure(sample: PaceSample, isThrottled: boolean): void {
    const last = this.#last;
    this.#last = sample;
    if (!last || sample.atMs <= last.atMs) return;
    this.#lastBytesPerSecond =
      ((sample.appliedBytes - last.appliedBytes) * 1_000) / (sample.atMs - last.atMs);
    if (isThrottled) return;
    this.#bestBytesPerSecond = Math.max(this.#bestBytesPerSecond * DECAY, this.#lastBytesPerSecond);
  }
}
