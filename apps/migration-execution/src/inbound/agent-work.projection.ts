import { type Projection, readStored } from '@watari/event-sourcing';
import type { JobQueue } from '@watari/service-kit';
import { stopAt, workerOfUndo } from '../domain/itinerary';
import { type MigrationEvent, migration } from '../domain/migration';

export function jobIdOf(migrationId: string, kind: string, attempt: number): string {
  return `${migrationId}:${kind}:${attempt}`;
}

/** Turns the phases and undo steps that are done through host agents into jobs. Not rebuildable: the work was done. */
export function agentWorkProjection(jobs: JobQueue): Projection {
  return {
    name: 'agent-work',
    apply: async (raw, manager) => {
      if (raw.stream.aggregate !== migration.name) return;
      const { event, eventId, correlationId, stream } = readStored(migration, raw);
      const work = agentWorkOf(event);
      if (!work) return;
      const { kind, attempt, assignment } = work;
      await jobs.enqueue(manager, {
        jobId: jobIdOf(stream.id, kind, attempt),
        kind,
        payload: { migrationId: stream.id, attempt, assignment },
        correlationId,
        causationId: eventId,
      });
    },
  };
}

function agentWorkOf(
  event: MigrationEvent,
): { kind: string; attempt: number; assignment: object } | undefined {
  if (event.type === 'PhaseStarted') {
    const { phase, ...rest } = event.data;
    return stopAt(phase).worker === 'agents' ? { kind: phase, ...rest } : undefined;
  }
  if (event.type === 'UndoStarted') {
    const { step, ...rest } = event.data;
    return workerOfUndo(step) === 'agents' ? { kind: step, ...rest } : undefined;
  }
  return undefined;
}
