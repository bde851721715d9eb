import type { Pool } from 'pg';
import type { Message } from './decider';
import { quoteSchema } from './schema';
import type { Cause, GlobalPosition, StreamId } from './stored-event';

/** An event as it lies in the store: any version, not yet upcast. */
export interface RawStoredEvent extends Cause {
  readonly eventId: string;
  readonly stream: StreamId;
  readonly streamVersion: number;
  readonly at: GlobalPosition;
  readonly recordedAt: Date;
  readonly type: string;
  readonly version: number;
  readonly data: Record<string, unknown>;
}

export interface Snapshot {
  readonly streamVersion: number;
  readonly stateVersion: number;
  readonly state: unknown;
}

/** Somebody else appended to the stream first. Load it again and decide again. */
export class StreamConflict extends Error {
  readonly code = 'STREAM_CONFLICT';
  readonly canRetry = true;
}

const EVENTS_PER_APPEND_MAX = 1000;

/** The event store of one service: streams in one schema of a Postgres database (16 or newer is not needed; 13 is). */
export class PostgresEventStore {
  private readonly s: string;
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly pool: Pool,
    schema: string,
  ) {
    this.s = quoteSchema(schema);
  }

  /** Events of a stream after `afterVersion`, in order. */
  async load(stream: StreamId, afterVersion = 0): Promise<RawStoredEvent[]> {
    const { rows } = await this.pool.query<EventRow>(
      `SELECT * FROM ${this.s}.events WHERE stream = $1 AND stream_version > $2 ORDER BY stream_version`,
      [streamName(stream), afterVersion],
    );
    return rows.map(fromRow);
  }

  /**
   * Appends in a transaction of its own, together with the command's id. Throws StreamConflict when the
   * stream is not at `expectedVersion`, or when the same command was recorded meanwhile.
   */
  async append(
    stream: StreamId,
    expectedVersion: number,
    events: readonly (Message & { readonly version: number })[],
    cause: Cause,
  ): Promise<RawStoredEvent[]> {
    if (events.length > EVENTS_PER_APPEND_MAX)
      throw new Error(`One command made ${events.length} events; the limit is ${EVENTS_PER_APPEND_MAX}.`);
    try {
      const { rows } = await this.pool.query<EventRow>(
        `SELECT * FROM ${this.s}.append_events($1, $2, $3, $4, $5, $6)`,
        [
          streamName(stream),
          expectedVersion,
          JSON.stringify(events),
          cause.commandId,
          cause.correlationId,
          cause.causationId,
        ],
      );
      for (const listener of this.listeners) listener();
      return rows.map(fromRow);
    } catch (error) {
      if (isConflict(error))
        throw new StreamConflict(`${streamName(stream)} changed while the command was decided.`, {
          cause: error,
        });
      throw error;
    }
  }

  /** The versions that a command produced, if it was handled before. */
  async findCommand(
    stream: StreamId,
    commandId: string,
  ): Promise<{ firstVersion: number; lastVersion: number } | undefined> {
    const { rows } = await this.pool.query<{ first_version: number; last_version: number }>(
      `SELECT first_version, last_version FROM ${this.s}.commands WHERE stream = $1 AND command_id = $2`,
      [streamName(stream), commandId],
    );
    return rows[0] && { firstVersion: rows[0].first_version, lastVersion: rows[0].last_version };
  }

  /** Events of all streams after `after`, in the global order: none is ever passed over, none changes place. */
  async readAll(after: GlobalPosition, eventsMax: number): Promise<RawStoredEvent[]> {
    const { rows } = await this.pool.query<EventRow>(
      `SELECT * FROM ${this.s}.events
        WHERE (transaction, position) > ($1::text::xid8, $2)
          AND transaction < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY transaction, position LIMIT $3`,
      [after.transaction.toString(), after.position.toString(), eventsMax],
    );
    return rows.map(fromRow);
  }

  /** How many committed or pending events lie after `after`: the lag of a reader. */
  async countAfter(after: GlobalPosition): Promise<number> {
    const { rows } = await this.pool.query<{ count: string }>(
      `SELECT count(*) FROM ${this.s}.events WHERE (transaction, position) > ($1::text::xid8, $2)`,
      [after.transaction.toString(), after.position.toString()],
    );
    return Number(rows[0]?.count ?? 0);
  }

  async loadSnapshot(stream: StreamId): Promise<Snapshot | undefined> {
    const { rows } = await this.pool.query<{ stream_version: number; state_version: number; state: unknown }>(
      `SELECT stream_version, state_version, state FROM ${this.s}.snapshots WHERE stream = $1`,
      [streamName(stream)],
    );
    return (
      rows[0] && {
        streamVersion: rows[0].stream_version,
        stateVersion: rows[0].state_version,
        state: rows[0].state,
      }
    );
  }

  /** Keeps the newest snapshot; a late writer with an older one changes nothing. */
  async saveSnapshot(stream: StreamId, { streamVersion, stateVersion, state }: Snapshot): Promise<void> {
    await this.pool.query(
      `INSERT INTO ${this.s}.snapshots AS kept (stream, stream_version, state_version, state) VALUES ($1, $2, $3, $4)
       ON CONFLICT (stream) DO UPDATE SET stream_version = $2, state_version = $3, state = $4
       WHERE kept.stream_version < $2 OR kept.state_version <> $3`,
      [streamName(stream), streamVersion, stateVersion, JSON.stringify(state)],
    );
  }

  /** Calls back after each append of this process; a hint to look sooner, never the only one. Returns how to stop. */
  onAppend(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

interface EventRow {
  transaction: string;
  position: string;
  stream: string;
  stream_version: number;
  event_id: string;
  type: string;
  version: number;
  data: Record<string, unknown>;
  command_id: string;
  correlation_id: string;
  causation_id: string;
  recorded_at: Date;
}

function fromRow(row: EventRow): RawStoredEvent {
  const dash = row.stream.indexOf('-');
  return {
    eventId: row.event_id,
    stream: { aggregate: row.stream.slice(0, dash), id: row.stream.slice(dash + 1) },
    streamVersion: row.stream_version,
    at: { transaction: BigInt(row.transaction), position: BigInt(row.position) },
    recordedAt: row.recorded_at,
    type: row.type,
    version: row.version,
    data: row.data,
    commandId: row.command_id,
    correlationId: row.correlation_id,
    causationId: row.causation_id,
  };
}

/** `<aggregate>-<id>`; aggregate names hold no dash, so the first dash ends the name. */
function streamName({ aggregate, id }: StreamId): string {
  if (!/^[a-z]+$/.test(aggregate))
    throw new Error(`Aggregate name "${aggregate}" must be lower-case letters.`);
  if (id.length === 0 || id.length > 200)
    throw new Error(`An id of ${aggregate} must have 1 to 200 characters.`);
  return `${aggregate}-${id}`;
}

const UNIQUE_VIOLATION = '23505';
const EXPECTED_VERSION_WRONG = 'WT002';

function isConflict(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return code === UNIQUE_VIOLATION || code === EXPECTED_VERSION_WRONG;
}
