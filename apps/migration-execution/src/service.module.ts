import { PhaseStarted } from '@watari/contracts-migration-execution';
import { runCommand } from '@watari/event-sourcing';
import { InventoryMirror, inventoryMirrorMigration } from '@watari/inventory-mirror';
import type { ServiceContext, ServiceDefinition } from '@watari/service-kit';
import { placement } from './domain/placement';
import { agentWorkJobs } from './inbound/agent-work.jobs';
import { agentWorkProjection } from './inbound/agent-work.projection';
import { conversionConsumer } from './inbound/conversion.consumer';
import { HistoriesController } from './inbound/histories.controller';
import { journalConsumer, journalTopics } from './inbound/journal.consumer';
import { MigrationsController } from './inbound/migrations.controller';
import { MigrationWatch } from './inbound/migration-watch';
import { Planner } from './inbound/planner';
import { preflightConsumer } from './inbound/preflight.consumer';
import { finish, verify } from './outbound/closing-phases';
import { type RecordPlace, bootProof, startTarget, stopProof } from './outbound/cold-phases';
import { createHostAgents } from './outbound/host-agents';
import { cancelMove, preCopy, prepareTarget, switchOver } from './outbound/live-phases';
import { publishMigration } from './outbound/migration.publisher';
import {
  JournalEntry,
  MigrationView,
  MigrationViews1764000001000,
  migrationViews,
} from './outbound/migration.views';
import { type AgentPhase, HOST_AGENTS } from './ports';

/** The saga: takes a server through the phases of its migration, and back when it must not go on. */
export const migrationExecutionService: ServiceDefinition = {
  name: 'migration-execution',
  description: 'Watari migration execution: plans, phases, switch-over, roll-back',
  topics: [PhaseStarted.topic],
  reads: [...InventoryMirror.topics, ...journalTopics],
  entities: [...InventoryMirror.entities, MigrationView, JournalEntry],
  migrations: (schema) => [inventoryMirrorMigration(schema), MigrationViews1764000001000],
  create: (context) => {
    const mirror = new InventoryMirror(context);
    const agents = createHostAgents(mirror, () => context.agentTls());
    const recordPlace = placeRecorder(context);
    const startOrSwitch: AgentPhase = (work) =>
      (work.assignment.kind === 'cold'
        ? startTarget(agents, mirror, recordPlace)
        : switchOver(agents, recordPlace))(work);
    return {
      controllers: [MigrationsController, HistoriesController],
      providers: [
        { provide: Planner, useValue: new Planner(context, mirror) },
        { provide: HOST_AGENTS, useValue: agents },
        { provide: InventoryMirror, useValue: mirror },
        { provide: MigrationWatch, useValue: new MigrationWatch(agents) },
      ],
      publish: publishMigration,
      projections: [migrationViews, agentWorkProjection(context.jobs)],
      consumers: [
        mirror.consumer(),
        preflightConsumer(context),
        conversionConsumer(context),
        journalConsumer,
      ],
      jobs: agentWorkJobs(context, {
        'boot-proof': bootProof(agents, mirror),
        'prepare-target': prepareTarget(agents),
        'pre-copy': preCopy(agents),
        'switch-over': startOrSwitch,
        verify: verify(agents),
        finish: finish(agents),
        'stop-proof': stopProof(agents),
        'cancel-move': cancelMove(agents),
      }),
    };
  },
};

function placeRecorder({ store, now }: ServiceContext): RecordPlace {
  return async ({ migrationId, assignment }, place) => {
    await runCommand(
      store,
      placement,
      assignment.serverId,
      { type: 'PlaceServer', data: { migrationId, ...place, at: now().toISOString() } },
      { commandId: `place:${migrationId}`, correlationId: migrationId, causationId: migrationId },
    );
  };
}
