/**
 * The port between services and whatever carries their events.
 *
 *   publisher ──▶ topic ─┬─ partition 0: 0 1 2 3 …   (offset)      group A: member 1 owns 0 and 1, member 2 owns 2
 *                        ├─ partition 1: 0 1 2 …                   group B: member 1 owns 0, 1 and 2
 *                        └─ partition 2: 0 1 …
 *
 * What holds for every adapter, and is checked by one contract suite:
 *   - a key always lands in the same partition (murmur2 as Kafka's own clients use it), so order per key is kept;
 *   - a published record is durable, and is delivered to every group at least once, in offset order per partition;
 *   - one member of a group at a time owns a partition; a member that dies is replaced after the session timeout,
 *     and what it had not finished is delivered again.
 */
export interface EventBus {
  /** Names this log for ever. Offsets that somebody keeps are of one log, and say nothing of another. */
  identity(): Promise<string>;

  /** Makes topics that are missing. Throws BUS_TOPIC_DIFFERS when one exists with another partition count: keys would move. */
  ensureTopics(topics: readonly TopicSpec[]): Promise<void>;

  /**
   * Resolves when all records are durable, in the order given per key. After a rejection some may have been
   * taken: publish them all again, consumers drop repeats by event id.
   */
  publish(topic: string, records: readonly OutgoingRecord[]): Promise<void>;

  /** Joins the group; a group that has no offset yet begins with the oldest record. The topics must exist. */
  subscribe(options: SubscribeOptions): Promise<BusSubscription>;

  /** How far the group is behind, per partition that it has ever been given. */
  lag(group: string): Promise<readonly PartitionLag[]>;

  /** Where each partition of a topic begins and ends now. */
  ends(topic: string): Promise<readonly PartitionEnds[]>;

  /** Reads without a group, for tools. Records before the oldest kept one are passed over. Empty at the end. */
  read(topic: string, options: ReadOptions): Promise<readonly BusRecord[]>;

  /** Closes subscriptions and connections; batches under way are finished first, for at most ten seconds. */
  close(): Promise<void>;
}

export interface TopicSpec {
  readonly name: string;
  /** Fixed for the topic's life. */
  readonly partitions: number;
  /** How long records are kept; default seven days. The Postgres log keeps longer what a group has not read. */
  readonly retentionMs?: number;
}

export interface OutgoingRecord {
  /** Orders records: the aggregate's id. Not empty. */
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly value: Uint8Array | string;
}

export interface BusRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly value: Buffer;
  /** When the bus took it. */
  readonly at: Date;
}

export interface Batch {
  readonly topic: string;
  readonly partition: number;
  /** At least one, in offset order; offsets rise and may have holes. */
  readonly records: readonly BusRecord[];
  /** Aborted when the partition now belongs to somebody else, or the subscription closes: finish soon or give up. */
  readonly signal: AbortSignal;
  /** Rejects with BUS_OWNERSHIP_LOST when the signal is aborted. The adapter keeps the membership alive by itself. */
  heartbeat(): Promise<void>;
}

export interface SubscribeOptions {
  readonly group: string;
  readonly topics: readonly string[];
  /**
   * Takes one batch. Per partition one call at a time. Resolving moves the group's offset past the batch;
   * rejecting has the same batch delivered again after a growing pause, for as long as it takes.
   */
  readonly onBatch: (batch: Batch) => Promise<void>;
  readonly batchRecordsMax?: number;
  /** How many partitions may be in `onBatch` at the same time; default 4. */
  readonly partitionsAtOnceMax?: number;
  /** A member that was silent for so long is taken for dead. Default 10 s; Kafka brokers refuse under 6 s. */
  readonly sessionTimeoutMs?: number;
  /** Where this consumer itself stands in a partition, when it keeps its own offsets; asked at each new ownership. */
  readonly startAt?: (topic: string, partition: number) => Promise<bigint | undefined>;
  /** Told of failures that the adapter deals with itself: rejected batches, lost connections. */
  readonly onError?: (error: unknown) => void;
}

export interface BusSubscription {
  /** Partitions owned at this moment, as `topic/partition`. */
  owned(): readonly string[];
  /** Leaves the group. The batch under way is finished first, for at most ten seconds. */
  close(): Promise<void>;
}

export interface PartitionLag {
  readonly topic: string;
  readonly partition: number;
  /** The next offset that the group will be given. */
  readonly next: bigint;
  /** The offset that the next published record will have. */
  readonly end: bigint;
  /** Records in between. */
  readonly records: number;
}

export interface PartitionEnds {
  readonly partition: number;
  readonly first: bigint;
  readonly end: bigint;
}

export interface ReadOptions {
  readonly partition: number;
  readonly fromOffset: bigint;
  readonly recordsMax: number;
}

export const BATCH_RECORDS_MAX = 200;
export const PARTITIONS_AT_ONCE_MAX = 4;
export const SESSION_TIMEOUT_MS = 10_000;
export const RETENTION_MS = 7 * 24 * 3_600_000;
/** How long `close()` waits for batches under way. */
export const CLOSE_PATIENCE_MS = 10_000;
