import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, processesIn } from '@watari/process-identity';
import { Kafka, logLevel } from 'kafkajs';
import { KAFKA_VERSION } from './artifacts';
import { kafkaAvailability } from './availability';
import { type RunningKafka, type StartKafkaOptions, startKafka } from './broker';
import { TEMPORARY_PREFIX } from './left-behind';

jest.setTimeout(180_000);

const env = { ...process.env, KAFKA_BROKERS: undefined };
let home: string;
const started: RunningKafka[] = [];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'watari-broker-spec-'));
});

afterEach(async () => {
  await Promise.all(started.splice(0).map((kafka) => kafka.stop()));
  await rm(home, { recursive: true, force: true });
});

async function start(options: StartKafkaOptions = {}): Promise<RunningKafka> {
  const kafka = await startKafka({ env, ...options });
  started.push(kafka);
  return kafka;
}

async function withAdmin<T>(
  { brokers }: RunningKafka,
  work: (admin: ReturnType<Kafka['admin']>) => Promise<T>,
): Promise<T> {
  const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

const missing = ['java', 'mvn'].filter((program) => spawnSync(program, ['-version']).error !== undefined);
const isSkipped = missing.length > 0 && process.env['WATARI_REQUIRE_KAFKA'] !== '1';

(isSkipped ? describe.skip : describe)(
  `startKafka${isSkipped ? ` (${missing.join(' and ')} not installed)` : ''}`,
  () => {
    it('runs a broker on loopback that keeps its data over stop and start, and leaves no process behind', async () => {
      const first = await start({ dataDir: home });
      expect(first.brokers).toEqual([expect.stringMatching(/^127\.0\.0\.1:\d+$/)]);
      await withAdmin(first, (admin) =>
        admin.createTopics({ topics: [{ topic: 'kept', numPartitions: 3 }] }),
      );
      await first.stop();
      expect(await processesIn(home)).toEqual([]);

      const second = await start({ dataDir: home });
      const topics = await withAdmin(second, (admin) => admin.fetchTopicMetadata({ topics: ['kept'] }));
      expect(topics.topics[0]?.partitions).toHaveLength(3);
    });

    it('refuses a folder that another broker works in, and a port that is taken', async () => {
      const kafka = await start({ dataDir: home });
      await expect(start({ dataDir: home })).rejects.toMatchObject({ code: 'DATA_FOLDER_IN_USE' });
      const port = Number(kafka.brokers[0]?.split(':')[1]);
      await expect(start({ port })).rejects.toMatchObject({
        code: 'KAFKA_START_FAILED',
        message: expect.stringMatching(/Address already in use/i) as string,
      });
    });

    it('tells when the broker dies, and starts over the folder that it left', async () => {
      const died = new Promise<string>((told) => {
        void start({ dataDir: home, onUnexpectedExit: told }).then(({ pid }) =>
          process.kill(pid ?? 0, 'SIGKILL'),
        );
      });
      await died;
      await started.pop()?.stop();
      const again = await start({ dataDir: home });
      expect(isAlive(again.pid ?? 0)).toBe(true);
    });

    it('takes a temporary folder with it', async () => {
      const kafka = await start();
      const [folder] = await ourTemporaryFolders();
      expect(await processesIn(folder ?? '')).toEqual([kafka.pid]);
      await kafka.stop();
      await sleep(50);
      expect(await ourTemporaryFolders()).not.toContain(folder);

      async function ourTemporaryFolders(): Promise<string[]> {
        const names = (await readdir(tmpdir())).filter((name) => name.startsWith(TEMPORARY_PREFIX));
        const folders = names.map((name) => join(tmpdir(), name));
        const inside = await Promise.all(folders.map((each) => processesIn(each)));
        return folders.filter((_, index) => inside[index]?.includes(kafka.pid ?? 0));
      }
    });

    it('gives up at once when it is told to', async () => {
      await expect(startKafka({ env, dataDir: home, signal: AbortSignal.timeout(300) })).rejects.toThrow(
        /timeout|abort/i,
      );
      expect(await processesIn(home)).toEqual([]);
    });
  },
);

describe('without what it needs', () => {
  it('says that Java is missing, and what to do', async () => {
    const availability = await kafkaAvailability({ PATH: home });
    expect(availability).toMatchObject({
      isAvailable: false,
      code: 'JAVA_MISSING',
      remedy: expect.stringContaining('apt-get install') as string,
    });
  });

  it('says that Java is too old, and which it found', async () => {
    await pretendJava('11.0.2');
    expect(await kafkaAvailability({ PATH: home })).toMatchObject({
      isAvailable: false,
      code: 'JAVA_TOO_OLD',
      reason: expect.stringContaining('Java 11') as string,
    });
  });

  it('says that Maven is missing when nothing was fetched yet, and what to do', async () => {
    await pretendJava('17.0.15');
    const poor = { PATH: home, WATARI_CACHE: home };
    expect(await kafkaAvailability(poor)).toMatchObject({ isAvailable: false, code: 'MAVEN_MISSING' });
    await expect(startKafka({ env: poor })).rejects.toMatchObject({ code: 'MAVEN_MISSING' });
  });

  it('says what Maven could not fetch, and leaves nothing half fetched', async () => {
    await pretendJava('17.0.15');
    await pretend('mvn', 'while [ "$1" != -l ]; do shift; done; echo "[ERROR] no such mirror" >"$2"; exit 1');
    await expect(startKafka({ env: { PATH: home, WATARI_CACHE: home } })).rejects.toMatchObject({
      code: 'KAFKA_DOWNLOAD_FAILED',
      message: expect.stringContaining('no such mirror') as string,
    });
    expect(await readdir(join(home, 'kafka', KAFKA_VERSION))).toEqual([]);
  });

  it('says that the brokers of KAFKA_BROKERS do not answer, instead of starting one', async () => {
    await expect(startKafka({ env: { ...env, KAFKA_BROKERS: '127.0.0.1:1' } })).rejects.toMatchObject({
      code: 'KAFKA_UNREACHABLE',
      message: expect.stringContaining('KAFKA_BROKERS') as string,
    });
  });
});

async function pretend(program: string, script: string): Promise<void> {
  await writeFile(join(home, program), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

function pretendJava(version: string): Promise<void> {
  return pretend('java', `echo 'openjdk version "${version}"' >&2`);
}
