import { createServer, type Server, type Socket } from 'node:net';
import { rm } from 'node:fs/promises';

import {
  type CodecId,
  type Frame,
  FRAME_TYPE,
  frameOf,
  type FrameWriter,
  RecordPacker,
  ReturnPathGate,
  StreamEncoder,
  type StreamEncoderOptions,
  type StreamSummary,
} from '@watari/migration-core';

import { AgentError } from '../errors';
import { Allowance } from './allowance';
import { decodeApplied } from './applied';

/** The part of a link that the stream needs. */
export interface FrameSink {
  readonly isFull: boolean;
  sendFrame(frame: Uint8Array): void;
  readonly writer: FrameWriter;
}

export interface SourceStreamOptions extends StreamEncoderOptions {
  /** What the target can read, best first. */
  readonly codecs: readonly CodecId[];
  /** The operator's limit on bytes of frames. */
  readonly bandwidthBytesPerSecondMax?: number | undefined;
}

/** What may be on its way to the target at least, whatever the link: less would not fill it. */
const IN_FLIGHT_WIRE_BYTES_MIN = 64 * 1024;
const IN_FLIGHT_WIRE_BYTES_MAX = 64 * 1024 * 1024;
/** So little under way may keep a link from being filled. */
const TIGHT_MS = 50;
/** Until the link was measured. */
const IN_FLIGHT_WIRE_BYTES_FIRST = 4 * 1024 * 1024;
/** A frame of nothing but zero runs weighs little and makes the target write megabytes. */
const IN_FLIGHT_STREAM_BYTES_MAX = 64 * 1024 * 1024;
/** What may wait for compression. */
const WAITING_BYTES_MAX = 2 * 1024 * 1024;
/** A read of less than this means that QEMU has nothing more at hand. */
const FULL_READ_BYTES = 64 * 1024;
/** What came waits so long for more: a fuller batch compresses better, and faster. */
const BATCH_MS = 5;
const CLOSED = 'QEMU closed it';

/**
 * The source's half of the stream: QEMU migrates into a unix socket of ours, and what comes becomes frames. QEMU is
 * held back by not reading while the link or the target has enough to do.
 */
export class SourceStream {
  readonly gate = new ReturnPathGate((bytes) => this.#connection?.write(bytes));
  /** Resolves at the orderly end of the stream, with the sum of all; its last hash is on its way then. */
  readonly ended: Promise<StreamSummary>;
  readonly #encoder: StreamEncoder;
  readonly #packer: RecordPacker;
  #linkBytesPerSecond: number | null = null;
  #inFlightWireBytesMax = IN_FLIGHT_WIRE_BYTES_FIRST;
  #wireBytes = 0;
  #appliedWireBytes = 0;
  /** Frames that were not acknowledged yet: their sequence, and what had been sent with them. */
  readonly #inFlight: { readonly sequence: number; readonly wireBytes: number }[] = [];
  readonly #allowance: Allowance | null;
  #wasHeldBackByOperator = false;
  #wasHeldBackByEnds = false;
  #isInFlightTight = false;
  #appliedBytes = 0;
  #server: Server | null = null;
  #connection: Socket | null = null;
  #isFlushDue = false;
  #isHurried = false;
  #flushedGuestBytes = 0;
  #flushTimer: NodeJS.Timeout | undefined;
  #allowed: NodeJS.Timeout | undefined;
  #isReturnPathOver = false;
  /** QEMU has said all; what it said may still be being compressed. */
  #isOver = false;
  #settle: { resolve: (summary: StreamSummary) => void; reject: (error: Error) => void } | null = null;

  constructor(
    private readonly sink: FrameSink,
    options: SourceStreamOptions,
  ) {
    this.#allowance = options.bandwidthBytesPerSecondMax
      ? new Allowance(options.bandwidthBytesPerSecondMax)
      : null;
    this.#packer = new RecordPacker(
      (content) => this.#send(frameOf(sink.writer, content)),
      (error) => this.#fail(error.message),
      { codecs: options.codecs, linkBytesPerSecond: () => this.#linkBytesPerSecond },
    );
    this.#encoder = new StreamEncoder((record) => this.#packer.push(record), options);
    this.ended = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever waits for it is told; before that nobody may be waiting.
    this.ended.catch(() => undefined);
  }

  get counters(): StreamEncoder['counters'] {
    return this.#encoder.counters;
  }

  /** Why the rest of the stream is passed on unread; null while it is being read. */
  get passThroughReason(): string | null {
    return this.#encoder.passThroughReason;
  }

  /** How the last batch was compressed, and why, in words. */
  get compressionReason(): string {
    return this.#packer.reason;
  }

  /** What both sides hold of the guest's memory; null while nothing is kept. */
  get mirror(): StreamEncoder['mirror'] {
    return this.#encoder.mirror;
  }

  get appliedBytes(): number {
    return this.#appliedBytes;
  }

  /** Bytes of frames, and those of them that the target has not acknowledged. */
  get wireBytes(): { readonly sent: number; readonly queued: number } {
    return { sent: this.#wireBytes, queued: this.#wireBytes - this.#appliedWireBytes };
  }

  /**
   * What held the stream back since this was last asked: the operator's limit, or the bound on what is under way and a
   * target that could not keep up. What crossed meanwhile says nothing of the link.
   */
  takeHeldBackBy(): 'operator' | 'pacing' | null {
    const by = this.#wasHeldBackByOperator ? 'operator' : this.#wasHeldBackByEnds ? 'pacing' : null;
    this.#wasHeldBackByOperator = false;
    this.#wasHeldBackByEnds = false;
    return by;
  }

  /** The guest stands still: what comes goes on at once, in however small batches. */
  hurry(): void {
    this.#isHurried = true;
    this.#flushNext();
  }

  /** How much may be on its way, in time of a link of that speed. */
  limitInFlight(linkBytesPerSecond: number, inFlightMsMax: number): void {
    this.#linkBytesPerSecond = linkBytesPerSecond;
    this.#isInFlightTight = inFlightMsMax <= TIGHT_MS;
    const bytes = (linkBytesPerSecond * inFlightMsMax) / 1_000;
    this.#inFlightWireBytesMax = Math.min(
      IN_FLIGHT_WIRE_BYTES_MAX,
      Math.max(IN_FLIGHT_WIRE_BYTES_MIN, bytes),
    );
    this.pump();
  }

  /** Listens for QEMU; resolves once it may be told to migrate there. */
  async listen(socketPath: string): Promise<void> {
    await rm(socketPath, { force: true });
    const server = createServer({ allowHalfOpen: true }, (connection) => this.#attach(connection));
    server.maxConnections = 1;
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(socketPath, resolve);
    });
  }

