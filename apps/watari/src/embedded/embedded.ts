import { createBus } from '@watari/event-bus';
import { startPostgres } from '@watari/embedded-postgres';
import { imageConversionService } from '@watari/image-conversion';
import { inventoryService } from '@watari/inventory';
import { licensingComplianceService } from '@watari/licensing-compliance';
import { migrationExecutionService } from '@watari/migration-execution';
import { FolderInUse, FolderLock } from '@watari/process-identity';
import { createLogger, startApp } from '@watari/service-kit';
import { supportMatrixService } from '@watari/support-matrix';
import { Client } from 'pg';
import { CliError, EXIT } from '../cli/errors';
import { type DataFolder, announceInstance } from './data-folder';

export const services = [
  inventoryService,
  supportMatrixService,
  licensingComplianceService,
  imageConversionService,
  migrationExecutionService,
] as const;

export interface EmbeddedOptions {
  readonly folder: DataFolder;
  /** 0 takes a free port. */
  readonly port: number;
  readonly bus:
    { readonly kind: 'postgres' } | { readonly kind: 'kafka'; readonly brokers: readonly string[] };
  readonly onProgress: (step: string) => void;
  /** The database ended without us: nothing works any more, stop. */
  readonly onDatabaseLost: (detail: string) => void;
}

export interface Embedded {
  readonly url: string;
  readonly token: string;
  readonly database: string;
  /** Work under way is left at a point from which the next start goes on. */
  close(): Promise<void>;
}

const DATABASE = 'watari';
/** Enough for one machine; topics keep their count for life. */
const PARTITIONS = 4;

/** All services in this process, with a Postgres of our own. Throws coded errors that say what to do; then nothing runs. */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { folder, onProgress } = options;
  const undo: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const lock = await takeLock(folder);
    undo.push(() => lock.release());
    const logger = createLogger({ file: folder.inside('log', 'watari.log') });
    const postgres = await startPostgres({
      dataDir: folder.inside('postgres'),
      onProgress,
      onUnexpectedExit: (detail) => {
        logger.fatal({ detail }, 'the database ended');
        options.onDatabaseLost(detail);
      },
    });
    undo.push(() => postgres.stop());
    const databaseUrl = await ensureDatabase(postgres.url);
    onProgress('opening the event bus');
    const bus = await createBus(
      options.bus.kind === 'kafka'
        ? { kind: 'kafka', brokers: [...options.bus.brokers], clientId: 'watari', logger }
        : { kind: 'postgres', databaseUrl, logger },
    );
    undo.push(() => bus.close());
    const authority = await folder.authority();
    const tls = await authority.issue({ role: 'control-plane', id: 'watari' });
    const token = await folder.token();
    onProgress(`starting ${services.length} services`);
    const app = await startApp({
      platform: {
        databaseUrl,
        bus,
        logger,
        dataFolder: folder.inside('services'),
        partitions: PARTITIONS,
        agentTls: () => Promise.resolve(tls),
      },
      services,
      listen: { host: '127.0.0.1', port: options.port },
      token,
      title: 'Watari',
    });
    undo.push(() => app.close());
    undo.push(await announceInstance(folder, { url: app.url, pid: process.pid }));
    return { url: app.url, token, database: `PostgreSQL ${postgres.version} (${postgres.origin})`, close };
  } catch (error) {
    await close();
    throw explained(error, options.port);
  }
}

async function takeLock(folder: DataFolder): Promise<FolderLock> {
  try {
    return await FolderLock.take(folder.path);
  } catch (error) {
    if (error instanceof FolderInUse)
      throw new CliError(
        error.code,
        `Watari already runs on this data folder: ${error.message} (--data PATH, or WATARI_DATA)`,
        EXIT.refused,
        { pid: error.pid },
      );
    throw error;
  }
}

/** A database of our own beside whatever else the server holds. */
async function ensureDatabase(serverUrl: string): Promise<string> {
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await client.end();
  }
  const url = new URL(serverUrl);
  url.pathname = `/${DATABASE}`;
  return url.href;
}

function explained(error: unknown, port: number): unknown {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return error;
  return new CliError(
    'PORT_IN_USE',
    `Port ${port} of this machine is taken. Choose another one with --port, or --port 0 for any.`,
    EXIT.refused,
  );
}
