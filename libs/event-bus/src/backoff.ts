import { setTimeout as sleep } from 'node:timers/promises';

export interface BackoffMs {
  readonly first: number;
  readonly max: number;
}

/** Doubles with each failure up to `max`, then takes a random half off, so that many who failed together part. */
export function backoffMs(
  { first, max }: BackoffMs,
  failures: number,
  random: () => number = Math.random,
): number {
  const full = Math.min(max, first * 2 ** Math.min(failures - 1, 30));
  return full / 2 + (full / 2) * random();
}

/** Sleeps, or returns early when the signal is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
