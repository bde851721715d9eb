import { chunksOf } from '../chunks';
import { CompressionTypes, type Kafka, type Producer } from 'kafkajs';
import type { OutgoingRecord } from '../event-bus';
import { partitionOf } from '../murmur2';
import { asBusError } from './kafka-errors';

interface Waiting {
  readonly topic: string;
  readonly records: readonly OutgoingRecord[];
  readonly done: () => void;
  readonly fail: (error: unknown) => void;
}

/** One request carries so many records at most; a larger publish goes out in several, in order. */
const REQUEST_RECORDS_MAX = 1000;
const REQUEST_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Sends one request at a time, so that a retry cannot overtake; what is published meanwhile goes out together in
 * the next one. The producer is idempotent: kafkajs' own retries write nothing twice.
 *
 * After a request has failed for good the producer is thrown away. Its next request would carry the same sequence
 * numbers, and a broker that did take the failed one would confirm the new one as a repeat, without writing it.
 */
export class KafkaPublisher {
  private readonly waiting: Waiting[] = [];
  private sending: Promise<void> | undefined;
  private producer: Promise<Producer> | undefined;

  constructor(
    private readonly kafka: Kafka,
    private readonly onError: (error: unknown) => void,
  ) {}

  async connect(): Promise<void> {
    this.producer ??= this.newProducer();
    await this.producer;
  }

  /** Resolves when all are durable. Rejects with BUS_UNAVAILABLE or BUS_TOPIC_UNKNOWN; some may be durable then. */
  publish(topic: string, records: readonly OutgoingRecord[]): Promise<void> {
    return new Promise((done, fail) => {
      this.waiting.push({ topic, records, done, fail });
      this.sending ??= this.sendAll().finally(() => (this.sending = undefined));
    });
  }

  /** Sends what waits, then disconnects. */
  async close(): Promise<void> {
    await this.sending;
    await this.discardProducer();
  }

  private async sendAll(): Promise<void> {
    while (this.waiting.length > 0) {
      const { topic, together } = this.takeNext();
      try {
        const all = together.flatMap((each) => each.records);
        for (const records of chunksOf(all, { recordsMax: REQUEST_RECORDS_MAX, bytesMax: REQUEST_BYTES_MAX }))
          await this.send(topic, records);
        for (const { done } of together) done();
      } catch (error) {
        await this.discardProducer();
        for (const { fail } of together) fail(asBusError(error, topic));
      }
    }
  }

  /** The oldest, and what follows for the same topic as far as one request carries it. */
  private takeNext(): { topic: string; together: Waiting[] } {
    const topic = this.waiting[0]?.topic ?? '';
    const together: Waiting[] = [];
    let count = 0;
    for (let at = 0; at < this.waiting.length;) {
      const next = this.waiting[at];
      if (next?.topic !== topic) {
        at += 1;
        continue;
      }
      if (count > 0 && count + next.records.length > REQUEST_RECORDS_MAX) break;
      count += next.records.length;
      together.push(next);
      this.waiting.splice(at, 1);
    }
    return { topic, together };
  }

  private async send(topic: string, records: readonly OutgoingRecord[]): Promise<void> {
    this.producer ??= this.newProducer();
    const producer = await this.producer;
    await producer.send({
      topic,
      acks: -1,
      compression: CompressionTypes.None,
      messages: records.map(({ key, headers, value }) => ({
        key,
        headers: { ...headers },
        value: typeof value === 'string' ? value : Buffer.from(value),
      })),
    });
  }

  private async newProducer(): Promise<Producer> {
    const producer = this.kafka.producer({
      allowAutoTopicCreation: false,
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner:
        () =>
        ({ partitionMetadata, message }) =>
          partitionOf(String(message.key), partitionMetadata.length),
    });
    try {
      await producer.connect();
      return producer;
    } catch (error) {
      this.producer = undefined;
      await producer.disconnect().catch(this.onError);
      throw error;
    }
  }

  private async discardProducer(): Promise<void> {
    const old = this.producer;
    this.producer = undefined;
    try {
      await (await old)?.disconnect();
    } catch (error) {
      this.onError(error);
    }
  }
}
