import { z } from 'zod';

const Count = z.number().nonnegative();

/** What we read of QEMU's answers; the rest is ignored. */
export const RunStateReply = z.object({ status: z.string().max(64), running: z.boolean() });

export const MigrationReply = z.object({
  /** none, setup, active, device, completed, failed, cancelling, cancelled, ...; absent before the first migration. */
  status: z.string().max(64).optional(),
  'error-desc': z.string().optional(),
  /** While auto-converge slows the guest. */
  'cpu-throttle-percentage': z.number().min(0).max(100).optional(),
  ram: z
    .object({
      remaining: Count,
      'dirty-sync-count': Count,
      'dirty-pages-rate': Count,
      'page-size': Count,
    })
    .optional(),
});
export type MigrationReply = z.infer<typeof MigrationReply>;

export const CapabilitiesReply = z.array(z.object({ capability: z.string(), state: z.boolean() })).max(256);
