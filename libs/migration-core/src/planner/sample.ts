import { PAGE_BYTES } from '../qemu-stream';

/** Page records of the stream so far, by how they crossed. */
export interface PagesByKind {
  readonly zero: number;
  /** The target holds this very page. */
  readonly same: number;
  readonly delta: number;
  /** The target holds the content in another page. */
  readonly copy: number;
  readonly raw: number;
}

/**
 * The operator's limit; that no more than a bound may be under way, or that QEMU copies no faster than the guest
 * writes; a target that lets the link wait because it cannot keep up.
 */
export const HELD_BACK_BY = ['operator', 'pacing', 'target'] as const;
export type HeldBackBy = (typeof HELD_BACK_BY)[number];

/** One look at a migration under way. Counters grow from the start of the move. */
export interface PlannerSample {
  /** Of a clock that never goes back. */
  readonly atMs: number;
  /** QEMU's `dirty-sync-count`: passes over the memory begun; 1 during the first. */
  readonly rounds: number;
  /** Memory that QEMU still has to send in this pass, as pages of the guest. */
  readonly remainingBytes: number;
  /** QEMU's `dirty-pages-rate` x `page-size`. QEMU takes it once a second, over whole passes. */
  readonly dirtyBytesPerSecond: number;
  /** Migration stream read from QEMU. */
  readonly streamBytes: number;
  /** Migration stream that the target has acknowledged as applied. */
  readonly appliedStreamBytes: number;
  /** Frames handed to the link, with those in `queuedWireBytes`. */
  readonly wireBytes: number;
  /** The part of `wireBytes` that the target has not acknowledged: queued here, on its way, or not yet applied. */
  readonly queuedWireBytes: number;
  /** The part of `queuedWireBytes` that has not reached the target: queued here, or on its way. */
  readonly unreceivedWireBytes: number;
  readonly pages: PagesByKind;
  /** What kept the source from sending all it could since the last sample: then its speed says little of the link. */
  readonly heldBackBy: HeldBackBy | null;
  /** Share of its time that the guest is kept from running; 0 when it is not. */
  readonly throttlePercent: number;
}

/** What the move is allowed. May change between samples. */
export interface PlannerLimits {
  /** Budget for the pause of the guest, from its stop here to its start on the target. */
  readonly downtimeLimitMs: number;
  /** The operator's limit on the link; null for none. */
  readonly bandwidthBytesPerSecondMax: number | null;
  readonly allows: {
    /** Share of its time that the guest may be kept from running, so that it writes less; 0 for none. */
    readonly throttlePercentMax: number;
    readonly postCopy: boolean;
  };
  /** From the first sample; null for no end. Time spent ready and waiting for the word does not end a move. */
  readonly totalMsMax: number | null;
  /** What a pause costs with nothing left to copy: device state, its loading, the words between the sides. */
  readonly fixedCostMs: number;
  /** The control plane has said that the guest may be taken from its source. */
  readonly maySwitch: boolean;
}

/** Until a move has taught better: 10 to 40 ms were measured under emulation. See learnFixedCost. */
export const FIXED_COST_START_MS = 30;

const LARGEST = Number.MAX_SAFE_INTEGER;

/** Counters as they can be: what a failing source of figures says must not become a decision that nobody can read. */
export function soundSample(sample: PlannerSample): PlannerSample {
  const wireBytes = sound(sample.wireBytes);
  const queuedWireBytes = Math.min(wireBytes, sound(sample.queuedWireBytes));
  return {
    atMs: sound(sample.atMs),
    rounds: Math.floor(sound(sample.rounds)),
    remainingBytes: sound(sample.remainingBytes),
    dirtyBytesPerSecond: sound(sample.dirtyBytesPerSecond),
    streamBytes: sound(sample.streamBytes),
    appliedStreamBytes: sound(sample.appliedStreamBytes),
    wireBytes,
    queuedWireBytes,
    unreceivedWireBytes: Math.min(queuedWireBytes, sound(sample.unreceivedWireBytes)),
    pages: {
      zero: sound(sample.pages.zero),
      same: sound(sample.pages.same),
      delta: sound(sample.pages.delta),
      copy: sound(sample.pages.copy),
      raw: sound(sample.pages.raw),
    },
    heldBackBy: sample.heldBackBy,
    throttlePercent: Math.min(100, sound(sample.throttlePercent)),
  };
}

/** The same for limits. A budget is at least 1 ms, the least that QEMU can be told. */
export function soundLimits(limits: PlannerLimits): PlannerLimits {
  const { bandwidthBytesPerSecondMax: bandwidth, totalMsMax } = limits;
  return {
    ...limits,
    allows: { ...limits.allows, throttlePercentMax: Math.min(99, sound(limits.allows.throttlePercentMax)) },
    downtimeLimitMs: Math.max(1, sound(limits.downtimeLimitMs)),
    bandwidthBytesPerSecondMax: bandwidth === null ? null : Math.max(1, sound(bandwidth)),
    totalMsMax: totalMsMax === null ? null : sound(totalMsMax),
    fixedCostMs: sound(limits.fixedCostMs),
  };
}

/**
 * Memory of the guest that left QEMU between two samples. Zero pages count whole, as they do in `remainingBytes`;
 * where the pages are not known, because the stream is passed on unread, its length stands for them.
 */
export function sentPageBytes(from: PlannerSample, to: PlannerSample): number {
  const pages = pageCount(to.pages) - pageCount(from.pages);
  return Math.max(0, pages * PAGE_BYTES, to.streamBytes - from.streamBytes);
}

function pageCount(pages: PagesByKind): number {
  return pages.zero + pages.same + pages.delta + pages.copy + pages.raw;
}

function sound(value: number): number {
  if (Number.isNaN(value) || value < 0) return 0;
  return Math.min(value, LARGEST);
}
