export interface ClockReading {
  readonly sentMs: number;
  readonly theirsMs: number;
  readonly receivedMs: number;
}

export interface ClockOffset {
  /** Their clock minus ours. */
  readonly offsetMs: number;
  /** How far off that may be. */
  readonly uncertaintyMs: number;
}

/** The fastest round trip says most: the other clock was read somewhere within it. */
export function clockOffset(readings: readonly ClockReading[]): ClockOffset {
  const [best] = [...readings].sort((a, b) => a.receivedMs - a.sentMs - (b.receivedMs - b.sentMs));
  if (!best) return { offsetMs: 0, uncertaintyMs: Number.POSITIVE_INFINITY };
  return {
    offsetMs: best.theirsMs - (best.sentMs + best.receivedMs) / 2,
    uncertaintyMs: (best.receivedMs - best.sentMs) / 2,
  };
}

/** Wall clock with the fraction of a millisecond, as QEMU's timestamps have it. */
export function wallClockMs(): number {
  return performance.timeOrigin + performance.now();
}

const PINGS = 5;

/** Asks the other side for its clock a few times. One machine has one clock, which the boot id tells. */
export async function measureClock(
  bootId: string,
  ping: (id: number) => Promise<{ clockMs: number; bootId: string }>,
): Promise<ClockOffset> {
  const readings: ClockReading[] = [];
  for (let id = 1; id <= PINGS; id += 1) {
    const sentMs = wallClockMs();
    const pong = await ping(id);
    if (pong.bootId === bootId) return { offsetMs: 0, uncertaintyMs: 0 };
    readings.push({ sentMs, theirsMs: pong.clockMs, receivedMs: wallClockMs() });
  }
  return clockOffset(readings);
}
