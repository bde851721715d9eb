import { type DirtyCurveState, uniqueDirtyBytes } from './dirty-curve';
import {
  ASSUMED_STREAM_BYTES_PER_SECOND,
  ASSUMED_WIRE_BYTES_PER_SECOND,
  type LinkRateState,
} from './link-rate';
import { reducedShare, type ReductionState } from './reduction';
import type { PlannerLimits, PlannerSample } from './sample';

/** What the pause would be made of; the sum is `predictedDowntimeMs`. */
export interface DowntimeParts {
  /** Device state, its loading, and the words between the sides. */
  readonly fixedMs: number;
  /** What is ahead of the last pages: frames on the link, and the stream that the target has still to apply. */
  readonly queuedMs: number;
  /** The last pages: dirty bytes x reduced share ÷ bandwidth. */
  readonly dirtyMs: number;
  /** By how much encoding and applying those pages takes longer than the link, beside which they run. */
  readonly applyMs: number;
}

export interface Prediction {
  readonly predictedDowntimeMs: number;
  readonly parts: DowntimeParts;
  /** Pages that the pause would have to send. */
  readonly dirtyBytes: number;
  /** Bytes on the link for a byte of such pages. */
  readonly reducedShare: number;
  readonly wireBytesPerSecond: number;
  /** At which pages written again pass from QEMU into the target; what QEMU is told. */
  readonly logicalBytesPerSecond: number;
}

export interface Measured {
  readonly link: LinkRateState;
  readonly curve: DirtyCurveState;
  readonly reduction: ReductionState;
}

/**
 * The pause, if QEMU were allowed to stop the guest from now on. QEMU looks when this pass is sent: what is dirty
 * then was written since the pass began, so that the length of the pass decides and not what is left of it.
 *
 * downtime = fixed + queued ÷ bandwidth + unique dirty x reduced ÷ bandwidth (+ what the ends are slower than the
 * link). Estimates without the fixed part are the known flaw of others (cloud-hypervisor issue 8899); QEMU's own
 * stops at pending < bandwidth x limit (`migration/migration.c`), with the bandwidth into our socket.
 */
export function predict(measured: Measured, sample: PlannerSample, limits: PlannerLimits): Prediction {
  const { fit, passBeganMs, memoryBytes } = measured.curve;
  const measuredWire = measured.link.wireBytesPerSecond ?? ASSUMED_WIRE_BYTES_PER_SECOND;
  const wireBytesPerSecond = Math.min(measuredWire, limits.bandwidthBytesPerSecondMax ?? measuredWire);
  const share = reducedShare(measured.reduction);
  const streamBytesPerSecond = measured.link.streamBytesPerSecond ?? ASSUMED_STREAM_BYTES_PER_SECOND;
  const logicalBytesPerSecond = Math.min(wireBytesPerSecond / share, streamBytesPerSecond);
  const passMs =
    Math.max(0, sample.atMs - passBeganMs) + (sample.remainingBytes * 1_000) / logicalBytesPerSecond;
  const dirtyBytes =
    fit === null || sample.rounds < 2
      ? sample.remainingBytes
      : Math.min(memoryBytes, uniqueDirtyBytes(fit, passMs));
  const dirtyMs = (dirtyBytes * share * 1_000) / wireBytesPerSecond;
  const parts: DowntimeParts = {
    fixedMs: limits.fixedCostMs,
    queuedMs: Math.max(
      (sample.unreceivedWireBytes * 1_000) / wireBytesPerSecond,
      (Math.max(0, sample.streamBytes - sample.appliedStreamBytes) * 1_000) / streamBytesPerSecond,
    ),
    dirtyMs,
    applyMs: Math.max(0, (dirtyBytes * 1_000) / streamBytesPerSecond - dirtyMs),
  };
  return {
    predictedDowntimeMs: parts.fixedMs + parts.queuedMs + parts.dirtyMs + parts.applyMs,
    parts,
    dirtyBytes,
    reducedShare: share,
    wireBytesPerSecond,
    logicalBytesPerSecond,
  };
}

/** What the pages cost, without what no further pass can lower. */
export function copyMs({ parts }: Prediction): number {
  return parts.dirtyMs + parts.applyMs;
}
