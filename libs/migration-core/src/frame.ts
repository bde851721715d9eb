import { crc32c } from './crc32c';
import { PageWireError } from './errors';

/*
 * Frame, all numbers big-endian:
 *
 *    0 magic "WTPF"        4      24 base generation        4   history the frame builds on; 0 = none
 *    4 version             1      28 page count             4
 *    5 header bytes        1      32 logical bytes          4   of the stream, once rebuilt
 *    6 type                1      36 payload bytes          4
 *    7 flags               1      40 CRC-32C of the payload 4
 *    8 link stream         2      44 CRC-32C of bytes 0-43  4
 *   10 reserved            2
 *   12 sequence            8      then the payload
 *   20 epoch               4
 *
 * Flags 0x80-0x10 change the meaning: whoever does not know one refuses the frame. 0x08-0x01 may be ignored.
 * One link carries frames in sequence from 1. Over one connection a gap or a repeat is an error; over several, the
 * link puts them in order. TLS protects against attackers, the sums against ourselves.
 */
const MAGIC = 0x57545046;
export const FRAME_VERSION = 1;
export const FRAME_HEADER_BYTES = 48;
const CRITICAL_FLAGS = 0xf0;

export const FRAME_TYPE = {
  /** JSON between the agents. */
  control: 1,
  /** Tokens that rebuild a piece of the migration stream. */
  data: 2,
  /** SHA-256 of the whole stream so far. */
  digest: 3,
  /** Bytes from the target's QEMU back to the source's. */
  returnPath: 4,
  /** Sequence and logical bytes that the target has applied. */
  applied: 5,
  /** The guest's memory, and what both ends begin with. */
  layout: 6,
  /** The first on a connection; not numbered. */
  hello: 7,
  /** Frames that have come; not numbered. */
  acknowledge: 8,
  /** The last of a link. */
  bye: 9,
} as const;
export type FrameType = (typeof FRAME_TYPE)[keyof typeof FRAME_TYPE];

/** What belongs to a connection and not to the link: these have sequence 0. */
const UNNUMBERED: ReadonlySet<number> = new Set([FRAME_TYPE.hello, FRAME_TYPE.acknowledge]);

/** What a frame may claim before a byte is set aside for it. */
export const FRAME_PAYLOAD_BYTES_MAX = 1024 * 1024;
export const FRAME_LOGICAL_BYTES_MAX = 8 * 1024 * 1024;

export interface Frame {
  readonly type: FrameType;
  readonly sequence: number;
  readonly epoch: number;
  readonly baseGeneration: number;
  readonly pageCount: number;
  readonly logicalBytes: number;
  readonly payload: Uint8Array;
}

/** What a header says beside the payload's type and length; 0 where nothing is given. */
export interface FrameDetails {
  readonly pageCount?: number;
  readonly logicalBytes?: number;
  readonly baseGeneration?: number;
}

/** Numbers and stamps the frames of one direction of one link. */
export class FrameWriter {
  #sequence = 0;

  constructor(readonly epoch: number) {}

  /** Sequence of the last frame; 0 before the first. */
  get sequence(): number {
    return this.#sequence;
  }

