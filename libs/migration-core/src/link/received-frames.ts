import { PageWireError } from '../errors';
import type { Frame } from '../frame';

export interface ReceiveLimits {
  /** Frames that may come before those that are missing. */
  readonly framesAheadMax: number;
  readonly bytesAheadMax: number;
}

/** Puts the frames of several connections into one order again. What is held ahead of a gap is bounded. */
export class ReceivedFrames {
  readonly #ahead = new Map<number, Frame>();
  #bytesAhead = 0;
  #next = 1;
  #received = 0;
  #duplicates = 0;

  constructor(private readonly limits: ReceiveLimits) {}

  /** All frames up to this one have come, handed on or not. */
  get receivedSequence(): number {
    return this.#received;
  }

  /** Frames that came again after a connection was lost. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /** Throws LINK_WINDOW when the frame lies further ahead than an honest sender gets. */
  put(frame: Frame): void {
    const { sequence } = frame;
    if (sequence <= this.#received || this.#ahead.has(sequence)) {
      this.#duplicates += 1;
      return;
    }
    const isNext = sequence === this.#received + 1;
    if (
      sequence - this.#next > this.limits.framesAheadMax ||
      (!isNext && this.#bytesAhead + frame.payload.length > this.limits.bytesAheadMax)
    )
      throw new PageWireError(
        'LINK_WINDOW',
        `Frame ${sequence} came where ${this.#received + 1} was due: too far ahead to wait for those between.`,
      );
    this.#ahead.set(sequence, frame);
    this.#bytesAhead += frame.payload.length;
    while (this.#ahead.has(this.#received + 1)) this.#received += 1;
  }

  /** The next frame in order; undefined when it has not come. */
  take(): Frame | undefined {
    const frame = this.#ahead.get(this.#next);
    if (!frame) return undefined;
    this.#ahead.delete(this.#next);
    this.#bytesAhead -= frame.payload.length;
    this.#next += 1;
    return frame;
  }
}
