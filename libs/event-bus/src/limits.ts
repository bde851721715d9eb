import { BusError } from './errors';
import type { OutgoingRecord, TopicSpec } from './event-bus';

/** Below Kafka's default message.max.bytes (1,048,588), with room for what a dead letter's headers add. */
export const RECORD_BYTES_MAX = 1_000_000;
export const KEY_BYTES_MAX = 1000;
export const HEADERS_MAX = 64;
export const HEADER_BYTES_MAX = 4000;
export const PARTITIONS_MAX = 1024;
/** Kafka's own limit on topic names; groups get the same. */
export const NAME_CHARS_MAX = 249;

export function assertName(kind: 'topic' | 'group', name: string): void {
  if (/^[a-zA-Z0-9._-]+$/.test(name) && name.length <= NAME_CHARS_MAX && name !== '.' && name !== '..')
    return;
  throw new BusError(
    'BUS_NAME_INVALID',
    `The ${kind} name ${JSON.stringify(name.slice(0, 300))} must have 1 to ${NAME_CHARS_MAX} letters, digits, dots, dashes or underscores.`,
  );
}

export function assertTopicSpec({ name, partitions, retentionMs = 1 }: TopicSpec): void {
  assertName('topic', name);
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > PARTITIONS_MAX) {
    throw new BusError(
      'BUS_NAME_INVALID',
      `Topic ${name} asks for ${partitions} partitions; 1 to ${PARTITIONS_MAX} are possible.`,
    );
  }
  if (!Number.isInteger(retentionMs) || retentionMs < 1) {
    throw new BusError('BUS_NAME_INVALID', `Topic ${name}: retentionMs must be a positive whole number.`);
  }
}

/** Throws BUS_RECORD_INVALID. Checked before anything is sent, so that a batch is refused whole. */
export function assertRecord(topic: string, { key, headers, value }: OutgoingRecord): void {
  const refuse = (why: string): never => {
    throw new BusError('BUS_RECORD_INVALID', `A record for ${topic} ${why}.`);
  };
  const keyBytes = Buffer.byteLength(key);
  if (keyBytes === 0) refuse('has no key; the key decides its order');
  if (keyBytes > KEY_BYTES_MAX) refuse(`has a key of ${keyBytes} bytes; at most ${KEY_BYTES_MAX} are taken`);
  if (key.includes('\0')) refuse('has a key with a NUL character');
  const valueBytes = typeof value === 'string' ? Buffer.byteLength(value) : value.byteLength;
  if (valueBytes > RECORD_BYTES_MAX)
    refuse(`has a value of ${valueBytes} bytes; at most ${RECORD_BYTES_MAX} are taken`);
  const entries = Object.entries(headers);
  if (entries.length > HEADERS_MAX) refuse(`has ${entries.length} headers; at most ${HEADERS_MAX} are taken`);
  for (const [name, text] of entries) {
    if (typeof text !== 'string') refuse(`has a header ${name} that is no string`);
    if (Buffer.byteLength(name) + Buffer.byteLength(text) > HEADER_BYTES_MAX)
      refuse(`has a header ${name.slice(0, 100)} of over ${HEADER_BYTES_MAX} bytes`);
    if (name.includes('\0') || text.includes('\0'))
      refuse(`has a NUL character in the header ${name.slice(0, 100)}`);
  }
}
