import { createTestDatabase, type TestDatabase } from '@watari/embedded-postgres';
import { pino } from 'pino';
import { DataSource } from 'typeorm';
import { createBus } from '../create-bus';
import type { EventBus } from '../event-bus';
import { consumerMigration } from './consumer-schema';
import { startConsumer } from './consumer';

const logger = pino({ level: 'silent' });
let database: TestDatabase;
let dataSource: DataSource;
let bus: EventBus;

beforeAll(async () => {
  database = await createTestDatabase();
  dataSource = new DataSource({
    type: 'postgres',
    url: database.url,
    schema: 'public',
    migrations: [consumerMigration('public')],
  });
  await dataSource.initialize();
  await dataSource.runMigrations();
  await dataSource.query('CREATE TABLE seen (id bigserial, event text)');
  bus = await createBus({ kind: 'postgres', databaseUrl: database.url, logger });
}, 60_000);

afterAll(async () => {
  await bus.close();
  await dataSource.destroy();
  await database.close();
});

it('hands what was published to a projection once', async () => {
  await bus.ensureTopics([{ name: 'smoke.events', partitions: 3 }]);
  const records = Array.from({ length: 500 }, (_, n) => ({
    key: `k${n % 7}`,
    headers: { ce_id: `e${n % 250}` },
    value: String(n),
  }));
  await bus.publish('smoke.events', records);
  const consumer = await startConsumer<string>({
    bus,
    dataSource,
    schema: 'public',
    group: 'smoke',
    topics: ['smoke.events'],
    decode: ({ value }) => value.toString(),
    logger,
    mode: 'project',
    handle: async (event, manager) => {
      await manager.query('INSERT INTO seen (event) VALUES ($1)', [event]);
    },
  });
  for (let lag = 1; lag > 0;) {
    await new Promise((done) => setTimeout(done, 50));
    lag = (await consumer.lag()).reduce((sum, { records }) => sum + records, 0);
  }
  await consumer.stop();
  const rows = await dataSource.query('SELECT count(*)::int AS n, count(DISTINCT event)::int AS d FROM seen');
  expect(rows).toEqual([{ n: 250, d: 250 }]);
}, 30_000);
