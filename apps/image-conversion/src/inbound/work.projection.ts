import { type Projection, readStored } from '@watari/event-sourcing';
import type { JobQueue } from '@watari/service-kit';
import { conversion } from '../domain/conversion';

export function jobIdOf(migrationId: string, kind: string, attempt: number): string {
  return `${migrationId}:${kind}:${attempt}`;
}

/** Turns requested work into jobs. Not rebuildable: work that was done is not to be done again. */
export function workProjection(jobs: JobQueue): Projection {
  return {
    name: 'conversion-work',
    apply: async (raw, manager) => {
      const { event, eventId, correlationId, stream } = readStored(conversion, raw);
      if (event.type !== 'WorkRequested') return;
      const { kind, attempt, assignment, replica } = event.data;
      await jobs.enqueue(manager, {
        jobId: jobIdOf(stream.id, kind, attempt),
        kind,
        payload: { migrationId: stream.id, attempt, assignment, replica: replica ?? null },
        correlationId,
        causationId: eventId,
      });
    },
  };
}
