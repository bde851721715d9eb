import {
  ConversionDiscarded,
  ConversionFailed,
  DiskCopied,
  GuestConverted,
} from '@watari/contracts-image-conversion';
import { type OutboxRecord, type RawStoredEvent, never, readStored } from '@watari/event-sourcing';
import { publicRecord } from '@watari/service-kit';
import { conversion } from '../domain/conversion';

const SOURCE = 'image-conversion';

/** Results are public; that work was requested is the requester's news. */
export function publishConversion(raw: RawStoredEvent): readonly OutboxRecord[] {
  const { event } = readStored(conversion, raw);
  const migrationId = raw.stream.id;
  switch (event.type) {
    case 'WorkRequested':
      return [];
    case 'DiskCopied':
      return [publicRecord(DiskCopied, { migrationId, ...event.data }, raw, SOURCE)];
    case 'GuestConverted':
      return [
        publicRecord(
          GuestConverted,
          { migrationId, ...event.data, steps: [...event.data.steps] },
          raw,
          SOURCE,
        ),
      ];
    case 'Discarded': {
      const { kind, attempt, at } = event.data;
      return [publicRecord(ConversionDiscarded, { migrationId, step: kind, attempt, at }, raw, SOURCE)];
    }
    case 'WorkFailed': {
      const { kind, ...failure } = event.data;
      return [publicRecord(ConversionFailed, { migrationId, phase: kind, ...failure }, raw, SOURCE)];
    }
    default:
      return never(event);
  }
}
