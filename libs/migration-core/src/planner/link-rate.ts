import type { PlannerSample } from './sample';

/** What the link and the two ends are known to carry. */
export interface LinkRateState {
  /** Samples of the last moments under the same conditions, oldest first. */
  readonly points: readonly RatePoint[];
  readonly heldBackBy: PlannerSample['heldBackBy'];
  /** The shortest that bytes were seen to take, from their sending to the word that they are applied. */
  readonly leastDelayMs: number | null;
  /** Null until it was seen at work. */
  readonly wireBytesPerSecond: number | null;
  /** Of the stream, read, encoded and applied; null until some was. What was not seen is not promised. */
  readonly streamBytesPerSecond: number | null;
}

interface RatePoint {
  readonly atMs: number;
  readonly receivedWireBytes: number;
  readonly streamBytes: number;
  readonly appliedStreamBytes: number;
  readonly unreceivedWireBytes: number;
  readonly remainingBytes: number;
}

/** Until the link was seen at work. */
export const ASSUMED_WIRE_BYTES_PER_SECOND = 10 * 1024 * 1024;
/** And the two ends: a fifth of what one core encodes of a stream that reduces well. */
export const ASSUMED_STREAM_BYTES_PER_SECOND = 50e6;
const WINDOW_MS = 500;
const WINDOW_POINTS_MAX = 16;
/** Acknowledgements come in bursts: over less than this a rate is chance. */
const WINDOW_MS_MIN = 200;
/** A faster second that is long past says less of what the link does now; half of it is forgotten in a minute. */
const DECAY = 0.997;
const DECAY_MS = 250;
/**
 * Bytes that take this long, and twice as long as they can, wait for the link: then that is what is slow, and not the
 * source that sends little. Threads that wait for a processor, and acknowledgements that wait for company, take their
 * time on idle links too.
 */
const BUSY_DELAY_MS = 50;
const BUSY_DELAYS = 2;
/** The least delay is looked for anew by and by: routes change. */
const LEAST_DELAY_RISE = 1.01;
/** A link with less than this waiting is not what keeps the ends from working. */
const IDLE_QUEUE_MS = 20;
const FALL_HALF_LIFE_MS = 400;
const RISE_SHARE = 0.5;
/** The link has room, QEMU has this much to send, and still no more crosses: then the ends are what is slow. */
const LINK_IDLE_SHARE = 0.7;
/** Slower counts as this: what is divided by it stays a figure. */
const BYTES_PER_SECOND_MIN = 1_000;
const PLENTY_BYTES = 4 * 1024 * 1024;

export const INITIAL_LINK_RATE: LinkRateState = {
  points: [],
  heldBackBy: null,
  leastDelayMs: null,
  wireBytesPerSecond: null,
  streamBytesPerSecond: null,
};

/**
 * Measures from what the target acknowledged: as received for the link, as applied for the ends. Speed is believed quickly when it rises, slowly lost when the source
 * had nothing to send, and quickly lost when bytes were waiting: their delay, which by Little's law (Operations
 * Research 9, 1961) is what is under way divided by what arrives, stands well above the least that was seen. What is
 * under way says nothing by itself: it is bounded by the speed believed in, so that a speed too low would prove itself.
 * A source that is held back shows what the link carries at least, never that it carries less; and where the target
 * let the link wait, the delay says nothing of the link either.
 */
export function measureLink(state: LinkRateState, sample: PlannerSample): LinkRateState {
  const { heldBackBy } = sample;
  const newest: RatePoint = {
    atMs: sample.atMs,
    receivedWireBytes: sample.wireBytes - sample.unreceivedWireBytes,
    streamBytes: sample.streamBytes,
    appliedStreamBytes: sample.appliedStreamBytes,
    unreceivedWireBytes: sample.unreceivedWireBytes,
    remainingBytes: sample.remainingBytes,
  };
  const last = state.points.at(-1);
  if (!last || newest.atMs <= last.atMs || heldBackBy !== state.heldBackBy)
    return { ...state, heldBackBy, points: [newest] };
  const points = [...state.points, newest]
    .filter((_point, index, all) => {
      const next = all[index + 1];
      return next === undefined || newest.atMs - next.atMs < WINDOW_MS;
    })
    .slice(-WINDOW_POINTS_MAX);
  const spanMs = newest.atMs - points[0]!.atMs;
  if (spanMs < WINDOW_MS_MIN) return { ...state, points };
  const elapsedMs = newest.atMs - last.atMs;
  const seen = { points, spanMs, elapsedMs, heldBackBy };
  const delayMs = delayOf(seen);
  const wire = wireRate(state, seen, delayMs);
  return {
    points,
    heldBackBy,
    leastDelayMs: Math.min(delayMs, (state.leastDelayMs ?? delayMs) * LEAST_DELAY_RISE),
    wireBytesPerSecond: atLeast(wire),
    streamBytesPerSecond: atLeast(streamRate(state, seen, wire)),
  };
}

