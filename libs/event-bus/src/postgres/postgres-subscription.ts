import { randomUUID } from 'node:crypto';
import { type BackoffMs, backoffMs, pause } from '../backoff';
import { Slots, deliver, trustedStart } from '../deliver';
import {
  BATCH_RECORDS_MAX,
  type BusSubscription,
  CLOSE_PATIENCE_MS,
  PARTITIONS_AT_ONCE_MAX,
  SESSION_TIMEOUT_MS,
  type SubscribeOptions,
} from '../event-bus';
import { Pulse } from '../pulse';
import type { Notifications } from './notifications';
import { assignPartitions, partitionKey } from './partition-assignment';
import type { Claim, PostgresLog } from './postgres-log';

/** A claim of ours, and where we stand in it. */
interface Owned {
  readonly claim: Claim;
  readonly key: string;
  position: bigint;
  /** Ownership is gone, or the subscription closes. */
  readonly lost: AbortController;
  /** Another member shall have it: no further batch, then release. */
  readonly yielded: AbortController;
  work: Promise<void> | undefined;
}

const POLL_MS = 150;
const TROUBLE: BackoffMs = { first: 100, max: 2000 };

/**
 * One member of a consumer group.
 *
 *   membership loop   sign of life ─▶ who is here? ─▶ give up what others shall have, claim what is ours and free
 *   reading loop      is there more than I have read? ─▶ per partition: fetch ─▶ onBatch ─▶ commit ─▶ fetch …
 *
 * Both look again when a notification rings, and by themselves after a while, so a lost one costs time only.
 * A partition changes hands between batches: the owner releases it, and only then can the next one claim it,
 * unless the owner's signs of life stopped.
 */
export class PostgresSubscription implements BusSubscription {
  private member = randomUUID() as string;
  private readonly partitions = new Map<string, Owned>();
  private readonly slots: Slots;
  private readonly membership = new Pulse();
  private readonly reading = new Pulse();
  private readonly closing = new AbortController();
  private readonly sessionMs: number;
  private isJoined = false;
  private seenAt = Date.now();
  private loops: Promise<unknown> | undefined;
  private deafen: (() => void) | undefined;
  private closed: Promise<void> | undefined;

  constructor(
    private readonly log: PostgresLog,
    private readonly options: SubscribeOptions,
    private readonly onClosed: () => void,
  ) {
    this.slots = new Slots(options.partitionsAtOnceMax ?? PARTITIONS_AT_ONCE_MAX);
    this.sessionMs = options.sessionTimeoutMs ?? SESSION_TIMEOUT_MS;
  }

  async start(notifications: Notifications): Promise<void> {
    const { group, topics } = this.options;
    await this.takePart();
    const deafenToGroup = notifications.on([`group ${group}`], () => this.membership.ring());
    const deafenToTopics = notifications.on(
      topics.map((topic) => `topic ${topic}`),
      () => this.reading.ring(),
    );
    this.deafen = () => {
      deafenToGroup();
      deafenToTopics();
    };
    this.loops = Promise.all([
      this.loop(this.membership, Math.min(2000, this.sessionMs / 5), () => this.takePart()),
      this.loop(this.reading, POLL_MS, () => this.look()),
    ]);
  }

  owned(): readonly string[] {
    return [...this.partitions.keys()].sort();
  }

  close(): Promise<void> {
    this.closed ??= this.leave().finally(this.onClosed);
    return this.closed;
  }

  private async leave(): Promise<void> {
    this.closing.abort();
    this.membership.ring();
    this.reading.ring();
    this.deafen?.();
    await this.loops;
    const mine = [...this.partitions.values()];
    for (const owned of mine) {
      owned.yielded.abort();
      owned.lost.abort();
    }
    const patience = new AbortController();
    await Promise.race([
      Promise.all(mine.map(({ work }) => work)),
      pause(CLOSE_PATIENCE_MS, patience.signal),
    ]);
    patience.abort();
    try {
      for (const { claim } of mine) await this.log.release(claim);
      await this.log.leave(this.options.group, this.member);
    } catch (error) {
      // The others take over after the session timeout instead of at once.
      this.options.onError?.(error);
    }
    this.partitions.clear();
  }

  private async loop(pulse: Pulse, idleMs: number, step: () => Promise<void>): Promise<void> {
    for (let failures = 0; !this.closing.signal.aborted;) {
      await pulse.next(idleMs);
      if (this.closing.signal.aborted) return;
      try {
        await step();
        failures = 0;
      } catch (error) {
        this.options.onError?.(error);
        failures += 1;
        this.dropAllWhenSilent();
        await pause(backoffMs(TROUBLE, failures), this.closing.signal);
      }
    }
  }

