import { type DataOf, type EventContract, type PublicEvent, encodeEvent } from '@watari/contracts-base';
import type { Cause, OutboxRecord, RawStoredEvent } from '@watari/event-sourcing';

/**
 * Makes the public record of a stored event. Its id derives from the stored one, so a repeated relay sends
 * the same id; `index` tells several public events of one stored event apart.
 */
export function publicRecord<Contract extends EventContract>(
  contract: Contract,
  data: DataOf<Contract>,
  stored: RawStoredEvent,
  source: string,
  index = 0,
): OutboxRecord {
  const record = encodeEvent(contract, data, {
    id: index === 0 ? stored.eventId : `${stored.eventId}.${index}`,
    source,
    time: stored.recordedAt.toISOString(),
    correlationId: stored.correlationId,
    causationId: stored.causationId,
  });
  return { topic: contract.topic, ...record };
}

/** The cause of a command that a public event led to; the command id makes a redelivery harmless. */
export function causeOf(event: PublicEvent, handler: string): Cause {
  return { commandId: `${handler}:${event.id}`, correlationId: event.correlationId, causationId: event.id };
}
