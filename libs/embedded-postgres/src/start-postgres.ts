import { createServer } from 'node:net';
import type { ChildProcess } from 'node:child_process';
import { chmod, mkdir, open, realpath, stat, truncate } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { POSTGRES_MAJOR_MIN, type PostgresBinaries, findBinaries } from './binaries';
import { SUPERUSER, clusterDir, clusterMajor, prepareCluster } from './cluster';
import { PostgresUnavailable } from './errors';
import { FolderLock } from '@watari/process-identity';
import { type IdentityKind, chooseIdentity } from './identity';
import { stopOrphan, stopPostmaster } from './orphan';
import { spawnServer } from './program';

export interface StartPostgresOptions {
  /** Ours alone; made when missing. Not touched when DATABASE_URL is set. */
  readonly dataDir: string;
  readonly onProgress?: (step: string) => void;
  /** The server ended without `stop()`; `detail` is the end of its log. */
  readonly onUnexpectedExit?: (detail: string) => void;
  /** Server settings on top of ours, such as `{ fsync: 'off' }` for throw-away data. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Default: the caller's environment. DATABASE_URL, PATH and the cache variables are read from it. */
  readonly env?: NodeJS.ProcessEnv;
  /** Where programs may come from, and as whom they may run; default: anything. Narrowed by specs. */
  readonly origins?: readonly PostgresBinaries['origin'][];
  readonly identities?: readonly IdentityKind[];
}

export interface RunningPostgres {
  /** `postgres://user:password@127.0.0.1:port/postgres`; the user may create databases. */
  readonly url: string;
  /** Of the server, such as `18.3`. */
  readonly version: string;
  readonly origin: 'env' | 'system' | 'npm';
  /** The server's pid; undefined when it is not ours. */
  readonly pid?: number;
  /** Fast shutdown, and the folder is free again; a second call waits for the first. A server from DATABASE_URL runs on. */
  stop(): Promise<void>;
}

const WRONG_PASSWORD = '28P01';
const START_ATTEMPTS_MAX = 5;
/** Recovery after a crash replays up to max_wal_size of log before the server answers. */
const READY_TIMEOUT_MS = 180_000;
const LOG_BYTES_MAX = 8 * 1024 * 1024;
const LOG_TAIL_BYTES = 2000;

/**
 * A Postgres to work with: the one that DATABASE_URL names, else one of our own in `dataDir`, run from the
 * system's programs or from the npm package's. It listens on 127.0.0.1 alone, with a password kept in the folder.
 * Throws PostgresUnavailable with a code and what to do.
 */
export async function startPostgres(options: StartPostgresOptions): Promise<RunningPostgres> {
  const env = options.env ?? process.env;
  const given = env['DATABASE_URL'];
  if (given) return useGiven(given);

  const dataDir = await ownFolder(resolve(options.dataDir));
  const lock = await FolderLock.take(dataDir);
  try {
    return await startOwn(dataDir, lock, options, env);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function useGiven(url: string): Promise<RunningPostgres> {
  let version: string;
  try {
    version = await serverVersion(url);
  } catch (error) {
    throw new PostgresUnavailable(
      'POSTGRES_UNREACHABLE',
      `The server that DATABASE_URL names does not answer: ${(error as Error).message}. Start it, or unset DATABASE_URL to use a server of our own.`,
      { cause: error },
    );
  }
  if (Number.parseInt(version, 10) < POSTGRES_MAJOR_MIN) {
    throw new PostgresUnavailable(
      'POSTGRES_VERSION_UNFIT',
      `The server that DATABASE_URL names is Postgres ${version}; ${POSTGRES_MAJOR_MIN} or newer is needed.`,
    );
  }
  return { url, version, origin: 'env', stop: async () => undefined };
}

/** 0711: user nobody may pass through to the cluster, and reads nothing on the way. */
async function ownFolder(dataDir: string): Promise<string> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o711 });
    const { uid, mode } = await stat(dataDir);
    if (uid === process.getuid?.() && (mode & 0o777) !== 0o711) await chmod(dataDir, 0o711);
    return await realpath(dataDir);
  } catch (error) {
    throw new PostgresUnavailable(
      'DATA_FOLDER_UNUSABLE',
      `The data folder ${dataDir} cannot be made or read: ${(error as Error).message}. Choose another one.`,
      { cause: error },
    );
  }
}

