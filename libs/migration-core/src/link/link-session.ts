import { PageWireError } from '../errors';
import { type Frame, FRAME_TYPE, FrameWriter, stampEpoch } from '../frame';
import { decodeAcknowledge, encodeAcknowledge, encodeHello } from './link-messages';
import { ReceivedFrames, type ReceiveLimits } from './received-frames';
import { SentFrames } from './sent-frames';

/** One connection, as a link needs it. */
export interface LinkWire {
  /** Number of the connection within its link, from 1; frames on it carry it. */
  readonly epoch: number;
  /** Bytes that wait in it. */
  readonly queuedBytes: number;
  write(bytes: Uint8Array): void;
}

export interface LinkSessionOptions {
  readonly sessionId: string;
  readonly limits?: ReceiveLimits;
}

/** An honest sender is kept within these by SENT_BYTES_MAX. */
const RECEIVE_LIMITS: ReceiveLimits = { framesAheadMax: 65_536, bytesAheadMax: 160 * 1024 * 1024 };
const SENT_BYTES_MAX = 128 * 1024 * 1024;
/** Acknowledged at once after so much, else by `acknowledge`, which its owner calls in time. */
const ACKNOWLEDGE_BYTES = 128 * 1024;

/**
 * A link between two agents that outlives its connections. Frames are numbered once, kept until the other side has
 * acknowledged them, spread over the connections that there are, and put into order again on the other side; what went
 * out on a connection that is lost goes out again on another. No frame is lost, and none is handed on twice.
 *
 * Pure: connections, time and hellos are its owner's. It trusts the owner to `join` only connections whose other end
 * has named this session and proved who it is.
 */
export class LinkSession {
  readonly sessionId: string;
  /** Numbers the frames of this side; each goes to `send` in the order of stamping. */
  readonly writer = new FrameWriter(0);
  readonly #sent = new SentFrames<LinkWire>();
  readonly #received: ReceivedFrames;
  readonly #wires = new Set<LinkWire>();
  #sentOnce = 0;
  #resentBytes = 0;
  #untoldBytes = 0;
  #acknowledged = 0;
  #isPaused = false;

  /** `onFrame` may throw; so does then what handed the frame on. */
  constructor(
    private readonly onFrame: (frame: Frame) => void,
    { sessionId, limits = RECEIVE_LIMITS }: LinkSessionOptions,
  ) {
    this.sessionId = sessionId;
    this.#received = new ReceivedFrames(limits);
  }

  /** There is a connection. */
  get isConnected(): boolean {
    return this.#wires.size > 0;
  }

  /** So much waits to be acknowledged that nothing should be added. */
  get isFull(): boolean {
    return this.#sent.bytes > SENT_BYTES_MAX;
  }

  /** The other side has all. */
  get isSettled(): boolean {
    return this.#sent.isEmpty;
  }

  /** Bytes of frames that the other side has not acknowledged. */
  get unacknowledgedBytes(): number {
    return this.#sent.bytes;
  }

  /** Bytes of frames that went out a second time. */
  get resentBytes(): number {
    return this.#resentBytes;
  }

  /** Frames that came a second time. */
  get duplicates(): number {
    return this.#received.duplicates;
  }

  /** The first words on a connection. */
  hello(epoch: number): Uint8Array {
    const { sessionId } = this;
    return FrameWriter.unnumbered(
      FRAME_TYPE.hello,
      encodeHello({ sessionId, receivedSequence: this.#received.receivedSequence }),
      epoch,
    );
  }

  /** A connection whose hellos were exchanged. Throws LINK_ACKNOWLEDGE_INVALID when theirs claims too much. */
  join(wire: LinkWire, theirReceivedSequence: number): void {
    this.#sent.acknowledge(theirReceivedSequence);
    this.#wires.add(wire);
    this.#assign();
  }

  /** The connection is lost, or refused. */
  leave(wire: LinkWire): void {
    if (!this.#wires.delete(wire)) return;
    this.#sent.release(wire);
    this.#assign();
  }

  /** A stamped frame. Kept until it is acknowledged; goes out at once where there is a connection. */
  send(frame: Uint8Array): void {
    this.#sent.add(this.writer.sequence, frame, null);
    this.#assign();
  }

  /** A frame that came on a connection. Throws PageWireError, or what `onFrame` throws: drop the link then. */
  take(wire: LinkWire, frame: Frame): void {
    if (frame.type === FRAME_TYPE.acknowledge)
      return this.#sent.acknowledge(decodeAcknowledge(frame.payload));
    if (frame.type === FRAME_TYPE.hello)
      throw new PageWireError('LINK_HELLO_INVALID', 'A second hello came on a connection.');
    this.#untoldBytes += frame.payload.length;
    this.#received.put(frame);
    if (this.#untoldBytes >= ACKNOWLEDGE_BYTES) this.#acknowledge(wire);
    this.#handOn();
  }

  /** Tells the other side what has come, where that is news; `isAlways` keeps quiet connections alive. */
  acknowledge(isAlways = false): void {
    if (isAlways) for (const wire of this.#wires) this.#acknowledge(wire);
    else if (this.#acknowledged < this.#received.receivedSequence && this.isConnected)
      this.#acknowledge(this.#leastBusy());
  }

  /** Hands no more frames on until `resume`; those that come are held. */
  pause(): void {
    this.#isPaused = true;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Throws as `take`. */
  resume(): void {
    this.#isPaused = false;
    this.#handOn();
  }

  #handOn(): void {
    while (!this.#isPaused) {
      const frame = this.#received.take();
      if (!frame) return;
      this.onFrame(frame);
    }
  }

  #acknowledge(wire: LinkWire): void {
    this.#acknowledged = this.#received.receivedSequence;
    this.#untoldBytes = 0;
    wire.write(
      FrameWriter.unnumbered(FRAME_TYPE.acknowledge, encodeAcknowledge(this.#acknowledged), wire.epoch),
    );
  }

  #assign(): void {
    if (!this.isConnected) return;
    this.#sent.assign(
      () => this.#leastBusy(),
      (wire, bytes) => {
        // Frames are handed over in order the first time, so a lower sequence went out before.
        const sequence = sequenceOf(bytes);
        if (sequence <= this.#sentOnce) this.#resentBytes += bytes.length;
        else this.#sentOnce = sequence;
        wire.write(stampEpoch(bytes, wire.epoch));
      },
    );
  }

  #leastBusy(): LinkWire {
    let best: LinkWire | null = null;
    for (const wire of this.#wires) if (best === null || wire.queuedBytes < best.queuedBytes) best = wire;
    return best!;
  }
}

function sequenceOf(frame: Uint8Array): number {
  return Number(new DataView(frame.buffer, frame.byteOffset).getBigUint64(12));
}

/** The first words of a side that does not know the session. */
export function refusalHello(epoch: number, sessionId: string): Uint8Array {
  return FrameWriter.unnumbered(FRAME_TYPE.hello, encodeHello({ sessionId, receivedSequence: 0 }), epoch);
}
