import { startPostgres } from './start-postgres';
import { TEST_POSTGRES_URL, removeAbandonedTestServers, startTestServer } from './test-database';

/** One server for a whole Jest run, whichever packages are in it; `jest-global-teardown` ends it. */
export default async function setUp(): Promise<void> {
  if (process.env[TEST_POSTGRES_URL]) return;
  if (process.env['DATABASE_URL']) {
    // Asked now, so that an unreachable server is one clear message and not one per spec.
    const { url } = await startPostgres({ dataDir: '' });
    process.env[TEST_POSTGRES_URL] = url;
    return;
  }
  await removeAbandonedTestServers();
  const server = await startTestServer();
  process.env[TEST_POSTGRES_URL] = server.url;
  shared.watariTestPostgres = server;
}

/** Set-up and tear-down are loaded apart from each other, in one process. */
export const shared = globalThis as { watariTestPostgres?: Awaited<ReturnType<typeof startTestServer>> };