  private async takePart(): Promise<void> {
    const { group, topics } = this.options;
    const askedAt = Date.now();
    const wasKnown = await this.log.beat(group, this.member, topics, this.sessionMs);
    this.seenAt = askedAt;
    if (!wasKnown && this.isJoined) {
      // We were taken for dead. Under a new name, so that nothing of the old one can be mistaken for ours.
      this.dropAll();
      const old = this.member;
      this.member = randomUUID();
      await this.log.leave(group, old);
      await this.log.beat(group, this.member, topics, this.sessionMs);
    }
    this.isJoined = true;
    const { members, claims } = await this.log.group(group);
    const wanted = assignPartitions(members, claims);
    for (const claim of claims) {
      const key = partitionKey(claim);
      const owned = this.partitions.get(key);
      const isWanted = wanted.get(key) === this.member;
      if (owned && claim.owner !== this.member) this.drop(owned);
      else if (owned && !isWanted) this.yield(owned);
      else if (!owned && claim.owner === this.member) await this.giveBack(claim.topic, claim.partition);
      else if (!owned && isWanted) await this.take(claim.topic, claim.partition);
    }
  }

  private async take(topic: string, partition: number): Promise<void> {
    const { group, startAt } = this.options;
    const claimed = await this.log.claim(group, this.member, topic, partition);
    if (!claimed) return;
    const claim = { group, member: this.member, topic, partition, fence: claimed.fence };
    const key = partitionKey(claim);
    try {
      const [end] = await this.log.endsOf([claim]);
      const own = trustedStart(await startAt?.(topic, partition), end?.end ?? 0n, claim, this.options);
      const position = own ?? claimed.next;
      // The consumer knows of a batch whose commit was lost: the group shall know of it too.
      if (position !== claimed.next) await this.log.commit(claim, position);
      const lost = new AbortController();
      this.partitions.set(key, {
        claim,
        key,
        position,
        lost,
        yielded: new AbortController(),
        work: undefined,
      });
      this.reading.ring();
    } catch (error) {
      await this.log.release(claim);
      throw error;
    }
  }

  /** A claim in our name that we know nothing of: the answer to an earlier try was lost with its connection. */
  private async giveBack(topic: string, partition: number): Promise<void> {
    const { group } = this.options;
    const fence = await this.log.fenceOf(group, topic, partition, this.member);
    if (fence !== undefined) await this.log.release({ group, member: this.member, topic, partition, fence });
  }

  private yield(owned: Owned): void {
    if (owned.yielded.signal.aborted) return;
    owned.yielded.abort();
    void this.releaseWhenIdle(owned);
  }

  private async releaseWhenIdle(owned: Owned): Promise<void> {
    await owned.work;
    try {
      if (!owned.lost.signal.aborted) await this.log.release(owned.claim);
    } catch (error) {
      this.options.onError?.(error);
    }
    if (this.partitions.get(owned.key) === owned) this.partitions.delete(owned.key);
    this.membership.ring();
  }

  private drop(owned: Owned): void {
    owned.lost.abort();
    this.partitions.delete(owned.key);
  }

  private dropAll(): void {
    for (const owned of this.partitions.values()) this.drop(owned);
  }

  /** No sign of life got through for a session: by now the others have taken over. */
  private dropAllWhenSilent(): void {
    if (Date.now() - this.seenAt > this.sessionMs) this.dropAll();
  }

  private async look(): Promise<void> {
    const idle = [...this.partitions.values()].filter(
      ({ work, yielded }) => !work && !yielded.signal.aborted,
    );
    if (idle.length === 0) return;
    const ends = await this.log.endsOf(idle.map(({ claim }) => claim));
    const endByKey = new Map(ends.map((end) => [partitionKey(end), end.end]));
    for (const owned of idle) {
      const end = endByKey.get(owned.key);
      if (end === undefined || end <= owned.position || owned.work || owned.lost.signal.aborted) continue;
      owned.work = this.consume(owned, end)
        .catch(async (error: unknown) => {
          this.options.onError?.(error);
          await pause(backoffMs(TROUBLE, 1), owned.lost.signal);
        })
        .finally(() => {
          owned.work = undefined;
          this.reading.ring();
        });
    }
  }

  private async consume(owned: Owned, end: bigint): Promise<void> {
    const { claim, lost, yielded } = owned;
    const { topic, partition } = claim;
    while (!lost.signal.aborted && !yielded.signal.aborted) {
      const records = await this.log.fetch(topic, {
        partition,
        fromOffset: owned.position,
        recordsMax: this.options.batchRecordsMax ?? BATCH_RECORDS_MAX,
      });
      const last = records.at(-1);
      if (!last) {
        // Below `end` there was something, so it was pruned: the group stood still for longer than records are kept.
        if (owned.position < end) owned.position = end;
        return;
      }
      const batch = { topic, partition, records, signal: lost.signal };
      if (!(await deliver(batch, this.options, this.slots, yielded.signal))) return;
      owned.position = last.offset + 1n;
      await this.commit(owned);
    }
  }

  /** Tried until the database answers or the claim is gone: an uncommitted offset is a repeated batch. */
  private async commit(owned: Owned): Promise<void> {
    for (let failures = 0; ;) {
      try {
        if (!(await this.log.commit(owned.claim, owned.position))) this.drop(owned);
        return;
      } catch (error) {
        this.options.onError?.(error);
        failures += 1;
        if (failures > 1 && owned.lost.signal.aborted) return;
        await pause(backoffMs(TROUBLE, failures), owned.lost.signal);
      }
    }
  }
}
