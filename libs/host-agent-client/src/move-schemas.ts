import { z } from 'zod';

import { ForwardSchema, IdSchema } from './guest-schemas';
import { ProbeSchema } from './probe';

const CountSchema = z.number().nonnegative();

export const AddressSchema = z.object({ host: z.string().min(1).max(255), port: z.int().min(1).max(65_535) });
export type Address = z.infer<typeof AddressSchema>;

export const AgentHealthSchema = z.object({
  agentId: IdSchema,
  version: z.string(),
  qemuVersion: z.string(),
  accelerator: z.enum(['kvm', 'tcg']),
  dataAddress: AddressSchema,
  /** How many guests this agent answers for, in whatever state. */
  guests: z.int().nonnegative(),
  /** What the host offers; licences are counted by sockets and cores. */
  host: z.object({
    cpuSockets: z.int().positive(),
    /** Physical cores, over all sockets. */
    cpuCores: z.int().positive(),
    memoryMiB: z.int().positive(),
  }),
});
export type AgentHealth = z.infer<typeof AgentHealthSchema>;

/** What a guest that moved left on a host, so that it comes back cheaply. */
export const AgentHistorySchema = z.object({
  guestId: IdSchema,
  historyId: z.string(),
  savedAt: z.string(),
  bytes: z.int().nonnegative(),
  heldPages: z.int().nonnegative(),
  zeroPages: z.int().nonnegative(),
});
export type AgentHistory = z.infer<typeof AgentHistorySchema>;

export const ProbeRequestSchema = z.strictObject({
  probe: ProbeSchema,
  /** How long to keep trying, in milliseconds. */
  timeoutMs: z.int().min(1).max(1_800_000),
});
export type ProbeRequest = z.infer<typeof ProbeRequestSchema>;

export const ProbeResultSchema = z.object({ ok: z.boolean(), afterMs: CountSchema, detail: z.string() });
export type ProbeResult = z.infer<typeof ProbeResultSchema>;

export const MoveRequestSchema = z.strictObject({
  moveId: IdSchema,
  guestId: IdSchema,
  target: z.strictObject({
    apiUrl: z.url({ protocol: /^https$/ }).max(2_048),
    dataAddress: AddressSchema,
    /** When given, the target's certificate must name this agent. */
    agentId: IdSchema.optional(),
  }),
  /** The longest pause of the guest that is acceptable, in milliseconds. */
  downtimeLimitMs: z.int().min(1).max(60_000),
  bandwidthBytesPerSecondMax: z.int().min(65_536).max(1e12).optional(),
  /**
   * Share of its time, in per cent, that a guest may be kept from running when copying does not converge; 0, the
   * default, for none.
   */
  throttlePercentMax: z.int().min(0).max(99).optional(),
});
export type MoveRequest = z.infer<typeof MoveRequestSchema>;

export const MOVE_STATES = [
  'pre-copy',
  'ready-to-switch',
  'switching',
  'completed',
  'cancelled',
  'failed',
] as const;
export type MoveState = (typeof MOVE_STATES)[number];

