import { Rejected, defineAggregate, never } from '@watari/event-sourcing';
import { type Phase, type UndoStep, isPastReturn, planItinerary, undoStepsOf } from './itinerary';
import type {
  Answer,
  Failure,
  Migration,
  MigrationCommand,
  MigrationEvent,
  OnItsWay,
  Reason,
  Waiver,
} from './migration-messages';
import { evolve, phaseAt } from './migration-state';

export type { Answer, Failure, Migration, MigrationCommand, MigrationEvent } from './migration-messages';

const ATTEMPTS_MAX = 3;

/** Whoever does the work reads nothing but this event: it carries the whole assignment. */
function phaseStarted({ assignment }: OnItsWay, phase: Phase, attempt: number, at: string): MigrationEvent {
  return { type: 'PhaseStarted', data: { phase, attempt, assignment, at } };
}

function undoStarted({ assignment }: OnItsWay, step: UndoStep, attempt: number, at: string): MigrationEvent {
  return { type: 'UndoStarted', data: { step, attempt, assignment, at } };
}

export const migration = defineAggregate<Migration, MigrationCommand, MigrationEvent>({
  name: 'migration',
  initialState: { status: 'unplanned' },
  events: {
    MigrationPlanned: { version: 1 },
    MigrationStarted: { version: 1 },
    PhaseStarted: { version: 1 },
    AnswerRecorded: { version: 1 },
    PhaseCompleted: { version: 1 },
    PhaseFailed: { version: 1 },
    CancelRequested: { version: 1 },
    RollBackStarted: { version: 1 },
    UndoStarted: { version: 1 },
    UndoCompleted: { version: 1 },
    UndoFailed: { version: 1 },
    MigrationRolledBack: { version: 1 },
    MigrationStalled: { version: 1 },
    MigrationCompleted: { version: 1 },
  },
  snapshots: { everyEvents: 50, stateVersion: 1 },
  decide,
  evolve,
});

function decide(command: MigrationCommand, state: Migration): readonly MigrationEvent[] {
  if (command.type === 'PlanMigration') {
    if (state.status !== 'unplanned') return [];
    const { assignment, waivers, at } = command.data;
    return [
      {
        type: 'MigrationPlanned',
        data: { assignment, waivers, itinerary: planItinerary(assignment.kind), at },
      },
    ];
  }
  if (state.status === 'unplanned') throw new Rejected('MIGRATION_UNKNOWN', 'No such migration was planned.');
  switch (command.type) {
    case 'StartMigration': {
      if (state.status !== 'planned') return [];
      const { at } = command.data;
      return [{ type: 'MigrationStarted', data: { at } }, phaseStarted(state, phaseAt(state, 0), 1, at)];
    }
    case 'RecordAnswer':
      return recordAnswer(command.data, state);
    case 'CompletePhase':
      return completePhase(command.data, state);
    case 'FailPhase':
      return failPhase(command.data, state);
    case 'CancelMigration':
      return cancel(command.data, state);
    case 'CompleteUndo':
      return completeUndo(command.data, state);
    case 'FailUndo':
      return failUndo(command.data, state);
    case 'RetryMigration':
      return retry(command.data, state);
    default:
      return never(command);
  }
}

function recordAnswer(
  { at, ...answer }: Answer & { at: string },
  state: Exclude<Migration, { status: 'unplanned' }>,
): readonly MigrationEvent[] {
  if (state.status !== 'running' || phaseAt(state, state.doneCount) !== 'preflight') return [];
  if (state.answers.some(({ assessor }) => assessor === answer.assessor)) return [];
  const recorded: MigrationEvent = { type: 'AnswerRecorded', data: { ...answer, at } };
  const answers = [...state.answers, answer];
  if (answers.length < 2) return [recorded];
  const blocking = answers
    .flatMap((each) => each.blocking)
    .filter(({ concern }) => !isWaived(concern, state.waivers, at));
  if (blocking.length > 0) {
    const reason = blocking
      .map(({ concern, text }) => `${concern}: ${text}`)
      .join(' ')
      .slice(0, 1900);
    return [
      recorded,
      ...refuse('preflight', state, { code: 'PREFLIGHT_BLOCKED', reason, canRetry: false }, at),
    ];
  }
  const result = Object.fromEntries(answers.map(({ assessor, summary }) => [assessor, summary]));
  return [recorded, ...advance(state, { phase: 'preflight', attempt: state.attempt, result, at })];
}

function isWaived(concern: string, waivers: readonly Waiver[], at: string): boolean {
  return waivers.some((waiver) => waiver.concern === concern && waiver.expiresAt > at);
}

type PhaseReport = { phase: Phase; attempt: number; at: string };

function completePhase(
  report: PhaseReport & { result: Record<string, unknown> },
  state: Exclude<Migration, { status: 'unplanned' }>,
): readonly MigrationEvent[] {
  if (isOver(report, state)) return [];
  expectRunning(report.phase, state);
  return advance(state, report);
}

function failPhase(
  { at, ...report }: PhaseReport & Failure,
  state: Exclude<Migration, { status: 'unplanned' }>,
): readonly MigrationEvent[] {
  if (isOver(report, state)) return [];
  expectRunning(report.phase, state);
  const { phase, attempt, code, reason, canRetry, targetNeverRan } = report;
  if (canRetry && attempt < ATTEMPTS_MAX) {
    return [
      { type: 'PhaseFailed', data: { phase, attempt, code, reason, willRetry: true, at } },
      phaseStarted(state, phase, attempt + 1, at),
    ];
  }
  return refuse(phase, state, { code, reason, canRetry, ...(targetNeverRan && { targetNeverRan }) }, at);
}

