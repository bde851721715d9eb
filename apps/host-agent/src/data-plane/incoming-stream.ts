import { connect, type Socket } from 'node:net';
import type { MessagePort } from 'node:worker_threads';

import { type PageMirror, RecordUnpacker, Slabs, StreamDecoder } from '@watari/migration-core';

import { AgentError, describeError } from '../errors';
import type { HistoryGuest } from './histories';
import type { HistoryBase } from './history-base';
import type { IncomingOptions, IncomingOrder, IncomingReport } from './messages';
import { wholeBuffers } from './transfer';

/** What may wait for QEMU before the link is held back. */
const QUEUED_BYTES_MAX = 4 * 1024 * 1024;
/** Told at least so often, and whenever QEMU has taken all there was. */
const ACKNOWLEDGE_BYTES = 128 * 1024;

/** Frames become the byte-identical stream again, which goes into the unix socket that QEMU listens on. */
export class IncomingStream {
  readonly #decoder: StreamDecoder;
  readonly #unpacker: RecordUnpacker;
  readonly #slabs = new Slabs();
  #acknowledgedBytes = 0;
  #appliedBytes = 0;
  #sequence = 0;
  #frames = 0;
  #isDone = false;

  private constructor(
    private readonly port: MessagePort,
    private readonly socket: Socket,
    options: IncomingOptions,
    private readonly base: HistoryBase,
    private readonly keep: (mirror: PageMirror | null, guest: HistoryGuest, historyId: string) => void,
  ) {
    const { mirrorPagesMax, layoutPagesMax, codecs } = options;
    this.#decoder = new StreamDecoder((bytes) => this.#write(bytes), {
      mirrorPagesMax,
      layoutPagesMax,
      slabs: this.#slabs,
      startMirror: ({ layout, generation }) => {
        const start = base.startMirror(layout);
        return start?.generation === generation ? start.mirror : null;
      },
    });
    this.#unpacker = new RecordUnpacker(
      (record, frame) => {
        this.#sequence = frame.sequence;
        this.#decoder.apply(record);
        this.#frames += 1;
        this.#tellProgress();
      },
      (error) => this.#fail(error),
      { codecs, slabs: this.#slabs },
    );
    socket.on('data', (bytes: Buffer) => this.#tell({ kind: 'return-path', bytes }));
    socket.on('end', () => this.#tell({ kind: 'return-path-ended' }));
    socket.on('drain', () => this.#tellProgress());
    socket.on('error', (error) =>
      this.#fail(
        new AgentError('TARGET_QEMU_FAILED', `The target's QEMU gave the stream up: ${error.message}.`),
      ),
    );
    port.on('message', (order: IncomingOrder) => this.#obey(order));
    port.on('close', () => this.#close());
  }

  static async open(
    port: MessagePort,
    options: IncomingOptions,
    base: HistoryBase,
    keep: (mirror: PageMirror | null, guest: HistoryGuest, historyId: string) => void,
  ): Promise<IncomingStream> {
    const socket = connect({ path: options.socketPath, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new IncomingStream(port, socket, options, base, keep);
  }

  #obey(order: IncomingOrder): void {
    switch (order.kind) {
      case 'begin':
        return void this.base.agree(order.chunks);
      case 'frame':
        return this.#unpacker.push(order.frame);
      case 'settle':
        void this.#unpacker
          .drained()
          .then(() => this.#tell({ kind: 'settled', summary: this.#decoder.summary }));
        return;
      case 'end':
        return void this.socket.end();
      case 'keep':
        this.keep(this.#decoder.mirror, order.guest, order.historyId);
        this.port.postMessage({ kind: 'keeping' });
        return;
      case 'close':
        this.#close();
        return this.port.close();
    }
  }

  #write(bytes: Uint8Array): void {
    this.socket.write(bytes, (error) => {
      if (error) return;
      this.#slabs.give(bytes);
      this.#appliedBytes += bytes.length;
      const isBehind = this.#appliedBytes - this.#acknowledgedBytes >= ACKNOWLEDGE_BYTES;
      if (isBehind || this.socket.writableLength === 0) this.#acknowledge();
    });
  }

  #acknowledge(): void {
    if (this.#appliedBytes === this.#acknowledgedBytes) return;
    this.#acknowledgedBytes = this.#appliedBytes;
    this.#tell({ kind: 'applied', sequence: this.#sequence, streamBytes: this.#appliedBytes });
  }

  #tellProgress(): void {
    const isFull = this.socket.writableLength > QUEUED_BYTES_MAX;
    this.#tell({ kind: 'progress', frames: this.#frames, isFull });
  }

  #fail(error: unknown): void {
    this.#tell({ kind: 'failed', ...describeError(error) });
  }

  #tell(report: IncomingReport): void {
    if (this.#isDone) return;
    this.port.postMessage(report, report.kind === 'return-path' ? wholeBuffers(report.bytes) : []);
  }

  #close(): void {
    this.#isDone = true;
    this.#unpacker.close();
    this.socket.destroy();
  }
}
