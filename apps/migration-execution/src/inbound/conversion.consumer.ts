import {
  DiskCopied,
  type ImageConversionEvent,
  imageConversionCatalogue,
} from '@watari/contracts-image-conversion';
import { never, runCommand } from '@watari/event-sourcing';
import { type ConsumerSpec, type ServiceContext, causeOf } from '@watari/service-kit';
import { type MigrationCommand, migration } from '../domain/migration';

/** What the conversion service did or could not do, as reports on the phase or the undoing under way. */
export function conversionConsumer(context: ServiceContext): ConsumerSpec {
  return {
    name: 'conversions',
    catalogue: imageConversionCatalogue,
    topics: [DiskCopied.topic],
    mode: 'react',
    handle: async (received) => {
      const event = received as ImageConversionEvent;
      const cause = causeOf(event, 'migration-execution.conversions');
      await runCommand(context.store, migration, event.data.migrationId, reportOf(event), cause);
    },
  };
}

function reportOf(event: ImageConversionEvent): MigrationCommand {
  switch (event.type) {
    case 'conversion.disk-copied': {
      const { attempt, at, replica, copiedBytes } = event.data;
      return {
        type: 'CompletePhase',
        data: { phase: 'copy-disk', attempt, result: { replica, copiedBytes }, at },
      };
    }
    case 'conversion.guest-converted': {
      const { attempt, at, disk, mac, manifestPath, steps } = event.data;
      const result = { disk, mac, manifestPath, steps };
      return { type: 'CompletePhase', data: { phase: 'convert-guest', attempt, result, at } };
    }
    case 'conversion.discarded': {
      const { step, attempt, at } = event.data;
      return { type: 'CompleteUndo', data: { step, attempt, at } };
    }
    case 'conversion.failed': {
      const { phase, attempt, code, reason, canRetry, at } = event.data;
      const failure = { attempt, code, reason, canRetry, at };
      return phase === 'discard-copy' || phase === 'discard-clone'
        ? { type: 'FailUndo', data: { step: phase, ...failure } }
        : { type: 'FailPhase', data: { phase, ...failure } };
    }
    default:
      return never(event);
  }
}
