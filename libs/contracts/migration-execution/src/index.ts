import { catalogueOf, defineEvent, type EventOf } from '@watari/contracts-base';
import { z } from 'zod';

const text = z.string().min(1).max(2000);
const topic = 'migration-execution.migration';
const key = 'migrationId';
const migrationId = z.uuid();
const at = z.iso.datetime();

export const PHASES = [
  'preflight',
  'copy-disk',
  'convert-guest',
  'boot-proof',
  'prepare-target',
  'pre-copy',
  'switch-over',
  'verify',
  'finish',
] as const;
export const UNDO_STEPS = ['discard-copy', 'discard-clone', 'stop-proof', 'cancel-move'] as const;
const phase = z.enum(PHASES);

/** What every worker needs to know of the migration; the same in each event that starts work. */
export const Assignment = z.object({
  serverId: z.uuid(),
  kind: z.enum(['cold', 'live']),
  targetHostId: text,
  platform: z.enum(['kvm']),
  source: z.object({
    disk: z.object({ path: text, format: z.enum(['raw', 'qcow2']) }),
    mac: z.string().max(100).optional(),
    hostId: z.string().max(500).optional(),
  }),
  probe: text,
  /** The longest pause of a running guest that is acceptable, in milliseconds; 300 when absent. */
  downtimeLimitMs: z.int().min(1).max(60_000).optional(),
  /** What the copying of a running guest's memory may take of the link, in bytes per second; all when absent. */
  bandwidthBytesPerSecondMax: z.int().min(65_536).max(1e12).optional(),
  /** Share of its time, in per cent, that a guest may be slowed by when copying does not converge; none when absent. */
  throttlePercentMax: z.int().min(0).max(99).optional(),
});
export type Assignment = z.infer<typeof Assignment>;

/** Version 2 may say what copying may take of the link and of the guest; where it does not, both versions mean the same. */
const sameMeaning = (data: Record<string, unknown>) => data;

export const MigrationPlanned = defineEvent({
  type: 'migration.planned',
  version: 2,
  upcasts: { 1: sameMeaning },
  topic,
  key,
  summary: 'The itinerary is fixed; later settings do not change it.',
  data: z.object({ migrationId, assignment: Assignment, itinerary: z.array(phase).min(1), at }),
});

export const PhaseStarted = defineEvent({
  type: 'migration.phase-started',
  version: 2,
  upcasts: { 1: sameMeaning },
  topic,
  key,
  summary: 'A phase began; whoever it belongs to does its work.',
  data: z.object({ migrationId, phase, attempt: z.int().positive(), assignment: Assignment, at }),
});

export const PhaseCompleted = defineEvent({
  type: 'migration.phase-completed',
  version: 1,
  topic,
  key,
  summary: 'A phase finished; the next one may start.',
  data: z.object({
    migrationId,
    phase,
    attempt: z.int().positive(),
    result: z.record(z.string(), z.unknown()),
    at,
  }),
});

export const PhaseFailed = defineEvent({
  type: 'migration.phase-failed',
  version: 1,
  topic,
  key,
  summary: 'A phase failed; it is tried again, or the migration rolls back.',
  data: z.object({
    migrationId,
    phase,
    attempt: z.int().positive(),
    code: text,
    reason: text,
    willRetry: z.boolean(),
    at,
  }),
});

export const RollBackStepStarted = defineEvent({
  type: 'migration.roll-back-step-started',
  version: 2,
  upcasts: { 1: sameMeaning },
  topic,
  key,
  summary: 'Undo one phase; whoever it belongs to does its work.',
  data: z.object({
    migrationId,
    step: z.enum(UNDO_STEPS),
    attempt: z.int().positive(),
    assignment: Assignment,
    at,
  }),
});

export const MigrationRolledBack = defineEvent({
  type: 'migration.rolled-back',
  version: 1,
  topic,
  key,
  summary: 'Everything is as before the migration; the source was never changed.',
  data: z.object({ migrationId, code: text, reason: text, at }),
});

export const MigrationStalled = defineEvent({
  type: 'migration.stalled',
  version: 1,
  topic,
  key,
  summary: 'Past the point of no return a phase failed for good: a person must decide.',
  data: z.object({ migrationId, phase, code: text, reason: text, at }),
});

export const MigrationCompleted = defineEvent({
  type: 'migration.completed',
  version: 1,
  topic,
  key,
  summary: 'The server runs on its target and its service answers.',
  data: z.object({ migrationId, serverId: z.uuid(), hostId: text, at }),
});

export const migrationExecutionContracts = [
  MigrationPlanned,
  PhaseStarted,
  PhaseCompleted,
  PhaseFailed,
  RollBackStepStarted,
  MigrationRolledBack,
  MigrationStalled,
  MigrationCompleted,
] as const;
export const migrationExecutionCatalogue = catalogueOf(migrationExecutionContracts);
export type MigrationExecutionEvent = EventOf<(typeof migrationExecutionContracts)[number]>;
