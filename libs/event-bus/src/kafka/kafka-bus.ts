import { type Admin, Kafka, logLevel } from 'kafkajs';
import type { Logger } from 'pino';
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
import { askPatiently, orBusError } from './kafka-errors';
import { kafkaLog } from './kafka-log';
import { KafkaPublisher } from './kafka-publisher';
import { readRange } from './kafka-read';
import { kafkaSocket } from './kafka-socket';
import { KafkaSubscription } from './kafka-subscription';

export interface KafkaBusOptions {
  /** `host:port` each. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly logger: Logger;
}

const CONNECT_TIMEOUT_MS = 5000;
const REQUEST_TIMEOUT_MS = 20_000;

/** The EventBus on Apache Kafka, by kafkajs. */
export class KafkaBus implements EventBus {
  private readonly subscriptions = new Map<KafkaSubscription, SubscribeOptions>();
  private readonly knownTopics = new Set<string>();
  private closed: Promise<void> | undefined;

  private constructor(
    private readonly kafka: Kafka,
    private readonly admin: Admin,
    private readonly publisher: KafkaPublisher,
    private readonly onError: (error: unknown) => void,
  ) {}

  /** Rejects with BUS_UNAVAILABLE when no broker answers. */
  static async connect({ brokers, clientId, logger }: KafkaBusOptions): Promise<KafkaBus> {
    const kafka = new Kafka({
      brokers: [...brokers],
      clientId,
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      retry: { initialRetryTime: 200, maxRetryTime: 3000, retries: 5 },
      logLevel: logLevel.WARN,
      logCreator: kafkaLog(logger),
      socketFactory: kafkaSocket,
    });
    const onError = (error: unknown) =>
      logger.warn({ err: error }, 'the event bus was disturbed; it goes on');
    const admin = kafka.admin();
    const publisher = new KafkaPublisher(kafka, onError);
    try {
      await admin.connect();
      await publisher.connect();
    } catch (error) {
      await Promise.allSettled([admin.disconnect(), publisher.close()]);
      throw new BusError(
        'BUS_UNAVAILABLE',
        `No Kafka broker answers at ${brokers.join(', ')}: ${(error as Error).message}. Check the address and that the broker runs.`,
        { cause: error },
      );
    }
    return new KafkaBus(kafka, admin, publisher, onError);
  }

  async identity(): Promise<string> {
    this.assertOpen();
    const { clusterId } = await askPatiently(() => this.admin.describeCluster());
    return `kafka:${clusterId}`;
  }

  async ensureTopics(topics: readonly TopicSpec[]): Promise<void> {
    topics.forEach(assertTopicSpec);
    this.assertOpen();
    if (topics.length === 0) return;
    await orBusError(async () => {
      const existing = new Set(await this.admin.listTopics());
      const missing = topics.filter(({ name }) => !existing.has(name));
      if (missing.length > 0) await this.create(missing);
      const { topics: found } = await this.admin.fetchTopicMetadata({
        topics: topics.map(({ name }) => name),
      });
      for (const { name, partitions } of topics) {
        const count = found.find((topic) => topic.name === name)?.partitions.length;
        if (count !== partitions) {
          throw new BusError(
            'BUS_TOPIC_DIFFERS',
            `Topic ${name} has ${count ?? 'no'} partitions, not ${partitions}. The number is fixed: another one would move keys.`,
          );
        }
        this.knownTopics.add(name);
      }
    });
  }

  async publish(topic: string, records: readonly OutgoingRecord[]): Promise<void> {
    if (records.length === 0) return;
    records.forEach((record) => assertRecord(topic, record));
    this.assertOpen();
    await this.expectTopic(topic);
    await this.publisher.publish(topic, records);
  }

  async subscribe(options: SubscribeOptions): Promise<BusSubscription> {
    assertName('group', options.group);
    this.assertOpen();
    for (const topic of options.topics) await this.expectTopic(topic);
    const subscription = new KafkaSubscription(
      this.kafka,
      { ...options, onError: options.onError ?? this.onError },
      () => this.subscriptions.delete(subscription),
    );
    this.subscriptions.set(subscription, options);
    try {
      await orBusError(() => subscription.start());
    } catch (error) {
      await subscription.close();
      throw error;
    }
    return subscription;
  }

