import type { MessagePort } from 'node:worker_threads';

import {
  type CodecId,
  type Frame,
  FRAME_TYPE,
  type FrameContent,
  frameOf,
  type FrameWriter,
  HELD_BACK_BY,
  type HeldBackBy,
  type StreamCounters,
  type StreamSummary,
} from '@watari/migration-core';

import { CounterBoard } from '../data-plane/counter-board';
import { type DataPlane, ended } from '../data-plane/data-plane';
import type { HistoryGuest } from '../data-plane/histories';
import type { OutgoingOrder, OutgoingReport, StreamHistory } from '../data-plane/messages';
import { AgentError } from '../errors';
import { Allowance } from './allowance';
import { decodeApplied } from './applied';

/** The part of a link that the stream needs. */
export interface FrameSink {
  readonly isFull: boolean;
  sendFrame(frame: Uint8Array): void;
  readonly writer: FrameWriter;
}

export interface SourceStreamOptions {
  /** What the target can read, best first. */
  readonly codecs: readonly CodecId[];
  readonly mirrorPagesMax: number;
  readonly history: StreamHistory | null;
  /** The operator's limit on bytes of frames. */
  readonly bandwidthBytesPerSecondMax?: number | undefined;
}

/** What may be on its way to the target at least, whatever the link: less would not fill it. */
const IN_FLIGHT_WIRE_BYTES_MIN = 64 * 1024;
const IN_FLIGHT_WIRE_BYTES_MAX = 64 * 1024 * 1024;
/** So little under way may keep a link from being filled. */
const TIGHT_MS = 50;
/** For so long after it was last full, a link counts as what bounds the stream. */
const LINK_BOUND_MS = 2_000;
/** What a link takes that was never full is not known; it is taken for so many times what crossed. */
const UNFILLED_LINK_SHARE = 2;
/** Until the link was measured. */
const IN_FLIGHT_WIRE_BYTES_FIRST = 4 * 1024 * 1024;

/**
 * The source's half of the stream: QEMU migrates into a unix socket of the data plane, which makes frames of what comes;
 * here they go on the link, and what the target and the operator bear decides whether the data plane reads on.
 */
export class SourceStream {
  /** Resolves at the orderly end of the stream, with the sum of all; its last hash is on its way then. */
  readonly ended: Promise<StreamSummary>;
  #inFlightWireBytesMax = IN_FLIGHT_WIRE_BYTES_FIRST;
  #wireBytes = 0;
  #appliedWireBytes = 0;
  /** Frames that were not acknowledged yet: their sequence, and what had been sent with them. */
  readonly #inFlight: { readonly sequence: number; readonly wireBytes: number }[] = [];
  readonly #allowance: Allowance | null;
  readonly #heldBackBy = new Set<HeldBackBy>();
  #isInFlightTight = false;
  #linkFullAtMs = Number.NEGATIVE_INFINITY;
  #appliedBytes = 0;
  #isHeld = false;
  #compressionReason = '';
  #allowed: NodeJS.Timeout | undefined;
  #listening: (() => void) | null = null;
  #keeping: (() => void) | null = null;
  #isPortClosed = false;
  #settle: { resolve: (summary: StreamSummary) => void; reject: (error: Error) => void } | null = null;

