import { randomUUID } from 'node:crypto';
import type { Admin, Consumer, Kafka } from 'kafkajs';
import { BusError } from '../errors';
import type { BusRecord } from '../event-bus';
import { fromKafka } from './kafka-records';

const READ_MS = 30_000;
const MAX_WAIT_MS = 100;

export interface KafkaRange {
  readonly topic: string;
  readonly partition: number;
  /** Of how many; the others are left alone. */
  readonly partitionCount: number;
  readonly fromOffset: bigint;
  readonly end: bigint;
  readonly recordsMax: number;
}

/**
 * Reads part of one partition. kafkajs fetches for groups alone, so this makes a group for the moment, commits
 * nothing in it, and deletes it.
 */
export async function readRange(kafka: Kafka, admin: Admin, range: KafkaRange): Promise<BusRecord[]> {
  const groupId = `watari-read-${randomUUID()}`;
  const consumer = kafka.consumer({
    groupId,
    maxWaitTimeInMs: MAX_WAIT_MS,
    retry: { retries: 3, restartOnFailure: () => Promise.resolve(false) },
  });
  try {
    return await collect(consumer, range);
  } finally {
    await consumer.disconnect();
    await admin.deleteGroups([groupId]);
  }
}

async function collect(consumer: Consumer, range: KafkaRange): Promise<BusRecord[]> {
  const { topic, partition, partitionCount, fromOffset, end, recordsMax } = range;
  const found: BusRecord[] = [];
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((done, fail) => {
      timer = setTimeout(
        () =>
          fail(
            new BusError(
              'BUS_UNAVAILABLE',
              `Reading ${topic}/${partition} took longer than ${READ_MS / 1000} s.`,
            ),
          ),
        READ_MS,
      );
      consumer.on(consumer.events.CRASH, ({ payload }) => fail(payload.error));
      consumer.on(consumer.events.GROUP_JOIN, () => {
        const others = Array.from({ length: partitionCount }, (_, each) => each).filter(
          (each) => each !== partition,
        );
        consumer.pause([{ topic, partitions: others }]);
        consumer.seek({ topic, partition, offset: fromOffset.toString() });
      });
      const take = (record: BusRecord) => {
        const isNext = record.offset >= (found.at(-1)?.offset ?? fromOffset - 1n) + 1n;
        if (isNext && record.offset < end && found.length < recordsMax) found.push(record);
      };
      consumer
        .run({
          autoCommit: false,
          eachBatch: ({ batch }) => {
            for (const message of batch.messages) take(fromKafka(topic, batch.partition, message));
            if (found.length >= recordsMax || BigInt(batch.lastOffset()) >= end - 1n) done();
            return Promise.resolve();
          },
        })
        .catch(fail);
    });
  } finally {
    clearTimeout(timer);
  }
  return found;
}
