import { EventEmitter } from 'node:events';

import { type Frame, FRAME_TYPE, type FrameWriter, LinkSession, PageWireError } from '@watari/migration-core';
import type { z } from 'zod';

import { AgentError } from '../errors';
import type { LinkConnection } from './link-connection';

/** Quiet connections are told of what came, which keeps them alive, and looked at, so often. */
const KEEP_ALIVE_MS = 1_000;
/** What came is acknowledged after this, if not sooner for its bulk. */
const ACKNOWLEDGE_MS = 20;
/** What may wait in our sockets before senders are told to pause. */
const QUEUED_BYTES_MAX = 1024 * 1024;

interface LinkEvents<Message> {
  message: [Message];
  frame: [Frame];
  drain: [];
  /** One of several, or the last. */
  'connection-lost': [];
  /** Once: what came holds no more, and nothing that follows is read. The link still carries an answer. */
  broken: [AgentError];
  /** Once, with the reason; null when the other side closed in an orderly way. */
  closed: [AgentError | null];
}

export interface DataLinkOptions<Incoming> {
  readonly sessionId: string;
  readonly schema: z.ZodType<Incoming>;
  /** Throws an AgentError for what is not to be read by this schema at all. */
  readonly refuse?: ((message: unknown) => void) | undefined;
  /** Without any connection for so long, the link is lost. */
  readonly lossLimitMs: number;
}

/**
 * Frames and control messages between two agents, over connections that may be lost and made again: that is a delay,
 * and nothing is lost, until it takes longer than its limit. After anything that is no valid frame or message it reads
 * no more; its owner answers and closes it.
 */
export class DataLink<Incoming extends { kind: string }, Outgoing extends { kind: string }> {
  readonly events = new EventEmitter<LinkEvents<Incoming>>();
  readonly #session: LinkSession;
  readonly #connections = new Set<LinkConnection>();
  readonly #keepAlive: NodeJS.Timeout;
  #lossLimitMs: number;
  #lossTimer: NodeJS.Timeout | undefined;
  #lostAtMs: number | null = null;
  #whyLost = 'it was never connected';
  #acknowledgeTimer: NodeJS.Timeout | undefined;
  #endedBytes = 0;
  #lostConnections = 0;
  #isClosed = false;
  #isLingering = false;
  #isBroken = false;

  constructor(private readonly options: DataLinkOptions<Incoming>) {
    this.#session = new LinkSession((frame) => this.#take(frame), options);
    this.#lossLimitMs = options.lossLimitMs;
    this.#keepAlive = setInterval(() => this.#keep(), KEEP_ALIVE_MS);
    this.#keepAlive.unref();
    this.#startLossTimer();
  }

  get sessionId(): string {
    return this.options.sessionId;
  }

  get writer(): FrameWriter {
    return this.#session.writer;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get isConnected(): boolean {
    return this.#session.isConnected;
  }

  /** Whether the side that makes connections should make one: its owner has not closed it, or left words behind. */
  wantsConnection(streams: number): boolean {
    return this.#isClosed ? this.#isLingering : this.#connections.size < streams;
  }

  /** Connections that were lost while the link was open. */
  get lostConnections(): number {
    return this.#lostConnections;
  }

  /** Bytes of frames that the other side has not acknowledged to have received. */
  get unreceivedBytes(): number {
    return this.#session.unacknowledgedBytes;
  }

  /** Bytes of frames that went out again after a connection was lost. */
  get resentBytes(): number {
    return this.#session.resentBytes;
  }

