import { catalogueOf, defineEvent, type EventOf } from '@watari/contracts-base';
import { z } from 'zod';

const text = z.string().min(1).max(2000);
const Disk = z.object({ path: text, format: z.enum(['raw', 'qcow2']) });
const identity = { migrationId: z.uuid(), attempt: z.int().positive(), at: z.iso.datetime() };
const topic = 'image-conversion.conversion';
const key = 'migrationId';

export const DiskCopied = defineEvent({
  type: 'conversion.disk-copied',
  version: 1,
  topic,
  key,
  summary: 'The replica equals the source disk; the source was only read.',
  data: z.object({ ...identity, replica: Disk, copiedBytes: z.int().nonnegative() }),
});

export const GuestConverted = defineEvent({
  type: 'conversion.guest-converted',
  version: 1,
  topic,
  key,
  summary: 'A clone of the replica can boot on the target; the manifest holds how to undo it.',
  data: z.object({
    ...identity,
    disk: Disk,
    manifestPath: text,
    steps: z.array(z.object({ name: text, summary: z.string().max(2000) })).max(100),
    mac: text,
  }),
});

export const ConversionFailed = defineEvent({
  type: 'conversion.failed',
  version: 1,
  topic,
  key,
  summary: 'A phase of the conversion failed; what it had made is gone.',
  data: z.object({
    ...identity,
    phase: z.enum(['copy-disk', 'convert-guest', 'discard-copy', 'discard-clone']),
    code: text,
    reason: text,
    canRetry: z.boolean(),
  }),
});

export const ConversionDiscarded = defineEvent({
  type: 'conversion.discarded',
  version: 1,
  topic,
  key,
  summary: 'What was made for a migration that was rolled back is gone.',
  data: z.object({ ...identity, step: z.enum(['discard-copy', 'discard-clone']) }),
});

export const imageConversionContracts = [
  DiskCopied,
  GuestConverted,
  ConversionFailed,
  ConversionDiscarded,
] as const;
export const imageConversionCatalogue = catalogueOf(imageConversionContracts);
export type ImageConversionEvent = EventOf<(typeof imageConversionContracts)[number]>;
