import { Pool } from 'pg';
import { BusError } from '../errors';
import {
  type BusRecord,
  type BusSubscription,
  type EventBus,
  type OutgoingRecord,
  type PartitionEnds,
  type PartitionLag,
  RETENTION_MS,
  type ReadOptions,
  type SubscribeOptions,
  type TopicSpec,
} from '../event-bus';
import { assertName, assertRecord, assertTopicSpec } from '../limits';
import { Notifications } from './notifications';
import { orUnavailable } from './postgres-errors';
import { PostgresLog, asTopicUnknown } from './postgres-log';
import { ensureSchema, quoteName } from './postgres-schema';
import { PostgresSubscription } from './postgres-subscription';

export interface PostgresBusOptions {
  readonly connectionString: string;
  /** Where the bus's tables live; default `bus`. Also the notification channel. */
  readonly schema?: string;
  /** Connections at a time, beside the one that listens; default 10. */
  readonly connectionsMax?: number;
  readonly onError?: (error: unknown) => void;
}

const PRUNE_EVERY_MS = 10 * 60_000;
const PRUNE_RECORDS_MAX = 2000;

/** The EventBus as a log in Postgres: the same semantics as Kafka's, for one database and many processes. */
export class PostgresBus implements EventBus {
  private readonly pool: Pool;
  private readonly log: PostgresLog;
  private readonly notifications: Notifications;
  private readonly subscriptions = new Set<PostgresSubscription>();
  private readonly partitionCounts = new Map<string, number>();
  private readonly onError: (error: unknown) => void;
  private schemaReady: Promise<void> | undefined;
  private pruneTimer: NodeJS.Timeout | undefined;
  private closed: Promise<void> | undefined;

  constructor(private readonly options: PostgresBusOptions) {
    const { connectionString, schema = 'bus', connectionsMax = 10 } = options;
    this.onError = options.onError ?? (() => undefined);
    quoteName(schema);
    this.pool = new Pool({
      connectionString,
      max: connectionsMax,
      // A database that does not answer must show as an error: a query that waits for ever would stall a group.
      connectionTimeoutMillis: 10_000,
      query_timeout: 60_000,
      keepAlive: true,
      application_name: 'watari-event-bus',
    });
    this.pool.on('error', this.onError);
    this.log = new PostgresLog(this.pool, schema);
    this.notifications = new Notifications({ connectionString, channel: schema, onError: this.onError });
  }

  /** Opens the bus and makes its tables where they are missing. Rejects with BUS_UNAVAILABLE. */
  static async connect(options: PostgresBusOptions): Promise<PostgresBus> {
    const bus = new PostgresBus(options);
    try {
      await bus.ready();
      return bus;
    } catch (error) {
      await bus.close();
      throw error;
    }
  }

  async identity(): Promise<string> {
    await this.ready();
    return orUnavailable(() => this.log.identity());
  }

  async ensureTopics(topics: readonly TopicSpec[]): Promise<void> {
    topics.forEach(assertTopicSpec);
    await this.ready();
    for (const { name, partitions, retentionMs = RETENTION_MS } of topics) {
      const existing = await orUnavailable(() => this.log.ensureTopic(name, partitions, retentionMs));
      if (existing !== partitions) {
        throw new BusError(
          'BUS_TOPIC_DIFFERS',
          `Topic ${name} has ${existing} partitions, not ${partitions}. The number is fixed: another one would move keys.`,
        );
      }
    }
  }

  async publish(topic: string, records: readonly OutgoingRecord[]): Promise<void> {
    if (records.length === 0) return;
    records.forEach((record) => assertRecord(topic, record));
    await this.ready();
    const partitionCount = await this.partitionCount(topic);
    try {
      await orUnavailable(() => this.log.publish(topic, partitionCount, records));
    } catch (error) {
      throw asTopicUnknown(error, topic);
    }
  }

  async subscribe(options: SubscribeOptions): Promise<BusSubscription> {
    assertName('group', options.group);
    await this.ready();
    for (const topic of options.topics) await this.partitionCount(topic);
    const subscription = new PostgresSubscription(
      this.log,
      { ...options, onError: options.onError ?? this.onError },
      () => this.subscriptions.delete(subscription),
    );
    this.subscriptions.add(subscription);
    try {
      await orUnavailable(() => subscription.start(this.notifications));
    } catch (error) {
      await subscription.close();
      throw error;
    }
    this.pruneTimer ??= setInterval(() => void this.prune().catch(this.onError), PRUNE_EVERY_MS).unref();
    return subscription;
  }

  async lag(group: string): Promise<readonly PartitionLag[]> {
    await this.ready();
    return orUnavailable(() => this.log.lag(group));
  }

  async ends(topic: string): Promise<readonly PartitionEnds[]> {
    await this.ready();
    await this.partitionCount(topic);
    return orUnavailable(() => this.log.ends(topic));
  }

  async read(topic: string, options: ReadOptions): Promise<readonly BusRecord[]> {
    await this.ready();
    const partitionCount = await this.partitionCount(topic);
    if (options.partition < 0 || options.partition >= partitionCount) {
      throw new BusError(
        'BUS_TOPIC_UNKNOWN',
        `Topic ${topic} has ${partitionCount} partitions, no ${options.partition}.`,
      );
    }
    return orUnavailable(() => this.log.fetch(topic, options));
  }

  /** Removes what is past its topic's retention and was given to every group; runs every ten minutes by itself. */
  async prune(): Promise<number> {
    await this.ready();
    let pruned = 0;
    for (const { topic, partition } of await this.log.allPartitions()) {
      for (let gone = PRUNE_RECORDS_MAX; gone === PRUNE_RECORDS_MAX;) {
        gone = await this.log.prune(topic, partition, PRUNE_RECORDS_MAX);
        pruned += gone;
      }
    }
    return pruned;
  }

  close(): Promise<void> {
    this.closed ??= this.shutDown();
    return this.closed;
  }

  private async shutDown(): Promise<void> {
    clearInterval(this.pruneTimer);
    await Promise.all([...this.subscriptions].map((subscription) => subscription.close()));
    await this.notifications.close();
    await this.pool.end();
  }

  private async partitionCount(topic: string): Promise<number> {
    const known =
      this.partitionCounts.get(topic) ?? (await orUnavailable(() => this.log.partitionCount(topic)));
    if (known === undefined) {
      throw new BusError('BUS_TOPIC_UNKNOWN', `There is no topic ${topic}; ensureTopics makes it.`);
    }
    this.partitionCounts.set(topic, known);
    return known;
  }

  /** Once; a failure is tried again by the next call. */
  private async ready(): Promise<void> {
    if (this.closed) throw new BusError('BUS_CLOSED', 'The bus is closed.');
    this.schemaReady ??= ensureSchema(this.pool, this.options.schema ?? 'bus');
    try {
      await orUnavailable(() => this.schemaReady ?? Promise.resolve());
    } catch (error) {
      this.schemaReady = undefined;
      throw error;
    }
  }
}
