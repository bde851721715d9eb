import { randomUUID } from 'node:crypto';
import { OutboxRelay, PostgresEventStore, eventStoreMigration } from '@watari/event-sourcing';
import { Kafka, logLevel } from 'kafkajs';
import { Pool } from 'pg';
import { pino } from 'pino';
import { DataSource } from 'typeorm';
import { consumerMigration, createBus, startConsumer } from '../src';
import { type BusSettings } from '../src/create-bus';

/** Takes events one by one or many at a time, and tells when each has arrived at the other end. */
export interface Contender {
  readonly name: string;
  /** Resolves when the sender may go on: the event is durable where it was put. */
  send(ids: readonly string[]): Promise<void>;
  onArrival(listener: (id: string) => void): void;
  close(): Promise<void>;
}

const PARTITIONS = 6;
const logger = pino({ level: process.env['WATARI_LOG_LEVEL'] ?? 'error' }, pino.destination(2));
const payload = 'x'.repeat(200);

type Listener = (id: string) => void;

/** Peer: rows into a table and nothing else. "Arrived" is when the commit was confirmed. */
export async function plainInserts(databaseUrl: string): Promise<Contender> {
  const pool = new Pool({ connectionString: databaseUrl, max: 8 });
  const table = `plain_${randomUUID().replaceAll('-', '')}`;
  await pool.query(
    `CREATE TABLE ${table} (position bigserial PRIMARY KEY, id text NOT NULL, value bytea NOT NULL)`,
  );
  let arrived: Listener = () => undefined;
  return {
    name: 'peer: plain inserts (to commit)',
    send: async (ids) => {
      await pool.query(`INSERT INTO ${table} (id, value) SELECT unnest($1::text[]), $2`, [
        ids,
        Buffer.from(payload),
      ]);
      ids.forEach((id) => arrived(id));
    },
    onArrival: (listener) => (arrived = listener),
    close: () => pool.end(),
  };
}

/** Peer: kafkajs as it comes, idempotent producer and a consumer that commits by itself, nothing stored beside. */
export async function kafkajsAlone(brokers: readonly string[]): Promise<Contender> {
  const kafka = new Kafka({ brokers: [...brokers], clientId: 'bench', logLevel: logLevel.NOTHING });
  const topic = `alone-${randomUUID()}`;
  const [admin, producer] = [kafka.admin(), kafka.producer({ idempotent: true, maxInFlightRequests: 1 })];
  const consumer = kafka.consumer({ groupId: topic, maxWaitTimeInMs: 200 });
  let arrived: Listener = () => undefined;
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS }] });
  await producer.connect();
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const joined = new Promise((done) => consumer.on(consumer.events.GROUP_JOIN, done));
  await consumer.run({
    partitionsConsumedConcurrently: 4,
    eachBatch: async ({ batch }) => batch.messages.forEach(({ key }) => arrived(String(key))),
  });
  await joined;
  return {
    name: 'peer: kafkajs alone',
    send: async (ids) => {
      await producer.send({ topic, acks: -1, messages: ids.map((id) => ({ key: id, value: payload })) });
    },
    onArrival: (listener) => (arrived = listener),
    close: async () => {
      await consumer.disconnect();
      await producer.disconnect();
      await admin.disconnect();
    },
  };
}

async function serviceDatabase(databaseUrl: string): Promise<{ dataSource: DataSource; schema: string }> {
  const schema = `bench_${randomUUID().slice(0, 8)}`;
  const admin = new Pool({ connectionString: databaseUrl, max: 1 });
  await admin.query(`CREATE SCHEMA ${schema}`);
  await admin.query(`CREATE TABLE ${schema}.seen (id text NOT NULL, value text NOT NULL)`);
  await admin.end();
  const dataSource = new DataSource({
    ...{ type: 'postgres', url: databaseUrl, schema, poolSize: 8, migrationsTableName: 'schema_migrations' },
    migrations: [eventStoreMigration(schema), consumerMigration(schema)],
  });
  await dataSource.initialize();
  await dataSource.runMigrations();
  return { dataSource, schema };
}

/** Bus with the consumer host: each event is written to a view, with inbox and offset in the same transaction. */
export async function busAndConsumer(settings: BusSettings, databaseUrl: string): Promise<Contender> {
  const bus = await createBus(settings);
  const { dataSource, schema } = await serviceDatabase(databaseUrl);
  const topic = `bench-${randomUUID()}`;
  await bus.ensureTopics([{ name: topic, partitions: PARTITIONS }]);
  let arrived: Listener = () => undefined;
  const consumer = await startConsumer<string>({
    ...{ bus, dataSource, schema, group: topic, topics: [topic], logger, mode: 'project' },
    decode: ({ key }) => key,
    handle: async (id, manager) => {
      await manager.query(`INSERT INTO ${schema}.seen VALUES ($1, $2)`, [id, payload]);
      arrived(id);
    },
  });
  return {
    name: `${settings.kind} bus (publish to handler)`,
    send: (ids) =>
      bus.publish(
        topic,
        ids.map((id) => ({ key: id, headers: { ce_id: id }, value: payload })),
      ),
    onArrival: (listener) => (arrived = listener),
    close: async () => {
      await consumer.stop();
      await bus.close();
      await dataSource.destroy();
    },
  };
}

/** The whole way: event store, outbox relay, bus, consumer host. Each id is an append of its own. */
export async function appendToHandler(settings: BusSettings, databaseUrl: string): Promise<Contender> {
  const bus = await createBus(settings);
  const { dataSource, schema } = await serviceDatabase(databaseUrl);
  const pool = new Pool({ connectionString: databaseUrl, max: 10 });
  const store = new PostgresEventStore(pool, schema);
  const topic = `bench-${randomUUID()}`;
  await bus.ensureTopics([{ name: topic, partitions: PARTITIONS }]);
  const relay = new OutboxRelay({
    ...{ store, pool, schema },
    toRecords: ({ eventId, stream, data }) => [
      { topic, key: stream.id, headers: { ce_id: eventId }, value: JSON.stringify(data) },
    ],
    publish: (name, records) => bus.publish(name, records),
    onError: (error) => logger.error({ err: error }, 'relaying failed'),
  });
  let arrived: Listener = () => undefined;
  const consumer = await startConsumer<string>({
    ...{ bus, dataSource, schema, group: topic, topics: [topic], logger, mode: 'project' },
    decode: ({ key }) => key,
    handle: async (id, manager) => {
      await manager.query(`INSERT INTO ${schema}.seen VALUES ($1, $2)`, [id, payload]);
      arrived(id);
    },
  });
  relay.start();
  return {
    name: `${settings.kind} bus (append to handler)`,
    send: async (ids) => {
      for (const id of ids) {
        const cause = { commandId: id, correlationId: id, causationId: id };
        await store.append(
          { aggregate: 'bench', id },
          0,
          [{ type: 'Benched', version: 1, data: { payload } }],
          cause,
        );
      }
    },
    onArrival: (listener) => (arrived = listener),
    close: async () => {
      await relay.stop();
      await consumer.stop();
      await bus.close();
      await pool.end();
      await dataSource.destroy();
    },
  };
}

export function busSettings(reach: { brokers: readonly string[] } | { databaseUrl: string }): BusSettings {
  return 'brokers' in reach
    ? { kind: 'kafka', brokers: reach.brokers, clientId: 'bench', logger }
    : { kind: 'postgres', databaseUrl: reach.databaseUrl, logger };
}
