import { randomUUID } from 'node:crypto';
import { Loop, quoteSchema } from '@watari/event-sourcing';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { EntityManager, MigrationInterface, QueryRunner } from 'typeorm';

/** Long work that an event asked for, journalled so that it survives the process. */
export interface Job {
  readonly jobId: string;
  readonly kind: string;
  readonly payload: Record<string, unknown>;
  readonly correlationId: string;
  readonly causationId: string;
  readonly attempts: number;
}

export interface JobRun {
  /** Aborted when the job is cancelled, the lease was lost or the service stops. */
  readonly signal: AbortSignal;
  /** `fraction` from 0 to 1. Kept with the job, for people who watch; never an event. */
  progress(text: string, fraction?: number): void;
  readonly logger: Logger;
}

export interface JobHandler {
  /** Must be safe to run again: a process may die after the work and before the job is marked done. */
  run(job: Job, run: JobRun): Promise<void>;
  /** Called once when every attempt failed. */
  abandoned(job: Job, error: unknown): Promise<void>;
}

export interface JobProgress {
  readonly jobId: string;
  readonly kind: string;
  readonly state: 'waiting' | 'running' | 'done' | 'cancelled' | 'abandoned';
  readonly progressText: string;
  readonly progressFraction: number | null;
}

const LEASE_MS = 10_000;
const RENEW_MS = 2_000;
const ATTEMPTS_MAX = 5;
const RUNNING_MAX = 4;

export function jobsMigration(schema: string): new () => MigrationInterface {
  const s = quoteSchema(schema);
  return class Jobs1764000000001 implements MigrationInterface {
    readonly name = 'Jobs1764000000001';
    async up(runner: QueryRunner): Promise<void> {
      await runner.query(`
        CREATE TABLE ${s}.jobs (
          job_id            text        PRIMARY KEY,
          kind              text        NOT NULL,
          payload           jsonb       NOT NULL,
          correlation_id    text        NOT NULL,
          causation_id      text        NOT NULL,
          state             text        NOT NULL DEFAULT 'waiting',
          attempts          integer     NOT NULL DEFAULT 0,
          run_after         timestamptz NOT NULL DEFAULT clock_timestamp(),
          lease_until       timestamptz,
          lease_token       uuid,
          progress_text     text        NOT NULL DEFAULT '',
          progress_fraction real,
          last_error        text,
          created_at        timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        CREATE INDEX jobs_due ON ${s}.jobs (run_after) WHERE state IN ('waiting', 'running');
      `);
    }
    async down(runner: QueryRunner): Promise<void> {
      await runner.query(`DROP TABLE ${s}.jobs`);
    }
  };
}

/**
 * The work of one service, in its own schema. A running job holds a lease that its process renews; when the
 * process dies the lease runs out and another takes the job over.
 */
export class JobQueue {
  private readonly s: string;
  private readonly running = new Map<string, AbortController>();
  private loop: Loop | undefined;
  private readonly active = new Set<Promise<void>>();

  constructor(
    private readonly pool: Pool,
    schema: string,
    private readonly logger: Logger,
  ) {
    this.s = quoteSchema(schema);
  }

