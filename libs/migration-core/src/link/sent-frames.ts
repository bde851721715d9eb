import { PageWireError } from '../errors';

interface SentFrame<Wire> {
  readonly sequence: number;
  readonly bytes: Uint8Array;
  /** The connection that it last went out on; null while it waits for one. */
  wire: Wire | null;
}

/** Frames that the other side has not acknowledged, oldest first, each with the connection that it went out on. */
export class SentFrames<Wire> {
  readonly #frames: SentFrame<Wire>[] = [];
  #bytes = 0;
  #acknowledged = 0;
  /** Frames that wait for a connection. */
  #waiting = 0;
  #lastSequence = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#frames.length === 0;
  }

  add(sequence: number, bytes: Uint8Array, wire: Wire | null): void {
    this.#frames.push({ sequence, bytes, wire });
    if (wire === null) this.#waiting += 1;
    this.#bytes += bytes.length;
    this.#lastSequence = sequence;
  }

  /** All up to this one have come. Throws LINK_ACKNOWLEDGE_INVALID for what was never sent. */
  acknowledge(sequence: number): void {
    if (sequence > this.#lastSequence)
      throw new PageWireError(
        'LINK_ACKNOWLEDGE_INVALID',
        `Frame ${sequence} was acknowledged, and ${this.#lastSequence} is the last that was sent.`,
      );
    // Acknowledgements on different connections may overtake each other.
    if (sequence <= this.#acknowledged) return;
    this.#acknowledged = sequence;
    let count = 0;
    for (const frame of this.#frames) {
      if (frame.sequence > sequence) break;
      this.#bytes -= frame.bytes.length;
      if (frame.wire === null) this.#waiting -= 1;
      count += 1;
    }
    this.#frames.splice(0, count);
  }

  /** The connection is gone: what went out on it waits for another. */
  release(wire: Wire): void {
    for (const frame of this.#frames) {
      if (frame.wire !== wire) continue;
      frame.wire = null;
      this.#waiting += 1;
    }
  }

  /** What waits for a connection, oldest first; each goes where `choose` says. */
  assign(choose: () => Wire, send: (wire: Wire, bytes: Uint8Array) => void): void {
    // Mostly it is the newest alone: those before it are on their way.
    let index = this.#waiting === 1 && this.#frames.at(-1)?.wire === null ? this.#frames.length - 1 : 0;
    for (; this.#waiting > 0; index += 1) {
      const frame = this.#frames[index]!;
      if (frame.wire !== null) continue;
      frame.wire = choose();
      this.#waiting -= 1;
      send(frame.wire, frame.bytes);
    }
  }
}
