import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { processesIn } from '@watari/process-identity';
import { type RunningPostgres, type StartPostgresOptions, startPostgres } from './start-postgres';

jest.setTimeout(120_000);

const isRoot = process.getuid?.() === 0;
const env = { ...process.env, DATABASE_URL: undefined };
let home: string;
let dataDir: string;
const started: RunningPostgres[] = [];

beforeEach(async () => {
  home = await realpath(await mkdtemp(join(tmpdir(), 'watari-start-postgres-')));
  await chmod(home, 0o755);
  dataDir = join(home, 'data');
});

afterEach(async () => {
  await Promise.all(started.splice(0).map((server) => server.stop()));
  await rm(home, { recursive: true, force: true });
});

async function start(options: Partial<StartPostgresOptions> = {}): Promise<RunningPostgres> {
  const server = await startPostgres({ dataDir, env, settings: { fsync: 'off' }, ...options });
  started.push(server);
  return server;
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('startPostgres', () => {
  it('keeps the data over stop and start, and leaves no process behind', async () => {
    const first = await start();
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await first.stop();
    expect(await processesIn(join(dataDir, 'cluster'))).toEqual([]);

    const second = await start();
    expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    expect(await query(second.url, 'SHOW server_encoding')).toEqual([{ server_encoding: 'UTF8' }]);
    expect(await query(second.url, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
  });

  it('lets nobody in without the password, which only its owner can read', async () => {
    const { url } = await start();
    const stranger = new URL(url);
    stranger.password = 'guess';
    await expect(query(stranger.toString(), 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
    expect((await stat(join(dataDir, 'password'))).mode & 0o777).toBe(0o600);
  });

  it('refuses a folder that is in use, and names the process', async () => {
    await start();
    await expect(start()).rejects.toMatchObject({
      code: 'DATA_FOLDER_IN_USE',
      message: expect.stringContaining(`pid ${process.pid}`),
    });
  });

  it('starts one server when two processes ask for the same folder at once', async () => {
    const outcomes = await Promise.allSettled([start(), start(), start()]);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'DATA_FOLDER_IN_USE' });
    }
  });

  it('tells when the server is killed, recovers on the next start, and loses no committed row', async () => {
    const died = new Promise<string>((resolve) => {
      void start({ onUnexpectedExit: resolve }).then(async ({ url, pid = 0 }) => {
        await query(url, 'CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n');
        process.kill(pid, 'SIGKILL');
      });
    });
    expect(await died).toContain('SIGKILL');
    const again = await start();
    expect(await query(again.url, 'SELECT count(*)::int FROM kept')).toEqual([{ count: 1000 }]);
  });

  it('starts again when the pid of a dead server meanwhile belongs to a stranger', async () => {
    await (await start()).stop();
    await writeFile(join(dataDir, 'cluster', 'postmaster.pid'), `${process.pid}\n${dataDir}/cluster\n`);
    const again = await start();
    expect(await query(again.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('makes the cluster anew when a first start was cut off half-way', async () => {
    await mkdir(join(dataDir, 'cluster.new', 'cluster', 'base'), { recursive: true });
    const { url } = await start();
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('refuses a folder that another major version made, and says which', async () => {
    await (await start()).stop();
    await writeFile(join(dataDir, 'cluster', 'PG_VERSION'), '9\n');
    await expect(start()).rejects.toMatchObject({
      code: 'POSTGRES_VERSION_UNFIT',
      message: expect.stringContaining('made by Postgres 9'),
    });
  });

  it('says what to install when there is no Postgres', async () => {
    await expect(start({ origins: [] })).rejects.toMatchObject({
      code: 'POSTGRES_NOT_FOUND',
      message: expect.stringContaining('DATABASE_URL'),
    });
  });

  it('reports what the server printed when it cannot start', async () => {
    await expect(start({ settings: { shared_buffers: 'nonsense' } })).rejects.toMatchObject({
      code: 'POSTGRES_START_FAILED',
      message: expect.stringContaining('shared_buffers'),
    });
    await expect(start()).resolves.toMatchObject({ origin: expect.any(String) });
  });

  it('uses the server that DATABASE_URL names, and leaves it running', async () => {
    const own = await start();
    const given = await startPostgres({ dataDir: '/nowhere', env: { DATABASE_URL: own.url } });
    expect(given).toMatchObject({ origin: 'env', url: own.url, version: own.version });
    await given.stop();
    expect(await query(own.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('says so when the server that DATABASE_URL names does not answer', async () => {
    const own = await start();
    await own.stop();
    await expect(startPostgres({ dataDir, env: { DATABASE_URL: own.url } })).rejects.toMatchObject({
      code: 'POSTGRES_UNREACHABLE',
    });
  });

  it('runs from the npm package, without its install script and without changing it', async () => {
    const cache = join(home, 'cache');
    const server = await start({ origins: ['npm'], env: { ...env, WATARI_CACHE: cache } });
    expect(server).toMatchObject({ origin: 'npm', version: expect.stringMatching(/^18\./) });
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});

describe('startPostgres after its process was killed', () => {
  it('finds the folder free, the server ended with its parent', async () => {
    const holder = await hold(env);
    const before = holder.pid;
    holder.child.kill('SIGKILL');
    await once(holder.child, 'exit');
    await waitFor(async () => (await processesIn(join(dataDir, 'cluster'))).length === 0);
    expect((await start()).pid).not.toBe(before);
  });

  it('stops the server left behind where the kernel could not end it', async () => {
    const holder = await hold({ ...env, PATH: await pathWithoutSetpriv() });
    await query(holder.url, 'CREATE TABLE kept AS SELECT 1 AS one');
    holder.child.kill('SIGKILL');
    await once(holder.child, 'exit');
    await sleep(300);
    expect(await processesIn(join(dataDir, 'cluster'))).toContain(holder.pid);

    const steps: string[] = [];
    const server = await start({ onProgress: (step) => steps.push(step) });
    expect(steps).toContain(`stopping the Postgres server left behind (pid ${holder.pid})`);
    expect(await query(server.url, 'SELECT one FROM kept')).toEqual([{ one: 1 }]);
  });
});

(isRoot ? describe : describe.skip)(
  'startPostgres as root (skipped when the tests run as another user)',
  () => {
    it.each([['nobody' as const], ['user-namespace' as const], ['nobody-by-fd' as const]])(
      'runs as %s, in a folder that it made as another identity before',
      async (kind) => {
        const other = await start({ identities: kind === 'nobody' ? ['user-namespace'] : ['nobody'] });
        await other.stop();
        const server = await start({ identities: [kind] });
        const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
        expect(/^Uid:\t(\d+)/m.exec(status)?.[1]).toBe(kind === 'user-namespace' ? '0' : '65534');
        expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      },
    );

    it('runs with programs and data below a folder that only root may enter', async () => {
      await chmod(home, 0o700);
      const cache = { ...env, WATARI_CACHE: join(home, 'cache') };
      await expect(start({ origins: ['npm'], env: cache, identities: ['nobody'] })).rejects.toMatchObject({
        code: 'POSTGRES_NEEDS_USER',
        message: expect.stringContaining('cannot pass through'),
      });
      const server = await start({ origins: ['npm'], env: cache });
      await query(server.url, 'CREATE TABLE kept AS SELECT 1 AS one');
      await server.stop();

      const withoutNamespaces = await start({
        origins: ['npm'],
        env: cache,
        identities: ['nobody', 'nobody-by-fd'],
      });
      expect(await query(withoutNamespaces.url, 'SELECT one FROM kept')).toEqual([{ one: 1 }]);
      await withoutNamespaces.stop();
      expect(await processesIn(join(dataDir, 'cluster'))).toEqual([]);
    });
  },
);

async function hold(
  environment: NodeJS.ProcessEnv,
): Promise<{ child: ChildProcess; url: string; pid: number }> {
  const child = spawn(
    process.execPath,
    [
      '--conditions=@watari/source',
      '--require',
      join(__dirname, '../../../tools/workspace/run-typescript.cjs'),
      join(__dirname, '../testing/hold-server.ts'),
      dataDir,
    ],
    { env: environment, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { child, ...(JSON.parse(line) as { url: string; pid: number }) };
}

/** A PATH with what Postgres and its start need, and no setpriv on it. */
async function pathWithoutSetpriv(): Promise<string> {
  const bin = join(home, 'bin');
  await mkdir(bin);
  for (const program of ['sh', 'chown', 'unshare']) {
    for (const dir of ['/usr/bin', '/bin']) {
      const isThere = await stat(join(dir, program)).then(
        () => true,
        () => false,
      );
      if (isThere) await symlink(join(dir, program), join(bin, program)).catch(() => undefined);
    }
  }
  return bin;
}

async function waitFor(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('waited 20 s in vain');
    await sleep(50);
  }
}
