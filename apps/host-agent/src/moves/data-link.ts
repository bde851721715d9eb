import { EventEmitter } from 'node:events';
import type { TLSSocket } from 'node:tls';

import { type Frame, FRAME_TYPE, FrameReader, FrameWriter, PageWireError } from '@watari/migration-core';
import type { z } from 'zod';

import { AgentError } from '../errors';

/** Nothing at all for so long means that the other side, or the way to it, is gone. Pings keep a quiet link alive. */
const SILENCE_MS_MAX = 30_000;
/** What may wait in our socket before senders are told to pause. */
const QUEUED_BYTES_MAX = 1024 * 1024;
const EPOCH = 1;

interface LinkEvents<Message> {
  message: [Message];
  frame: [Frame];
  drain: [];
  /** Once: what came holds no more, and nothing that follows is read. The link still carries an answer. */
  broken: [AgentError];
  /** Once, with the reason; null when the other side closed in an orderly way. */
  closed: [AgentError | null];
}

/**
 * Frames and control messages over one TLS connection between two agents. After anything that is no valid frame or
 * message it reads no more; its owner answers and closes it.
 */
export class DataLink<Incoming extends { kind: string }, Outgoing extends { kind: string }> {
  readonly events = new EventEmitter<LinkEvents<Incoming>>();
  readonly writer = new FrameWriter(EPOCH);
  readonly #reader: FrameReader;
  #isClosed = false;
  #isBroken = false;

  constructor(
    private readonly socket: TLSSocket,
    private readonly schema: z.ZodType<Incoming>,
  ) {
    socket.setNoDelay(true);
    socket.setTimeout(SILENCE_MS_MAX, () =>
      this.#close(new AgentError('LINK_SILENT', `The other agent said nothing for ${SILENCE_MS_MAX} ms.`)),
    );
    const reader = new FrameReader((frame) => this.#take(frame), { epoch: EPOCH });
    this.#reader = reader;
    socket.on('data', (chunk: Buffer) => this.#read(() => reader.push(chunk)));
    socket.on('drain', () => this.events.emit('drain'));
    socket.on('error', (error) => this.#close(lost(error.message, error)));
    socket.on('end', () => {
      try {
        reader.end();
        this.#close(null);
      } catch (error) {
        this.#close(asLinkError(error));
      }
    });
    socket.on('close', () => this.#close(lost('the connection was closed')));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Bytes of frames handed to the link, TLS included, once sent. */
  get bytesWritten(): number {
    return this.socket.bytesWritten;
  }

  get isFull(): boolean {
    return this.socket.writableLength > QUEUED_BYTES_MAX;
  }

  tell(message: Outgoing): void {
    this.sendFrame(this.writer.frame(FRAME_TYPE.control, Buffer.from(JSON.stringify(message))));
  }

  /** A stamped frame, in the order of stamping. */
  sendFrame(frame: Uint8Array): void {
    if (!this.#isClosed) this.socket.write(frame);
  }

  /** A few bytes of zero runs become megabytes of stream, so frames that were read already wait, too. */
  pauseReading(): void {
    this.socket.pause();
    this.#reader.pause();
  }

  resumeReading(): void {
    this.#read(() => this.#reader.resume());
    // The frames that had waited may have filled the receiver again.
    if (!this.#reader.isPaused) this.socket.resume();
  }

  /** Sends what waits, then closes. */
  end(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.socket.end();
    setTimeout(() => this.socket.destroy(), 2_000).unref();
    this.events.emit('closed', null);
  }

  /** Closes at once, as after a broken promise of the other side. */
  abort(error: AgentError): void {
    this.#close(error);
  }

  #read(step: () => void): void {
    if (this.#isClosed || this.#isBroken) return;
    try {
      step();
    } catch (error) {
      this.#isBroken = true;
      this.events.emit('broken', asLinkError(error));
    }
  }

  #take(frame: Frame): void {
    if (this.#isClosed) return;
    if (frame.type !== FRAME_TYPE.control) {
      this.events.emit('frame', frame);
      return;
    }
    const message = this.schema.safeParse(parseJson(frame.payload));
    if (!message.success)
      throw new AgentError(
        'LINK_MESSAGE_INVALID',
        `The other agent sent a message we cannot read (${message.error.issues[0]?.path.join('.') || 'kind'}). Run the same version of Watari on both hosts.`,
      );
    this.events.emit('message', message.data);
  }

  #close(error: AgentError | null): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.socket.destroy();
    this.events.emit('closed', error);
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'));
  } catch {
    return undefined;
  }
}

function asLinkError(error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  if (error instanceof PageWireError)
    return new AgentError(error.code, error.message, { status: 502, cause: error });
  return new AgentError('LINK_FAULT', `Reading from the other agent failed: ${String(error)}`, {
    cause: error,
  });
}

function lost(why: string, cause?: unknown): AgentError {
  return new AgentError('LINK_LOST', `The link between the agents was lost: ${why}.`, { status: 502, cause });
}
