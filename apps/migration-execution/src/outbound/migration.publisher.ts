import {
  MigrationCompleted,
  MigrationPlanned,
  MigrationRolledBack,
  MigrationStalled,
  PhaseCompleted,
  PhaseFailed,
  PhaseStarted,
  RollBackStepStarted,
} from '@watari/contracts-migration-execution';
import { type OutboxRecord, type RawStoredEvent, never, readStored } from '@watari/event-sourcing';
import { publicRecord } from '@watari/service-kit';
import { migration } from '../domain/migration';

const SOURCE = 'migration-execution';

/** The way of a migration is public; who waived what, and where servers are placed, stays here. */
export function publishMigration(raw: RawStoredEvent): readonly OutboxRecord[] {
  if (raw.stream.aggregate !== migration.name) return [];
  const { event } = readStored(migration, raw);
  const migrationId = raw.stream.id;
  switch (event.type) {
    case 'MigrationPlanned': {
      const { assignment, itinerary, at } = event.data;
      return [
        publicRecord(
          MigrationPlanned,
          { migrationId, assignment, itinerary: [...itinerary], at },
          raw,
          SOURCE,
        ),
      ];
    }
    case 'PhaseStarted':
      return [publicRecord(PhaseStarted, { migrationId, ...event.data }, raw, SOURCE)];
    case 'PhaseCompleted':
      return [publicRecord(PhaseCompleted, { migrationId, ...event.data }, raw, SOURCE)];
    case 'PhaseFailed':
      return [publicRecord(PhaseFailed, { migrationId, ...event.data }, raw, SOURCE)];
    case 'UndoStarted':
      return [publicRecord(RollBackStepStarted, { migrationId, ...event.data }, raw, SOURCE)];
    case 'MigrationRolledBack':
      return [publicRecord(MigrationRolledBack, { migrationId, ...event.data }, raw, SOURCE)];
    case 'MigrationStalled':
      return [publicRecord(MigrationStalled, { migrationId, ...event.data }, raw, SOURCE)];
    case 'MigrationCompleted':
      return [publicRecord(MigrationCompleted, { migrationId, ...event.data }, raw, SOURCE)];
    case 'MigrationStarted':
    case 'AnswerRecorded':
    case 'CancelRequested':
    case 'RollBackStarted':
    case 'UndoCompleted':
    case 'UndoFailed':
      return [];
    default:
      return never(event);
  }
}