/**
 * A phase failed for good. Before the point of no return, or when the target is known never to have run, roll
 * back; else stop and wait for a person.
 */
function refuse(
  phase: Phase,
  state: OnItsWay,
  { code, reason, targetNeverRan }: Failure,
  at: string,
): readonly MigrationEvent[] {
  const failed: MigrationEvent = {
    type: 'PhaseFailed',
    data: { phase, attempt: state.attempt, code, reason, willRetry: false, at },
  };
  if (isPastReturn(phase) && !targetNeverRan)
    return [failed, { type: 'MigrationStalled', data: { phase, code, reason, at } }];
  return [failed, ...rollBack(state, { code, reason }, at)];
}

function advance(
  state: OnItsWay,
  { phase, attempt, result, at }: PhaseReport & { result: Record<string, unknown> },
): readonly MigrationEvent[] {
  const completed: MigrationEvent = { type: 'PhaseCompleted', data: { phase, attempt, result, at } };
  const next = state.itinerary[state.doneCount + 1];
  if (!next) {
    const { serverId, targetHostId: hostId } = state.assignment;
    return [completed, { type: 'MigrationCompleted', data: { serverId, hostId, at } }];
  }
  return [completed, phaseStarted(state, next, 1, at)];
}

function cancel(
  { by, reason, at }: { by: string; reason: string; at: string },
  state: Exclude<Migration, { status: 'unplanned' }>,
): readonly MigrationEvent[] {
  if (state.status === 'rolling-back' || state.status === 'rolled-back') return [];
  if (state.status === 'completed')
    throw new Rejected('MIGRATION_OVER', 'The migration is completed; plan another one to go back.');
  const requested: MigrationEvent = { type: 'CancelRequested', data: { by, reason, at } };
  const why = { code: 'MIGRATION_CANCELLED', reason: `Cancelled by ${by}: ${reason}` };
  if (state.status === 'planned') return [requested, { type: 'MigrationRolledBack', data: { ...why, at } }];
  const phase = phaseAt(state, state.doneCount);
  if (isPastReturn(phase)) {
    throw new Rejected(
      'MIGRATION_PAST_RETURN',
      `The phase ${phase} is past the point of no return; plan a migration back instead.`,
      { phase },
    );
  }
  return [requested, ...rollBack(state, why, at)];
}

function rollBack(state: OnItsWay, why: Reason, at: string): readonly MigrationEvent[] {
  const steps = undoStepsOf(state.itinerary.slice(0, state.doneCount + 1));
  const [first] = steps;
  return [
    { type: 'RollBackStarted', data: { ...why, steps, at } },
    first ? undoStarted(state, first, 1, at) : { type: 'MigrationRolledBack', data: { ...why, at } },
  ];
}

function completeUndo(
  { step, at }: { step: UndoStep; at: string },
  state: Exclude<Migration, { status: 'unplanned' }>,
): readonly MigrationEvent[] {
  if (state.status !== 'rolling-back' || state.undoing[state.undoneCount] !== step) return [];
  const completed: MigrationEvent = { type: 'UndoCompleted', data: { step, at } };
  const next = state.undoing[state.undoneCount + 1];
  return [
    completed,
    next ? undoStarted(state, next, 1, at) : { type: 'MigrationRolledBack', data: { ...state.why, at } },
  ];
}

function failUndo(
  { step, attempt, code, reason, canRetry, at }: Failure & { step: UndoStep; attempt: number; at: string },
  state: Exclude<Migration, { status: 'unplanned' }>,
): readonly MigrationEvent[] {
  if (
    state.status !== 'rolling-back' ||
    state.undoing[state.undoneCount] !== step ||
    attempt !== state.attempt
  )
    return [];
  const willRetry = canRetry && attempt < ATTEMPTS_MAX;
  const failed: MigrationEvent = { type: 'UndoFailed', data: { step, attempt, code, reason, willRetry, at } };
  if (willRetry) return [failed, undoStarted(state, step, attempt + 1, at)];
  return [
    failed,
    {
      type: 'MigrationStalled',
      data: {
        phase: phaseAt(state, state.doneCount),
        code,
        reason: `Undoing (${step}) failed: ${reason}`,
        at,
      },
    },
  ];
}

/** A person has looked at a stalled migration and lets it try again where it stopped. */
function retry(
  { at }: { by: string; at: string },
  state: Exclude<Migration, { status: 'unplanned' }>,
): readonly MigrationEvent[] {
  if (state.status !== 'stalled')
    throw new Rejected(
      'MIGRATION_NOT_STALLED',
      `The migration is ${state.status}; only a stalled one is retried.`,
    );
  const step = state.undoing?.[state.undoneCount ?? 0];
  if (step) return [undoStarted(state, step, state.attempt + 1, at)];
  return [phaseStarted(state, phaseAt(state, state.doneCount), state.attempt + 1, at)];
}

/** A report of a phase or attempt that is behind us, or of a migration that goes nowhere any more: nothing to do. */
function isOver(
  { phase, attempt }: { phase: Phase; attempt: number },
  state: OnItsWay & { status: string },
): boolean {
  if (state.status !== 'running') return true;
  if (state.itinerary.slice(0, state.doneCount).includes(phase)) return true;
  return phase === phaseAt(state, state.doneCount) && attempt !== state.attempt;
}

function expectRunning(phase: Phase, state: OnItsWay): void {
  const running = phaseAt(state, state.doneCount);
  if (phase !== running)
    throw new Rejected('MIGRATION_PHASE_OUT_OF_ORDER', `The phase under way is ${running}, not ${phase}.`, {
      phase: running,
    });
}
