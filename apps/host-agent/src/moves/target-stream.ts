import type { MessagePort } from 'node:worker_threads';

import { type Frame, FRAME_TYPE, type StreamSummary } from '@watari/migration-core';

import { type DataPlane, ended } from '../data-plane/data-plane';
import type { HistoryGuest } from '../data-plane/histories';
import type { IncomingOptions, IncomingOrder, IncomingReport } from '../data-plane/messages';
import { wholeBuffers } from '../data-plane/transfer';
import { AgentError } from '../errors';
import { encodeApplied } from './applied';

/** Frames that may wait to be decompressed; each rebuilds to 8 MiB at most. */
const WAITING_FRAMES_MAX = 8;
/** One frame's worth at most, whatever size QEMU's answers come in. */
const RETURN_PATH_BYTES_MAX = 128 * 1024;

interface TargetStreamHandlers {
  readonly onReturnPathEnd: () => void;
  /** An AgentError, for what came and does not hold, and for QEMU. */
  readonly onError: (error: Error) => void;
}

/** The part of a link that the stream needs. */
export interface FrameSource {
  readonly writer: { frame(type: number, payload: Uint8Array): Uint8Array };
  sendFrame(frame: Uint8Array): void;
  pauseReading(): void;
  resumeReading(): void;
}

/**
 * The target's half of the stream: frames go to the data plane, which makes the byte-identical stream of them again, for
 * the unix socket that QEMU listens on. When the data plane is behind, the link waits.
 */
export class TargetStream {
  #summary: StreamSummary | null = null;
  #framesGiven = 0;
  #framesTaken = 0;
  #isQemuFull = false;
  #isHeldBack = false;
  /** Since the last word to the source. */
  #wasHeldBack = false;
  #isClosed = false;
  #settled: (() => void)[] = [];
  #keeping: (() => void) | null = null;
  #isBegun = false;
  #isPortClosed = false;

  private constructor(
    private readonly port: MessagePort,
    private readonly link: FrameSource,
    private readonly handlers: TargetStreamHandlers,
  ) {
    port.on('message', (report: IncomingReport) => this.#take(report));
    port.on('close', () => {
      this.#isPortClosed = true;
      if (!this.#isClosed) this.#fail(ended('the stream was cut'));
      this.#keeping?.();
    });
  }

  static async open(
    plane: DataPlane,
    link: FrameSource,
    handlers: TargetStreamHandlers,
    options: IncomingOptions,
  ): Promise<TargetStream> {
    return new TargetStream(await plane.openIncoming(options), link, handlers);
  }

  /** Before the first frame: what both sides could read of the history that was loaded; null to build on nothing. */
  begin(chunks: string | null): void {
    if (this.#isBegun) throw new AgentError('LINK_MESSAGE_UNEXPECTED', 'The source began a stream twice.');
    this.#isBegun = true;
    this.#order({ kind: 'begin', chunks });
  }

  /** Set once the source's last hash came and was equal, and `rebuilt` has resolved. */
  get summary(): StreamSummary | null {
    return this.#summary;
  }

  /** A frame of the stream, in sequence. What is wrong with it is told to `onError`. Throws before `begin`. */
  take(frame: Frame): void {
    if (!this.#isBegun)
      throw new AgentError(
        'LINK_MESSAGE_UNEXPECTED',
        'The source sent pages of a stream that was not begun.',
      );
    this.#framesGiven += 1;
    this.port.postMessage({ kind: 'frame', frame } satisfies IncomingOrder, wholeBuffers(frame.payload));
    if (!this.#isFull || this.#isHeldBack) return;
    this.#isHeldBack = true;
    this.#wasHeldBack = true;
    this.link.pauseReading();
  }

  /** Resolves when all frames that came have been rebuilt, or one of them failed. */
  rebuilt(): Promise<void> {
    return new Promise((resolve) => {
      this.#settled.push(resolve);
      this.#order({ kind: 'settle' });
    });
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

  /** Everything has been given to QEMU. */
  end(): void {
    this.#order({ kind: 'end' });
  }

  close(): void {
    this.#isClosed = true;
    this.#order({ kind: 'close' });
  }

  get #isFull(): boolean {
    return this.#isQemuFull || this.#framesGiven - this.#framesTaken >= WAITING_FRAMES_MAX;
  }

  #take(report: IncomingReport): void {
    switch (report.kind) {
      case 'progress':
        this.#framesTaken = report.frames;
        this.#isQemuFull = report.isFull;
        return this.#letOn();
      case 'applied':
        return this.#acknowledge(report.sequence, report.streamBytes);
      case 'return-path':
        return this.#answer(report.bytes);
      case 'return-path-ended':
        return this.handlers.onReturnPathEnd();
      case 'keeping':
        return this.#keeping?.();
      case 'settled':
        this.#summary = report.summary;
        for (const resolve of this.#settled.splice(0)) resolve();
        return;
      case 'failed':
        return this.#fail(new AgentError(report.code, report.reason, { status: 502 }));
    }
  }

  #acknowledge(sequence: number, streamBytes: number): void {
    const isTargetSlow = this.#wasHeldBack || this.#isHeldBack;
    this.#wasHeldBack = false;
    const payload = encodeApplied({ sequence, streamBytes, isTargetSlow });
    this.link.sendFrame(this.link.writer.frame(FRAME_TYPE.applied, payload));
  }

  #answer(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += RETURN_PATH_BYTES_MAX) {
      const piece = bytes.subarray(at, at + RETURN_PATH_BYTES_MAX);
      this.link.sendFrame(this.link.writer.frame(FRAME_TYPE.returnPath, piece));
    }
  }

  #letOn(): void {
    if (!this.#isHeldBack || this.#isFull) return;
    this.#isHeldBack = false;
    this.link.resumeReading();
  }

  #fail(error: AgentError): void {
    this.handlers.onError(error);
    for (const resolve of this.#settled.splice(0)) resolve();
  }

  #order(order: IncomingOrder): void {
    this.port.postMessage(order);
  }
}
