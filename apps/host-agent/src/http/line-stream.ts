import type { ServerResponse } from 'node:http';

/** A blank line so often keeps a quiet stream from looking dead. */
const KEEP_ALIVE_MS = 10_000;
/** A reader that does not read is let go, not remembered for. */
const UNREAD_BYTES_MAX = 4 * 1024 * 1024;

/** An answer of JSON lines that goes on until the caller is gone, or `end`. */
export class LineStream {
  readonly #keepAlive: NodeJS.Timeout;

  constructor(
    private readonly response: ServerResponse,
    signal: AbortSignal,
  ) {
    response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
    response.flushHeaders();
    this.#keepAlive = setInterval(() => response.write('\n'), KEEP_ALIVE_MS);
    signal.addEventListener('abort', () => clearInterval(this.#keepAlive), { once: true });
  }

  send(value: unknown): void {
    this.response.write(`${JSON.stringify(value)}\n`);
    if (this.response.writableLength > UNREAD_BYTES_MAX) this.response.destroy();
  }

  /** The reader has not taken what was sent: what is news for a moment only may be left out. */
  get isBehind(): boolean {
    return this.response.writableNeedDrain;
  }

  end(): void {
    clearInterval(this.#keepAlive);
    this.response.end();
  }
}