  /**
   * Fills in the header of a frame whose payload stands in `frame` after FRAME_HEADER_BYTES free bytes.
   * Throws RangeError for a frame that no reader would accept.
   */
  stamp(frame: Uint8Array, type: FrameType, more: FrameDetails = {}): Uint8Array {
    const payload = frame.subarray(FRAME_HEADER_BYTES);
    const logicalBytes = more.logicalBytes ?? 0;
    if (payload.length > FRAME_PAYLOAD_BYTES_MAX || logicalBytes > FRAME_LOGICAL_BYTES_MAX)
      throw new RangeError(
        `A frame of ${payload.length} bytes for ${logicalBytes} is longer than readers accept.`,
      );
    this.#sequence += 1;
    return writeHeader(frame, type, this.#sequence, this.epoch, more);
  }

  /** A frame that belongs to a connection and not to the link's sequence. */
  static unnumbered(type: FrameType, payload: Uint8Array, epoch: number): Uint8Array {
    const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
    frame.set(payload, FRAME_HEADER_BYTES);
    return writeHeader(frame, type, 0, epoch, {});
  }

  /** A frame around a copy of the payload. */
  frame(type: FrameType, payload: Uint8Array, more: FrameDetails = {}): Uint8Array {
    const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
    frame.set(payload, FRAME_HEADER_BYTES);
    return this.stamp(frame, type, more);
  }
}

function writeHeader(
  frame: Uint8Array,
  type: FrameType,
  sequence: number,
  epoch: number,
  more: FrameDetails,
): Uint8Array {
  const payload = frame.subarray(FRAME_HEADER_BYTES);
  const header = new DataView(frame.buffer, frame.byteOffset, FRAME_HEADER_BYTES);
  header.setUint32(0, MAGIC);
  header.setUint8(4, FRAME_VERSION);
  header.setUint8(5, FRAME_HEADER_BYTES);
  header.setUint8(6, type);
  header.setUint8(7, 0);
  header.setUint32(8, 0);
  header.setBigUint64(12, BigInt(sequence));
  header.setUint32(24, more.baseGeneration ?? 0);
  header.setUint32(28, more.pageCount ?? 0);
  header.setUint32(32, more.logicalBytes ?? 0);
  header.setUint32(36, payload.length);
  header.setUint32(40, crc32c(payload));
  return stampEpoch(frame, epoch);
}

/** Sends a frame by another connection: changes its epoch, in place. */
export function stampEpoch(frame: Uint8Array, epoch: number): Uint8Array {
  const header = new DataView(frame.buffer, frame.byteOffset, FRAME_HEADER_BYTES);
  header.setUint32(20, epoch);
  header.setUint32(44, crc32c(frame.subarray(0, 44)));
  return frame;
}

export interface FrameReaderOptions {
  /** Frames of one connection among several: in any sequence, which the link sees to, with unnumbered ones between. */
  readonly isOneOfSeveral?: boolean;
  /** The epoch that both sides agreed on. Without it the first frame sets it. */
  readonly epoch?: number;
}

/**
 * Takes one direction of one link apart. Sets aside no more than one payload, and that only after its header was
 * checked. Throws `PageWireError` on anything but the next frame in sequence; from then on it throws the same again.
 */
export class FrameReader {
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  #payload: Uint8Array | null = null;
  #payloadBytes = 0;
  #sequence = 0;
  #epoch: number;
  readonly #isOneOfSeveral: boolean;
  #isPaused = false;
  #isReading = false;
  #held: Uint8Array | null = null;
  #failure: { error: unknown } | null = null;

