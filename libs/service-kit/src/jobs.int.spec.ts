import { randomUUID } from 'node:crypto';
import { createTestDatabase, type TestDatabase } from '@watari/embedded-postgres';
import { Pool } from 'pg';
import { pino } from 'pino';
import { DataSource } from 'typeorm';
import { type Job, type JobHandler, JobQueue, jobsMigration } from './jobs';

const SCHEMA = 'jobs_spec';
const logger = pino({ level: 'silent' });

describe('the job queue', () => {
  let database: TestDatabase;
  let pool: Pool;
  let dataSource: DataSource;
  const queues: JobQueue[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    pool = new Pool({ connectionString: database.url });
    await pool.query(`CREATE SCHEMA ${SCHEMA}`);
    dataSource = new DataSource({
      type: 'postgres',
      url: database.url,
      schema: SCHEMA,
      migrations: [jobsMigration(SCHEMA)],
    });
    await dataSource.initialize();
    await dataSource.runMigrations();
  });
  afterEach(async () => {
    await Promise.all(queues.splice(0).map((queue) => queue.stop()));
    await pool.query(`DELETE FROM ${SCHEMA}.jobs`);
  });
  afterAll(async () => {
    await dataSource.destroy();
    await pool.end();
    await database.close();
  });

  const worker = (handlers: Record<string, Partial<JobHandler>>): JobQueue => {
    const queue = new JobQueue(pool, SCHEMA, logger);
    queues.push(queue);
    const complete = Object.entries(handlers).map(([kind, handler]) => [
      kind,
      { run: () => Promise.resolve(), abandoned: () => Promise.resolve(), ...handler },
    ]);
    queue.start(Object.fromEntries(complete) as Record<string, JobHandler>);
    return queue;
  };
  const jobOf = (kind: string, jobId: string = randomUUID()): Omit<Job, 'attempts'> => ({
    jobId,
    kind,
    payload: { of: jobId },
    correlationId: 'c',
    causationId: 'e',
  });
  const enqueue = (queue: JobQueue, job: Omit<Job, 'attempts'>) =>
    dataSource.transaction((manager) => queue.enqueue(manager, job));
  const stateOf = async (queue: JobQueue, jobId: string) => (await queue.progressOf(jobId))[0]?.state;

  it('runs a job once, though it was enqueued twice and two workers look', async () => {
    const runs: string[] = [];
    const handler = { run: async (job: Job) => void runs.push(job.jobId) };
    const first = worker({ copy: handler });
    worker({ copy: handler });
    const job = jobOf('copy');
    await enqueue(first, job);
    await enqueue(first, job);
    await until(async () => (await stateOf(first, job.jobId)) === 'done');
    await pauseMs(500);
    expect(runs).toEqual([job.jobId]);
  });

  it('does not begin a job whose transaction was rolled back', async () => {
    const runs: string[] = [];
    const queue = worker({ copy: { run: async (job) => void runs.push(job.jobId) } });
    const refused = dataSource.transaction(async (manager) => {
      await queue.enqueue(manager, jobOf('copy'));
      throw new Error('no');
    });
    await expect(refused).rejects.toThrow('no');
    await pauseMs(500);
    expect(runs).toEqual([]);
  });

  it('leaves jobs of kinds that it has no handler for', async () => {
    const queue = worker({ copy: {} });
    const job = jobOf('convert');
    await enqueue(queue, job);
    await pauseMs(500);
    expect(await stateOf(queue, job.jobId)).toBe('waiting');
  });

  it('tries a failed job again and tells when it gave it up', async () => {
    let runs = 0;
    const given: unknown[] = [];
    const queue = worker({
      copy: {
        run: async () => {
          runs += 1;
          throw new Error(`failure ${runs}`);
        },
        abandoned: async (_job, error) => void given.push((error as Error).message),
      },
    });
    const job = jobOf('copy');
    await enqueue(queue, job);
    // Waits between attempts are cut short here: the clock of the journal is what decides.
    await until(async () => {
      await pool.query(`UPDATE ${SCHEMA}.jobs SET run_after = clock_timestamp()`);
      return (await stateOf(queue, job.jobId)) === 'abandoned';
    });
    expect(given).toEqual(['failure 5']);
  });

  it('stops a running job that is cancelled, and never runs it again', async () => {
    const started = signalOf();
    let runs = 0;
    const queue = worker({
      copy: {
        run: (_job, { signal }) => {
          runs += 1;
          started.give();
          return new Promise((_resolve, reject) =>
            signal.addEventListener('abort', () => reject(signal.reason as Error)),
          );
        },
      },
    });
    const job = jobOf('copy');
    await enqueue(queue, job);
    await started.given;
    await queue.cancel(job.jobId, new AbortController().signal);
    await pauseMs(600);
    expect({ runs, state: await stateOf(queue, job.jobId) }).toEqual({ runs: 1, state: 'cancelled' });
  });

  it('hands a running job back when its process stops, for the next one to run', async () => {
    const started = signalOf();
    const first = worker({
      copy: {
        run: (_job, { signal }) => {
          started.give();
          return new Promise((_resolve, reject) =>
            signal.addEventListener('abort', () => reject(signal.reason as Error)),
          );
        },
      },
    });
    const job = jobOf('copy');
    await enqueue(first, job);
    await started.given;
    await first.stop();
    const second = worker({ copy: {} });
    await until(async () => (await stateOf(second, job.jobId)) === 'done');
  });

  it('takes a job over from a process that died, once its lease has run out', async () => {
    const queue = worker({ copy: {} });
    const job = jobOf('copy');
    await pool.query(
      `INSERT INTO ${SCHEMA}.jobs (job_id, kind, payload, correlation_id, causation_id, state, attempts, lease_until, lease_token)
       VALUES ($1, 'copy', '{}', 'c', 'e', 'running', 1, clock_timestamp() + interval '1 s', gen_random_uuid())`,
      [job.jobId],
    );
    await pauseMs(500);
    expect(await stateOf(queue, job.jobId)).toBe('running');
    await until(async () => (await stateOf(queue, job.jobId)) === 'done');
  });

  it('tells how far a running job is', async () => {
    const finish = signalOf();
    const queue = worker({
      copy: {
        run: async (_job, run) => {
          run.progress('half-way', 0.5);
          await finish.given;
        },
      },
    });
    const job = jobOf('copy');
    await enqueue(queue, job);
    await until(async () => (await queue.progressOf(job.jobId))[0]?.progressText === 'half-way');
    expect((await queue.progressOf(job.jobId))[0]?.progressFraction).toBe(0.5);
    finish.give();
    await until(async () => (await stateOf(queue, job.jobId)) === 'done');
  });
});

function signalOf(): { given: Promise<void>; give(): void } {
  let give = () => undefined as void;
  const given = new Promise<void>((resolve) => {
    give = resolve;
  });
  return { given, give };
}

function pauseMs(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000;
  while (!(await isTrue())) {
    if (Date.now() > end) throw new Error('It did not come true in 30 s.');
    await pauseMs(50);
  }
}
