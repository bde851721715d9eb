import type { GuestEvent, MoveStatus } from '@watari/host-agent-client';

import type { ClockOffset } from './clock-offset';
import type { SourceRecord } from './move-record';

/** Time of the last STOP, or undefined when the guest was never paused. */
export function stopBegan(events: readonly GuestEvent[]): string | undefined {
  return events.findLast(({ event }) => event === 'STOP')?.at;
}

/** Milliseconds since 1970 of a time with microseconds, which Date alone would cut off. */
export function parseInstantMs(text: string): number {
  const fraction = /\.(\d+)Z$/.exec(text)?.[1] ?? '0';
  const whole = Date.parse(text.replace(/\.\d+Z$/, 'Z'));
  return whole + Number(`0.${fraction}`) * 1_000;
}

/** From pause on one host to running on the other, corrected by the clocks' offset (theirs minus ours). */
export function downtime(
  stopMs: number,
  resumedAtMs: number,
  clock: ClockOffset,
): Pick<MoveStatus, 'downtimeMs' | 'downtimeUncertaintyMs'> {
  return {
    downtimeMs: round(Math.max(0, resumedAtMs - clock.offsetMs - stopMs)),
    downtimeUncertaintyMs: round(clock.uncertaintyMs),
  };
}

/** For a move that was settled after the fact; empty when a time is not known. */
export function withDowntime(
  { clock }: SourceRecord,
  { stopAt, resumedAt }: { stopAt: string | undefined; resumedAt: string | undefined },
): Pick<MoveStatus, 'downtimeMs' | 'downtimeUncertaintyMs'> {
  if (!clock || stopAt === undefined || resumedAt === undefined) return {};
  return downtime(parseInstantMs(stopAt), parseInstantMs(resumedAt), clock);
}

/** To the microsecond that QEMU's timestamps have. */
function round(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