  /** Adds a job inside the caller's transaction; one with the same id changes nothing. */
  async enqueue(manager: EntityManager, job: Omit<Job, 'attempts'>): Promise<void> {
    await manager.query(
      `INSERT INTO ${this.s}.jobs (job_id, kind, payload, correlation_id, causation_id) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
      [job.jobId, job.kind, JSON.stringify(job.payload), job.correlationId, job.causationId],
    );
    this.loop?.wake();
  }

  /** Stops a job that waits or runs, in whatever process; resolves once nobody works on it any more. */
  async cancel(jobId: string, signal: AbortSignal): Promise<void> {
    this.running.get(jobId)?.abort(new Error('The job was cancelled.'));
    await this.pool.query(
      `UPDATE ${this.s}.jobs SET state = 'cancelled' WHERE job_id = $1 AND state IN ('waiting', 'running')`,
      [jobId],
    );
    for (;;) {
      const { rows } = await this.pool.query<{ leased: boolean }>(
        `SELECT lease_until > clock_timestamp() AS leased FROM ${this.s}.jobs WHERE job_id = $1`,
        [jobId],
      );
      if (!rows[0]?.leased) return;
      signal.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Progress of the jobs whose id starts with `prefix`, oldest first. */
  async progressOf(prefix: string): Promise<JobProgress[]> {
    const { rows } = await this.pool.query<JobProgress>(
      `SELECT job_id AS "jobId", kind, state, progress_text AS "progressText", progress_fraction AS "progressFraction"
         FROM ${this.s}.jobs WHERE starts_with(job_id, $1) ORDER BY created_at LIMIT 100`,
      [prefix],
    );
    return rows;
  }

  start(handlers: Readonly<Record<string, JobHandler>>): void {
    this.loop = new Loop({
      step: () => this.claim(handlers),
      idleMs: 200,
      onError: (error) => this.logger.error({ err: error }, 'looking for jobs failed'),
    });
    this.loop.start();
  }

  /** Aborts what runs and waits for it; aborted jobs stay due and run again after a restart. */
  async stop(): Promise<void> {
    await this.loop?.stop();
    for (const controller of this.running.values()) controller.abort(new Error('The service is stopping.'));
    await Promise.allSettled(this.active);
  }

  private async claim(handlers: Readonly<Record<string, JobHandler>>): Promise<'worked' | 'idle'> {
    if (this.running.size >= RUNNING_MAX) return 'idle';
    const token = randomUUID();
    const { rows } = await this.pool.query<JobRow>(
      `UPDATE ${this.s}.jobs SET state = 'running', attempts = attempts + 1, lease_token = $1,
              lease_until = clock_timestamp() + $2 * interval '1 ms'
        WHERE job_id = (
          SELECT job_id FROM ${this.s}.jobs
           WHERE state IN ('waiting', 'running') AND run_after <= clock_timestamp()
             AND (lease_until IS NULL OR lease_until < clock_timestamp()) AND kind = ANY($3)
           ORDER BY run_after LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING *`,
      [token, LEASE_MS, Object.keys(handlers)],
    );
    const row = rows[0];
    const handler = row && handlers[row.kind];
    if (!row || !handler) return 'idle';
    const work = this.work(toJob(row), token, handler).catch((error: unknown) =>
      this.logger.error({ err: error, jobId: row.job_id }, 'keeping the journal of a job failed'),
    );
    this.active.add(work);
    void work.finally(() => this.active.delete(work));
    return 'worked';
  }

  private async work(job: Job, token: string, handler: JobHandler): Promise<void> {
    const controller = new AbortController();
    const logger = this.logger.child({
      jobId: job.jobId,
      correlationId: job.correlationId,
      causationId: job.causationId,
    });
    let latest: { text: string; fraction: number | undefined } = { text: '', fraction: undefined };
    this.running.set(job.jobId, controller);
    const renewal = setInterval(() => {
      this.renew(job, token, latest)
        .then((kept) => kept || controller.abort(new Error('The job was cancelled or its lease was lost.')))
        .catch((error: unknown) => logger.warn({ err: error }, 'renewing the lease failed'));
    }, RENEW_MS);
    const began = performance.now();
    logger.info({ kind: job.kind, attempts: job.attempts }, 'a job begins');
    try {
      await handler.run(job, {
        signal: controller.signal,
        logger,
        progress: (text, fraction) => {
          latest = { text, fraction };
        },
      });
      await this.finish(job, token, 'done', latest);
      logger.info({ kind: job.kind, tookMs: Math.round(performance.now() - began) }, 'a job is done');
    } catch (error) {
      await this.afterFailure(job, token, handler, error, controller.signal.aborted, logger, latest);
    } finally {
      clearInterval(renewal);
      this.running.delete(job.jobId);
    }
  }

  private async afterFailure(
    job: Job,
    token: string,
    handler: JobHandler,
    error: unknown,
    wasAborted: boolean,
    logger: Logger,
    latest: { text: string; fraction: number | undefined },
  ): Promise<void> {
    if (wasAborted) {
      await this.finish(job, token, 'waiting', latest);
      return;
    }
    logger.warn({ err: error, attempts: job.attempts }, 'a job failed');
    if (job.attempts < ATTEMPTS_MAX) {
      await this.pool.query(
        `UPDATE ${this.s}.jobs SET state = 'waiting', lease_until = NULL, last_error = $3,
                run_after = clock_timestamp() + $4 * interval '1 ms'
          WHERE job_id = $1 AND lease_token = $2 AND state = 'running'`,
        [job.jobId, token, String(error).slice(0, 2000), 500 * 2 ** job.attempts],
      );
      return;
    }
    await handler.abandoned(job, error);
    await this.finish(job, token, 'abandoned', latest);
  }

  /** False when the job is no longer ours. */
  private async renew(
    job: Job,
    token: string,
    latest: { text: string; fraction: number | undefined },
  ): Promise<boolean> {
    const { rowCount } = await this.pool.query(
      `UPDATE ${this.s}.jobs SET lease_until = clock_timestamp() + $3 * interval '1 ms', progress_text = $4, progress_fraction = $5
        WHERE job_id = $1 AND lease_token = $2 AND state = 'running'`,
      [job.jobId, token, LEASE_MS, latest.text, latest.fraction ?? null],
    );
    return rowCount === 1;
  }

  /** Gives the lease back. A job that was cancelled meanwhile stays cancelled. */
  private async finish(
    job: Job,
    token: string,
    state: 'done' | 'waiting' | 'abandoned',
    latest: { text: string; fraction: number | undefined },
  ): Promise<void> {
    await this.pool.query(
      `UPDATE ${this.s}.jobs SET state = CASE WHEN state = 'running' THEN $3 ELSE state END, lease_until = NULL,
              progress_text = $4, progress_fraction = $5
        WHERE job_id = $1 AND lease_token = $2`,
      [job.jobId, token, state, latest.text, latest.fraction ?? null],
    );
  }
}

interface JobRow {
  job_id: string;
  kind: string;
  payload: Record<string, unknown>;
  correlation_id: string;
  causation_id: string;
  attempts: number;
}

function toJob(row: JobRow): Job {
  return {
    jobId: row.job_id,
    kind: row.kind,
    payload: row.payload,
    correlationId: row.correlation_id,
    causationId: row.causation_id,
    attempts: row.attempts,
  };
}
