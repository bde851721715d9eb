import type { Assignment } from '@watari/contracts-migration-execution';
import type { Phase, UndoStep } from './itinerary';

export interface Waiver {
  /** A rule's id, or `licence:<product>`. */
  readonly concern: string;
  readonly person: string;
  readonly reason: string;
  readonly expiresAt: string;
}

export type Assessor = 'support-matrix' | 'licensing-compliance';

/** What an assessor said, reduced to what decides. */
export interface Answer {
  readonly assessor: Assessor;
  /** Concerns that stop the migration unless each is waived. */
  readonly blocking: readonly { readonly concern: string; readonly text: string }[];
  readonly summary: string;
}

export type MigrationCommand =
  | { type: 'PlanMigration'; data: { assignment: Assignment; waivers: readonly Waiver[]; at: string } }
  | { type: 'StartMigration'; data: { at: string } }
  | { type: 'RecordAnswer'; data: Answer & { at: string } }
  | {
      type: 'CompletePhase';
      data: { phase: Phase; attempt: number; result: Record<string, unknown>; at: string };
    }
  | { type: 'FailPhase'; data: Failure & { phase: Phase; attempt: number; at: string } }
  | { type: 'CancelMigration'; data: { by: string; reason: string; at: string } }
  | { type: 'CompleteUndo'; data: { step: UndoStep; attempt: number; at: string } }
  | { type: 'FailUndo'; data: Failure & { step: UndoStep; attempt: number; at: string } }
  | { type: 'RetryMigration'; data: { by: string; at: string } };

export interface Failure {
  readonly code: string;
  readonly reason: string;
  readonly canRetry: boolean;
  /** Known for sure: the target took no write. Then going back loses nothing, even past the point of no return. */
  readonly targetNeverRan?: boolean;
}

export interface Reason {
  readonly code: string;
  readonly reason: string;
}

export type MigrationEvent =
  | {
      type: 'MigrationPlanned';
      data: { assignment: Assignment; itinerary: readonly Phase[]; waivers: readonly Waiver[]; at: string };
    }
  | { type: 'MigrationStarted'; data: { at: string } }
  | { type: 'PhaseStarted'; data: { phase: Phase; attempt: number; assignment: Assignment; at: string } }
  | { type: 'AnswerRecorded'; data: Answer & { at: string } }
  | {
      type: 'PhaseCompleted';
      data: { phase: Phase; attempt: number; result: Record<string, unknown>; at: string };
    }
  | { type: 'PhaseFailed'; data: Reason & { phase: Phase; attempt: number; willRetry: boolean; at: string } }
  | { type: 'CancelRequested'; data: { by: string; reason: string; at: string } }
  | { type: 'RollBackStarted'; data: Reason & { steps: readonly UndoStep[]; at: string } }
  | { type: 'UndoStarted'; data: { step: UndoStep; attempt: number; assignment: Assignment; at: string } }
  | { type: 'UndoCompleted'; data: { step: UndoStep; at: string } }
  | { type: 'UndoFailed'; data: Reason & { step: UndoStep; attempt: number; willRetry: boolean; at: string } }
  | { type: 'MigrationRolledBack'; data: Reason & { at: string } }
  | { type: 'MigrationStalled'; data: Reason & { phase: Phase; at: string } }
  | { type: 'MigrationCompleted'; data: { serverId: string; hostId: string; at: string } };

export interface OnItsWay {
  readonly assignment: Assignment;
  readonly itinerary: readonly Phase[];
  readonly waivers: readonly Waiver[];
  readonly doneCount: number;
  readonly attempt: number;
  readonly answers: readonly Answer[];
  readonly results: Readonly<Record<string, Record<string, unknown>>>;
}

export type Migration =
  | { readonly status: 'unplanned' }
  | (OnItsWay & { readonly status: 'planned' | 'running' | 'completed' })
  | (OnItsWay & {
      readonly status: 'rolling-back' | 'rolled-back';
      readonly why: Reason;
      readonly undoing: readonly UndoStep[];
      readonly undoneCount: number;
    })
  | (OnItsWay & {
      readonly status: 'stalled';
      readonly why: Reason;
      readonly undoing?: readonly UndoStep[];
      readonly undoneCount?: number;
    });
