import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runProgram } from '@watari/host-tools';
import { FolderInUse, FolderLock } from '@watari/process-identity';
import { Kafka, logLevel } from 'kafkajs';
import { KAFKA_VERSION, ensureKafkaJars } from './artifacts';
import { KafkaUnavailable } from './errors';
import { TEMPORARY_PREFIX, removeLeftBehind, stopBroker, stopLeftBehind } from './left-behind';
import { findJava } from './programs';
import { serverSettings } from './server-settings';

export interface StartKafkaOptions {
  /** Kept over stop and start. Without one the broker's data lives in a temporary folder and goes with it. */
  readonly dataDir?: string;
  /** Default: a free one. */
  readonly port?: number;
  readonly onProgress?: (step: string) => void;
  /** The broker ended without `stop()`; `detail` is the end of its log. */
  readonly onUnexpectedExit?: (detail: string) => void;
  /** Default: the caller's environment. KAFKA_BROKERS, JAVA_HOME, PATH and the cache variables are read from it. */
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

export interface RunningKafka {
  /** `host:port` each. */
  readonly brokers: readonly string[];
  readonly origin: 'env' | 'own';
  /** The broker's pid; undefined when it is not ours. */
  readonly pid?: number;
  /** Stops a broker of ours and frees its folder; a second call waits for the first. One of KAFKA_BROKERS runs on. */
  stop(): Promise<void>;
}

const READY_MS = 60_000;
const FORMAT_MS = 60_000;
const START_ATTEMPTS_MAX = 3;
const LOG_TAIL_LETTERS = 2000;
const PORT_TAKEN = /Address already in use/i;

/**
 * A Kafka to work with: the cluster that KAFKA_BROKERS names, else one broker of our own on 127.0.0.1.
 * Resolves when it answers. Throws KafkaUnavailable with a code and what to do.
 */
export async function startKafka(options: StartKafkaOptions = {}): Promise<RunningKafka> {
  const env = options.env ?? process.env;
  const given = env['KAFKA_BROKERS'];
  if (given) return useGiven(given);

  const java = await findJava(env);
  const libs = await ensureKafkaJars({ env, onProgress: options.onProgress, signal: options.signal });
  const { dataDir, isTemporary } = await ownFolder(options.dataDir);
  const lock = await takeLock(dataDir);
  const leave = async () => {
    await lock.release();
    if (isTemporary) await rm(dataDir, { recursive: true, force: true });
  };
  try {
    await stopLeftBehind(dataDir);
    const { child, port } = await startOwn(java, libs, dataDir, options);
    return ownBroker(child, port, dataDir, options, leave);
  } catch (error) {
    await leave();
    throw error;
  }
}

async function useGiven(given: string): Promise<RunningKafka> {
  const brokers = given.split(',').map((each) => each.trim());
  try {
    await ask(brokers, 10_000);
  } catch (error) {
    throw new KafkaUnavailable(
      'KAFKA_UNREACHABLE',
      `No broker of KAFKA_BROKERS=${given} answers: ${(error as Error).message}.`,
      'Start it, or unset KAFKA_BROKERS to use a broker of our own.',
      { cause: error },
    );
  }
  return { brokers, origin: 'env', stop: async () => undefined };
}

async function ownFolder(wanted: string | undefined): Promise<{ dataDir: string; isTemporary: boolean }> {
  if (wanted === undefined) {
    await removeLeftBehind();
    return { dataDir: await realpath(await mkdtemp(join(tmpdir(), TEMPORARY_PREFIX))), isTemporary: true };
  }
  await mkdir(resolve(wanted), { recursive: true, mode: 0o700 });
  return { dataDir: await realpath(wanted), isTemporary: false };
}

async function takeLock(dataDir: string): Promise<FolderLock> {
  try {
    return await FolderLock.take(dataDir);
  } catch (error) {
    if (!(error instanceof FolderInUse)) throw error;
    throw new KafkaUnavailable('DATA_FOLDER_IN_USE', error.message, '', { cause: error });
  }
}

async function startOwn(
  java: string,
  libs: string,
  dataDir: string,
  { port: wantedPort, onProgress, signal }: StartKafkaOptions,
): Promise<{ child: ChildProcess; port: number }> {
  for (let attempt = 1; ; attempt += 1) {
    signal?.throwIfAborted();
    const [freePort, controllerPort] = await freePorts();
    const port = wantedPort ?? freePort;
    const settingsPath = join(dataDir, 'server.properties');
    const logFolder = join(dataDir, 'log');
    await writeFile(settingsPath, serverSettings({ port, controllerPort, logFolder }));
    const clusterId = await formatOnce(java, libs, settingsPath, logFolder);
    onProgress?.(`starting Apache Kafka ${KAFKA_VERSION}`);
    const child = await spawnBroker(java, libs, dataDir);
    try {
      await untilReady(child, { port, clusterId, dataDir, signal });
      return { child, port };
    } catch (error) {
      if (child.pid !== undefined) await stopBroker(child.pid);
      const lostRace = wantedPort === undefined && PORT_TAKEN.test(String((error as Error).message));
      if (!lostRace || attempt >= START_ATTEMPTS_MAX) throw error;
    }
  }
}

/** Names the folder as a Kafka cluster's, the first time. The answer is the cluster's id. */
async function formatOnce(
  java: string,
  libs: string,
  settingsPath: string,
  logFolder: string,
): Promise<string> {
  const known = await clusterIdOf(logFolder);
  if (known !== undefined) return known;
  // Kafka's own form of an id: 16 bytes in base64url, which must not begin with a dash.
  const clusterId = `w${randomBytes(16).toString('base64url').slice(1)}`;
  try {
    await runProgram(
      java,
      [...['-cp', join(libs, '*')], 'kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', settingsPath],
      { timeoutMs: FORMAT_MS },
    );
  } catch (error) {
    throw startFailed(`its data folder could not be made ready: ${(error as Error).message}`, error);
  }
  return (await clusterIdOf(logFolder)) ?? clusterId;
}

async function clusterIdOf(logFolder: string): Promise<string | undefined> {
  const text = await readFile(join(logFolder, 'meta.properties'), 'utf8').catch(() => '');
  return /^cluster\.id=(.+)$/m.exec(text)?.[1]?.trim();
}

async function spawnBroker(java: string, libs: string, dataDir: string): Promise<ChildProcess> {
  const log = await open(logPath(dataDir), 'w', 0o600);
  try {
    return spawn(
      java,
      [
        ...['-Xms64m', '-Xmx512m', '-XX:+UseSerialGC', '-Djava.awt.headless=true'],
        ...['-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-Dorg.slf4j.simpleLogger.showDateTime=true'],
        ...['-cp', join(libs, '*'), 'kafka.Kafka', join(dataDir, 'server.properties')],
      ],
      {
        // Its folder is how a broker that was left behind is found. Detached: Ctrl-C is for us, who then stop it.
        ...{ cwd: dataDir, detached: true, shell: false },
        stdio: ['ignore', log.fd, log.fd],
      },
    );
  } finally {
    await log.close();
  }
}

async function untilReady(
  child: ChildProcess,
  {
    port,
    clusterId,
    dataDir,
    signal,
  }: { port: number; clusterId: string; dataDir: string; signal?: AbortSignal },
): Promise<void> {
  let gone: string | undefined;
  let failure: unknown;
  child.once('error', (error) => (gone = error.message));
  child.once('exit', (code, killedBy) => (gone = `it ended with ${killedBy ?? `status ${code}`}`));
  for (const until = Date.now() + READY_MS; ;) {
    signal?.throwIfAborted();
    if (gone !== undefined) throw startFailed(`${gone}: ${await logTail(dataDir)}`);
    try {
      // Another broker may answer there, while ours finds its port taken.
      if ((await ask([`127.0.0.1:${port}`], 2000)) === clusterId) return;
    } catch (error) {
      failure = error;
    }
    if (Date.now() > until)
      throw startFailed(`it did not answer within ${READY_MS / 1000} s: ${await logTail(dataDir)}`, failure);
    await sleep(100);
  }
}

function ownBroker(
  child: ChildProcess,
  port: number,
  dataDir: string,
  { onUnexpectedExit }: StartKafkaOptions,
  leave: () => Promise<void>,
): RunningKafka {
  let stopping: Promise<void> | undefined;
  child.once('exit', () => {
    if (!stopping) void logTail(dataDir).then((detail) => onUnexpectedExit?.(detail));
  });
  return {
    brokers: [`127.0.0.1:${port}`],
    origin: 'own',
    ...(child.pid !== undefined && { pid: child.pid }),
    stop: () =>
      (stopping ??= (async () => {
        if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
          await stopBroker(child.pid);
        await leave();
      })()),
  };
}

/** The id of the cluster that answers; rejects while there is none, or it has no broker yet. */
async function ask(brokers: readonly string[], timeoutMs: number): Promise<string> {
  const kafka = new Kafka({
    brokers: [...brokers],
    clientId: 'watari-kafka-dev',
    logLevel: logLevel.NOTHING,
    connectionTimeout: timeoutMs,
    requestTimeout: timeoutMs,
    retry: { retries: 0 },
  });
  const admin = kafka.admin();
  try {
    await admin.connect();
    const { brokers: found, clusterId } = await admin.describeCluster();
    if (found.length === 0) throw new Error('the cluster has no broker yet');
    return clusterId;
  } finally {
    await admin.disconnect();
  }
}

async function freePorts(): Promise<[number, number]> {
  const servers = await Promise.all([listenAnywhere(), listenAnywhere()]);
  await Promise.all(servers.map(({ close }) => close()));
  return [servers[0].port, servers[1].port];
}

async function listenAnywhere(): Promise<{ port: number; close: () => Promise<void> }> {
  const server = createServer();
  await new Promise<void>((listening, fail) => {
    server.once('error', fail);
    server.listen(0, '127.0.0.1', listening);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('A TCP server has no port.');
  return { port: address.port, close: () => new Promise((closed) => server.close(() => closed())) };
}

function logPath(dataDir: string): string {
  return join(dataDir, 'kafka.log');
}

async function logTail(dataDir: string): Promise<string> {
  return (
    (await readFile(logPath(dataDir), 'utf8').catch(() => '')).slice(-LOG_TAIL_LETTERS).trim() ||
    'its log is empty'
  );
}

function startFailed(why: string, cause?: unknown): KafkaUnavailable {
  return new KafkaUnavailable(
    'KAFKA_START_FAILED',
    `Kafka could not be started: ${why}.`,
    'Free the port or the memory that it lacks, or let KAFKA_BROKERS name a running cluster.',
    { cause },
  );
}
