import { connect, type Socket } from 'node:net';

import { type Frame, FRAME_TYPE, StreamDecoder, type StreamSummary } from '@watari/migration-core';

import { AgentError } from '../errors';

/** What may wait for QEMU before the link is held back. */
const QUEUED_BYTES_MAX = 4 * 1024 * 1024;
/** Acknowledged at least so often, and whenever QEMU has taken all there was. */
const ACKNOWLEDGE_BYTES = 128 * 1024;
const APPLIED_PAYLOAD_BYTES = 16;

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
  readonly #decoder = new StreamDecoder((bytes) => this.#write(bytes));
  #acknowledgedBytes = 0;
  #appliedBytes = 0;
  #sequence = 0;
  #isHeldBack = false;

  private constructor(
    private readonly socket: Socket,
    private readonly link: FrameSource,
    handlers: { onReturnPathEnd: () => void; onError: (error: AgentError) => void },
  ) {
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
    handlers: { onReturnPathEnd: () => void; onError: (error: AgentError) => void },
  ): Promise<TargetStream> {
    const socket = connect({ path: socketPath, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new TargetStream(socket, link, handlers);
  }

  /** Set once the source's last hash came and was equal. */
  get summary(): StreamSummary | null {
    return this.#decoder.summary;
  }

  /** Throws PageWireError on a frame that does not hold. */
  take(frame: Frame): void {
    this.#sequence = frame.sequence;
    this.#decoder.apply(frame);
    if (this.socket.writableLength > QUEUED_BYTES_MAX && !this.#isHeldBack) {
      this.#isHeldBack = true;
      this.link.pauseReading();
    }
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
    const payload = new Uint8Array(APPLIED_PAYLOAD_BYTES);
    const view = new DataView(payload.buffer);
    view.setBigUint64(0, BigInt(this.#sequence));
    view.setBigUint64(8, BigInt(this.#appliedBytes));
    this.link.sendFrame(this.link.writer.frame(FRAME_TYPE.applied, payload));
  }

  #letOn(): void {
    if (!this.#isHeldBack) return;
    this.#isHeldBack = false;
    this.link.resumeReading();
  }
}
