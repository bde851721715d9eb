import {
  type MigrationExecutionEvent,
  PhaseStarted,
  migrationExecutionCatalogue,
} from '@watari/contracts-migration-execution';
import { runCommand } from '@watari/event-sourcing';
import { type ConsumerSpec, type ServiceContext, causeOf } from '@watari/service-kit';
import { assessment } from '../domain/assessment';
import type { LicenceTerms } from '../outbound/licence-terms';

/** Answers the preflight of every migration, under the migration's own id. */
export function preflightConsumer(context: ServiceContext, terms: LicenceTerms): ConsumerSpec {
  return {
    name: 'preflight',
    catalogue: migrationExecutionCatalogue,
    topics: [PhaseStarted.topic],
    mode: 'react',
    handle: async (received) => {
      const event = received as MigrationExecutionEvent;
      if (event.type !== 'migration.phase-started' || event.data.phase !== 'preflight') return;
      const { migrationId, assignment } = event.data;
      const command = await terms.assess(assignment.serverId, assignment.targetHostId);
      await runCommand(
        context.store,
        assessment,
        migrationId,
        command,
        causeOf(event, 'licensing-compliance.preflight'),
      );
    },
  };
}
