import { Assignment } from '@watari/contracts-migration-execution';
import { loadState, runCommand } from '@watari/event-sourcing';
import {
  type Job,
  type JobHandler,
  type ServiceContext,
  abandonedFailure,
  failureOf,
} from '@watari/service-kit';
import { z } from 'zod';
import { type Phase, type UndoStep, workerOfUndo } from '../domain/itinerary';
import { type Failure, type MigrationCommand, migration } from '../domain/migration';
import type { AgentPhase } from '../ports';

const Payload = z.object({
  migrationId: z.uuid(),
  attempt: z.int().positive(),
  assignment: Assignment,
});

export type AgentWorkHandlers = Readonly<Partial<Record<Phase | UndoStep, AgentPhase>>>;

/** What undoing must stop first: the phase that may still be at work. */
const UNDONE_BY: Partial<Record<UndoStep, Phase>> = { 'stop-proof': 'boot-proof', 'cancel-move': 'pre-copy' };
/** Waits of 2 s, 4 s … before further attempts: what can be mended by trying again needs a moment. */
const RETRY_PAUSE_MS = 1000;
const RETRY_PAUSE_MS_MAX = 30_000;

/** Does phases and undo steps through agents, and reports to the migration under the job's own command id. */
export function agentWorkJobs(
  context: ServiceContext,
  phases: AgentWorkHandlers,
): Record<string, JobHandler> {
  return Object.fromEntries(
    Object.entries(phases).map(([kind, phase]) => [kind, jobOf(context, kind as Phase | UndoStep, phase)]),
  );
}

function jobOf(context: ServiceContext, kind: Phase | UndoStep, phase: AgentPhase): JobHandler {
  const isUndo = isUndoStep(kind);
  const at = () => context.now().toISOString();
  const completed = (attempt: number, result: Record<string, unknown>): MigrationCommand =>
    isUndo
      ? { type: 'CompleteUndo', data: { step: kind as UndoStep, attempt, at: at() } }
      : { type: 'CompletePhase', data: { phase: kind as Phase, attempt, result, at: at() } };
  const failed = (attempt: number, failure: Failure): MigrationCommand =>
    isUndo
      ? { type: 'FailUndo', data: { step: kind as UndoStep, attempt, ...failure, at: at() } }
      : { type: 'FailPhase', data: { phase: kind as Phase, attempt, ...failure, at: at() } };
  return {
    run: async (job, run) => {
      const { migrationId, attempt, assignment } = Payload.parse(job.payload);
      const { state } = await loadState(context.store, migration, migrationId);
      const results = state.status === 'unplanned' ? {} : state.results;
      let command: MigrationCommand;
      try {
        await pauseBefore(attempt, run.signal);
        if (isUndo) await stopUndone(context, migrationId, kind as UndoStep, run.signal);
        const { signal, progress } = run;
        command = completed(
          attempt,
          await phase({ migrationId, attempt, assignment, results, signal, progress }),
        );
      } catch (error) {
        if (run.signal.aborted) throw error;
        const failure = failureOf(error);
        if (!failure) throw error;
        const targetNeverRan = (error as { targetNeverRan?: unknown }).targetNeverRan === true;
        run.logger.warn({ kind, attempt, ...failure }, 'an attempt failed');
        command = failed(attempt, { ...failure, ...(targetNeverRan && { targetNeverRan }) });
      }
      await report(context, job, migrationId, command);
    },
    abandoned: async (job, error) => {
      const { migrationId, attempt } = Payload.parse(job.payload);
      await report(context, job, migrationId, failed(attempt, abandonedFailure(kind, error)));
    },
  };
}

function isUndoStep(kind: Phase | UndoStep): kind is UndoStep {
  return kind in UNDONE_BY && workerOfUndo(kind as UndoStep) === 'agents';
}

async function stopUndone(
  { jobs }: ServiceContext,
  migrationId: string,
  step: UndoStep,
  signal: AbortSignal,
): Promise<void> {
  const phase = UNDONE_BY[step];
  if (!phase) return;
  for (const { jobId } of await jobs.progressOf(`${migrationId}:${phase}:`)) await jobs.cancel(jobId, signal);
}

async function pauseBefore(attempt: number, signal: AbortSignal): Promise<void> {
  if (attempt === 1) return;
  const ms = Math.min(RETRY_PAUSE_MS * 2 ** (attempt - 1), RETRY_PAUSE_MS_MAX);
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    });
  });
}

async function report(
  { store }: ServiceContext,
  { jobId, correlationId, causationId }: Job,
  migrationId: string,
  command: MigrationCommand,
): Promise<void> {
  await runCommand(store, migration, migrationId, command, {
    commandId: `job:${jobId}`,
    correlationId,
    causationId,
  });
}
