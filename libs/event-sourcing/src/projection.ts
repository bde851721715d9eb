import type { DataSource, EntityManager } from 'typeorm';
import type { PostgresEventStore, RawStoredEvent } from './event-store';
import { Loop, type Stepped } from './loop';
import { quoteSchema } from './schema';
import { START, positionFromText, positionToText } from './stored-event';

/** A view (or a queue of work) made from the service's own events. */
export interface Projection {
  readonly name: string;
  /** Applies one event inside the transaction that also moves the checkpoint: each event counts exactly once. */
  apply(event: RawStoredEvent, manager: EntityManager): Promise<void>;
  /** Empties what `apply` wrote; the rebuild then reads every event again. Absent: not rebuildable. */
  clear?(manager: EntityManager): Promise<void>;
}

export interface ProjectionRunnerOptions {
  readonly projection: Projection;
  readonly store: PostgresEventStore;
  readonly dataSource: DataSource;
  readonly schema: string;
  readonly onError: (error: unknown) => void;
  readonly eventsPerBatchMax?: number;
  readonly pollMs?: number;
}

/** Follows the store and keeps one projection current. Replicas may run it side by side: the checkpoint row is the lock. */
export class ProjectionRunner {
  private readonly s: string;
  private readonly loop: Loop;
  private forget: (() => void) | undefined;

  constructor(private readonly options: ProjectionRunnerOptions) {
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
  }

  /** Empties the view and reads the whole history again, in one transaction with the checkpoint. */
  async rebuild(): Promise<void> {
    const { projection, dataSource } = this.options;
    const clear = projection.clear?.bind(projection);
    if (!clear) throw new Error(`${projection.name} cannot be rebuilt: what it did cannot be undone.`);
    await dataSource.transaction(async (manager) => {
      await this.lockCheckpoint(manager);
      await clear(manager);
      await this.saveCheckpoint(manager, positionToText(START));
    });
    this.loop.wake();
  }

  private async step(): Promise<Stepped> {
    const { projection, store, dataSource, eventsPerBatchMax = 200 } = this.options;
    return dataSource.transaction(async (manager) => {
      const after = positionFromText(await this.lockCheckpoint(manager));
      const events = await store.readAll(after, eventsPerBatchMax);
      const last = events.at(-1);
      if (!last) return (await store.countAfter(after)) > 0 ? 'soon' : 'idle';
      for (const event of events) await projection.apply(event, manager);
      await this.saveCheckpoint(manager, positionToText(last.at));
      return 'worked';
    });
  }

  private async lockCheckpoint(manager: EntityManager): Promise<string> {
    const select = `SELECT position FROM ${this.s}.checkpoints WHERE name = $1 FOR UPDATE`;
    const rows = (await manager.query(select, [this.options.projection.name])) as { position: string }[];
    if (rows[0]) return rows[0].position;
    await manager.query(
      `INSERT INTO ${this.s}.checkpoints (name, position) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
      [this.options.projection.name, positionToText(START)],
    );
    const again = (await manager.query(select, [this.options.projection.name])) as { position: string }[];
    return again[0]?.position ?? positionToText(START);
  }

  private async saveCheckpoint(manager: EntityManager, position: string): Promise<void> {
    await manager.query(
      `UPDATE ${this.s}.checkpoints SET position = $2, updated_at = clock_timestamp() WHERE name = $1`,
      [this.options.projection.name, position],
    );
  }
}
