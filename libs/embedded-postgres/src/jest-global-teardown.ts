import { shared } from './jest-global-setup';
import { TEST_POSTGRES_URL } from './test-database';

export default async function tearDown(): Promise<void> {
  const server = shared.watariTestPostgres;
  shared.watariTestPostgres = undefined;
  if (!server) return;
  delete process.env[TEST_POSTGRES_URL];
  await server.remove();
}
