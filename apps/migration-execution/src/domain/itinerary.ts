import type { Assignment, PHASES, UNDO_STEPS } from '@watari/contracts-migration-execution';

export type Phase = (typeof PHASES)[number];
export type UndoStep = (typeof UNDO_STEPS)[number];

/** Who does a phase's work: the two assessing services, the conversion service, or we ourselves through host agents. */
export type Worker = 'assessors' | 'image-conversion' | 'agents';

export interface Stop {
  readonly phase: Phase;
  readonly worker: Worker;
  readonly kinds: readonly Assignment['kind'][];
  /** How to undo it, whether it completed or was under way. */
  readonly undo?: { readonly step: UndoStep; readonly worker: Worker };
  /** From here on the target may have taken writes: going back would lose them. */
  readonly pastReturn?: true;
}

/**
 * Every stop that a migration can make, in order.
 *
 *     cold:  preflight → copy-disk → convert-guest → boot-proof ─┤ switch-over → verify → finish
 *     live:  preflight → prepare-target → pre-copy              ─┤ switch-over → verify → finish
 *                                          point of no return   ─┘
 *
 * Live, pausing the guest, the last round and the hand-over are one phase and one call: no broker hop inside
 * the downtime.
 */
const STOPS: readonly Stop[] = [
  { phase: 'preflight', worker: 'assessors', kinds: ['cold', 'live'] },
  {
    phase: 'copy-disk',
    worker: 'image-conversion',
    kinds: ['cold'],
    undo: { step: 'discard-copy', worker: 'image-conversion' },
  },
  {
    phase: 'convert-guest',
    worker: 'image-conversion',
    kinds: ['cold'],
    undo: { step: 'discard-clone', worker: 'image-conversion' },
  },
  { phase: 'boot-proof', worker: 'agents', kinds: ['cold'], undo: { step: 'stop-proof', worker: 'agents' } },
  { phase: 'prepare-target', worker: 'agents', kinds: ['live'] },
  { phase: 'pre-copy', worker: 'agents', kinds: ['live'], undo: { step: 'cancel-move', worker: 'agents' } },
  { phase: 'switch-over', worker: 'agents', kinds: ['cold', 'live'], pastReturn: true },
  { phase: 'verify', worker: 'agents', kinds: ['cold', 'live'], pastReturn: true },
  { phase: 'finish', worker: 'agents', kinds: ['cold', 'live'], pastReturn: true },
];

/** Resolved once, when a migration is planned, and stored with it: what changes here later cannot skip a step of its way. */
export function planItinerary(kind: Assignment['kind']): readonly Phase[] {
  return STOPS.filter(({ kinds }) => kinds.includes(kind)).map(({ phase }) => phase);
}

export function stopAt(phase: Phase): Stop {
  const stop = STOPS.find((candidate) => candidate.phase === phase);
  if (!stop) throw new Error(`No stop is called "${phase}".`);
  return stop;
}

export function isPastReturn(phase: Phase): boolean {
  return stopAt(phase).pastReturn === true;
}

/** What undoes the phases that were begun, the last one first. */
export function undoStepsOf(begun: readonly Phase[]): readonly UndoStep[] {
  return begun.flatMap((phase) => stopAt(phase).undo?.step ?? []).reverse();
}

export function workerOfUndo(step: UndoStep): Worker {
  const stop = STOPS.find(({ undo }) => undo?.step === step);
  if (!stop?.undo) throw new Error(`No stop is undone by "${step}".`);
  return stop.undo.worker;
}
