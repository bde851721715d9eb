import { markedOn } from '../errors';
import type { BusRecord, EventBus, OutgoingRecord, TopicSpec } from '../event-bus';
import { HEADERS_MAX, HEADER_BYTES_MAX, KEY_BYTES_MAX, RECORD_BYTES_MAX } from '../limits';

const SUFFIX = '.dead-letters';
const MARK = 'dl_';
const MARKS_MAX = 16;
const REASON_LETTERS_MAX = 1000;
const READ_RECORDS_MAX = 500;
const YEAR_MS = 365 * 24 * 3_600_000;
/** Stands for the key of a record that came with none. */
const NO_KEY = 'no-key';

/** Names the one group that a replayed record is for; all others pass over it. */
export const REPLAY_GROUP = 'replay-group';

/** Each topic's dead letters of all groups, in one order; kept for a year. */
export function deadLetterTopicOf(topic: string): string {
  return `${topic}${SUFFIX}`;
}

export function deadLetterSpec(topic: string): TopicSpec {
  return { name: deadLetterTopicOf(topic), partitions: 1, retentionMs: YEAR_MS };
}

/** A record that a group could not handle, and why. */
export interface DeadLetter {
  /** Names it for replaying: group, topic, partition and offset of the record. */
  readonly id: string;
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly code: string;
  readonly reason: string;
  readonly attempts: number;
  readonly at: Date;
  /** As it was received. */
  readonly record: OutgoingRecord;
  readonly isReplayed: boolean;
}

/**
 * The record as it was, with the reason in headers of their own. Always one that the bus takes, whoever made the
 * record: what goes beyond our limits is cut off, since a letter that cannot be posted would stop its partition.
 */
export function toDeadLetter(
  record: BusRecord,
  error: unknown,
  group: string,
  attempts: number,
): OutgoingRecord {
  const { code } = markedOn(error);
  const reason = error instanceof Error ? error.message : String(error);
  const marks = {
    group,
    topic: record.topic,
    partition: String(record.partition),
    offset: String(record.offset),
    code: typeof code === 'string' ? code.slice(0, 100) : 'HANDLER_FAILED',
    reason: reason.slice(0, REASON_LETTERS_MAX),
    attempts: String(attempts),
    ...(record.value.byteLength > RECORD_BYTES_MAX && { 'cut-from-bytes': String(record.value.byteLength) }),
  };
  return {
    key: plain(record.key).slice(0, KEY_BYTES_MAX / 4) || NO_KEY,
    value: record.value.subarray(0, RECORD_BYTES_MAX),
    headers: {
      ...Object.fromEntries(
        Object.entries(record.headers)
          .map(([name, text]) => [plain(name), plain(text)] as const)
          .filter(([name, text]) => Buffer.byteLength(name) + Buffer.byteLength(text) <= HEADER_BYTES_MAX)
          .slice(0, HEADERS_MAX - MARKS_MAX),
      ),
      ...Object.fromEntries(Object.entries(marks).map(([name, text]) => [`${MARK}${name}`, plain(text)])),
    },
  };
}

/** A topic's dead letters, the oldest first. One that was buried twice, by a process that died, is told once. */
export async function listDeadLetters(
  bus: EventBus,
  { topic, group, withReplayed = false }: { topic: string; group?: string; withReplayed?: boolean },
): Promise<DeadLetter[]> {
  const letters = new Map<string, DeadLetter>();
  for await (const record of everyRecord(bus, deadLetterTopicOf(topic))) {
    const replayed = letters.get(record.headers[`${MARK}replayed`] ?? '');
    if (replayed) letters.set(replayed.id, { ...replayed, isReplayed: true });
    if (record.headers[`${MARK}replayed`] !== undefined) continue;
    const letter = fromDeadLetter(record);
    if (!letters.has(letter.id)) letters.set(letter.id, letter);
  }
  return [...letters.values()].filter(
    (letter) => (group === undefined || letter.group === group) && (withReplayed || !letter.isReplayed),
  );
}

/**
 * Publishes dead letters to their topic again, for the group that failed, now behind what came later for the same
 * key; and notes it, so that they are no longer listed. Without `ids` all that were not replayed yet. One that
 * fails again becomes a new dead letter. Returns what was replayed.
 */
export async function replayDeadLetters(
  bus: EventBus,
  { topic, group, ids }: { topic: string; group?: string; ids?: readonly string[] },
): Promise<DeadLetter[]> {
  const letters = await listDeadLetters(bus, { topic, group, withReplayed: ids !== undefined });
  const chosen = ids === undefined ? letters : letters.filter(({ id }) => ids.includes(id));
  for (const letter of chosen) {
    const { key, value, headers } = letter.record;
    await bus.publish(letter.topic, [{ key, value, headers: { ...headers, [REPLAY_GROUP]: letter.group } }]);
    await bus.publish(deadLetterTopicOf(topic), [
      { key, value: '', headers: { [`${MARK}replayed`]: letter.id } },
    ]);
  }
  return chosen;
}

async function* everyRecord(bus: EventBus, topic: string): AsyncGenerator<BusRecord> {
  for (const { partition, first, end } of await bus.ends(topic)) {
    for (let fromOffset = first; fromOffset < end;) {
      const records = await bus.read(topic, { partition, fromOffset, recordsMax: READ_RECORDS_MAX });
      const last = records.at(-1);
      if (!last) break;
      yield* records;
      fromOffset = last.offset + 1n;
    }
  }
}

function fromDeadLetter({ key, headers, value, at }: BusRecord): DeadLetter {
  const told = (name: string) => headers[`${MARK}${name}`] ?? '';
  const original = Object.fromEntries(
    Object.entries(headers).filter(([name]) => !name.startsWith(MARK) && name !== REPLAY_GROUP),
  );
  const number = (name: string) => (/^\d{1,18}$/.test(told(name)) ? told(name) : '0');
  return {
    id: `${told('group')}/${told('topic')}/${told('partition')}/${told('offset')}`,
    group: told('group'),
    topic: told('topic'),
    partition: Number(number('partition')),
    offset: BigInt(number('offset')),
    code: told('code'),
    reason: told('reason'),
    attempts: Number(number('attempts')),
    at,
    record: { key, headers: original, value },
    isReplayed: false,
  };
}

/** The bus takes no NUL characters, which others may have put in. */
function plain(text: string): string {
  return text.replaceAll('\0', '');
}
