import {
  FIXED_COST_START_MS,
  initialPlannerState,
  plan,
  type PlannerDecision,
  type PlannerLimits,
  type PlannerSample,
} from '../planner';
import { PAGE_BYTES } from '../qemu-stream';
import type { StreamSummary } from '../stream-encoder';
import { PageCopyError } from './errors';
import type { PageSender } from './page-sender';
import type { PageSet } from './page-set';
import type { PageSource } from './page-source';

/** The planner is asked so often within a round, and at the end of each. */
const LOOK_MS = 100;

export interface PreCopyOptions {
  readonly limits: Partial<PlannerLimits> & Pick<PlannerLimits, 'downtimeLimitMs'>;
  /** What the other side has said to have applied; default: everything that was sent. */
  readonly applied?: () => { readonly streamBytes: number; readonly wireBytes: number };
  readonly onDecision?: (decision: PlannerDecision, sample: PlannerSample) => void;
  readonly nowMs?: () => number;
  readonly signal?: AbortSignal;
}

export interface PreCopied {
  /** What is the best to do now, by the planner. */
  readonly next: 'stop-and-copy' | 'post-copy';
  /** Pages that the target lacks, or has in an older version. */
  readonly left: PageSet;
  readonly rounds: number;
  readonly decision: PlannerDecision | null;
}

/**
 * Copies pages while they are being written, round after round, until a pause for the rest would keep the downtime
 * limit (Clark et al., "Live migration of virtual machines", NSDI 2005), or the planner says that it never will.
 * Rejects with PageCopyError COPY_GIVEN_UP, or the reason of the signal; the source was never paused.
 */
export async function preCopy(
  source: PageSource,
  sender: PageSender,
  options: PreCopyOptions,
): Promise<PreCopied> {
  const pilot = new Pilot(sender, options);
  for (let rounds = 1; ; rounds += 1) {
    const dirty = await source.takeDirty();
    // What is left when nothing more is written needs no pause to speak of.
    if (rounds > 1 && dirty.size === 0)
      return { next: 'stop-and-copy', left: dirty, rounds: rounds - 1, decision: pilot.decision };
    pilot.beginRound(rounds, dirty.size);
    const found = await pilot.look();
    if (found) return { ...found, left: dirty, rounds };
    const left = dirty;
    for (const run of dirty.runs(64)) {
      options.signal?.throwIfAborted();
      await sender.sendRun(run);
      left.deleteRun(run);
      pilot.sent(run.pageCount);
      if (!pilot.isDue) continue;
      const next = await pilot.look();
      if (next) return { ...next, left, rounds };
    }
    await sender.endRound();
    await throttle(source, pilot.decision);
  }
}

export interface Stopped {
  readonly summary: StreamSummary;
  /** From before the pause until the last was handed to the link. */
  readonly pausedMs: number;
}

/**
 * Pauses the source and copies the rest. The source stays paused: resume it when the target turns out not to have all,
 * and never once the target runs. When it rejects, the source has been resumed.
 */
export async function stopAndCopy(source: PageSource, sender: PageSender, left: PageSet): Promise<Stopped> {
  const beganMs = performance.now();
  await source.pause();
  try {
    const last = await source.takeDirty();
    last.addAll(left);
    await sender.sendPages(last);
    const summary = await sender.end();
    return { summary, pausedMs: performance.now() - beganMs };
  } catch (error) {
    await source.resume();
    throw error;
  }
}

async function throttle(source: PageSource, decision: PlannerDecision | null): Promise<void> {
  if (decision?.kind === 'throttle') await source.throttle?.(decision.percent);
}

/** Looks at a copy and asks the planner. */
class Pilot {
  decision: PlannerDecision | null = null;
  #state = initialPlannerState();
  #rounds = 0;
  #leftPages = 0;
  #lookedMs = -Infinity;
  #roundBeganMs = 0;
  #dirtyBytesPerSecond = 0;

  constructor(
    private readonly sender: PageSender,
    private readonly options: PreCopyOptions,
  ) {}

  get #nowMs(): number {
    return this.options.nowMs?.() ?? performance.now();
  }

  get isDue(): boolean {
    return this.#nowMs - this.#lookedMs >= LOOK_MS;
  }

  beginRound(rounds: number, dirtyPages: number): void {
    const nowMs = this.#nowMs;
    if (rounds > 1)
      this.#dirtyBytesPerSecond = (dirtyPages * PAGE_BYTES * 1_000) / Math.max(1, nowMs - this.#roundBeganMs);
    this.#rounds = rounds;
    this.#leftPages = dirtyPages;
    this.#roundBeganMs = nowMs;
  }

  sent(pages: number): void {
    this.#leftPages -= pages;
  }

  /** What to do next, where that is something else than to go on. */
  async look(): Promise<Pick<PreCopied, 'next' | 'decision'> | null> {
    const { limits: given, onDecision, signal } = this.options;
    signal?.throwIfAborted();
    const limits: PlannerLimits = {
      bandwidthBytesPerSecondMax: null,
      allows: { throttlePercentMax: 0, postCopy: false },
      totalMsMax: null,
      fixedCostMs: FIXED_COST_START_MS,
      maySwitch: true,
      ...given,
    };
    const sample = this.#sample();
    const { state, decision } = plan(this.#state, sample, limits);
    this.#state = state;
    this.decision = decision;
    this.#lookedMs = sample.atMs;
    onDecision?.(decision, sample);
    if (decision.kind === 'give-up') throw new PageCopyError('COPY_GIVEN_UP', decision.reason);
    if (decision.kind === 'switch-over') return { next: 'stop-and-copy', decision };
    if (decision.kind === 'post-copy') return { next: 'post-copy', decision };
    return null;
  }

  #sample(): PlannerSample {
    const { counters, wireBytes } = this.sender;
    const applied = this.options.applied?.() ?? { streamBytes: counters.guestBytes, wireBytes };
    return {
      atMs: this.#nowMs,
      rounds: this.#rounds,
      remainingBytes: this.#leftPages * PAGE_BYTES,
      dirtyBytesPerSecond: this.#dirtyBytesPerSecond,
      streamBytes: counters.guestBytes,
      appliedStreamBytes: applied.streamBytes,
      wireBytes,
      queuedWireBytes: Math.max(0, wireBytes - applied.wireBytes),
      unreceivedWireBytes: Math.max(0, wireBytes - applied.wireBytes),
      pages: {
        zero: counters.zeroPages,
        same: counters.samePages,
        delta: counters.deltaPages,
        copy: counters.copiedPages,
        raw: counters.rawPages,
      },
      heldBackBy: null,
      throttlePercent: 0,
    };
  }
}
