import { setTimeout as sleep } from 'node:timers/promises';
import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import { type BackoffMs, backoffMs, pause } from '../backoff';
import { Slots, deliver, trustedStart } from '../deliver';
import {
  BATCH_RECORDS_MAX,
  type BusRecord,
  type BusSubscription,
  CLOSE_PATIENCE_MS,
  PARTITIONS_AT_ONCE_MAX,
  SESSION_TIMEOUT_MS,
  type SubscribeOptions,
} from '../event-bus';
import { fromKafka } from './kafka-records';

/** A partition of ours, from one joining of the group to the next. */
interface Owned {
  readonly topic: string;
  readonly partition: number;
  /** Told to the one who handles batches: the partition is somebody else's, or the subscription closes. */
  readonly lost: AbortController;
  /** False once the group has been joined anew: what we then say of its offset might be wrong. */
  isOurs: boolean;
  /** Where the consumer itself stands; undefined until asked. */
  startAt?: bigint | null;
}

const MAX_WAIT_MS = 200;
/** A batch that takes longer no longer keeps kafkajs waiting, which would hold back the other partitions. */
const INLINE_MS = 250;
const TROUBLE: BackoffMs = { first: 200, max: 5000 };

/**
 * One member of a consumer group, by kafkajs' batches with the offsets in our own hand.
 *
 *   kafkajs: fetch ─▶ eachBatch ─▶ fetch ─▶ …   signs of life in between, for as long as batches are quick
 *                        │
 *                      work: deliver ─▶ commit ─▶ next chunk     slow? the partition is paused, kafkajs goes on
 *
 * An offset is committed when its batch was taken, never by a timer. A consumer that kafkajs gives up is
 * replaced by a new one, whatever the reason.
 */
export class KafkaSubscription implements BusSubscription {
  private consumer: Consumer;
  private readonly owns = new Map<string, Owned>();
  /** One at a time per partition, also when it is lost and won back meanwhile. */
  private readonly working = new Map<string, Promise<void>>();
  private readonly slots: Slots;
  private readonly closing = new AbortController();
  private isBroken = false;
  private reviving: Promise<void> | undefined;
  private closed: Promise<void> | undefined;

  constructor(
    private readonly kafka: Kafka,
    private readonly options: SubscribeOptions,
    private readonly onClosed: () => void,
  ) {
    this.slots = new Slots(options.partitionsAtOnceMax ?? PARTITIONS_AT_ONCE_MAX);
    this.consumer = this.newConsumer();
  }

  /** Resolves once this member takes part in the group. */
  async start(): Promise<void> {
    await this.run(this.consumer);
  }

  owned(): readonly string[] {
    return [...this.owns.keys()].sort();
  }

  close(): Promise<void> {
    this.closed ??= this.leave().finally(this.onClosed);
    return this.closed;
  }

  private async leave(): Promise<void> {
    this.closing.abort();
    for (const { topic, partition, lost } of this.owns.values()) {
      lost.abort();
      this.consumer.pause([{ topic, partitions: [partition] }]);
    }
    const patience = new AbortController();
    await Promise.race([
      Promise.all([...this.working.values(), this.reviving]),
      pause(CLOSE_PATIENCE_MS, patience.signal),
    ]);
    patience.abort();
    this.dropAll();
    await this.disconnect(this.consumer);
  }

  private async disconnect(consumer: Consumer): Promise<void> {
    try {
      await consumer.disconnect();
    } catch (error) {
      // The others take over after the session timeout instead of at once.
      this.options.onError?.(error);
    }
  }

