import { Client } from 'pg';
import { createTestDatabase } from './test-database';

jest.setTimeout(60_000);

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

describe('createTestDatabase', () => {
  it('gives each caller an empty database of its own', async () => {
    const [one, two] = await Promise.all([createTestDatabase(), createTestDatabase()]);
    const clients = await Promise.all([connect(one.url), connect(two.url)]);
    await clients[0]?.query('CREATE TABLE only_here (n int)');
    await expect(clients[1]?.query('SELECT * FROM only_here')).rejects.toMatchObject({ code: '42P01' });
    await Promise.all(clients.map((client) => client.end()));
    await Promise.all([one.close(), two.close()]);
  });

  it('drops the database on close, also while somebody is connected', async () => {
    const database = await createTestDatabase();
    const lingering = await connect(database.url);
    await database.close();
    await database.close();
    await expect(connect(database.url)).rejects.toMatchObject({ code: '3D000' });
    await lingering.end().catch(() => undefined);
  });

  it('works on a server of its own where the run has none, and ends it with the last database', async () => {
    const kept = process.env['WATARI_TEST_POSTGRES_URL'];
    delete process.env['WATARI_TEST_POSTGRES_URL'];
    try {
      const [one, two] = await Promise.all([createTestDatabase(), createTestDatabase()]);
      await one.close();
      const client = await connect(two.url);
      expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await client.end();
      await two.close();
      await expect(connect(two.url)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    } finally {
      if (kept) process.env['WATARI_TEST_POSTGRES_URL'] = kept;
    }
  });
});
