import type { Logger } from 'pino';
import type { DataSource, EntityManager } from 'typeorm';
import { type BackoffMs, backoffMs, pause } from '../backoff';
import { markedOn } from '../errors';
import type { Batch, BusRecord, EventBus, PartitionLag } from '../event-bus';
import { REPLAY_GROUP, deadLetterSpec, deadLetterTopicOf, toDeadLetter } from './dead-letters';
import { Inbox, type InboxPlace } from './inbox';

export interface RetryPolicy extends BackoffMs {
  /** How often an event is tried in all before it becomes a dead letter. */
  readonly attemptsMax: number;
}

export type ConsumerOptions<Event> = {
  readonly bus: EventBus;
  /** Holds inbox and offsets (`consumerMigration`) in `schema`. */
  readonly dataSource: DataSource;
  readonly schema: string;
  /** Members of one group share the work. */
  readonly group: string;
  readonly topics: readonly string[];
  /** Throws for a record that is no event; with `canRetry` false it becomes a dead letter at once. */
  readonly decode: (record: BusRecord) => Event;
  readonly logger: Logger;
  readonly retry?: RetryPolicy;
  readonly sessionTimeoutMs?: number;
} & (
  | {
      /** Writes views: what `handle` does by the manager, the inbox and the offset are one transaction. */
      readonly mode: 'project';
      readonly handle: (event: Event, manager: EntityManager) => Promise<void>;
    }
  | {
      /** Runs commands, which are transactions of their own and idempotent by the event's id. */
      readonly mode: 'react';
      readonly handle: (event: Event) => Promise<void>;
    }
);

export interface Consumer {
  /** Finishes what is under way, then leaves the group. */
  stop(): Promise<void>;
  lag(): Promise<readonly PartitionLag[]>;
}

const RETRY: RetryPolicy = { attemptsMax: 6, first: 200, max: 5000 };
const FORGET_EVERY_MS = 60 * 60_000;
/** CloudEvents' name for the event's id. */
const EVENT_ID = 'ce_id';
/** PostgreSQL's appendix A: serialization failure and deadlock. */
const ROLLED_BACK_BY_RIVAL = ['40001', '40P01'];

/** The record says of itself too little to be handled once. */
class RecordUnidentified extends Error {
  readonly code = 'EVENT_HEADER_MISSING';
  readonly canRetry = false;
}

/**
 * Reads topics for a group. What holds:
 *   - each event takes effect once, though it may arrive many times;
 *   - events of one key take effect in order; one that fails is tried again and holds its partition back meanwhile;
 *   - one that keeps failing, or is none at all, goes to the topic's dead letters with the reason, and reading goes on;
 *   - while database or bus are away nothing is given up: the batch comes again.
 */
export async function startConsumer<Event>(options: ConsumerOptions<Event>): Promise<Consumer> {
  const { bus, group, topics, logger, dataSource, schema } = options;
  await bus.ensureTopics(topics.map(deadLetterSpec));
  const inbox = new Inbox(dataSource, { schema, group, logIdentity: await bus.identity() });
  const worker = new Worker(options, inbox);
  const subscription = await bus.subscribe({
    group,
    topics,
    onBatch: (batch) => worker.takeBatch(batch),
    startAt: (topic, partition) => inbox.nextOffset(topic, partition),
    onError: (error) => logger.warn({ err: error, group }, 'consuming was disturbed; it goes on'),
    ...(options.sessionTimeoutMs !== undefined && { sessionTimeoutMs: options.sessionTimeoutMs }),
  });
  const forget = setInterval(() => {
    inbox
      .forgetOld()
      .catch((error: unknown) => logger.warn({ err: error, group }, 'pruning the inbox failed'));
  }, FORGET_EVERY_MS).unref();
  return {
    stop: async () => {
      clearInterval(forget);
      await subscription.close();
    },
    lag: () => bus.lag(group),
  };
}

class Worker<Event> {
  private readonly retry: RetryPolicy;

  constructor(
    private readonly options: ConsumerOptions<Event>,
    private readonly inbox: Inbox,
  ) {
    this.retry = options.retry ?? RETRY;
  }

  async takeBatch(batch: Batch): Promise<void> {
    const records = batch.records.filter(
      ({ headers }) => (headers[REPLAY_GROUP] ?? this.options.group) === this.options.group,
    );
    if (records.length === 0) return;
    if (this.options.mode === 'project') await this.project(batch, records, this.options.handle);
    else await this.react(batch, records, this.options.handle);
  }

