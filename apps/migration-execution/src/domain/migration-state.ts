import { never } from '@watari/event-sourcing';
import type { Phase, UndoStep } from './itinerary';
import type { Migration, MigrationEvent, OnItsWay, Reason } from './migration-messages';

export function phaseAt(state: OnItsWay, index: number): Phase {
  const phase = state.itinerary[index];
  if (!phase) throw new Error(`The itinerary has no stop ${index}.`);
  return phase;
}

export function evolve(state: Migration, event: MigrationEvent): Migration {
  if (event.type === 'MigrationPlanned') {
    const { assignment, itinerary, waivers } = event.data;
    return {
      status: 'planned',
      assignment,
      itinerary,
      waivers,
      doneCount: 0,
      attempt: 1,
      answers: [],
      results: {},
    };
  }
  if (state.status === 'unplanned') throw new Error(`${event.type} before MigrationPlanned.`);
  switch (event.type) {
    case 'MigrationStarted':
      return { ...state, status: 'running' };
    case 'PhaseStarted':
      return { ...onItsWay(state), status: 'running', attempt: event.data.attempt };
    case 'AnswerRecorded': {
      const { at: _at, ...answer } = event.data;
      return { ...state, answers: [...state.answers, answer] };
    }
    case 'PhaseCompleted':
      return {
        ...state,
        doneCount: state.doneCount + 1,
        results: { ...state.results, [event.data.phase]: event.data.result },
      };
    case 'PhaseFailed':
    case 'CancelRequested':
      return state;
    case 'RollBackStarted': {
      const { code, reason, steps } = event.data;
      return {
        ...onItsWay(state),
        status: 'rolling-back',
        why: { code, reason },
        undoing: steps,
        undoneCount: 0,
      };
    }
    case 'UndoStarted':
      return { ...onItsWay(state), ...undoOf(state), status: 'rolling-back', attempt: event.data.attempt };
    case 'UndoCompleted': {
      const undo = undoOf(state);
      return { ...onItsWay(state), ...undo, status: 'rolling-back', undoneCount: undo.undoneCount + 1 };
    }
    case 'UndoFailed':
      return state;
    case 'MigrationRolledBack': {
      const { code, reason } = event.data;
      return { ...onItsWay(state), ...undoOf(state), status: 'rolled-back', why: { code, reason } };
    }
    case 'MigrationStalled': {
      const { code, reason } = event.data;
      const undo = state.status === 'rolling-back' ? undoOf(state) : {};
      return { ...onItsWay(state), ...undo, status: 'stalled', why: { code, reason } };
    }
    case 'MigrationCompleted':
      return { ...onItsWay(state), status: 'completed' };
    default:
      return never(event);
  }
}

function onItsWay({
  assignment,
  itinerary,
  waivers,
  doneCount,
  attempt,
  answers,
  results,
}: OnItsWay): OnItsWay {
  return { assignment, itinerary, waivers, doneCount, attempt, answers, results };
}

function undoOf(state: Migration): { why: Reason; undoing: readonly UndoStep[]; undoneCount: number } {
  if ('why' in state)
    return { why: state.why, undoing: state.undoing ?? [], undoneCount: state.undoneCount ?? 0 };
  return { why: { code: 'UNKNOWN', reason: '' }, undoing: [], undoneCount: 0 };
}
