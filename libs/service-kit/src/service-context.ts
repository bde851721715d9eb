import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { EventBus } from '@watari/event-bus';
import { consumerMigration } from '@watari/event-bus';
import type { TlsMaterial } from '@watari/host-agent-client';
import { PostgresEventStore, eventStoreMigration, quoteSchema } from '@watari/event-sourcing';
import { Pool } from 'pg';
import type { Logger } from 'pino';
import { DataSource } from 'typeorm';
import { JobQueue, jobsMigration } from './jobs';
import type { ServiceContext, ServiceDefinition } from './service-definition';

/** What all services of a process share. */
export interface Platform {
  readonly databaseUrl: string;
  readonly bus: EventBus;
  readonly logger: Logger;
  readonly dataFolder: string;
  readonly partitions: number;
  agentTls(): Promise<TlsMaterial>;
}

/** Opens a service's part of the database and brings its schema up to date. The caller closes it. */
export async function openServiceContext(
  definition: ServiceDefinition,
  platform: Platform,
): Promise<ServiceContext & { close(): Promise<void> }> {
  const schema = definition.name.replaceAll('-', '_');
  const logger = platform.logger.child({ service: definition.name });
  const pool = new Pool({
    connectionString: platform.databaseUrl,
    max: 6,
    application_name: definition.name,
  });
  pool.on('error', (error) => logger.warn({ err: error }, 'an idle database connection broke'));
  const dataSource = new DataSource({
    type: 'postgres',
    url: platform.databaseUrl,
    schema,
    applicationName: definition.name,
    poolSize: 6,
    entities: [...definition.entities],
    migrations: [
      eventStoreMigration(schema),
      jobsMigration(schema),
      consumerMigration(schema),
      ...definition.migrations(schema),
    ],
    migrationsTableName: 'schema_migrations',
    migrationsTransactionMode: 'each',
  });
  try {
    await migrate(pool, dataSource, schema);
    await platform.bus.ensureTopics(
      [...definition.topics, ...definition.reads].map((name) => ({ name, partitions: platform.partitions })),
    );
  } catch (error) {
    await Promise.allSettled([pool.end(), dataSource.isInitialized ? dataSource.destroy() : undefined]);
    throw error;
  }
  const dataFolder = join(platform.dataFolder, definition.name);
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  return {
    service: definition.name,
    schema,
    pool,
    dataSource,
    store: new PostgresEventStore(pool, schema),
    jobs: new JobQueue(pool, schema, logger),
    bus: platform.bus,
    logger,
    dataFolder,
    agentTls: () => platform.agentTls(),
    now: () => new Date(),
    close: async () => {
      await Promise.allSettled([dataSource.destroy(), pool.end()]);
    },
  };
}

/** One process migrates at a time: replicas that start together wait for each other. */
async function migrate(pool: Pool, dataSource: DataSource, schema: string): Promise<void> {
  const session = await pool.connect();
  // While the other connection migrates, nobody else hears of this one's end.
  session.on('error', () => undefined);
  try {
    await session.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [`${schema}.migrations`]);
    await session.query(`CREATE SCHEMA IF NOT EXISTS ${quoteSchema(schema)}`);
    await dataSource.initialize();
    await dataSource.runMigrations();
  } finally {
    session.release(true);
  }
}