async function startOwn(
  dataDir: string,
  lock: FolderLock,
  options: StartPostgresOptions,
  env: NodeJS.ProcessEnv,
): Promise<RunningPostgres> {
  const onProgress = options.onProgress ?? (() => undefined);
  const binaries = await chooseBinaries(dataDir, options, env);
  const identity = await chooseIdentity(binaries, dataDir, options.identities);
  const cluster = clusterDir(dataDir);
  await stopOrphan(cluster, onProgress);
  if ((await clusterMajor(dataDir)) === undefined)
    onProgress(`making a Postgres ${binaries.version} database folder`);
  const password = await prepareCluster(dataDir, identity);
  onProgress(`starting Postgres ${binaries.version}`);

  const logPath = join(dataDir, 'postgres.log');
  await trimLog(logPath);
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const folder = await open(cluster, 'r');
    const log = await open(logPath, 'a', 0o600);
    const logStart = (await log.stat()).size;
    const dataPath = identity.passesDataByDescriptor ? '/proc/self/fd/3' : cluster;
    let child: ChildProcess;
    try {
      const args = serverArguments(dataPath, port, options.settings);
      child = spawnServer(identity, { args, dataFd: folder.fd, logFd: log.fd });
    } finally {
      await Promise.all([folder.close(), log.close()]);
    }
    const exit = exitOf(child);
    const url = `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/postgres`;
    const outcome = await waitUntilReady(url, exit.signal);
    if (outcome === 'ready') {
      return running({ child, exit, url, binaries, lock, logPath, options });
    }
    if (child.pid !== undefined && !exit.signal.aborted) await stopPostmaster(child.pid);
    await exit.ended;
    if (outcome === 'refused') {
      throw new PostgresUnavailable(
        'DATA_FOLDER_UNUSABLE',
        `The cluster in ${cluster} refuses the password kept beside it. Put the right password file back, or choose another data folder.`,
      );
    }
    const tail = await readTail(logPath, logStart);
    if (attempt < START_ATTEMPTS_MAX && /Address already in use|still in use/i.test(tail)) {
      await sleep(200 * attempt);
      continue;
    }
    if (/lock file "postmaster\.pid" already exists/.test(tail)) {
      throw new PostgresUnavailable('DATA_FOLDER_IN_USE', `Another server runs in ${cluster}: ${tail}`);
    }
    throw new PostgresUnavailable(
      'POSTGRES_START_FAILED',
      `Postgres ${binaries.version} did not start in ${cluster} (${outcome === 'timeout' ? `no answer in ${READY_TIMEOUT_MS / 1000} s` : await exit.ended}). The end of ${logPath}: ${tail || '(empty)'}`,
    );
  }
}

async function chooseBinaries(
  dataDir: string,
  { origins }: StartPostgresOptions,
  env: NodeJS.ProcessEnv,
): Promise<PostgresBinaries> {
  const cacheDir = env['WATARI_CACHE'] ?? join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'watari');
  const found = (await findBinaries({ cacheDir, env })).filter(
    ({ origin }) => !origins || origins.includes(origin),
  );
  const made = await clusterMajor(dataDir);
  const fit = made === undefined ? found[0] : found.find(({ major }) => major === made);
  if (fit) return fit;
  if (made !== undefined && found.length > 0) {
    throw new PostgresUnavailable(
      'POSTGRES_VERSION_UNFIT',
      `${dataDir} was made by Postgres ${made}; found here: ${found.map(({ version }) => version).join(', ')}. ` +
        `Install Postgres ${made}, or choose another data folder.`,
    );
  }
  throw new PostgresUnavailable(
    'POSTGRES_NOT_FOUND',
    `No Postgres ${POSTGRES_MAJOR_MIN} or newer was found. Install it (Debian, Ubuntu: apt install postgresql), ` +
      `or let npm install its optional dependencies, or set DATABASE_URL.`,
  );
}