  /** Bytes handed to the connections, TLS included. */
  get bytesWritten(): number {
    return [...this.#connections].reduce((sum, { bytesWritten }) => sum + bytesWritten, this.#endedBytes);
  }

  get isFull(): boolean {
    const queuedBytes = [...this.#connections].reduce((sum, connection) => sum + connection.queuedBytes, 0);
    return queuedBytes > QUEUED_BYTES_MAX || this.#session.isFull;
  }

  /** The first words on a connection that this side made. */
  hello(epoch: number): Uint8Array {
    return this.#session.hello(epoch);
  }

  /** A connection whose other end has named this link, with what it has received; both have proved who they are. */
  join(connection: LinkConnection, theirReceivedSequence: number): void {
    if (this.#isLingering) return this.#deliver(connection, theirReceivedSequence);
    if (this.#isClosed) return connection.lose('the link is closed');
    connection.hand({
      onHello: () => undefined,
      onFrame: (frame) => {
        this.#session.take(connection, frame);
        this.#acknowledgeTimer ??= setTimeout(() => this.#acknowledge(), ACKNOWLEDGE_MS);
      },
      onLost: (why) => this.#leave(connection, why),
      onBroken: (error) => this.#break(error),
    });
    connection.onDrain(() => this.events.emit('drain'));
    if (this.#session.isPaused) connection.pause();
    this.#connections.add(connection);
    try {
      this.#session.join(connection, theirReceivedSequence);
    } catch (error) {
      return this.#break(error);
    }
    clearTimeout(this.#lossTimer);
    this.#lostAtMs = null;
    this.events.emit('drain');
  }

  tell(message: Outgoing): void {
    this.sendFrame(this.writer.frame(FRAME_TYPE.control, Buffer.from(JSON.stringify(message))));
  }

  /** A stamped frame, in the order of stamping. */
  sendFrame(frame: Uint8Array): void {
    if (!this.#isClosed) this.#session.send(frame);
  }

  /** A few bytes of zero runs become megabytes of stream, so frames that were read already wait, too. */
  pauseReading(): void {
    this.#session.pause();
    for (const connection of this.#connections) connection.pause();
  }

  resumeReading(): void {
    if (this.#isClosed || this.#isBroken) return;
    try {
      this.#session.resume();
    } catch (error) {
      return this.#break(error);
    }
    // The frames that had waited may have filled the receiver again.
    if (!this.#session.isPaused) for (const connection of this.#connections) connection.resume();
  }

  /** From now on the link is lost after so long without a connection. */
  limitLoss(lossLimitMs: number): void {
    this.#lossLimitMs = lossLimitMs;
    if (this.#lostAtMs !== null) this.#startLossTimer();
  }

  /**
   * Sends what waits and that it was the last, then closes. Without a connection that is done on the next, if one is
   * made before the link would be lost.
   */
  end(): void {
    if (this.#isClosed) return;
    this.sendFrame(this.writer.frame(FRAME_TYPE.bye, new Uint8Array(0)));
    this.#isLingering = !this.#session.isConnected;
    this.#close(null, (connection) => connection.end());
    if (this.#isLingering) setTimeout(() => (this.#isLingering = false), this.#lossLimitMs).unref();
  }

  /** Closes at once, as after a broken promise of the other side. */
  abort(error: AgentError): void {
    this.#close(error, (connection) => connection.lose(error.message));
  }

  /** The last words, for which there was no connection when the link was closed. */
  #deliver(connection: LinkConnection, theirReceivedSequence: number): void {
    this.#isLingering = false;
    try {
      this.#session.join(connection, theirReceivedSequence);
    } catch {
      return connection.lose('it claims what cannot be');
    }
    connection.end();
  }

  #leave(connection: LinkConnection, why: string): void {
    if (!this.#connections.delete(connection)) return;
    this.#endedBytes += connection.bytesWritten;
    this.#session.leave(connection);
    if (this.#isClosed) return;
    this.#lostConnections += 1;
    if (!this.#session.isConnected) {
      this.#lostAtMs = performance.now();
      this.#whyLost = why;
      this.#startLossTimer();
    }
    this.events.emit('connection-lost');
  }

  #startLossTimer(): void {
    clearTimeout(this.#lossTimer);
    const passedMs = this.#lostAtMs === null ? 0 : performance.now() - this.#lostAtMs;
    this.#lostAtMs ??= performance.now();
    this.#lossTimer = setTimeout(
      () =>
        this.abort(
          new AgentError(
            'LINK_LOST',
            `The link between the agents was lost (${this.#whyLost}) and did not come back within ${this.#lossLimitMs} ms.`,
            { status: 502 },
          ),
        ),
      Math.max(0, this.#lossLimitMs - passedMs),
    );
  }

  #keep(): void {
    const nowMs = performance.now();
    for (const connection of this.#connections) connection.checkSilence(nowMs);
    this.#session.acknowledge(true);
  }

  #acknowledge(): void {
    this.#acknowledgeTimer = undefined;
    if (!this.#isClosed) this.#session.acknowledge();
  }

  #take(frame: Frame): void {
    if (this.#isClosed || this.#isBroken) return;
    if (frame.type === FRAME_TYPE.bye) {
      this.#session.acknowledge();
      return this.#close(null, (connection) => connection.end());
    }
    if (frame.type !== FRAME_TYPE.control) {
      this.events.emit('frame', frame);
      return;
    }
    const words = parseJson(frame.payload);
    this.options.refuse?.(words);
    const message = this.options.schema.safeParse(words);
    if (!message.success)
      throw new AgentError(
        'LINK_MESSAGE_INVALID',
        `The other agent sent a message we cannot read (${message.error.issues[0]?.path.join('.') || 'kind'}). Run the same version of Watari on both hosts.`,
      );
    this.events.emit('message', message.data);
  }

  #break(error: unknown): void {
    if (this.#isBroken || this.#isClosed) return;
    this.#isBroken = true;
    this.events.emit('broken', asLinkError(error));
  }

  #close(error: AgentError | null, finish: (connection: LinkConnection) => void): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#keepAlive);
    clearTimeout(this.#lossTimer);
    clearTimeout(this.#acknowledgeTimer);
    for (const connection of this.#connections) finish(connection);
    this.events.emit('closed', error);
  }
}

/** Errors of the link's own making, for whoever answers a connection before there is a link. */
export function asLinkError(error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  if (error instanceof PageWireError)
    return new AgentError(error.code, error.message, { status: 502, cause: error });
  return new AgentError('LINK_FAULT', `Reading from the other agent failed: ${String(error)}`, {
    cause: error,
  });
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'));
  } catch {
    return undefined;
  }
}
