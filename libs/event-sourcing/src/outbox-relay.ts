import type { Pool, PoolClient } from 'pg';
import type { PostgresEventStore, RawStoredEvent } from './event-store';
import { Loop, type Stepped } from './loop';
import { quoteSchema } from './schema';
import { START, positionFromText, positionToText } from './stored-event';

/** One record for the bus; `topic` and what the bus needs of it. */
export interface OutboxRecord {
  readonly topic: string;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly value: string | Buffer;
}

export interface OutboxRelayOptions {
  readonly store: PostgresEventStore;
  readonly pool: Pool;
  readonly schema: string;
  /** Chooses what becomes public: a stored event to its records, or none. Pure. */
  readonly toRecords: (event: RawStoredEvent) => readonly OutboxRecord[];
  /** Resolves when every record is durable on the bus; keeps the order it is given, per topic and key. */
  readonly publish: (topic: string, records: readonly OutboxRecord[]) => Promise<void>;
  readonly onError: (error: unknown) => void;
  /** Called after each batch with how many events wait behind it. */
  readonly onLag?: (events: number) => void;
  readonly eventsPerBatchMax?: number;
  readonly pollMs?: number;
}

const CHECKPOINT = 'outbox-relay';

/**
 * Sends stored events to the bus, in the store's order, at least once: the checkpoint moves after the bus has
 * taken them, and consumers drop repeats by event id. One replica works, by an advisory lock on a session of
 * its own; no transaction is open while the bus is slow, since a write transaction would hold back every
 * reader of the store.
 */
export class OutboxRelay {
  private readonly s: string;
  private readonly loop: Loop;
  private leader: PoolClient | undefined;
  private forget: (() => void) | undefined;

  constructor(private readonly options: OutboxRelayOptions) {
    this.s = quoteSchema(options.schema);
    this.loop = new Loop({
      step: () => this.step(),
      idleMs: options.pollMs ?? 100,
      onError: options.onError,
    });
  }

  start(): void {
    this.forget = this.options.store.onAppend(() => this.loop.wake());
    this.loop.start();
  }

  async stop(): Promise<void> {
    this.forget?.();
    await this.loop.stop();
    this.dropLeadership();
  }

  private async step(): Promise<Stepped> {
    const leader = await this.lead();
    if (!leader) return 'idle';
    try {
      return await this.relayBatch(leader);
    } catch (error) {
      this.dropLeadership();
      throw error;
    }
  }

  private async relayBatch(leader: PoolClient): Promise<Stepped> {
    const { store, toRecords, publish, onLag, eventsPerBatchMax = 500 } = this.options;
    const { rows } = await leader.query<{ position: string }>(
      `SELECT position FROM ${this.s}.checkpoints WHERE name = $1`,
      [CHECKPOINT],
    );
    const after = rows[0] ? positionFromText(rows[0].position) : START;
    const events = await store.readAll(after, eventsPerBatchMax);
    const last = events.at(-1);
    if (!last) {
      const waiting = await store.countAfter(after);
      onLag?.(waiting);
      return waiting > 0 ? 'soon' : 'idle';
    }
    for (const [topic, records] of byTopic(events.flatMap((event) => toRecords(event))))
      await publish(topic, records);
    await leader.query(
      `INSERT INTO ${this.s}.checkpoints (name, position) VALUES ($1, $2)
       ON CONFLICT (name) DO UPDATE SET position = $2, updated_at = clock_timestamp()`,
      [CHECKPOINT, positionToText(last.at)],
    );
    onLag?.(events.length < eventsPerBatchMax ? 0 : await store.countAfter(last.at));
    return 'worked';
  }

  private async lead(): Promise<PoolClient | undefined> {
    if (this.leader) return this.leader;
    const client = await this.options.pool.connect();
    try {
      const { rows } = await client.query<{ locked: boolean }>(
        'SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS locked',
        [`${this.options.schema}.${CHECKPOINT}`],
      );
      if (rows[0]?.locked) {
        client.on('error', (error) => {
          this.options.onError(error);
          this.dropLeadership();
        });
        this.leader = client;
        return client;
      }
    } catch (error) {
      client.release(true);
      throw error;
    }
    client.release();
    return undefined;
  }

  /** Closes the session, and with it the lock, so that another replica can take over. */
  private dropLeadership(): void {
    this.leader?.release(true);
    this.leader = undefined;
  }
}

function byTopic(records: readonly OutboxRecord[]): Map<string, OutboxRecord[]> {
  const topics = new Map<string, OutboxRecord[]>();
  for (const record of records) {
    const sameTopic = topics.get(record.topic);
    if (sameTopic) sameTopic.push(record);
    else topics.set(record.topic, [record]);
  }
  return topics;
}