  /** The whole batch in one transaction; when something in it fails, record by record to find out what. */
  private async project(
    batch: Batch,
    records: readonly BusRecord[],
    handle: (event: Event, manager: EntityManager) => Promise<void>,
  ): Promise<void> {
    try {
      return await this.projectTogether(records, handle);
    } catch (error) {
      if (await this.isOurFault(error)) throw error;
    }
    for (const record of records)
      await this.takeOne(record, batch, () => this.projectTogether([record], handle));
  }

  private async projectTogether(
    records: readonly BusRecord[],
    handle: (event: Event, manager: EntityManager) => Promise<void>,
  ): Promise<void> {
    const events = records.map((record) => ({
      eventId: eventIdOf(record),
      event: this.options.decode(record),
    }));
    await this.options.dataSource.transaction(async (manager) => {
      const fresh = await this.inbox.enter(
        manager,
        events.map(({ eventId }) => eventId),
      );
      for (const { eventId, event } of events) {
        // Taken out, so that a repeat within the batch finds nothing.
        if (fresh.delete(eventId)) await handle(event, manager);
      }
      const last = records.at(-1);
      if (last) await this.inbox.moveTo(manager, behind(last));
    });
  }

  /**
   * Reacting runs transactions of its own, which are idempotent by the event's id. So it comes first, and is
   * harmless when the process dies before the inbox knows of it.
   */
  private async react(
    batch: Batch,
    records: readonly BusRecord[],
    handle: (event: Event) => Promise<void>,
  ): Promise<void> {
    const known = await this.inbox.holding(records.flatMap(({ headers }) => headers[EVENT_ID] ?? []));
    for (const record of records) {
      await this.takeOne(record, batch, async () => {
        const eventId = eventIdOf(record);
        const event = this.options.decode(record);
        if (!known.has(eventId)) await handle(event);
        known.add(eventId);
        await this.options.dataSource.transaction(async (manager) => {
          await this.inbox.enter(manager, [eventId]);
          await this.inbox.moveTo(manager, behind(record));
        });
      });
    }
  }

  private async takeOne(record: BusRecord, batch: Batch, attempt: () => Promise<void>): Promise<void> {
    for (let attempts = 1; ; attempts += 1) {
      await batch.heartbeat();
      try {
        return await attempt();
      } catch (error) {
        if (await this.isOurFault(error)) throw error;
        const isHopeless = markedOn(error).canRetry === false;
        if (isHopeless || attempts >= this.retry.attemptsMax) return this.bury(record, error, attempts);
        this.options.logger.warn(
          { err: error, group: this.options.group, eventId: record.headers[EVENT_ID], attempts },
          'handling an event failed; it is tried again',
        );
        await pause(backoffMs(this.retry, attempts), batch.signal);
      }
    }
  }

  /** Not entered in the inbox: replayed once its cause is mended, it shall be handled. */
  private async bury(record: BusRecord, error: unknown, attempts: number): Promise<void> {
    const { bus, dataSource, group, logger } = this.options;
    await bus.publish(deadLetterTopicOf(record.topic), [toDeadLetter(record, error, group, attempts)]);
    await dataSource.transaction((manager) => this.inbox.moveTo(manager, behind(record)));
    logger.error(
      {
        err: error,
        group,
        topic: record.topic,
        partition: record.partition,
        offset: String(record.offset),
        attempts,
      },
      'an event became a dead letter',
    );
  }

  /** The database or the bus is away, or two transactions met: no event's fault, so none is given up for it. */
  private async isOurFault(error: unknown): Promise<boolean> {
    const { code } = markedOn(error);
    if (code === 'BUS_OWNERSHIP_LOST' || code === 'BUS_UNAVAILABLE') return true;
    if (ROLLED_BACK_BY_RIVAL.some((each) => each === code)) return true;
    try {
      await this.options.dataSource.query('SELECT 1');
      return false;
    } catch (databaseError) {
      this.options.logger.warn({ err: databaseError }, 'the database does not answer');
      return true;
    }
  }
}

function eventIdOf({ headers }: BusRecord): string {
  const id = headers[EVENT_ID];
  if (!id) throw new RecordUnidentified(`The record lacks the header ${EVENT_ID}.`);
  return id;
}

function behind({ topic, partition, offset }: BusRecord): InboxPlace {
  return { topic, partition, next: offset + 1n };
}