  private newConsumer(): Consumer {
    const { group, sessionTimeoutMs = SESSION_TIMEOUT_MS } = this.options;
    return this.kafka.consumer({
      groupId: group,
      sessionTimeout: sessionTimeoutMs,
      // How soon a member notices that the group is being formed anew, too.
      heartbeatInterval: Math.min(1000, sessionTimeoutMs / 6),
      rebalanceTimeout: sessionTimeoutMs,
      maxWaitTimeInMs: MAX_WAIT_MS,
      // Restarting is ours: kafkajs does it after some errors only, and for the others stops for good.
      retry: {
        initialRetryTime: 200,
        maxRetryTime: 3000,
        retries: 5,
        restartOnFailure: () => Promise.resolve(false),
      },
    });
  }

  /** Resolves once this member takes part in the group; from then on its crashes are dealt with. */
  private async run(consumer: Consumer): Promise<void> {
    const { events } = consumer;
    let hasJoined = false;
    // What a consumer still says that has been replaced is of no interest.
    const isCurrent = () => consumer === this.consumer;
    const joined = new Promise<void>((done, fail) => {
      consumer.on(events.GROUP_JOIN, ({ payload }) => {
        hasJoined = true;
        if (isCurrent()) this.joined(consumer, payload.memberAssignment);
        done();
      });
      consumer.on(events.CRASH, ({ payload }) => {
        if (!hasJoined) fail(payload.error);
        else if (isCurrent()) this.restart(payload.error);
      });
    });
    consumer.on(events.REBALANCING, () => {
      if (isCurrent()) this.dropAll();
    });
    await consumer.connect();
    await consumer.subscribe({ topics: [...this.options.topics], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      partitionsConsumedConcurrently: this.options.partitionsAtOnceMax ?? PARTITIONS_AT_ONCE_MAX,
      eachBatch: (payload) => this.eachBatch(consumer, payload),
    });
    await joined;
  }

  private restart(error: unknown): void {
    this.options.onError?.(error);
    this.dropAll();
    this.isBroken = true;
    this.reviving ??= this.revive();
  }

  /** Until a consumer runs, also when the new one crashes before this has ended. */
  private async revive(): Promise<void> {
    for (let failures = 1; this.isBroken && !this.closing.signal.aborted; failures += 1) {
      await pause(backoffMs(TROUBLE, failures), this.closing.signal);
      if (this.closing.signal.aborted) break;
      const [old, fresh] = [this.consumer, this.newConsumer()];
      this.isBroken = false;
      await this.disconnect(old);
      this.consumer = fresh;
      try {
        await this.run(fresh);
        // Closed meanwhile, by one who did not wait for this.
        if (this.closing.signal.aborted) await this.disconnect(fresh);
      } catch (error) {
        this.isBroken = true;
        this.options.onError?.(error);
      }
    }
    this.reviving = undefined;
  }

  private joined(consumer: Consumer, assignment: Readonly<Record<string, readonly number[]>>): void {
    this.dropAll();
    for (const [topic, partitions] of Object.entries(assignment)) {
      for (const partition of partitions) {
        const key = `${topic}/${partition}`;
        const owned: Owned = { topic, partition, lost: new AbortController(), isOurs: true };
        this.owns.set(key, owned);
        if (this.closing.signal.aborted) owned.lost.abort();
        // Won back before the work of the earlier ownership has noticed the loss: it must end first.
        if (this.working.has(key)) this.resumeAfterWork(consumer, owned, key);
        else consumer.resume([{ topic, partitions: [partition] }]);
      }
    }
  }

  private dropAll(): void {
    for (const owned of this.owns.values()) {
      owned.isOurs = false;
      owned.lost.abort();
    }
    this.owns.clear();
  }

  private async eachBatch(consumer: Consumer, payload: EachBatchPayload): Promise<void> {
    const { topic, partition } = payload.batch;
    const key = `${topic}/${partition}`;
    const owned = this.owns.get(key);
    if (!owned || this.closing.signal.aborted || payload.isStale()) return;
    const work = (this.working.get(key) ?? Promise.resolve())
      .then(() => this.work(consumer, payload, owned))
      .catch((error: unknown) => {
        // kafkajs has moved on behind this batch; joining anew begins at what was committed.
        if (owned.isOurs) this.restart(error);
      })
      .finally(() => {
        if (this.working.get(key) === work) this.working.delete(key);
      });
    this.working.set(key, work);
    const patience = new AbortController();
    await Promise.race([
      work,
      sleep(INLINE_MS, undefined, { signal: patience.signal }).catch(() => undefined),
    ]);
    patience.abort();
    if (this.working.has(key)) this.resumeAfterWork(consumer, owned, key);
  }

