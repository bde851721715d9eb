export { PostgresUnavailable } from './errors';
export type { PostgresErrorCode } from './errors';
export { startPostgres } from './start-postgres';
export type { RunningPostgres, StartPostgresOptions } from './start-postgres';
export { createTestDatabase, startTestServer } from './test-database';
export type { TestDatabase, TestServer } from './test-database';
