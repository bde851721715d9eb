import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import type { MessagePort } from 'node:worker_threads';

import {
  type PageMirror,
  RecordPacker,
  ReturnPathGate,
  Slabs,
  StreamEncoder,
  type StreamEncoderOptions,
} from '@watari/migration-core';

import { AgentError, describeError } from '../errors';
import { CounterBoard } from './counter-board';
import type { HistoryGuest } from './histories';
import type { OutgoingOptions, OutgoingOrder, OutgoingReport } from './messages';
import { readIntoOneBuffer } from './one-buffer';
import { wholeBuffers } from './transfer';

/** A frame of nothing but zero runs weighs little and makes the target write megabytes. */
const IN_FLIGHT_STREAM_BYTES_MAX = 64 * 1024 * 1024;
/** What may wait for compression. */
const WAITING_BYTES_MAX = 2 * 1024 * 1024;
/** A read of less than this means that QEMU has nothing more at hand. */
const FULL_READ_BYTES = 64 * 1024;
/** What came waits so long for more: a fuller batch compresses better, and faster. */
const BATCH_MS = 5;
/** How it is compressed is told so often, for whoever watches. */
const TELL_MS = 100;
const CLOSED = 'QEMU closed it';

/**
 * QEMU migrates into a unix socket of ours, and what comes becomes contents of frames. QEMU is held back by not reading
 * while the main thread says so, the target is behind, or compression is.
 */
export class OutgoingStream {
  readonly #gate = new ReturnPathGate((bytes) => this.#connection?.write(bytes));
  readonly #encoder: StreamEncoder;
  readonly #packer: RecordPacker;
  readonly #board: CounterBoard;
  #linkBytesPerSecond: number | null = null;
  #appliedBytes = 0;
  #isHeld = false;
  #server: Server | null = null;
  #connection: Socket | null = null;
  #isFlushDue = false;
  #isHurried = false;
  #flushedGuestBytes = 0;
  #flushTimer: NodeJS.Timeout | undefined;
  #toldAtMs = 0;
  #isReturnPathOver = false;
  /** QEMU has said all; what it said may still be being compressed. */
  #isOver = false;
  /** Nothing more is to be told. */
  #isDone = false;

  constructor(
    private readonly port: MessagePort,
    options: OutgoingOptions,
    start: StreamEncoderOptions,
    private readonly keep: (mirror: PageMirror | null, guest: HistoryGuest, historyId: string) => void,
  ) {
    this.#board = new CounterBoard(options.counters);
    const slabs = new Slabs();
    this.#packer = new RecordPacker(
      (content) => {
        // What is on its way must be seen to have been read.
        this.#board.write(this.#encoder.counters);
        this.#tell({ kind: 'frame', content }, wholeBuffers(content.payload));
        this.#tellCompression();
        // What was compressed makes room for more.
        this.#pump();
      },
      (error) => this.#fail(error),
      { codecs: options.codecs, linkBytesPerSecond: () => this.#linkBytesPerSecond, slabs },
    );
    this.#encoder = new StreamEncoder((record) => this.#packer.push(record), { ...start, slabs });
    port.on('message', (order: OutgoingOrder) => {
      try {
        this.#obey(order);
      } catch (error) {
        this.#fail(error);
      }
    });
    port.on('close', () => this.#close());
  }

  #obey(order: OutgoingOrder): void {
    switch (order.kind) {
      case 'listen':
        this.#listen(order.socketPath).catch((error: unknown) => this.#fail(error));
        return;
      case 'hold':
        this.#isHeld = order.isHeld;
        return this.#pump();
      case 'applied':
        this.#appliedBytes = order.streamBytes;
        return this.#pump();
      case 'link-rate':
        this.#linkBytesPerSecond = order.bytesPerSecond;
        return;
      case 'return-path':
        return this.#gate.push(order.bytes);
      case 'return-path-ended':
        this.#isReturnPathOver = true;
        return void this.#connection?.end();
      case 'allow-switch-over':
        return this.#gate.release();
      case 'hurry':
        this.#isHurried = true;
        return this.#flushNext();
      case 'keep':
        this.keep(this.#encoder.mirror, order.guest, order.historyId);
        this.port.postMessage({ kind: 'keeping' });
        return;
      case 'close':
        this.#close();
        return this.port.close();
    }
  }

  async #listen(socketPath: string): Promise<void> {
    await rm(socketPath, { force: true });
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (accepted) =>
      this.#attach(accepted),
    );
    server.maxConnections = 1;
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(socketPath, resolve);
    });
    this.#tell({ kind: 'listening' });
  }

  #attach(accepted: Socket): void {
    this.#server?.close();
    if (this.#connection) return void accepted.destroy();
    const connection = readIntoOneBuffer(accepted, (chunk) => this.#push(chunk));
    this.#connection = connection;
    connection.on('error', (error) => this.#cut(error.message));
    connection.on('end', () => this.#finish());
    connection.on('close', () => this.#cut(CLOSED));
    if (this.#isReturnPathOver) connection.end();
  }

  #push(chunk: Uint8Array): void {
    if (this.#isDone) return;
    try {
      this.#encoder.push(chunk);
    } catch (error) {
      return this.#fail(error);
    }
    this.#board.write(this.#encoder.counters);
    if (this.#isHurried && chunk.length < FULL_READ_BYTES) this.#flushNext();
    this.#flushTimer ??= setTimeout(() => this.#flushInTime(), BATCH_MS);
    this.#pump();
  }

  /** Reads on, or not. */
  #pump(): void {
    const isFull =
      this.#isHeld ||
      this.#encoder.counters.guestBytes - this.#appliedBytes > IN_FLIGHT_STREAM_BYTES_MAX ||
      this.#packer.waitingBytes > WAITING_BYTES_MAX;
    if (isFull) this.#connection?.pause();
    else this.#connection?.resume();
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
    const { guestBytes } = this.#encoder.counters;
    if (this.#isDone || this.#isOver) return false;
    this.#encoder.flush();
    this.#board.write(this.#encoder.counters);
    const isNew = guestBytes !== this.#flushedGuestBytes;
    this.#flushedGuestBytes = guestBytes;
    return isNew;
  }

  #finish(): void {
    if (this.#isDone || this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#flushTimer);
    const summary = this.#encoder.end();
    this.#board.write(this.#encoder.counters);
    void this.#packer.drained().then(() => {
      this.#tell({ kind: 'ended', summary });
      this.#isDone = true;
    });
  }

  #cut(why: string): void {
    if (this.#isOver && why === CLOSED) return;
    this.#fail(new AgentError('STREAM_CUT', `The stream from QEMU was cut: ${why}.`));
  }

  #fail(error: unknown): void {
    this.#tell({ kind: 'failed', ...describeError(error) });
    this.#isDone = true;
  }

  #tellCompression(): void {
    const nowMs = performance.now();
    if (nowMs - this.#toldAtMs < TELL_MS) return;
    this.#toldAtMs = nowMs;
    this.#tell({ kind: 'compression', reason: this.#packer.reason });
  }

  #tell(report: OutgoingReport, transfer: ArrayBuffer[] = []): void {
    if (!this.#isDone) this.port.postMessage(report, transfer);
  }

  /** Cuts QEMU off; its migration fails if it was not over. */
  #close(): void {
    this.#isDone = true;
    this.#server?.close();
    this.#connection?.destroy();
    this.#packer.close();
    clearTimeout(this.#flushTimer);
  }
}