  private constructor(
    private readonly port: MessagePort,
    private readonly board: CounterBoard,
    /** What both sides could read of the history, for the target; null when the stream builds on none. */
    readonly sharedChunks: string | null,
    private readonly sink: FrameSink,
    bandwidthBytesPerSecondMax: number | undefined,
  ) {
    this.#allowance = bandwidthBytesPerSecondMax ? new Allowance(bandwidthBytesPerSecondMax) : null;
    this.ended = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever waits for it is told; before that nobody may be waiting.
    this.ended.catch(() => undefined);
    port.on('message', (report: OutgoingReport) => this.#take(report));
    port.on('close', () => {
      this.#isPortClosed = true;
      this.#fail(ended('the stream was cut'));
      this.#keeping?.();
    });
  }

  static async open(
    plane: DataPlane,
    sink: FrameSink,
    { codecs, mirrorPagesMax, history, bandwidthBytesPerSecondMax }: SourceStreamOptions,
  ): Promise<SourceStream> {
    const board = new CounterBoard();
    const counters = board.memory;
    const { port, chunks } = await plane.openOutgoing({ codecs, mirrorPagesMax, history, counters });
    return new SourceStream(port, board, chunks, sink, bandwidthBytesPerSecondMax);
  }

  get counters(): StreamCounters {
    return this.board.read();
  }

  /** How the last batch was compressed, and why, in words. */
  get compressionReason(): string {
    return this.#compressionReason;
  }

  get appliedBytes(): number {
    return this.#appliedBytes;
  }

  /** Bytes of frames, and those of them that the target has not acknowledged. */
  get wireBytes(): { readonly sent: number; readonly queued: number } {
    return { sent: this.#wireBytes, queued: this.#wireBytes - this.#appliedWireBytes };
  }

  /**
   * What held the stream back since this was last asked: the operator's limit, a target that could not keep up, or the
   * bound on what is under way. What crossed meanwhile says little of the link.
   */
  takeHeldBackBy(): HeldBackBy | null {
    const by = HELD_BACK_BY.find((cause) => this.#heldBackBy.has(cause)) ?? null;
    this.#heldBackBy.clear();
    return by;
  }

  /** The guest stands still: what comes goes on at once, in however small batches. */
  hurry(): void {
    this.#order({ kind: 'hurry' });
  }

  /** The target's agreement to switch over, which is held back until now, goes to QEMU. */
  allowSwitchOver(): void {
    this.#order({ kind: 'allow-switch-over' });
  }

  /**
   * Both sides keep what they hold of the guest's memory, as a history of that name. Resolves when it is being written:
   * then the stream may be closed, and whoever loads the history waits for it.
   */
  async keepHistory(guest: HistoryGuest, historyId: string): Promise<void> {
    if (this.#isPortClosed) return;
    const keeping = new Promise<void>((resolve) => (this.#keeping = resolve));
    this.#order({ kind: 'keep', guest, historyId });
    await keeping;
  }

  /**
   * How much may be on its way, in time of a link of that speed. Where the processors are what bounds the stream, that
   * is only the least that the link takes: compressing harder, because so little crosses, would make even less cross.
   */
  limitInFlight(linkBytesPerSecond: number, inFlightMsMax: number): void {
    const isLinkBound = performance.now() - this.#linkFullAtMs < LINK_BOUND_MS;
    this.#order({
      kind: 'link-rate',
      bytesPerSecond: isLinkBound ? linkBytesPerSecond : linkBytesPerSecond * UNFILLED_LINK_SHARE,
    });
    this.#isInFlightTight = inFlightMsMax <= TIGHT_MS;
    const bytes = (linkBytesPerSecond * inFlightMsMax) / 1_000;
    this.#inFlightWireBytesMax = Math.min(
      IN_FLIGHT_WIRE_BYTES_MAX,
      Math.max(IN_FLIGHT_WIRE_BYTES_MIN, bytes),
    );
    this.pump();
  }

  /** Listens for QEMU; resolves once it may be told to migrate there. Rejects with what `ended` does. */
  async listen(socketPath: string): Promise<void> {
    const listening = new Promise<void>((resolve) => (this.#listening = resolve));
    this.#order({ kind: 'listen', socketPath });
    await Promise.race([listening, this.ended]);
  }

  /** A frame from the target. Throws AgentError when it claims what cannot be. */
  take(frame: Frame): void {
    if (frame.type === FRAME_TYPE.returnPath) {
      this.#order({ kind: 'return-path', bytes: frame.payload });
      return;
    }
    if (frame.type !== FRAME_TYPE.applied)
      throw new AgentError('LINK_FRAME_UNEXPECTED', `The target sent a frame of type ${frame.type}.`);
    const { sequence, streamBytes, isTargetSlow } = decodeApplied(frame.payload);
    if (streamBytes < this.#appliedBytes || streamBytes > this.counters.guestBytes)
      throw new AgentError('LINK_FRAME_UNEXPECTED', 'The target acknowledged what was not sent.');
    this.#appliedBytes = streamBytes;
    this.#order({ kind: 'applied', streamBytes });
    if (isTargetSlow) this.#heldBackBy.add('target');
    while (this.#inFlight[0] && this.#inFlight[0].sequence <= sequence)
      this.#appliedWireBytes = this.#inFlight.shift()!.wireBytes;
    this.pump();
  }

  /** The target's QEMU says no more. */
  endReturnPath(): void {
    this.#order({ kind: 'return-path-ended' });
  }

  /** Lets the data plane read on, or not, by what is on its way. */
  pump(): void {
    const waitMs = this.#allowance?.waitMs(performance.now()) ?? 0;
    const isInFlightFull = this.#wireBytes - this.#appliedWireBytes > this.#inFlightWireBytesMax;
    if (isInFlightFull && this.#isInFlightTight) this.#heldBackBy.add('pacing');
    const isFull = this.sink.isFull || isInFlightFull;
    if (isFull || waitMs > 0) this.#linkFullAtMs = performance.now();
    const isHeld = isFull || waitMs > 0;
    if (isHeld !== this.#isHeld) {
      this.#isHeld = isHeld;
      this.#order({ kind: 'hold', isHeld });
    }
    if (waitMs === 0 || isFull) return;
    this.#heldBackBy.add('operator');
    clearTimeout(this.#allowed);
    this.#allowed = setTimeout(() => this.pump(), waitMs);
  }

  /** Cuts QEMU off; its migration fails if it was not over. */
  close(): void {
    this.#order({ kind: 'close' });
    clearTimeout(this.#allowed);
    this.#fail(new AgentError('STREAM_CLOSED', 'The stream was given up.'));
  }

  #take(report: OutgoingReport): void {
    switch (report.kind) {
      case 'listening':
        return this.#listening?.();
      case 'keeping':
        return this.#keeping?.();
      case 'frame':
        return this.#send(report.content);
      case 'compression':
        this.#compressionReason = report.reason;
        return;
      case 'ended':
        this.#settle?.resolve(report.summary);
        this.#settle = null;
        return;
      case 'failed':
        return this.#fail(new AgentError(report.code, report.reason));
    }
  }

  #send(content: FrameContent): void {
    const frame = frameOf(this.sink.writer, content);
    this.#wireBytes += frame.length;
    this.#inFlight.push({ sequence: this.sink.writer.sequence, wireBytes: this.#wireBytes });
    this.#allowance?.spend(frame.length);
    this.sink.sendFrame(frame);
    this.pump();
  }

  #order(order: OutgoingOrder): void {
    this.port.postMessage(order);
  }

  #fail(error: AgentError): void {
    this.#settle?.reject(error);
    this.#settle = null;
  }
}
