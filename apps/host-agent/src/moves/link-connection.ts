import type { TLSSocket } from 'node:tls';

import {
  decodeHello,
  type Frame,
  FRAME_TYPE,
  FrameReader,
  type Hello,
  type LinkWire,
} from '@watari/migration-core';

import { AgentError } from '../errors';

/** Nothing at all for so long means that the other side, or the way to it, is gone. */
const SILENCE_MS_MAX = 8_000;
/** The first words come at once. */
const HELLO_TIMEOUT_MS = 10_000;

export interface ConnectionHandlers {
  /** The first words of the other side. Throws what is wrong with them. */
  readonly onHello: (hello: Hello, epoch: number) => void;
  /** All frames after that. May throw. */
  readonly onFrame: (frame: Frame) => void;
  /** Once: the connection is gone. What it had not carried is lost. */
  readonly onLost: (why: string) => void;
  /** Once: what came holds no more, and nothing that follows is read. */
  readonly onBroken: (error: unknown) => void;
}

/** One TLS connection of a link, from its first words to its end. */
export class LinkConnection implements LinkWire {
  readonly #reader: FrameReader;
  readonly #hello: NodeJS.Timeout;
  #handlers: ConnectionHandlers;
  #epoch: number;
  #heardMs = performance.now();
  #isGreeted = false;
  #isOver = false;

  /** `epoch`: what this side will say; null when the other side says it. */
  constructor(
    private readonly socket: TLSSocket,
    epoch: number | null,
    handlers: ConnectionHandlers,
  ) {
    this.#handlers = handlers;
    this.#epoch = epoch ?? 0;
    this.#reader = new FrameReader((frame) => this.#take(frame), {
      isOneOfSeveral: true,
      ...(epoch !== null && { epoch }),
    });
    this.#hello = setTimeout(() => this.lose('no first words came in time'), HELLO_TIMEOUT_MS);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#heardMs = performance.now();
      this.#read(() => this.#reader.push(chunk));
    });
    socket.on('error', (error) => this.lose(error.message));
    socket.on('end', () => this.lose('the other side ended it'));
    socket.on('close', () => this.lose('it was closed'));
  }

  get epoch(): number {
    return this.#epoch;
  }

  get queuedBytes(): number {
    return this.socket.writableLength;
  }

  /** Bytes sent, TLS included. */
  get bytesWritten(): number {
    return this.socket.bytesWritten;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  onDrain(work: () => void): void {
    this.socket.on('drain', work);
  }

  /** The owner has found out whose connection it is. */
  hand(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
  }

  write(bytes: Uint8Array): void {
    if (!this.#isOver) this.socket.write(bytes);
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.#heardMs = performance.now();
    this.socket.resume();
  }

  /** Gives up a connection on which nothing comes, unless that is our own doing. */
  checkSilence(nowMs: number): void {
    if (this.socket.isPaused()) this.#heardMs = nowMs;
    if (nowMs - this.#heardMs > SILENCE_MS_MAX) this.lose(`nothing came for ${SILENCE_MS_MAX} ms`);
  }

  lose(why: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#hello);
    this.socket.destroy();
    this.#handlers.onLost(why);
  }

  /** Sends what waits, then closes. Nothing is read any more. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#hello);
    this.socket.removeAllListeners('data').resume().end();
    setTimeout(() => this.socket.destroy(), 2_000).unref();
  }

  #read(step: () => void): void {
    if (this.#isOver) return;
    try {
      step();
    } catch (error) {
      // Whoever sent it may still be told why.
      this.socket.removeAllListeners('data').resume();
      this.#handlers.onBroken(error);
    }
  }

  #take(frame: Frame): void {
    if (this.#isOver) return;
    if (this.#isGreeted) return this.#handlers.onFrame(frame);
    if (frame.type !== FRAME_TYPE.hello)
      throw new AgentError('LINK_MESSAGE_UNEXPECTED', 'The other agent did not begin with who it is.');
    this.#isGreeted = true;
    clearTimeout(this.#hello);
    this.#epoch = frame.epoch;
    this.#handlers.onHello(decodeHello(frame.payload), frame.epoch);
  }
}
