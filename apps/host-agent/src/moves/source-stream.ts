import { createServer, type Server, type Socket } from 'node:net';
import { rm } from 'node:fs/promises';

import {
  type Frame,
  FRAME_TYPE,
  ReturnPathGate,
  StreamEncoder,
  type StreamSummary,
} from '@watari/migration-core';

import { AgentError } from '../errors';

/** The part of a link that the stream needs. */
export interface FrameSink {
  readonly isFull: boolean;
  sendFrame(frame: Uint8Array): void;
  readonly writer: ConstructorParameters<typeof StreamEncoder>[0];
}

/** What may be on its way to the target: enough to fill a fast link while copying, little at the switch-over. */
const WINDOW_COPYING_MS = 200;
const WINDOW_SWITCHING_MS = 20;
const WINDOW_BYTES_MIN = 256 * 1024;
const WINDOW_COPYING_BYTES_MIN = 4 * 1024 * 1024;
const WINDOW_BYTES_MAX = 64 * 1024 * 1024;
/** A read of less than this means that QEMU has nothing more at hand. */
const FULL_READ_BYTES = 64 * 1024;
const QUIET_MS = 5;

export function windowBytes(bytesPerSecond: number, isSwitching: boolean): number {
  const milliseconds = isSwitching ? WINDOW_SWITCHING_MS : WINDOW_COPYING_MS;
  const least = isSwitching ? WINDOW_BYTES_MIN : WINDOW_COPYING_BYTES_MIN;
  return Math.min(WINDOW_BYTES_MAX, Math.max(least, (bytesPerSecond * milliseconds) / 1_000));
}

/**
 * The source's half of the stream: QEMU migrates into a unix socket of ours, and what comes becomes frames. QEMU is
 * held back by not reading while the link or the target has enough to do.
 */
export class SourceStream {
  readonly gate = new ReturnPathGate((bytes) => this.#connection?.write(bytes));
  /** Resolves at the orderly end of the stream, with the sum of all; its last hash is on its way then. */
  readonly ended: Promise<StreamSummary>;
  readonly #encoder: StreamEncoder;
  #window = WINDOW_COPYING_BYTES_MIN;
  #appliedBytes = 0;
  #server: Server | null = null;
  #connection: Socket | null = null;
  #isFlushDue = false;
  #quiet: NodeJS.Timeout | undefined;
  #isReturnPathOver = false;
  #settle: { resolve: (summary: StreamSummary) => void; reject: (error: Error) => void } | null = null;

  constructor(private readonly sink: FrameSink) {
    this.#encoder = new StreamEncoder(sink.writer, (frame) => sink.sendFrame(frame));
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

  get appliedBytes(): number {
    return this.#appliedBytes;
  }

  set window(bytes: number) {
    this.#window = bytes;
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
    if (frame.type !== FRAME_TYPE.applied || frame.payload.length !== 16)
      throw new AgentError('LINK_FRAME_UNEXPECTED', `The target sent a frame of type ${frame.type}.`);
    const view = new DataView(frame.payload.buffer, frame.payload.byteOffset, 16);
    const applied = Number(view.getBigUint64(8));
    if (applied < this.#appliedBytes || applied > this.counters.guestBytes)
      throw new AgentError('LINK_FRAME_UNEXPECTED', 'The target acknowledged what was not sent.');
    this.#appliedBytes = applied;
    this.pump();
  }

  /** The target's QEMU says no more. */
  endReturnPath(): void {
    this.#isReturnPathOver = true;
    this.#connection?.end();
  }

  /** Reads on, or not, by what is on its way. */
  pump(): void {
    const inFlight = this.counters.guestBytes - this.#appliedBytes;
    if (this.sink.isFull || inFlight > this.#window) this.#connection?.pause();
    else this.#connection?.resume();
  }

  /** Cuts QEMU off; its migration fails if it was not over. */
  close(): void {
    this.#server?.close();
    this.#connection?.destroy();
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
    connection.on('close', () => this.#fail('QEMU closed it'));
    if (this.#isReturnPathOver) connection.end();
  }

  #push(chunk: Buffer): void {
    this.#encoder.push(chunk);
    clearTimeout(this.#quiet);
    // Once more after a silence: a record that QEMU wrote by halves is held back until then.
    this.#quiet = setTimeout(() => this.#flush(), QUIET_MS);
    if (chunk.length < FULL_READ_BYTES && !this.#isFlushDue) {
      this.#isFlushDue = true;
      setImmediate(() => {
        this.#isFlushDue = false;
        this.#flush();
      });
    }
    this.pump();
  }

  #flush(): void {
    if (this.#settle) this.#encoder.flush();
  }

  #finish(): void {
    if (!this.#settle) return;
    const { resolve } = this.#settle;
    this.#settle = null;
    resolve(this.#encoder.end());
  }

  #fail(why: string): void {
    this.#settle?.reject(new AgentError('STREAM_CUT', `The stream from QEMU was cut: ${why}.`));
    this.#settle = null;
  }
}
