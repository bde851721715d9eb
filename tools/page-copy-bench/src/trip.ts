/** What one move cost. */
export interface Trip {
  /** False when it was given up after the longest time; then there are bytes, and nothing else. */
  readonly hasConverged: boolean;
  readonly wireBytes: number;
  /** From the command, with the start of the target's QEMU, until the target's guest runs. */
  readonly totalS: number;
  /** From the begin of QEMU's migration until the target's guest runs. */
  readonly copyS?: number | undefined;
  /** From the source's STOP to the target's RESUME, by QEMU's events on one clock. */
  readonly downtimeMs?: number | undefined;
  /** Processor seconds of both ends outside the guest's own. */
  readonly cpuS?: number | undefined;
  /** The highest resident memory of the agents, the greater of both sides. */
  readonly agentMiB?: number | undefined;
  /** What the contender says of itself, in words and figures. */
  readonly details: Readonly<Record<string, unknown>>;
}

export interface TripLimits {
  readonly downtimeLimitMs: number;
  readonly timeoutMs: number;
}

/** Milliseconds since 1970 with fractions, on the clock that QEMU's events are stamped by. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
