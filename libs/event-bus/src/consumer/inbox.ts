import type { DataSource, EntityManager } from 'typeorm';
import { quoteName } from '../postgres/postgres-schema';

/** Repeats that come later than this are handled again; topics keep records for seven days. */
const KEPT_DAYS = 30;

export interface InboxPlace {
  readonly topic: string;
  readonly partition: number;
  /** The offset behind what was handled. */
  readonly next: bigint;
}

/** One group's inbox and offsets. Methods that take a manager work in its transaction. */
export class Inbox {
  private readonly s: string;

  constructor(
    private readonly dataSource: DataSource,
    private readonly options: {
      readonly schema: string;
      readonly group: string;
      readonly logIdentity: string;
    },
  ) {
    this.s = quoteName(options.schema);
  }

  /** Enters events; the answer is those that were not there before. A rival that enters one of them is waited for. */
  async enter(manager: EntityManager, eventIds: readonly string[]): Promise<Set<string>> {
    const rows = (await manager.query(
      `INSERT INTO ${this.s}.inbox (group_name, event_id)
       SELECT $1, e.id FROM unnest($2::text[]) WITH ORDINALITY AS e(id, ordinal) ORDER BY e.ordinal
       ON CONFLICT DO NOTHING RETURNING event_id`,
      [this.options.group, eventIds],
    )) as { event_id: string }[];
    return new Set(rows.map(({ event_id }) => event_id));
  }

  async holding(eventIds: readonly string[]): Promise<Set<string>> {
    const rows = (await this.dataSource.query(
      `SELECT event_id FROM ${this.s}.inbox WHERE group_name = $1 AND event_id = ANY ($2)`,
      [this.options.group, eventIds],
    )) as { event_id: string }[];
    return new Set(rows.map(({ event_id }) => event_id));
  }

  /** Never back: a member that was replaced while it slept cannot undo its successor's progress. */
  async moveTo(manager: EntityManager, { topic, partition, next }: InboxPlace): Promise<void> {
    const { group, logIdentity } = this.options;
    await manager.query(
      `INSERT INTO ${this.s}.consumer_offsets AS o (group_name, log_identity, topic, partition, next_offset)
       VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (group_name, log_identity, topic, partition)
       DO UPDATE SET next_offset = greatest(o.next_offset, excluded.next_offset)`,
      [group, logIdentity, topic, partition, next.toString()],
    );
  }

  async nextOffset(topic: string, partition: number): Promise<bigint | undefined> {
    const { group, logIdentity } = this.options;
    const rows = (await this.dataSource.query(
      `SELECT next_offset FROM ${this.s}.consumer_offsets
       WHERE group_name = $1 AND log_identity = $2 AND topic = $3 AND partition = $4`,
      [group, logIdentity, topic, partition],
    )) as { next_offset: string }[];
    return rows[0] && BigInt(rows[0].next_offset);
  }

  async forgetOld(): Promise<void> {
    await this.dataSource.query(
      `DELETE FROM ${this.s}.inbox WHERE group_name = $1 AND handled_at < clock_timestamp() - $2 * interval '1 day'`,
      [this.options.group, KEPT_DAYS],
    );
  }
}
