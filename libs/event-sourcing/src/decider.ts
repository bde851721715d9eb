/**
 * The shape of every aggregate: a pure decision from state and command to events, and a pure fold of events
 * into state. `decide` answers `[]` for what is already true, so a command that arrives twice does nothing
 * the second time, and throws Rejected for what the caller may not ask.
 */
export interface Decider<State, Command, Event> {
  readonly initialState: State;
  decide(command: Command, state: State): readonly Event[];
  evolve(state: State, event: Event): State;
}

export interface Message {
  readonly type: string;
  readonly data: object;
}

export type StoredUpcast = (data: Record<string, unknown>) => Record<string, unknown>;

/** How one private event is stored: its current version, and how each older one is brought up to it. */
export interface StoredVersion {
  readonly version: number;
  readonly upcasts?: Readonly<Record<number, StoredUpcast>>;
}

/** A decider with what the store needs to know about it. */
export interface Aggregate<State, Command extends Message, Event extends Message> extends Decider<
  State,
  Command,
  Event
> {
  /** Names the streams: `<name>-<id>`. */
  readonly name: string;
  readonly events: Readonly<Record<Event['type'], StoredVersion>>;
  /** Stores the folded state after every so many events; absent: never. */
  readonly snapshots?: {
    readonly everyEvents: number;
    /** Raise when State changes shape: older snapshots are then ignored. */ readonly stateVersion: number;
  };
}

/** Checks an aggregate's declaration once, at start. Throws on a gap in its upcasts. */
export function defineAggregate<State, Command extends Message, Event extends Message>(
  aggregate: Aggregate<State, Command, Event>,
): Aggregate<State, Command, Event> {
  for (const [type, { version, upcasts }] of Object.entries<StoredVersion>(aggregate.events)) {
    for (let from = 1; from < version; from += 1) {
      if (!upcasts?.[from])
        throw new Error(
          `${aggregate.name}: ${type} is at version ${version} but has no upcast from version ${from}.`,
        );
    }
  }
  return aggregate;
}

/** The caller asked for what the aggregate's state forbids. Nothing was stored; asking again changes nothing. */
export class Rejected extends Error {
  readonly canRetry = false;
  constructor(
    readonly code: string,
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.name = 'Rejected';
  }
}

/** Makes a forgotten case a compile error, and a run-time one where the types were wrong. */
export function never(value: never): never {
  throw new Error(`Unexpected ${JSON.stringify(value)}`);
}
