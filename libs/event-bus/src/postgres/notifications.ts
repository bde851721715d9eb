import { Client } from 'pg';
import { backoffMs, pause } from '../backoff';

/**
 * Listens on one channel over a connection of its own, and connects again when it breaks. What was said in
 * between is lost, so listeners are rung after each connect, and must look by themselves now and then anyway.
 */
export class Notifications {
  private readonly listeners = new Map<string, Set<() => void>>();
  private readonly stopped = new AbortController();
  private running: Promise<void> | undefined;
  private client: Client | undefined;

  constructor(
    private readonly options: {
      readonly connectionString: string;
      readonly channel: string;
      readonly onError: (error: unknown) => void;
    },
  ) {}

  /** Rings for each of the payloads; returns how to stop. */
  on(payloads: readonly string[], ring: () => void): () => void {
    for (const payload of payloads) {
      const ringers = this.listeners.get(payload) ?? new Set();
      this.listeners.set(payload, ringers.add(ring));
    }
    this.running ??= this.run();
    return () => {
      for (const payload of payloads) this.listeners.get(payload)?.delete(ring);
    };
  }

  async close(): Promise<void> {
    this.stopped.abort();
    await this.client?.end().catch(this.options.onError);
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopped;
    for (let failures = 0; !signal.aborted;) {
      try {
        await this.listenUntilBroken(() => (failures = 0));
      } catch (error) {
        if (!signal.aborted) this.options.onError(error);
      }
      failures += 1;
      await pause(backoffMs({ first: 100, max: 5000 }, failures), signal);
    }
  }

  private async listenUntilBroken(onListening: () => void): Promise<void> {
    const client = new Client({
      connectionString: this.options.connectionString,
      connectionTimeoutMillis: 5000,
      query_timeout: 10_000,
      keepAlive: true,
    });
    const broken = new Promise<void>((done, fail) => {
      client.once('end', () => done());
      // A server that is shut down says so, and then the connection breaks: each is an error.
      client.on('error', fail);
    });
    // Until it is awaited below, a rejection of it must not count as unhandled.
    broken.catch(() => undefined);
    client.on('notification', ({ payload }) => this.ring(payload ?? ''));
    this.client = client;
    try {
      await client.connect();
      await client.query(`LISTEN "${this.options.channel}"`);
      onListening();
      for (const payload of this.listeners.keys()) this.ring(payload);
      await broken;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  private ring(payload: string): void {
    for (const ring of this.listeners.get(payload) ?? []) ring();
  }
}
