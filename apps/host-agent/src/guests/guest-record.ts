import { GuestSpecSchema } from '@watari/host-agent-client';
import { z } from 'zod';

import { OwnershipSchema } from '../moves/ownership';

/** What an agent knows of a guest after a restart. */
export const GuestRecordSchema = z.object({
  version: z.literal(1),
  spec: GuestSpecSchema,
  shape: z.object({
    machineType: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/),
    cpuModel: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/),
    accelerator: z.enum(['kvm', 'tcg']),
  }),
  ownership: OwnershipSchema,
  startedAt: z.string(),
  /** Set once the guest runs no more, by itself or by a fault. */
  ended: z.object({ kind: z.enum(['stopped', 'failed']), reason: z.string(), at: z.string() }).optional(),
});
export type GuestRecord = z.infer<typeof GuestRecordSchema>;