  /** A frame from the target. Throws AgentError when it claims what cannot be. */
  take(frame: Frame): void {
    if (frame.type === FRAME_TYPE.returnPath) {
      this.gate.push(frame.payload);
      return;
    }
    if (frame.type !== FRAME_TYPE.applied)
      throw new AgentError('LINK_FRAME_UNEXPECTED', `The target sent a frame of type ${frame.type}.`);
    const { sequence, streamBytes, isTargetSlow } = decodeApplied(frame.payload);
    if (streamBytes < this.#appliedBytes || streamBytes > this.counters.guestBytes)
      throw new AgentError('LINK_FRAME_UNEXPECTED', 'The target acknowledged what was not sent.');
    this.#appliedBytes = streamBytes;
    if (isTargetSlow) this.#wasHeldBackByEnds = true;
    while (this.#inFlight[0] && this.#inFlight[0].sequence <= sequence)
      this.#appliedWireBytes = this.#inFlight.shift()!.wireBytes;
    this.pump();
  }

  /** The target's QEMU says no more. */
  endReturnPath(): void {
    this.#isReturnPathOver = true;
    this.#connection?.end();
  }

  /** Reads on, or not, by what is on its way. */
  pump(): void {
    const waitMs = this.#allowance?.waitMs(performance.now()) ?? 0;
    const isInFlightFull = this.#wireBytes - this.#appliedWireBytes > this.#inFlightWireBytesMax;
    if (isInFlightFull && this.#isInFlightTight) this.#wasHeldBackByEnds = true;
    const isFull =
      this.sink.isFull ||
      isInFlightFull ||
      this.counters.guestBytes - this.#appliedBytes > IN_FLIGHT_STREAM_BYTES_MAX ||
      this.#packer.waitingBytes > WAITING_BYTES_MAX;
    if (isFull || waitMs > 0) this.#connection?.pause();
    else this.#connection?.resume();
    if (waitMs === 0 || isFull) return;
    this.#wasHeldBackByOperator = true;
    clearTimeout(this.#allowed);
    this.#allowed = setTimeout(() => this.pump(), waitMs);
  }

  /** Cuts QEMU off; its migration fails if it was not over. */
  close(): void {
    this.#server?.close();
    this.#connection?.destroy();
    clearTimeout(this.#flushTimer);
    clearTimeout(this.#allowed);
    this.#settle?.reject(new AgentError('STREAM_CLOSED', 'The stream was given up.'));
    this.#settle = null;
  }

  #attach(connection: Socket): void {
    this.#server?.close();
    if (this.#connection) return void connection.destroy();
    this.#connection = connection;
    connection.on('data', (chunk: Buffer) => this.#push(chunk));
    connection.on('error', (error) => this.#fail(error.message));
    connection.on('end', () => this.#finish());
    connection.on('close', () => this.#fail(CLOSED));
    if (this.#isReturnPathOver) connection.end();
  }

  #send(frame: Uint8Array): void {
    this.#wireBytes += frame.length;
    this.#inFlight.push({ sequence: this.sink.writer.sequence, wireBytes: this.#wireBytes });
    this.#allowance?.spend(frame.length);
    this.sink.sendFrame(frame);
    // What was compressed makes room for more.
    this.pump();
  }

  #push(chunk: Buffer): void {
    this.#encoder.push(chunk);
    if (this.#isHurried && chunk.length < FULL_READ_BYTES) this.#flushNext();
    this.#flushTimer ??= setTimeout(() => this.#flushInTime(), BATCH_MS);
    this.pump();
  }

  #flushNext(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    setImmediate(() => {
      this.#isFlushDue = false;
      this.#flush();
    });
  }

  /** And once more when nothing came in between: a record that QEMU wrote by halves is held back until then. */
  #flushInTime(): void {
    this.#flushTimer = this.#flush() ? setTimeout(() => this.#flushInTime(), BATCH_MS) : undefined;
  }

  /** False when nothing had come since it was last called. */
  #flush(): boolean {
    const { guestBytes } = this.counters;
    if (!this.#settle || this.#isOver) return false;
    this.#encoder.flush();
    const isNew = guestBytes !== this.#flushedGuestBytes;
    this.#flushedGuestBytes = guestBytes;
    return isNew;
  }

  #finish(): void {
    if (!this.#settle || this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#flushTimer);
    const summary = this.#encoder.end();
    void this.#packer.drained().then(() => {
      this.#settle?.resolve(summary);
      this.#settle = null;
    });
  }

  #fail(why: string): void {
    if (this.#isOver && why === CLOSED) return;
    this.#settle?.reject(new AgentError('STREAM_CUT', `The stream from QEMU was cut: ${why}.`));
    this.#settle = null;
  }
}