  private resumeAfterWork(consumer: Consumer, owned: Owned, key: string): void {
    const partitions = [{ topic: owned.topic, partitions: [owned.partition] }];
    consumer.pause(partitions);
    void this.working.get(key)?.then(() => {
      // When it was lost meanwhile, the next joining resumes it.
      if (owned.isOurs && !this.closing.signal.aborted) consumer.resume(partitions);
    });
  }

  private async work(consumer: Consumer, payload: EachBatchPayload, owned: Owned): Promise<void> {
    const { batch, commitOffsetsIfNecessary } = payload;
    const { topic, partition, lost } = owned;
    const startAt = await this.startAt(owned, BigInt(batch.highWatermark));
    const first = BigInt(batch.firstOffset() ?? batch.lastOffset());
    if (startAt !== null && startAt < first) {
      // The group's offset is ahead of the consumer's own, such as after its database was restored: back, once.
      owned.startAt = null;
      if (owned.isOurs) consumer.seek({ topic, partition, offset: startAt.toString() });
      return;
    }
    // The consumer knows of a batch whose commit was lost: the group shall know of it too.
    if (startAt !== null && startAt > first) await this.commit(commitOffsetsIfNecessary, owned, startAt);
    const records = batch.messages
      .map((message) => fromKafka(topic, partition, message))
      .filter(({ offset }) => startAt === null || offset >= startAt);
    for (const chunk of chunksOf(records, this.options.batchRecordsMax ?? BATCH_RECORDS_MAX)) {
      const delivery = { topic, partition, records: chunk, signal: lost.signal };
      const last = chunk.at(-1);
      if (!last || !(await deliver(delivery, this.options, this.slots, this.closing.signal))) return;
      await this.commit(commitOffsetsIfNecessary, owned, last.offset + 1n);
      if (lost.signal.aborted) return;
    }
  }

  /** Null when the group's own offset decides. Asked again until it is known or the partition lost. */
  private async startAt(owned: Owned, end: bigint): Promise<bigint | null> {
    const { topic, partition, lost } = owned;
    for (let failures = 0; owned.startAt === undefined && !lost.signal.aborted;) {
      try {
        owned.startAt =
          trustedStart(await this.options.startAt?.(topic, partition), end, owned, this.options) ?? null;
      } catch (error) {
        this.options.onError?.(error);
        failures += 1;
        await pause(backoffMs(TROUBLE, failures), lost.signal);
      }
    }
    return owned.startAt ?? null;
  }

  /** Tried until the broker answers or the partition is lost: an uncommitted offset is a repeated batch. */
  private async commit(
    commitOffsets: EachBatchPayload['commitOffsetsIfNecessary'],
    owned: Owned,
    next: bigint,
  ): Promise<void> {
    const { topic, partition } = owned;
    const offsets = { topics: [{ topic, partitions: [{ partition, offset: next.toString() }] }] };
    for (let failures = 0; owned.isOurs;) {
      try {
        await commitOffsets(offsets);
        return;
      } catch (error) {
        if (!owned.isOurs) return;
        this.options.onError?.(error);
        failures += 1;
        if (this.closing.signal.aborted) return;
        await pause(backoffMs(TROUBLE, failures), owned.lost.signal);
      }
    }
  }
}

function* chunksOf(records: readonly BusRecord[], recordsMax: number): Generator<readonly BusRecord[]> {
  for (let from = 0; from < records.length; from += recordsMax) yield records.slice(from, from + recordsMax);
}