function atLeast(rate: number | null): number | null {
  return rate === null ? null : Math.max(BYTES_PER_SECOND_MIN, rate);
}

interface Seen {
  readonly points: readonly RatePoint[];
  readonly spanMs: number;
  readonly elapsedMs: number;
  readonly heldBackBy: PlannerSample['heldBackBy'];
}

function wireRate(state: LinkRateState, seen: Seen, delayMs: number): number | null {
  const { wireBytesPerSecond: known, leastDelayMs } = state;
  const measured = rate(seen, 'receivedWireBytes');
  const isBusy =
    seen.heldBackBy !== 'target' && delayMs > Math.max(BUSY_DELAY_MS, BUSY_DELAYS * (leastDelayMs ?? 0));
  // A link that carried little because there was little to carry is not known by that.
  if (known === null)
    return measured > 0 && (isBusy || measured > ASSUMED_WIRE_BYTES_PER_SECOND) ? measured : null;
  if (measured >= known) return known + (measured - known) * RISE_SHARE;
  if (isBusy) return towards(known, measured, seen.elapsedMs);
  return seen.heldBackBy !== null ? known : Math.max(measured, known * DECAY ** (seen.elapsedMs / DECAY_MS));
}

/** Mean time from the sending of a byte to the word that it is received; a large figure while none arrives. */
function delayOf(seen: Seen): number {
  const queuedBytes =
    seen.points.reduce((sum, { unreceivedWireBytes }) => sum + unreceivedWireBytes, 0) / seen.points.length;
  const bytesPerSecond = rate(seen, 'receivedWireBytes');
  if (queuedBytes === 0) return 0;
  return bytesPerSecond > 0 ? (queuedBytes * 1_000) / bytesPerSecond : Number.MAX_SAFE_INTEGER;
}

function streamRate(state: LinkRateState, seen: Seen, wireBytesPerSecond: number | null): number | null {
  const known = state.streamBytesPerSecond;
  // Of both ends: a queue that drains crosses faster than anything can be read and encoded.
  const measured = Math.min(rate(seen, 'streamBytes'), rate(seen, 'appliedStreamBytes'));
  if (known === null) return measured > 0 ? measured : null;
  if (measured >= known) return known + (measured - known) * RISE_SHARE;
  if (seen.heldBackBy === 'operator' || seen.heldBackBy === 'pacing' || !wireBytesPerSecond) return known;
  const isLinkIdle =
    rate(seen, 'receivedWireBytes') < LINK_IDLE_SHARE * wireBytesPerSecond &&
    seen.points.every((point) => queueMs(point, wireBytesPerSecond) < IDLE_QUEUE_MS);
  const plenty = Math.max(PLENTY_BYTES, (measured * WINDOW_MS_MIN) / 1_000);
  const hasPlenty = seen.points.every((point) => point.remainingBytes >= plenty);
  return isLinkIdle && hasPlenty ? towards(known, measured, seen.elapsedMs) : known;
}

function rate(
  { points, spanMs }: Seen,
  what: 'receivedWireBytes' | 'streamBytes' | 'appliedStreamBytes',
): number {
  return (Math.max(0, points.at(-1)![what] - points[0]![what]) * 1_000) / spanMs;
}

function queueMs({ unreceivedWireBytes }: RatePoint, wireBytesPerSecond: number): number {
  return (unreceivedWireBytes * 1_000) / wireBytesPerSecond;
}

function towards(known: number, measured: number, elapsedMs: number): number {
  return measured + (known - measured) * 0.5 ** (elapsedMs / FALL_HALF_LIFE_MS);
}
