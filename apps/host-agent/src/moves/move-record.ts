import { IdSchema, MoveRequestSchema, MoveStatusSchema } from '@watari/host-agent-client';
import { z } from 'zod';

import { PeerSchema } from './ownership';

/** What is left of a move after an agent's restart. */
export const MoveRecordSchema = z.discriminatedUnion('role', [
  z.object({
    role: z.literal('source'),
    request: MoveRequestSchema,
    status: MoveStatusSchema,
    /** The target's clock against ours, as measured when the move began. */
    clock: z.object({ offsetMs: z.number(), uncertaintyMs: z.number().nonnegative() }).optional(),
  }),
  /** Kept of guests that were announced and will never run here, so that this can be sworn to. */
  z.object({
    role: z.literal('target'),
    moveId: IdSchema,
    peer: PeerSchema,
    standing: z.literal('discarded'),
  }),
]);
export type MoveRecord = z.infer<typeof MoveRecordSchema>;
export type SourceRecord = Extract<MoveRecord, { role: 'source' }>;
export type TargetRecord = Extract<MoveRecord, { role: 'target' }>;
