import type { Aggregate, Message } from './decider';
import { type PostgresEventStore, type RawStoredEvent, StreamConflict } from './event-store';
import { type Cause, type StoredEvent, upcastStored } from './stored-event';

const ATTEMPTS_MAX = 8;

export interface CommandOutcome<State, Event extends Message> {
  /** What this command recorded; empty when it was already true. */
  readonly events: readonly StoredEvent<Event>[];
  readonly state: State;
  readonly streamVersion: number;
  /** The command's id had been handled before; `events` are those of that time. */
  readonly isRepeat: boolean;
}

/**
 * The one route from a command to stored events: load, decide, append; on a conflict load and decide again,
 * at most eight times. A command id that was handled before answers with what it recorded then.
 * Throws Rejected (nothing stored), or StreamConflict when the stream never came to rest.
 */
export async function runCommand<State, Command extends Message, Event extends Message>(
  store: PostgresEventStore,
  aggregate: Aggregate<State, Command, Event>,
  id: string,
  command: Command,
  cause: Cause,
): Promise<CommandOutcome<State, Event>> {
  const stream = { aggregate: aggregate.name, id };
  for (let attempt = 1; ; attempt += 1) {
    const { state, streamVersion } = await loadState(store, aggregate, id);
    const handled = await store.findCommand(stream, cause.commandId);
    if (handled) {
      const then = await store.load(stream, handled.firstVersion - 1);
      const events = then
        .filter((event) => event.streamVersion <= handled.lastVersion)
        .map((event) => readStored(aggregate, event));
      return { events, state, streamVersion, isRepeat: true };
    }
    const decided = aggregate.decide(command, state);
    try {
      const versioned = decided.map((event) => ({
        ...event,
        version: aggregate.events[event.type as Event['type']].version,
      }));
      const appended = await store.append(stream, streamVersion, versioned, cause);
      const next = decided.reduce((folded, event) => aggregate.evolve(folded, event), state);
      await saveSnapshotIfDue(store, aggregate, id, next, streamVersion, appended.length);
      return {
        events: appended.map((event) => readStored(aggregate, event)),
        state: next,
        streamVersion: streamVersion + appended.length,
        isRepeat: false,
      };
    } catch (error) {
      if (!(error instanceof StreamConflict) || attempt >= ATTEMPTS_MAX) throw error;
    }
  }
}

/** Folds a stream, from its snapshot where there is a usable one. An unknown id folds to the initial state. */
export async function loadState<State, Command extends Message, Event extends Message>(
  store: PostgresEventStore,
  aggregate: Aggregate<State, Command, Event>,
  id: string,
): Promise<{ state: State; streamVersion: number }> {
  const stream = { aggregate: aggregate.name, id };
  const snapshot = aggregate.snapshots ? await store.loadSnapshot(stream) : undefined;
  const usable = snapshot?.stateVersion === aggregate.snapshots?.stateVersion ? snapshot : undefined;
  const events = await store.load(stream, usable?.streamVersion ?? 0);
  const state = events.reduce(
    (folded, raw) => aggregate.evolve(folded, upcastStored(aggregate, raw)),
    usable ? (usable.state as State) : aggregate.initialState,
  );
  return { state, streamVersion: (usable?.streamVersion ?? 0) + events.length };
}

export function readStored<State, Command extends Message, Event extends Message>(
  aggregate: Aggregate<State, Command, Event>,
  { type, version, data, ...rest }: RawStoredEvent,
): StoredEvent<Event> {
  return { ...rest, event: upcastStored(aggregate, { type, version, data }) };
}

async function saveSnapshotIfDue<State, Command extends Message, Event extends Message>(
  store: PostgresEventStore,
  aggregate: Aggregate<State, Command, Event>,
  id: string,
  state: State,
  before: number,
  count: number,
): Promise<void> {
  const { snapshots } = aggregate;
  if (!snapshots || count === 0) return;
  const crossed =
    Math.floor((before + count) / snapshots.everyEvents) > Math.floor(before / snapshots.everyEvents);
  if (crossed) {
    await store.saveSnapshot(
      { aggregate: aggregate.name, id },
      { streamVersion: before + count, stateVersion: snapshots.stateVersion, state },
    );
  }
}

export type { Cause };