  /** Every frame gets a payload of its own, which the receiver may keep. */
  constructor(
    private readonly onFrame: (frame: Frame) => void,
    options: FrameReaderOptions = {},
  ) {
    this.#epoch = options.epoch ?? -1;
    this.#isOneOfSeveral = options.isOneOfSeveral ?? false;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /**
   * Hands no more frames out, which bounds what a few bytes of zero runs can make the receiver hold. May be called
   * while a frame is handed out. The chunk under way is kept, unread, so it must not be overwritten; the caller
   * pushes no other before `resume`.
   */
  pause(): void {
    this.#isPaused = true;
  }

  /** Goes on with the chunk that was kept. Throws like `push`. */
  resume(): void {
    this.#isPaused = false;
    const held = this.#held;
    if (held === null || this.#isReading) return;
    this.#held = null;
    this.push(held);
  }

  push(chunk: Uint8Array): void {
    if (this.#failure) throw this.#failure.error;
    if (this.#isReading || this.#held) throw new Error('A paused frame reader was given another chunk.');
    this.#isReading = true;
    try {
      this.#read(chunk);
    } catch (error) {
      this.#failure = { error };
      throw error;
    } finally {
      this.#isReading = false;
    }
  }

  #read(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#isPaused) {
        this.#held = chunk.subarray(at);
        return;
      }
      if (this.#payload === null) {
        const taken = Math.min(FRAME_HEADER_BYTES - this.#headerBytes, chunk.length - at);
        this.#header.set(chunk.subarray(at, at + taken), this.#headerBytes);
        this.#headerBytes += taken;
        at += taken;
        if (this.#headerBytes < FRAME_HEADER_BYTES) return;
        this.#payload = new Uint8Array(this.#checkHeader());
        this.#payloadBytes = 0;
      }
      const taken = Math.min(this.#payload.length - this.#payloadBytes, chunk.length - at);
      this.#payload.set(chunk.subarray(at, at + taken), this.#payloadBytes);
      this.#payloadBytes += taken;
      at += taken;
      if (this.#payloadBytes === this.#payload.length) this.#finish(this.#payload);
    }
  }

  /** The link is closed. Throws FRAME_TRUNCATED when that was in the middle of a frame. */
  end(): void {
    if (this.#failure) throw this.#failure.error;
    if (this.#headerBytes > 0 || this.#held)
      throw new PageWireError('FRAME_TRUNCATED', 'The link ended in the middle of a frame; it was cut.');
  }

  /** Returns the length of the payload, checked. */
  #checkHeader(): number {
    const header = new DataView(this.#header.buffer);
    if (header.getUint32(0) !== MAGIC)
      throw new PageWireError('FRAME_MAGIC', 'What came is no Watari frame; is the other side a host agent?');
    const version = header.getUint8(4);
    if (version !== FRAME_VERSION || header.getUint8(5) !== FRAME_HEADER_BYTES)
      throw new PageWireError(
        'FRAME_VERSION',
        `The other side sends frames of version ${version}, this side reads ${FRAME_VERSION}. Update the older agent.`,
      );
    if (header.getUint32(44) !== crc32c(this.#header.subarray(0, 44)))
      throw new PageWireError('FRAME_CHECKSUM', 'The header of a frame was damaged on its way.');
    const flags = header.getUint8(7);
    if (flags & CRITICAL_FLAGS)
      throw new PageWireError(
        'FRAME_FLAG_UNKNOWN',
        `A frame needs something this side does not know (flags 0x${flags.toString(16)}). Update this agent.`,
      );
    if (!isFrameType(header.getUint8(6)))
      throw new PageWireError(
        'FRAME_TYPE_UNKNOWN',
        `Frame type ${header.getUint8(6)} is unknown. Update this agent.`,
      );
    const payloadBytes = header.getUint32(36);
    const logicalBytes = header.getUint32(32);
    if (payloadBytes > FRAME_PAYLOAD_BYTES_MAX || logicalBytes > FRAME_LOGICAL_BYTES_MAX)
      throw new PageWireError(
        'FRAME_TOO_LONG',
        `A frame claims ${payloadBytes} bytes for ${logicalBytes}; refused.`,
      );
    const epoch = header.getUint32(20);
    if (this.#epoch >= 0 && epoch !== this.#epoch)
      throw new PageWireError(
        'FRAME_EPOCH',
        `A frame of epoch ${epoch} came in epoch ${this.#epoch}: it belongs to another connection of this move.`,
      );
    this.#checkSequence(header.getUint8(6), header.getBigUint64(12));
    this.#epoch = epoch;
    return payloadBytes;
  }

  #checkSequence(type: number, sequence: bigint): void {
    const due = BigInt(this.#sequence + 1);
    const isUnnumbered = UNNUMBERED.has(type);
    const isSound = this.#isOneOfSeveral
      ? isUnnumbered
        ? sequence === 0n
        : sequence >= 1n && sequence <= BigInt(Number.MAX_SAFE_INTEGER)
      : sequence === due && !isUnnumbered;
    if (!isSound) throw new PageWireError('FRAME_SEQUENCE', `Frame ${sequence} came where ${due} was due.`);
  }

  #finish(payload: Uint8Array): void {
    const header = new DataView(this.#header.buffer);
    if (header.getUint32(40) !== crc32c(payload))
      throw new PageWireError('FRAME_CHECKSUM', 'The payload of a frame was damaged on its way.');
    const sequence = Number(header.getBigUint64(12));
    if (sequence > 0) this.#sequence = sequence;
    this.#payload = null;
    this.#headerBytes = 0;
    this.onFrame({
      type: header.getUint8(6) as FrameType,
      sequence,
      epoch: this.#epoch,
      baseGeneration: header.getUint32(24),
      pageCount: header.getUint32(28),
      logicalBytes: header.getUint32(32),
      payload,
    });
  }
}

function isFrameType(type: number): type is FrameType {
  return type >= FRAME_TYPE.control && type <= FRAME_TYPE.bye;
}
