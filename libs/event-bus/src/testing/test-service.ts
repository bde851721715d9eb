import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import { DataSource, type EntityManager } from 'typeorm';
import { type Consumer, type ConsumerOptions, startConsumer } from '../consumer/consumer';
import { consumerMigration } from '../consumer/consumer-schema';
import { createBus } from '../create-bus';
import type { BusRecord, EventBus, OutgoingRecord } from '../event-bus';
import type { Reach } from './bus-under-test';

/** Kafka brokers refuse less. */
export const SESSION_TIMEOUT_MS = 6000;
export const PARTITIONS = 4;

export interface TestEvent {
  readonly id: string;
  readonly key: string;
  /** Counts the events of one key. */
  readonly sequence: number;
}

export class Malformed extends Error {
  readonly code = 'EVENT_MALFORMED';
  readonly canRetry = false;
}

export function recordOf({ id, key, sequence }: TestEvent): OutgoingRecord {
  return { key, headers: { ce_id: id }, value: JSON.stringify({ key, sequence }) };
}

/** `perKey` events for each of `keys` keys, as they would come: mixed, each key in its order. */
export function eventsOf(keys: number, perKey: number, prefix = 'key'): TestEvent[] {
  return Array.from({ length: keys * perKey }, (_, index) => ({
    id: randomUUID(),
    key: `${prefix}-${index % keys}`,
    sequence: Math.floor(index / keys),
  }));
}

export function decodeTestEvent({ headers, value }: BusRecord): TestEvent {
  try {
    const { key, sequence } = JSON.parse(value.toString()) as TestEvent;
    return { id: headers['ce_id'] ?? '', key, sequence };
  } catch (cause) {
    throw new Malformed('The value is no JSON.', { cause });
  }
}

export type Handle = (event: TestEvent, manager?: EntityManager) => Promise<void> | void;

/** A service as the consumer host sees one: a database with inbox and offsets, and a table that shows each effect. */
export class TestService {
  private readonly consumers: Consumer[] = [];
  private readonly buses: EventBus[] = [];

  private constructor(
    readonly dataSource: DataSource,
    readonly reach: Reach,
    private readonly logger: Logger,
  ) {}

  static async open(databaseUrl: string, reach: Reach): Promise<TestService> {
    const dataSource = new DataSource({
      type: 'postgres',
      url: databaseUrl,
      schema: 'public',
      poolSize: 8,
      migrations: [consumerMigration('public')],
      // A server that the spec stops breaks idle connections; the pool makes others.
      poolErrorHandler: () => undefined,
    });
    await dataSource.initialize();
    await dataSource.runMigrations();
    // Without a unique key: an event that was applied twice shows as two rows.
    await dataSource.query(`CREATE TABLE IF NOT EXISTS effects (
      id bigint GENERATED ALWAYS AS IDENTITY, group_name text, event_id text, key text, sequence integer, by text)`);
    // A stand-in for commands, which are idempotent by the event's id.
    await dataSource.query(`CREATE TABLE IF NOT EXISTS commands (
      id bigint GENERATED ALWAYS AS IDENTITY, group_name text, event_id text, key text, sequence integer,
      PRIMARY KEY (group_name, event_id))`);
    const level = process.env['WATARI_TEST_LOG_LEVEL'] ?? 'silent';
    return new TestService(dataSource, reach, pino({ level }, pino.destination({ dest: 2, sync: true })));
  }

  /** A connection of its own, as another process would have. */
  async bus(): Promise<EventBus> {
    const bus = await createBus({ ...this.reach, logger: this.logger });
    this.buses.push(bus);
    return bus;
  }

  async newTopic(bus: EventBus, partitions = PARTITIONS): Promise<string> {
    const topic = `contract.${randomUUID()}`;
    await bus.ensureTopics([{ name: topic, partitions }]);
    return topic;
  }

  /** Applies events to `effects`, after `before` has let them through. */
  project(
    bus: EventBus,
    group: string,
    topic: string,
    before: Handle = () => undefined,
    by = '',
  ): Promise<Consumer> {
    return this.consume({
      ...this.options(bus, group, topic),
      mode: 'project',
      handle: async (event, manager) => {
        await before(event, manager);
        await manager.query(
          'INSERT INTO effects (group_name, event_id, key, sequence, by) VALUES ($1, $2, $3, $4, $5)',
          [group, event.id, event.key, event.sequence, by],
        );
      },
    });
  }

  react(bus: EventBus, group: string, topic: string, before: Handle = () => undefined): Promise<Consumer> {
    return this.consume({
      ...this.options(bus, group, topic),
      mode: 'react',
      handle: async (event) => {
        await before(event);
        await this.dataSource.query(
          'INSERT INTO commands (group_name, event_id, key, sequence) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
          [group, event.id, event.key, event.sequence],
        );
      },
    });
  }

  /** What took effect, in the order it did. */
  async effects(group: string, table: 'effects' | 'commands' = 'effects'): Promise<TestEvent[]> {
    return (await this.dataSource.query(
      `SELECT event_id AS id, key, sequence FROM ${table} WHERE group_name = $1 ORDER BY ${table}.id`,
      [group],
    )) as TestEvent[];
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.consumers.map((consumer) => consumer.stop()));
    await Promise.all(this.buses.map((bus) => bus.close()));
    await this.dataSource.destroy();
  }

  private options(bus: EventBus, group: string, topic: string) {
    return {
      bus,
      group,
      dataSource: this.dataSource,
      schema: 'public',
      topics: [topic],
      decode: decodeTestEvent,
      logger: this.logger,
      retry: { attemptsMax: 3, first: 20, max: 100 },
      sessionTimeoutMs: SESSION_TIMEOUT_MS,
    } as const;
  }

  private async consume(options: ConsumerOptions<TestEvent>): Promise<Consumer> {
    const consumer = await startConsumer(options);
    this.consumers.push(consumer);
    return consumer;
  }
}

/** Publishes until the bus has taken it, as the relay does; a failed try may have published some. */
export async function publishSurely(
  bus: EventBus,
  topic: string,
  events: readonly TestEvent[],
): Promise<number> {
  for (let failures = 0; ; failures += 1) {
    try {
      await bus.publish(topic, events.map(recordOf));
      return failures;
    } catch (error) {
      if ((error as { canRetry?: boolean }).canRetry !== true) throw error;
      await sleep(100);
    }
  }
}

export async function until(
  what: string,
  isSo: () => Promise<boolean> | boolean,
  patienceMs = 30_000,
): Promise<void> {
  for (const deadline = Date.now() + patienceMs; !(await isSo()); await sleep(25)) {
    if (Date.now() > deadline) throw new Error(`In ${patienceMs / 1000} s it did not come to this: ${what}.`);
  }
}

/** All of `events`, each once, each key in order: what a service may rely on. */
export function expectEachOnceInOrder(found: readonly TestEvent[], events: readonly TestEvent[]): void {
  const sequences = (list: readonly TestEvent[]) => {
    const byKey: Record<string, number[]> = {};
    for (const { key, sequence } of list) (byKey[key] ??= []).push(sequence);
    return byKey;
  };
  expect(sequences(found)).toEqual(sequences(events));
  expect(new Set(found.map(({ id }) => id)).size).toBe(events.length);
}
