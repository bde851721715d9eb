import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface QmpEvent {
  readonly event: string;
  /** Milliseconds since 1970, by QEMU's clock. */
  readonly atMs: number;
  readonly data: Readonly<Record<string, unknown>>;
}

interface Waiting {
  readonly resolve: (value: Record<string, unknown>) => void;
  readonly reject: (error: Error) => void;
}

/** QMP of a QEMU that the benchmark itself started. */
export class Qmp {
  readonly events: QmpEvent[] = [];
  readonly #waiting: Waiting[] = [];
  #rest = '';

  private constructor(private readonly socket: Socket) {
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (this.#rest + chunk).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines)
        if (line.trim() !== '') this.#take(JSON.parse(line) as Record<string, unknown>);
    });
    const fail = (): void => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('QEMU closed its QMP connection.'));
    };
    socket.on('error', fail).on('close', fail);
  }

  /** Waits for the socket to be there, at most `timeoutMs`. */
  static async open(path: string, timeoutMs = 30_000): Promise<Qmp> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const socket = connect({ path });
      try {
        await new Promise<void>((resolve, reject) => {
          socket.once('connect', resolve).once('error', reject);
        });
        const qmp = new Qmp(socket);
        await qmp.execute('qmp_capabilities');
        return qmp;
      } catch (error) {
        socket.destroy();
        if (performance.now() > deadline) throw error;
        await sleep(20);
      }
    }
  }

  execute(command: string, args: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    });
  }

  /** The first event of that name; undefined before it came. */
  find(event: string): QmpEvent | undefined {
    return this.events.find((seen) => seen.event === event);
  }

  close(): void {
    this.socket.destroy();
  }

  #take(message: Record<string, unknown>): void {
    if ('QMP' in message) return;
    if (typeof message['event'] === 'string') {
      const stamp = message['timestamp'] as { seconds: number; microseconds: number };
      this.events.push({
        event: message['event'],
        atMs: stamp.seconds * 1_000 + stamp.microseconds / 1_000,
        data: (message['data'] ?? {}) as Record<string, unknown>,
      });
      return;
    }
    const waiting = this.#waiting.shift();
    const error = message['error'] as { desc?: string } | undefined;
    if (error) waiting?.reject(new Error(`QEMU refused: ${error.desc ?? 'no reason'}`));
    else waiting?.resolve(message['return'] as Record<string, unknown>);
  }
}
