import type { IHeaders, KafkaMessage } from 'kafkajs';
import type { BusRecord } from '../event-bus';

/** A record without key or value was not published by this port; it is told as an empty one, and becomes a dead letter. */
export function fromKafka(topic: string, partition: number, message: KafkaMessage): BusRecord {
  return {
    topic,
    partition,
    offset: BigInt(message.offset),
    key: message.key?.toString('utf8') ?? '',
    headers: headersOf(message.headers),
    value: message.value ?? Buffer.alloc(0),
    at: new Date(Number(message.timestamp)),
  };
}

function headersOf(headers: IHeaders = {}): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    // Kafka allows a name twice; the last one counts, as in our own headers.
    const last = Array.isArray(value) ? value.at(-1) : value;
    if (last !== undefined) texts[name] = last.toString('utf8');
  }
  return texts;
}
