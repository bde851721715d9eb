import { Assignment } from '@watari/contracts-migration-execution';
import { runCommand } from '@watari/event-sourcing';
import {
  abandonedFailure,
  failureOf,
  type Job,
  type JobHandler,
  type JobRun,
  type ServiceContext,
} from '@watari/service-kit';
import { z } from 'zod';
import { type ConversionCommand, type WorkKind, conversion } from '../domain/conversion';
import type { DiskWorkshop } from '../ports';

const Payload = z.object({
  migrationId: z.uuid(),
  attempt: z.int().positive(),
  assignment: Assignment,
  replica: z.object({ path: z.string(), format: z.enum(['raw', 'qcow2']) }).nullable(),
});
type Payload = z.infer<typeof Payload>;

/** Does the work and records how it went, under the job's own command id. */
export function workJobs(
  context: ServiceContext,
  workshop: DiskWorkshop,
): Readonly<Record<WorkKind, JobHandler>> {
  const handler = (
    kind: WorkKind,
    work: (payload: Payload, run: JobRun) => Promise<ConversionCommand>,
  ): JobHandler => ({
    run: async (job, run) => {
      const payload = Payload.parse(job.payload);
      let command: ConversionCommand;
      try {
        command = await work(payload, run);
      } catch (error) {
        if (run.signal.aborted) throw error;
        const failure = failureOf(error);
        if (!failure) throw error;
        command = {
          type: 'RecordFailure',
          data: { kind, attempt: payload.attempt, ...failure, at: context.now().toISOString() },
        };
      }
      await record(context, job, payload.migrationId, command);
    },
    abandoned: async (job, error) => {
      const { migrationId, attempt } = Payload.parse(job.payload);
      const failure = abandonedFailure(kind, error);
      await record(context, job, migrationId, {
        type: 'RecordFailure',
        data: { kind, attempt, ...failure, at: context.now().toISOString() },
      });
    },
  });
  const at = () => context.now().toISOString();
  const discard = (kind: 'discard-copy' | 'discard-clone') =>
    handler(kind, async ({ migrationId, attempt }, run) => {
      const undone = kind === 'discard-copy' ? 'copy-disk' : 'convert-guest';
      for (const { jobId } of await context.jobs.progressOf(`${migrationId}:${undone}:`))
        await context.jobs.cancel(jobId, run.signal);
      await workshop.discard(migrationId, kind === 'discard-copy' ? 'copy' : 'clone');
      return { type: 'RecordDiscard', data: { kind, attempt, at: at() } };
    });
  return {
    'copy-disk': handler('copy-disk', async ({ migrationId, attempt, assignment }, run) => {
      const copied = await workshop.copy(migrationId, assignment.source.disk, run);
      return { type: 'RecordCopy', data: { attempt, ...copied, at: at() } };
    }),
    'convert-guest': handler('convert-guest', async ({ migrationId, attempt, assignment, replica }, run) => {
      if (!replica) throw new Error('A conversion was requested without a replica.');
      const converted = await workshop.convert(migrationId, replica, assignment.source.mac, run);
      return { type: 'RecordGuest', data: { attempt, ...converted, at: at() } };
    }),
    'discard-copy': discard('discard-copy'),
    'discard-clone': discard('discard-clone'),
  };
}

async function record(
  context: ServiceContext,
  job: Job,
  migrationId: string,
  command: ConversionCommand,
): Promise<void> {
  const { jobId, correlationId, causationId } = job;
  await runCommand(context.store, conversion, migrationId, command, {
    commandId: `job:${jobId}`,
    correlationId,
    causationId,
  });
}