  async lag(group: string): Promise<readonly PartitionLag[]> {
    this.assertOpen();
    return askPatiently(async () => {
      const lags: PartitionLag[] = [];
      for (const { topic, partitions } of await this.groupOffsets(group)) {
        const ends = new Map((await this.ends(topic)).map((end) => [end.partition, end]));
        for (const { partition, offset } of partitions) {
          const bounds = ends.get(partition);
          if (!bounds) continue;
          const committed = BigInt(offset);
          const next = committed < bounds.first ? bounds.first : committed;
          lags.push({ topic, partition, next, end: bounds.end, records: Number(bounds.end - next) });
        }
      }
      return lags.sort((a, b) => a.topic.localeCompare(b.topic) || a.partition - b.partition);
    });
  }

  async ends(topic: string): Promise<readonly PartitionEnds[]> {
    this.assertOpen();
    await this.expectTopic(topic);
    return askPatiently(async () =>
      (await this.admin.fetchTopicOffsets(topic))
        .map(({ partition, low, high }) => ({ partition, first: BigInt(low), end: BigInt(high) }))
        .sort((a, b) => a.partition - b.partition),
    );
  }

  async read(
    topic: string,
    { partition, fromOffset, recordsMax }: ReadOptions,
  ): Promise<readonly BusRecord[]> {
    const ends = await this.ends(topic);
    const bounds = ends.find((each) => each.partition === partition);
    if (!bounds) throw new BusError('BUS_TOPIC_UNKNOWN', `Topic ${topic} has no partition ${partition}.`);
    const from = fromOffset < bounds.first ? bounds.first : fromOffset;
    if (from >= bounds.end || recordsMax < 1) return [];
    const range = {
      topic,
      partition,
      partitionCount: ends.length,
      fromOffset: from,
      end: bounds.end,
      recordsMax,
    };
    return orBusError(() => readRange(this.kafka, this.admin, range));
  }

  close(): Promise<void> {
    this.closed ??= this.shutDown();
    return this.closed;
  }

  private async shutDown(): Promise<void> {
    await Promise.all([...this.subscriptions.keys()].map((subscription) => subscription.close()));
    await this.publisher.close();
    await this.admin.disconnect();
  }

  private async create(topics: readonly TopicSpec[]): Promise<void> {
    try {
      await this.admin.createTopics({
        waitForLeaders: true,
        topics: topics.map(({ name, partitions, retentionMs = RETENTION_MS }) => ({
          topic: name,
          numPartitions: partitions,
          configEntries: [{ name: 'retention.ms', value: String(retentionMs) }],
        })),
      });
    } catch (error) {
      // Another process made one of them at the same moment; whether it made it alike is looked at afterwards.
      if (!/already exists/i.test(String(error))) throw error;
    }
  }

  /** A group that has committed nothing yet is known by its subscriptions here alone; -1 stands for no offset. */
  private async groupOffsets(group: string) {
    const committed = await this.admin.fetchOffsets({ groupId: group });
    const subscribed = [...this.subscriptions.values()]
      .filter((options) => options.group === group)
      .flatMap(({ topics }) => topics);
    if (subscribed.length === 0) return committed;
    const topics = [...new Set([...committed.map(({ topic }) => topic), ...subscribed])];
    return this.admin.fetchOffsets({ groupId: group, topics });
  }

  private async expectTopic(topic: string): Promise<void> {
    assertName('topic', topic);
    if (this.knownTopics.has(topic)) return;
    const names = await askPatiently(() => this.admin.listTopics());
    if (!names.includes(topic))
      throw new BusError('BUS_TOPIC_UNKNOWN', `There is no topic ${topic}; ensureTopics makes it.`);
    this.knownTopics.add(topic);
  }

  private assertOpen(): void {
    if (this.closed) throw new BusError('BUS_CLOSED', 'The bus is closed.');
  }
}