export const MoveStatusSchema = z.object({
  moveId: IdSchema,
  guestId: IdSchema,
  state: z.enum(MOVE_STATES),
  /** Passes over the guest's memory begun so far. */
  rounds: z.int().nonnegative(),
  /** Bytes of migration stream read from the source's QEMU. */
  guestBytes: CountSchema,
  /** Bytes of frames handed to the link, before TLS. */
  wireBytes: CountSchema,
  pages: CountSchema,
  zeroPages: CountSchema,
  /** Pages that crossed whole, compressed. */
  rawPages: CountSchema.optional(),
  /** Pages that the target held already, unchanged. */
  samePages: CountSchema.optional(),
  /** Pages that crossed as what changed in them. */
  deltaPages: CountSchema.optional(),
  /** Pages that the target held elsewhere in the guest's memory. */
  copiedPages: CountSchema.optional(),
  /** Connections to the target that were lost, and made again. */
  lostConnections: CountSchema.optional(),
  /** Bytes of frames that were sent again after a connection was lost. */
  resentBytes: CountSchema.optional(),
  totalMs: CountSchema,
  /** Bytes of memory that the target still lacks, by QEMU's last count. */
  remainingBytes: CountSchema.optional(),
  /** What the link carries, in bytes of frames per second. */
  bytesPerSecond: CountSchema.optional(),
  /** Bytes of pages that the guest writes in a second, each page counted once. */
  dirtyBytesPerSecond: CountSchema.optional(),
  /** Share of its time, in per cent, that the guest is kept from running so that it writes less. */
  throttlePercent: z.number().min(0).max(100).optional(),
  /** The longest pause that was asked for, in milliseconds. */
  downtimeLimitMs: CountSchema.optional(),
  /** What the pause would be if it began now, in milliseconds. */
  expectedDowntimeMs: CountSchema.optional(),
  /** What the planner decided last, and why, in words. */
  decision: z.string().max(2_000).optional(),
  /** How the last batch was compressed, and why, in words. */
  compression: z.string().max(2_000).optional(),
  /** From the source's STOP to the target's RESUME, by QEMU's event times, corrected for the clocks' offset. */
  downtimeMs: CountSchema.optional(),
  /** How far `downtimeMs` may be off because the two hosts' clocks differ; 0 on one host. */
  downtimeUncertaintyMs: CountSchema.optional(),
  /** The guest's forwards on the target; set once completed. */
  forwards: z.array(ForwardSchema).max(256).optional(),
  /** Both ends hashed the same stream; set once completed. */
  streamSha256: z.string().optional(),
  /** Code of the error that ended the move. */
  code: z.string().optional(),
  reason: z.string().optional(),
});
export type MoveStatus = z.infer<typeof MoveStatusSchema>;

/** True when nothing will change in this move any more. */
export function isMoveOver(state: MoveState): boolean {
  return state === 'completed' || state === 'cancelled' || state === 'failed';
}

/**
 * Who may run the guest of a move, as one agent knows it. `kept`, `handed-over` and `undecided` are a source's
 * answers, the others a target's: `waiting` has the guest loaded and paused, `discarded` swears never to run it.
 */
export const OWNERSHIP_STANDINGS = [
  'kept',
  'handed-over',
  'undecided',
  'owned',
  'waiting',
  'discarded',
] as const;
export const MoveOwnershipSchema = z.object({
  moveId: IdSchema,
  agentId: IdSchema,
  standing: z.enum(OWNERSHIP_STANDINGS),
  /** The guest's forwards, once a target owns it. */
  forwards: z.array(ForwardSchema).max(256).optional(),
  /** When the target's guest resumed, by its host's clock; ISO 8601 with microseconds. */
  resumedAt: z.string().max(40).optional(),
});
export type MoveOwnership = z.infer<typeof MoveOwnershipSchema>;

export const StorageCheckRequestSchema = z.strictObject({
  diskPath: z.string().min(2).max(4_000).regex(/^\//, 'must be an absolute path'),
  /** Names the marker; one per check. */
  nonce: z.string().regex(/^[A-Za-z0-9-]{8,64}$/, 'must be 8 to 64 letters, digits or "-"'),
  /**
   * `place` writes the marker beside the disk and is asked of one agent, `look` reads it and is asked of the
   * other, `remove` deletes it. Without it the agent looks, and places the marker when there is none.
   */
  action: z.enum(['place', 'look', 'remove']).optional(),
});
export type StorageCheckRequest = z.infer<typeof StorageCheckRequestSchema>;

export const StorageCheckResultSchema = z.object({
  agentId: IdSchema,
  /** Was there a marker of this nonce when the agent looked, and who had placed it. */
  found: z.boolean(),
  placedBy: IdSchema.optional(),
  /** What the agent sees under the path; absent when there is no such file. */
  file: z.object({ device: z.string(), inode: z.string(), sizeBytes: CountSchema }).optional(),
  /** Equal on agents of one running machine: there device and inode can be compared. */
  bootId: z.string(),
});
export type StorageCheckResult = z.infer<typeof StorageCheckResultSchema>;

/** RFC 9457 problem document. */
export const ProblemSchema = z.object({
  type: z.string().optional(),
  title: z.string().optional(),
  status: z.int().optional(),
  detail: z.string().optional(),
  code: z.string().max(128),
  field: z.string().optional(),
  canRetry: z.boolean().optional(),
});
export type Problem = z.infer<typeof ProblemSchema>;
