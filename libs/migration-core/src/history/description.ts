import { z } from 'zod';
import { PAGE_BYTES } from '../qemu-stream';
import { HistoryError } from './errors';
import { BLOCKS_MAX, CHUNK_PAGES, LAYOUT_BYTES_MAX } from './layout';

const label = z.string().min(1).max(255);

const block = z.strictObject({
  name: label,
  bytes: z.int().positive().max(LAYOUT_BYTES_MAX).multipleOf(PAGE_BYTES),
});

export const historyDescription = z.strictObject({
  guestId: label,
  /** Tenant. A history is opened for the scope that it was made in, and for no other. */
  scope: label,
  /** Both sides derive the same one from the end of the trip. */
  historyId: z.string().regex(/^[0-9a-f]{16,128}$/, 'must be 16 to 128 hexadecimal digits'),
  blocks: z
    .array(block)
    .min(1)
    .max(BLOCKS_MAX)
    .refine((blocks) => blocks.reduce((sum, { bytes }) => sum + bytes, 0) <= LAYOUT_BYTES_MAX, {
      error: `must not exceed ${LAYOUT_BYTES_MAX} bytes together`,
      abort: true,
    })
    .refine(
      (blocks) => new Set(blocks.map(({ name }) => name)).size === blocks.length,
      'must have names of their own',
    ),
  savedAtMs: z.int().nonnegative().max(8.64e15),
  chunkPages: z.literal(CHUNK_PAGES),
});

/** Whose memory a history holds, and as of when. */
export type HistoryDescription = Readonly<z.infer<typeof historyDescription>>;

/** The description, checked. Throws HISTORY_DESCRIPTION_INVALID. */
export function requireDescription(candidate: HistoryDescription): HistoryDescription {
  const parsed = historyDescription.safeParse(candidate);
  if (parsed.success) return parsed.data;
  throw new HistoryError(
    'HISTORY_DESCRIPTION_INVALID',
    `No history can be kept of a guest described like this: ${z.prettifyError(parsed.error)}`,
  );
}
