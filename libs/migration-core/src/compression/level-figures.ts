/** How a batch goes: as it is, or by zstd at a level. */
export type CompressionLevel = 'stored' | -5 | -1 | 1 | 3 | 6;
export type ZstdLevel = Exclude<CompressionLevel, 'stored'>;
export const ZSTD_LEVELS: readonly ZstdLevel[] = [-5, -1, 1, 3, 6];

/** Whether each batch is compressed by itself, or builds on those before it. */
export type CompressionMode = 'batches' | 'stream';

/** Of one worker. */
export interface LevelFigures {
  readonly bytesPerSecond: number;
  /** Raw bytes ÷ compressed bytes. */
  readonly ratio: number;
}

/** As known so far; `measuredAtBatch` is null while nothing was measured. */
export interface LevelKnowledge extends LevelFigures {
  readonly typical: LevelFigures;
  readonly measuredAtBatch: number | null;
}
export type Knowledge = Readonly<Record<ZstdLevel, LevelKnowledge>>;

/** 128 pages of guest memory at a time on one core of a 2023 server. Where to begin; measurements replace it. */
const TYPICAL: Readonly<Record<CompressionMode, Readonly<Record<ZstdLevel, LevelFigures>>>> = {
  batches: {
    '-5': { bytesPerSecond: 400e6, ratio: 1.85 },
    '-1': { bytesPerSecond: 350e6, ratio: 2.15 },
    1: { bytesPerSecond: 310e6, ratio: 2.4 },
    3: { bytesPerSecond: 160e6, ratio: 2.56 },
    6: { bytesPerSecond: 70e6, ratio: 2.7 },
  },
  stream: {
    '-5': { bytesPerSecond: 325e6, ratio: 2.2 },
    '-1': { bytesPerSecond: 305e6, ratio: 2.5 },
    1: { bytesPerSecond: 240e6, ratio: 3.05 },
    3: { bytesPerSecond: 200e6, ratio: 3.1 },
    6: { bytesPerSecond: 100e6, ratio: 3.25 },
  },
};
/**
 * How far a measurement moves what is known; the first of a level by itself is all that is known. Speed is believed
 * more quickly when it rises than when it falls: what is measured is the time until somebody could look, in which a
 * batch may have waited for a worker, and its result for us. Of a stream, whose level is to stay, the first batch also
 * made the tables, and stretches of memory that repeat themselves say little of the rest: it is moved slowly.
 */
const WEIGHTS = {
  batches: { first: 1, ratio: 1 / 4, faster: 1 / 2, slower: 1 / 16 },
  stream: { first: 1 / 8, ratio: 1 / 32, faster: 1 / 8, slower: 1 / 32 },
} as const;

export interface LevelMeasurement {
  readonly level: ZstdLevel;
  readonly rawBytes: number;
  readonly packedBytes: number;
  /** How long one worker was busy with the batch. */
  readonly compressMs: number;
}

export function initialKnowledge(mode: CompressionMode): Knowledge {
  const unmeasured = (level: ZstdLevel): LevelKnowledge => {
    const typical = TYPICAL[mode][level];
    return { ...typical, typical, measuredAtBatch: null };
  };
  return { '-5': unmeasured(-5), '-1': unmeasured(-1), 1: unmeasured(1), 3: unmeasured(3), 6: unmeasured(6) };
}

/** Takes a measurement in. One of nothing, or without duration, changes nothing. */
export function withMeasurement(
  knowledge: Knowledge,
  measured: LevelMeasurement,
  batch: number,
  mode: CompressionMode = 'batches',
): Knowledge {
  const { level, rawBytes, packedBytes, compressMs } = measured;
  if (!(rawBytes > 0 && packedBytes > 0 && compressMs > 0)) return knowledge;
  const seen = { bytesPerSecond: (rawBytes / compressMs) * 1_000, ratio: rawBytes / packedBytes };
  const known = knowledge[level];
  const isFirst = known.measuredAtBatch === null;
  const weights = WEIGHTS[mode];
  const isFaster = seen.bytesPerSecond > known.bytesPerSecond;
  const speedWeight = isFirst ? weights.first : isFaster ? weights.faster : weights.slower;
  const ratioWeight = isFirst ? weights.first : weights.ratio;
  return {
    ...knowledge,
    [level]: {
      typical: known.typical,
      // Means of durations and of lengths, not of speeds.
      bytesPerSecond: harmonicStep(known.bytesPerSecond, seen.bytesPerSecond, speedWeight),
      ratio: harmonicStep(known.ratio, seen.ratio, ratioWeight),
      measuredAtBatch: batch,
    },
  };
}

/**
 * What is expected of a level. Of one never measured: what is typical, corrected by how the level last measured
 * compares with what is typical of it. A slow machine is slow at every level, dense content is dense at every level.
 */
export function expectedFigures(knowledge: Knowledge, level: ZstdLevel): LevelFigures {
  const own = knowledge[level];
  if (own.measuredAtBatch !== null) return own;
  let reference: ZstdLevel | null = null;
  for (const candidate of ZSTD_LEVELS) {
    const at = knowledge[candidate].measuredAtBatch;
    if (at !== null && (reference === null || at > knowledge[reference].measuredAtBatch!))
      reference = candidate;
  }
  if (reference === null) return own;
  const { typical, ...measured } = knowledge[reference];
  const slowness = measured.bytesPerSecond / typical.bytesPerSecond;
  const saved = (ratio: number) => Math.max(0, 1 - 1 / ratio);
  const density = saved(measured.ratio) / saved(typical.ratio);
  return {
    bytesPerSecond: own.bytesPerSecond * slowness,
    ratio: 1 / Math.max(0.01, 1 - saved(own.ratio) * density),
  };
}

function harmonicStep(known: number, seen: number, weight: number): number {
  return 1 / ((1 - weight) / known + weight / seen);
}
