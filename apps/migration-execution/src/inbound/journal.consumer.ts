import { imageConversionCatalogue } from '@watari/contracts-image-conversion';
import { licensingComplianceCatalogue } from '@watari/contracts-licensing-compliance';
import { migrationExecutionCatalogue } from '@watari/contracts-migration-execution';
import { supportMatrixCatalogue } from '@watari/contracts-support-matrix';
import type { ConsumerSpec } from '@watari/service-kit';
import { z } from 'zod';
import { JournalEntry } from '../outbound/migration.views';

const catalogue = new Map([
  ...migrationExecutionCatalogue,
  ...imageConversionCatalogue,
  ...supportMatrixCatalogue,
  ...licensingComplianceCatalogue,
]);

export const journalTopics = [...new Set([...catalogue.values()].map(({ topic }) => topic))];

/** Keeps every event that belongs to a migration, whoever published it: they all carry its id as correlation id. */
export const journalConsumer: ConsumerSpec = {
  name: 'journal',
  catalogue,
  topics: journalTopics,
  mode: 'project',
  handle: async (event, manager) => {
    if (!z.uuid().safeParse(event.correlationId).success) return;
    await manager
      .createQueryBuilder()
      .insert()
      .into(JournalEntry)
      .values({
        eventId: event.id,
        migrationId: event.correlationId,
        type: event.type,
        version: event.version,
        source: event.source,
        time: new Date(event.time),
        causationId: event.causationId,
        data: event.data as object,
      })
      .orIgnore()
      .execute();
  },
};
