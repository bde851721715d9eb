import { connect, type Socket } from 'node:net';

import {
  type CodecId,
  type Frame,
  FRAME_TYPE,
  RecordUnpacker,
  StreamDecoder,
  type StreamDecoderOptions,
  type StreamSummary,
} from '@watari/migration-core';

import { AgentError } from '../errors';
import { encodeApplied } from './applied';

/** What may wait for QEMU before the link is held back. */
const QUEUED_BYTES_MAX = 4 * 1024 * 1024;
/** Frames that may wait to be decompressed; each rebuilds to 8 MiB at most. */
const WAITING_FRAMES_MAX = 8;
/** Acknowledged at least so often, and whenever QEMU has taken all there was. */
const ACKNOWLEDGE_BYTES = 128 * 1024;

export interface TargetStreamOptions extends StreamDecoderOptions {
  readonly codecs: readonly CodecId[];
}

interface TargetStreamHandlers {
  readonly onReturnPathEnd: () => void;
  /** PageWireError for what came and does not hold, AgentError for QEMU. */
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
 * The target's half of the stream: frames become the byte-identical stream again, which goes into the unix socket
 * that QEMU listens on.
 */
export class TargetStream {
  readonly #decoder: StreamDecoder;
  readonly #unpacker: RecordUnpacker;
  #acknowledgedBytes = 0;
  #appliedBytes = 0;
  #sequence = 0;
  #isHeldBack = false;
  /** Since the last word to the source. */
  #wasHeldBack = false;

  private constructor(
    private readonly socket: Socket,
    private readonly link: FrameSource,
    handlers: TargetStreamHandlers,
    options: TargetStreamOptions,
  ) {
    this.#decoder = new StreamDecoder((bytes) => this.#write(bytes), options);
    this.#unpacker = new RecordUnpacker(
      (record, frame) => {
        this.#sequence = frame.sequence;
        this.#decoder.apply(record);
        this.#letOn();
      },
      handlers.onError,
      options.codecs,
    );
    socket.on('data', (chunk: Buffer) => {
      // One frame's worth at most, whatever size QEMU's answers come in.
      for (let at = 0; at < chunk.length; at += ACKNOWLEDGE_BYTES)
        link.sendFrame(link.writer.frame(FRAME_TYPE.returnPath, chunk.subarray(at, at + ACKNOWLEDGE_BYTES)));
    });
    socket.on('end', handlers.onReturnPathEnd);
    socket.on('drain', () => this.#letOn());
    socket.on('error', (error) =>
      handlers.onError(
        new AgentError('TARGET_QEMU_FAILED', `The target's QEMU gave the stream up: ${error.message}.`, {
          cause: error,
        }),
      ),
    );
  }

  static async open(
    socketPath: string,
    link: FrameSource,
    handlers: TargetStreamHandlers,
    options: TargetStreamOptions,
  ): Promise<TargetStream> {
    const socket = connect({ path: socketPath, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new TargetStream(socket, link, handlers, options);
  }

  /** Set once the source's last hash came and was equal. */
  get summary(): StreamSummary | null {
    return this.#decoder.summary;
  }

  /** What both sides hold of the guest's memory; null while nothing is kept. */
  get mirror(): StreamDecoder['mirror'] {
    return this.#decoder.mirror;
  }

  /** A frame of the stream, in sequence. What is wrong with it is told to `onError`. */
  take(frame: Frame): void {
    this.#unpacker.push(frame);
    if (this.#isFull && !this.#isHeldBack) {
      this.#isHeldBack = true;
      this.#wasHeldBack = true;
      this.link.pauseReading();
    }
  }

  /** Resolves when all frames that came have been rebuilt, or one of them failed. */
  rebuilt(): Promise<void> {
    return this.#unpacker.drained();
  }

  get #isFull(): boolean {
    return (
      this.socket.writableLength > QUEUED_BYTES_MAX || this.#unpacker.waitingFrames >= WAITING_FRAMES_MAX
    );
  }

  /** Everything has been given to QEMU. */
  end(): void {
    this.socket.end();
  }

  close(): void {
    this.socket.destroy();
  }

  #write(bytes: Uint8Array): void {
    this.socket.write(bytes, (error) => {
      if (error) return;
      this.#appliedBytes += bytes.length;
      const isBehind = this.#appliedBytes - this.#acknowledgedBytes >= ACKNOWLEDGE_BYTES;
      if (isBehind || this.socket.writableLength === 0) this.#acknowledge();
    });
  }

  #acknowledge(): void {
    if (this.#appliedBytes === this.#acknowledgedBytes) return;
    this.#acknowledgedBytes = this.#appliedBytes;
    const applied = {
      sequence: this.#sequence,
      streamBytes: this.#appliedBytes,
      isTargetSlow: this.#wasHeldBack || this.#isHeldBack,
    };
    this.#wasHeldBack = false;
    this.link.sendFrame(this.link.writer.frame(FRAME_TYPE.applied, encodeApplied(applied)));
  }

  #letOn(): void {
    if (!this.#isHeldBack || this.#isFull) return;
    this.#isHeldBack = false;
    this.link.resumeReading();
  }
}
