import { connect, type Socket } from 'node:net';

import { LineSplitter } from './line-splitter';

const LINE_BYTES_MAX = 4 * 1024 * 1024;
const TIMEOUT_MS = 20_000;

/**
 * A QMP command failed, or the connection did. `code` is QMP_REFUSED (QEMU answered with an error; `qemuClass`
 * names it), QMP_TIMEOUT, QMP_CLOSED, QMP_BROKEN (what came is no QMP) or QMP_UNREACHABLE.
 */
export class QmpError extends Error {
  constructor(
    readonly code: 'QMP_REFUSED' | 'QMP_TIMEOUT' | 'QMP_CLOSED' | 'QMP_BROKEN' | 'QMP_UNREACHABLE',
    message: string,
    readonly qemuClass?: string,
  ) {
    super(message);
    this.name = 'QmpError';
  }
}

export interface QmpEvent {
  readonly event: string;
  /** By the clock of QEMU's host. */
  readonly at: QmpTimestamp;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Seconds and microseconds since 1970, as QEMU gives them. */
export interface QmpTimestamp {
  readonly seconds: number;
  readonly microseconds: number;
}

interface Waiting {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * One QMP connection. Commands may overlap. Once the connection ends, for whatever reason, every waiting command
 * is rejected, `onClose` is called once, and the client must be replaced.
 */
export class QmpClient {
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #closed: QmpError | null = null;
  #greeted: ((error?: Error) => void) | null = null;

  private constructor(
    private readonly socket: Socket,
    private readonly handlers: {
      onEvent?: (event: QmpEvent) => void;
      onClose?: (why: QmpError) => void;
    },
  ) {
    const lines = new LineSplitter(LINE_BYTES_MAX, (line) => this.#take(line));
    socket.on('data', (chunk: Buffer) => {
      try {
        lines.push(chunk);
      } catch (error) {
        this.#end(
          new QmpError('QMP_BROKEN', `QEMU sent something else than QMP: ${(error as Error).message}`),
        );
      }
    });
    socket.on('error', (error) => this.#end(new QmpError('QMP_CLOSED', `QMP failed: ${error.message}`)));
    socket.on('close', () => this.#end(new QmpError('QMP_CLOSED', 'QEMU closed its QMP connection.')));
  }

  /** Connects and leaves negotiation behind. */
  static async connect(
    path: string,
    handlers: { onEvent?: (event: QmpEvent) => void; onClose?: (why: QmpError) => void } = {},
    timeoutMs = TIMEOUT_MS,
  ): Promise<QmpClient> {
    const client = new QmpClient(connect({ path }), handlers);
    try {
      await client.#greeting(timeoutMs);
      await client.execute('qmp_capabilities', {}, timeoutMs);
      return client;
    } catch (error) {
      client.close();
      if (error instanceof QmpError && error.code !== 'QMP_CLOSED') throw error;
      throw new QmpError('QMP_UNREACHABLE', `No QMP on ${path}: ${(error as Error).message}`);
    }
  }

  get isClosed(): boolean {
    return this.#closed !== null;
  }

  /** QEMU's answer. Rejects with QmpError; after QMP_TIMEOUT the command may still take effect. */
  execute(
    command: string,
    args: Readonly<Record<string, unknown>> = {},
    timeoutMs = TIMEOUT_MS,
  ): Promise<unknown> {
    if (this.#closed) return Promise.reject(this.#closed);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new QmpError('QMP_TIMEOUT', `QEMU did not answer ${command} within ${timeoutMs} ms.`));
      }, timeoutMs);
      this.#waiting.set(id, { command, resolve, reject, timer });
      this.socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
  }

  close(): void {
    this.#end(new QmpError('QMP_CLOSED', 'The QMP connection was closed by the agent.'));
  }

  #greeting(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.#greeted?.(new QmpError('QMP_TIMEOUT', `QEMU did not greet within ${timeoutMs} ms.`)),
        timeoutMs,
      );
      this.#greeted = (error) => {
        clearTimeout(timer);
        this.#greeted = null;
        if (error) reject(error);
        else resolve();
      };
    });
  }

  #take(line: string): void {
    if (this.#closed || line.trim() === '') return;
    const message = parseObject(line);
    if (!message) throw new Error(`"${line.slice(0, 60)}" is no JSON object`);
    if ('QMP' in message) return this.#greeted?.();
    if (typeof message['event'] === 'string') return this.#takeEvent(message['event'], message);
    const waiting = this.#waiting.get(message['id'] as number);
    // An answer that came after its timeout.
    if (!waiting) return;
    this.#waiting.delete(message['id'] as number);
    clearTimeout(waiting.timer);
    const error = message['error'] as { class?: unknown; desc?: unknown } | undefined;
    if (error)
      waiting.reject(
        new QmpError(
          'QMP_REFUSED',
          `QEMU refused ${waiting.command}: ${String(error.desc ?? 'no reason')}`,
          String(error.class),
        ),
      );
    else waiting.resolve(message['return']);
  }

  #takeEvent(event: string, message: Record<string, unknown>): void {
    const stamp = message['timestamp'] as Partial<QmpTimestamp> | undefined;
    if (!Number.isSafeInteger(stamp?.seconds) || !Number.isSafeInteger(stamp?.microseconds))
      throw new Error(`event ${event} has no timestamp`);
    this.handlers.onEvent?.({
      event,
      at: stamp as QmpTimestamp,
      data: (message['data'] ?? {}) as Record<string, unknown>,
    });
  }

  #end(why: QmpError): void {
    if (this.#closed) return;
    this.#closed = why;
    this.socket.destroy();
    this.#greeted?.(why);
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(why);
    }
    this.#waiting.clear();
    this.handlers.onClose?.(why);
  }
}

/** ISO 8601 with microseconds, which Date cannot hold. */
export function formatTimestamp({ seconds, microseconds }: QmpTimestamp): string {
  const whole = new Date(seconds * 1_000).toISOString().slice(0, 19);
  return `${whole}.${String(microseconds).padStart(6, '0')}Z`;
}

export function timestampOf(ms: number): QmpTimestamp {
  return { seconds: Math.floor(ms / 1_000), microseconds: Math.floor((ms % 1_000) * 1_000) };
}

export function timestampMs({ seconds, microseconds }: QmpTimestamp): number {
  return seconds * 1_000 + microseconds / 1_000;
}

function parseObject(line: string): Record<string, unknown> | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}
