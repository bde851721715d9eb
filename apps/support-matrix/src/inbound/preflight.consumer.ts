import {
  type MigrationExecutionEvent,
  PhaseStarted,
  migrationExecutionCatalogue,
} from '@watari/contracts-migration-execution';
import { runCommand } from '@watari/event-sourcing';
import { type ConsumerSpec, type ServiceContext, causeOf } from '@watari/service-kit';
import { assessment } from '../domain/assessment';
import type { SupportRules } from '../outbound/support-rules';

/** Answers the preflight of every migration, under the migration's own id. */
export function preflightConsumer(context: ServiceContext, rules: SupportRules): ConsumerSpec {
  return {
    name: 'preflight',
    catalogue: migrationExecutionCatalogue,
    topics: [PhaseStarted.topic],
    mode: 'react',
    handle: async (received) => {
      const event = received as MigrationExecutionEvent;
      if (event.type !== 'migration.phase-started' || event.data.phase !== 'preflight') return;
      const { migrationId, assignment } = event.data;
      const now = context.now();
      const concerns = await rules.concernsOf({
        serverId: assignment.serverId,
        hostId: assignment.targetHostId,
        kind: assignment.kind,
        now,
      });
      const data = {
        serverId: assignment.serverId,
        platform: assignment.platform,
        virtualization: 'full' as const,
        concerns,
        at: now.toISOString(),
      };
      await runCommand(
        context.store,
        assessment,
        migrationId,
        { type: 'Assess', data },
        causeOf(event, 'support-matrix.preflight'),
      );
    },
  };
}
