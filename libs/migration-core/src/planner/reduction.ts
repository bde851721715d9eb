import { PAGE_BYTES } from '../qemu-stream';
import { type PlannerSample, sentPageBytes } from './sample';

/** What a byte of the guest's memory costs on the link. */
export interface ReductionState {
  /** In the first pass: pages that the target has never held, without those of zeros. */
  readonly first: Crossed;
  /** In later passes, the newest counting most. */
  readonly later: Crossed;
}

interface Crossed {
  readonly pageBytes: number;
  readonly wireBytes: number;
}

/** Passes of a second ago count half. */
const HALF_LIFE_MS = 1_000;
/** With less than this of later passes, the first one counts along. */
const TRUSTED_BYTES = 1024 * 1024;
/** A page that does not reduce, with its headers. */
const SHARE_MAX = 1.1;
const SHARE_MIN = 0.001;

const NOTHING: Crossed = { pageBytes: 0, wireBytes: 0 };
export const INITIAL_REDUCTION: ReductionState = { first: NOTHING, later: NOTHING };

export function observeReduction(
  state: ReductionState,
  last: PlannerSample | null,
  sample: PlannerSample,
): ReductionState {
  if (!last || sample.atMs <= last.atMs) return state;
  const wireBytes = Math.max(0, sample.wireBytes - last.wireBytes);
  const pageBytes = sentPageBytes(last, sample);
  if (pageBytes === 0) return state;
  if (last.rounds < 2) {
    const zeroBytes = Math.max(0, sample.pages.zero - last.pages.zero) * PAGE_BYTES;
    return { ...state, first: sum(state.first, Math.max(0, pageBytes - zeroBytes), wireBytes, 1) };
  }
  const kept = 0.5 ** ((sample.atMs - last.atMs) / HALF_LIFE_MS);
  return { ...state, later: sum(state.later, pageBytes, wireBytes, kept) };
}

/**
 * Bytes on the link for a byte of a page that the guest wrote again. Pages of later passes are the ones that the
 * pause will send: they reduce far better than those of the first, because the target holds an older version.
 */
export function reducedShare({ first, later }: ReductionState): number {
  const share = first.pageBytes > 0 ? first.wireBytes / first.pageBytes : 1;
  const missing = Math.max(0, TRUSTED_BYTES - later.pageBytes);
  const blended = (later.wireBytes + Math.min(share, SHARE_MAX) * missing) / (later.pageBytes + missing);
  return Math.min(SHARE_MAX, Math.max(SHARE_MIN, blended));
}

function sum(crossed: Crossed, pageBytes: number, wireBytes: number, kept: number): Crossed {
  return {
    pageBytes: crossed.pageBytes * kept + pageBytes,
    wireBytes: crossed.wireBytes * kept + wireBytes,
  };
}
