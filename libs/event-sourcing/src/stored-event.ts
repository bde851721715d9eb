import type { Aggregate, Message, StoredVersion } from './decider';

export interface StreamId {
  readonly aggregate: string;
  readonly id: string;
}

/**
 * A place in the store's global order. Ordered by transaction first: see `schema.ts` for why the position
 * alone would skip events.
 */
export interface GlobalPosition {
  readonly transaction: bigint;
  readonly position: bigint;
}

export const START: GlobalPosition = { transaction: 0n, position: 0n };

/** Why an event came to be; travels from the first command through every service. */
export interface Cause {
  readonly commandId: string;
  readonly correlationId: string;
  readonly causationId: string;
}

export interface StoredEvent<Event extends Message = Message> extends Cause {
  readonly eventId: string;
  readonly stream: StreamId;
  /** Counts from 1 within the stream. */
  readonly streamVersion: number;
  readonly at: GlobalPosition;
  readonly recordedAt: Date;
  readonly event: Event;
}

/** A stored event that this code cannot read: written by a newer version, or of a type that is gone. */
export class UnreadableEvent extends Error {
  readonly code = 'STORED_EVENT_UNREADABLE';
  readonly canRetry = false;
}

/** Brings a stored event up to the version that the aggregate knows. */
export function upcastStored<State, Command extends Message, Event extends Message>(
  aggregate: Aggregate<State, Command, Event>,
  stored: { readonly type: string; readonly version: number; readonly data: Record<string, unknown> },
): Event {
  const known: StoredVersion | undefined = (aggregate.events as Record<string, StoredVersion>)[stored.type];
  if (!known) throw new UnreadableEvent(`${aggregate.name}: no event of type ${stored.type} is known.`);
  if (stored.version > known.version) {
    throw new UnreadableEvent(
      `${aggregate.name}: ${stored.type} was stored as version ${stored.version}; this code knows ${known.version}.`,
    );
  }
  let data = stored.data;
  for (let version = stored.version; version < known.version; version += 1) {
    const step = known.upcasts?.[version];
    if (!step)
      throw new UnreadableEvent(`${aggregate.name}: ${stored.type} has no upcast from version ${version}.`);
    data = step(data);
  }
  return { type: stored.type, data } as unknown as Event;
}

export function positionToText({ transaction, position }: GlobalPosition): string {
  return `${transaction}:${position}`;
}

export function positionFromText(text: string): GlobalPosition {
  const match = /^(\d+):(\d+)$/.exec(text);
  if (!match?.[1] || !match[2]) throw new Error(`"${text.slice(0, 40)}" is no position of an event store.`);
  return { transaction: BigInt(match[1]), position: BigInt(match[2]) };
}
