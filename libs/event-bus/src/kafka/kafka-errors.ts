import { setTimeout as sleep } from 'node:timers/promises';
import { type BackoffMs, backoffMs } from '../backoff';
import { BusError } from '../errors';

const PATIENCE: BackoffMs = { first: 100, max: 1000 };
const TRIES_MAX = 6;

/** What the broker or the way to it refuses, in our own words. */
export function asBusError(error: unknown, topic?: string): BusError {
  if (error instanceof BusError) return error;
  const { message } = error as Error;
  if (topic !== undefined && /does not host this topic-partition|unknown topic/i.test(message)) {
    return new BusError('BUS_TOPIC_UNKNOWN', `There is no topic ${topic}; ensureTopics makes it.`, {
      cause: error,
    });
  }
  return new BusError('BUS_UNAVAILABLE', `Kafka does not answer as it should: ${message}`, { cause: error });
}

export async function orBusError<T>(work: () => Promise<T>, topic?: string): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asBusError(error, topic);
  }
}

/**
 * Asks again what kafkajs does not ask again by itself, such as a group's offsets while its coordinator starts.
 * For questions alone: an answer that got lost does no harm.
 */
export async function askPatiently<T>(question: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await question();
    } catch (error) {
      if ((error as { retriable?: unknown }).retriable !== true || tries === TRIES_MAX)
        throw asBusError(error);
      await sleep(backoffMs(PATIENCE, tries));
    }
  }
}