function serverArguments(
  dataPath: string,
  port: number,
  settings: Readonly<Record<string, string>> = {},
): string[] {
  const all: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    max_connections: '200',
    timezone: 'UTC',
    log_timezone: 'UTC',
    logging_collector: 'off',
    log_destination: 'stderr',
    ...settings,
  };
  return ['-D', dataPath, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}

interface Exit {
  /** Resolves with words for how it ended. */
  readonly ended: Promise<string>;
  readonly signal: AbortSignal;
}

function exitOf(child: ChildProcess): Exit {
  const over = new AbortController();
  const ended = new Promise<string>((done) => {
    child.once('error', (error) => done(error.message));
    child.once('exit', (status, signal) => done(signal ?? `status ${status}`));
  });
  void ended.then(() => over.abort());
  return { ended, signal: over.signal };
}

async function waitUntilReady(
  url: string,
  ended: AbortSignal,
): Promise<'ready' | 'refused' | 'timeout' | 'ended'> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  let refusals = 0;
  while (!ended.aborted) {
    try {
      await serverVersion(url);
      return 'ready';
    } catch (error) {
      // Mostly: not listening yet, or in recovery. One refusal may come from a stranger who took the port first;
      // then ours ends by itself in a moment.
      if ((error as { code?: unknown }).code === WRONG_PASSWORD) refusals += 1;
      if (refusals > 20) return 'refused';
      if (Date.now() > deadline) return 'timeout';
    }
    await sleep(30);
  }
  return 'ended';
}

function running(started: {
  child: ChildProcess;
  exit: Exit;
  url: string;
  binaries: PostgresBinaries;
  lock: FolderLock;
  logPath: string;
  options: StartPostgresOptions;
}): RunningPostgres {
  const { child, exit, url, binaries, lock, logPath, options } = started;
  const pid = child.pid;
  // Our own exit without stop(): the kernel's signal does the same where setpriv exists.
  const stopWithUs = (): void => void child.kill('SIGINT');
  process.once('exit', stopWithUs);
  child.unref();
  let stopping: Promise<void> | undefined;
  void exit.ended.then(async (how) => {
    process.off('exit', stopWithUs);
    if (stopping) return;
    await lock.release();
    options.onUnexpectedExit?.(`Postgres ended (${how}): ${await readTail(logPath, 0)}`);
  });
  const stop = async (): Promise<void> => {
    if (pid !== undefined && !exit.signal.aborted) await stopPostmaster(pid);
    await lock.release();
  };
  return {
    url,
    version: binaries.version,
    origin: binaries.origin,
    pid,
    stop: () => (stopping ??= stop()),
  };
}

async function serverVersion(url: string): Promise<string> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  // A server that goes away while we look is an answer too: the query rejects, the event must not be fatal.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
    return rows[0]?.server_version.split(' ')[0] ?? '';
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Free a moment ago; the start is tried again with another one when somebody took it meanwhile. */
function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.once('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => done(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

async function trimLog(path: string): Promise<void> {
  const size = await stat(path).then(
    (info) => info.size,
    () => 0,
  );
  if (size > LOG_BYTES_MAX) await truncate(path, 0);
}

async function readTail(path: string, from: number): Promise<string> {
  const file = await open(path, 'r').catch(() => undefined);
  if (!file) return '';
  try {
    const { size } = await file.stat();
    const start = Math.max(from, size - LOG_TAIL_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(LOG_TAIL_BYTES), 0, LOG_TAIL_BYTES, start);
    return buffer.toString('utf8', 0, bytesRead).trim();
  } finally {
    await file.close();
  }
}
