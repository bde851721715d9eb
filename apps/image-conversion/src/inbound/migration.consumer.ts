import {
  type Assignment,
  type MigrationExecutionEvent,
  PhaseStarted,
  migrationExecutionCatalogue,
} from '@watari/contracts-migration-execution';
import { runCommand } from '@watari/event-sourcing';
import { type ConsumerSpec, type ServiceContext, causeOf } from '@watari/service-kit';
import { type WorkKind, conversion } from '../domain/conversion';

/** Takes on the phases and the undoing that belong to this service. */
export function migrationConsumer(context: ServiceContext): ConsumerSpec {
  return {
    name: 'migrations',
    catalogue: migrationExecutionCatalogue,
    topics: [PhaseStarted.topic],
    mode: 'react',
    handle: async (received) => {
      const event = received as MigrationExecutionEvent;
      const work = workOf(event);
      if (!work) return;
      const data = { ...work, at: context.now().toISOString() };
      await runCommand(
        context.store,
        conversion,
        event.data.migrationId,
        { type: 'RequestWork', data },
        causeOf(event, 'image-conversion.migrations'),
      );
    },
  };
}

function workOf(
  event: MigrationExecutionEvent,
): { kind: WorkKind; attempt: number; assignment: Assignment } | undefined {
  if (event.type === 'migration.phase-started') {
    const { phase, attempt, assignment } = event.data;
    return phase === 'copy-disk' || phase === 'convert-guest'
      ? { kind: phase, attempt, assignment }
      : undefined;
  }
  if (event.type === 'migration.roll-back-step-started') {
    const { step, attempt, assignment } = event.data;
    return step === 'discard-copy' || step === 'discard-clone'
      ? { kind: step, attempt, assignment }
      : undefined;
  }
  return undefined;
}
