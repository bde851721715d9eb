import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { clusterDir } from './cluster';
import { PostgresUnavailable } from './errors';
import { FolderInUse, FolderLock } from '@watari/process-identity';
import { stopOrphan } from './orphan';
import { type RunningPostgres, startPostgres } from './start-postgres';

/** Where `jest-global-setup` leaves the shared server's URL for the workers. */
export const TEST_POSTGRES_URL = 'WATARI_TEST_POSTGRES_URL';

const FOLDER_PREFIX = 'watari-test-postgres-';

export interface TestDatabase {
  readonly url: string;
  /** Drops the database, with whoever is still connected. */
  close(): Promise<void>;
}

export interface TestServer extends RunningPostgres {
  readonly dataDir: string;
  /** Starts the same folder again after `stop()` or a kill; on another port. */
  restart(): Promise<TestServer>;
  /** Stops the server and removes its folder. */
  remove(): Promise<void>;
}

/**
 * A server for one spec that wants to stop, kill or restart it. Nothing is fsynced, commits are otherwise as
 * durable as ever: a kill -9 of the server loses none. Never the server of DATABASE_URL.
 */
export async function startTestServer(
  options: Partial<Parameters<typeof startPostgres>[0]> = {},
): Promise<TestServer> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), FOLDER_PREFIX)));
  const server = await startPostgres({
    ...options,
    dataDir,
    env: { ...(options.env ?? process.env), DATABASE_URL: undefined },
    settings: { fsync: 'off', full_page_writes: 'off', ...options.settings },
  });
  return {
    ...server,
    dataDir,
    restart: () => startTestServer({ ...options, dataDir }),
    remove: async () => {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

let privateServer: { server: Promise<TestServer>; databases: number } | undefined;

/**
 * An empty database of its own for one spec, on the run's shared server (see jest-global-setup), or on a server
 * that lives as long as this process has such databases open. Safe in parallel workers.
 */
export async function createTestDatabase(): Promise<TestDatabase> {
  const shared = process.env[TEST_POSTGRES_URL] ?? process.env['DATABASE_URL'];
  if (shared) return createDatabase(shared, async () => undefined);
  privateServer ??= { server: startTestServer(), databases: 0 };
  const used = privateServer;
  used.databases += 1;
  const leave = async (): Promise<void> => {
    used.databases -= 1;
    if (used.databases > 0) return;
    if (privateServer === used) privateServer = undefined;
    await (await used.server).remove();
  };
  try {
    return await createDatabase((await used.server).url, leave);
  } catch (error) {
    await leave();
    throw error;
  }
}

async function createDatabase(serverUrl: string, afterwards: () => Promise<void>): Promise<TestDatabase> {
  const name = `watari_test_${process.pid}_${randomBytes(6).toString('hex')}`;
  await runOn(serverUrl, `CREATE DATABASE ${name} TEMPLATE template0`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  let closing: Promise<void> | undefined;
  return {
    url: url.toString(),
    close: () =>
      (closing ??= runOn(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`).finally(afterwards)),
  };
}

async function runOn(serverUrl: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Removes folders of test runs that were killed, with their servers. A run under way is left alone. */
export async function removeAbandonedTestServers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(FOLDER_PREFIX)) continue;
    const dir = join(tmpdir(), name);
    if (!(await isOurs(dir))) continue;
    try {
      await FolderLock.take(dir);
      await stopOrphan(clusterDir(dir), () => undefined);
      await rm(dir, { recursive: true, force: true });
    } catch (error) {
      // Somebody works with it, or what was left of it does not stop: leave it alone.
      if (!(error instanceof FolderInUse) && !(error instanceof PostgresUnavailable)) throw error;
    }
  }
}

/** A folder without an owner is being made this moment, or was left by a clean stop: only old ones are litter. */
async function isOurs(dir: string): Promise<boolean> {
  const info = await stat(dir).catch(() => undefined);
  if (!info?.isDirectory() || info.uid !== process.getuid?.()) return false;
  const isOwned = await readFile(join(dir, 'owner.json')).then(
    () => true,
    () => false,
  );
  return isOwned || Date.now() - info.mtimeMs > 3_600_000;
}
