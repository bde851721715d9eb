import { type BackoffMs, backoffMs, pause } from './backoff';
import { BusError } from './errors';
import type { Batch, SubscribeOptions } from './event-bus';

const REDELIVERY: BackoffMs = { first: 100, max: 10_000 };

/** At most `count` holders at a time; the others wait in line. */
export class Slots {
  private readonly waiting: (() => void)[] = [];

  constructor(private free: number) {}

  async take(): Promise<void> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((given) => this.waiting.push(given));
  }

  give(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.free += 1;
  }
}

/**
 * Hands a batch over until it is taken; between attempts the slot is free for other partitions.
 * Returns false when it was not taken: ownership is gone, or `yielded` asked for no further attempt.
 */
export async function deliver(
  batch: Omit<Batch, 'heartbeat'>,
  { onBatch, onError }: Pick<SubscribeOptions, 'onBatch' | 'onError'>,
  slots: Slots,
  yielded: AbortSignal,
): Promise<boolean> {
  const { signal, topic, partition } = batch;
  const isOver = () => signal.aborted || yielded.aborted;
  const heartbeat = async (): Promise<void> => {
    if (signal.aborted) {
      throw new BusError('BUS_OWNERSHIP_LOST', `${topic}/${partition} is no longer owned by this consumer.`);
    }
  };
  for (let failures = 0; ;) {
    await slots.take();
    try {
      if (isOver()) return false;
      await onBatch({ ...batch, heartbeat });
      return true;
    } catch (error) {
      failures += 1;
      // One that was told to give up, and did, is no trouble.
      if (!isOver()) onError?.(error);
    } finally {
      slots.give();
    }
    await pause(backoffMs(REDELIVERY, failures), AbortSignal.any([signal, yielded]));
  }
}

/**
 * A consumer's own offset that lies behind the end is not of this log: the topic was made anew, or a backup of one
 * side was restored. The group's offset decides then, and consumers drop what they have handled.
 */
export function trustedStart(
  startAt: bigint | undefined,
  end: bigint,
  { topic, partition }: { readonly topic: string; readonly partition: number },
  { group, onError }: Pick<SubscribeOptions, 'group' | 'onError'>,
): bigint | undefined {
  if (startAt === undefined || startAt <= end) return startAt;
  onError?.(
    new BusError(
      'BUS_OFFSET_UNKNOWN',
      `${group} had reached offset ${startAt} of ${topic}/${partition}, which now ends at ${end}. It goes on where the bus remembers it.`,
    ),
  );
  return undefined;
}
