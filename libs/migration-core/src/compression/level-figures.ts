/** How a batch goes: as it is, or by zstd at a level. */
export type CompressionLevel = 'stored' | -5 | -1 | 1 | 3;
export type ZstdLevel = Exclude<CompressionLevel, 'stored'>;
export const ZSTD_LEVELS: readonly ZstdLevel[] = [-5, -1, 1, 3];

/** Of one worker. */
export interface LevelFigures {
  readonly bytesPerSecond: number;
  /** Raw bytes ÷ compressed bytes. */
  readonly ratio: number;
}

/** As known so far; `measuredAtBatch` is null while nothing was measured. */
export interface LevelKnowledge extends LevelFigures {
  readonly measuredAtBatch: number | null;
}
export type Knowledge = Readonly<Record<ZstdLevel, LevelKnowledge>>;

/** 128 pages of guest memory at a time on one core of a 2023 server. Where to begin; measurements replace it. */
const TYPICAL: Readonly<Record<ZstdLevel, LevelFigures>> = {
  '-5': { bytesPerSecond: 400e6, ratio: 1.85 },
  '-1': { bytesPerSecond: 350e6, ratio: 2.15 },
  1: { bytesPerSecond: 310e6, ratio: 2.4 },
  3: { bytesPerSecond: 160e6, ratio: 2.56 },
};
/** A measurement moves the ratio by a quarter of the difference: content changes from batch to batch. */
const WEIGHT = 1 / 4;
/**
 * Speed is believed quickly when it rises and slowly when it falls: what is measured is the time until somebody could
 * look, in which a batch may have waited for a worker, and its result for us.
 */
const FASTER_WEIGHT = 1 / 2;
const SLOWER_WEIGHT = 1 / 16;

export interface LevelMeasurement {
  readonly level: ZstdLevel;
  readonly rawBytes: number;
  readonly packedBytes: number;
  /** How long one worker was busy with the batch. */
  readonly compressMs: number;
}

export function initialKnowledge(): Knowledge {
  const unmeasured = (level: ZstdLevel): LevelKnowledge => ({ ...TYPICAL[level], measuredAtBatch: null });
  return { '-5': unmeasured(-5), '-1': unmeasured(-1), 1: unmeasured(1), 3: unmeasured(3) };
}

/** Takes a measurement in. One of nothing, or without duration, changes nothing. */
export function withMeasurement(knowledge: Knowledge, measured: LevelMeasurement, batch: number): Knowledge {
  const { level, rawBytes, packedBytes, compressMs } = measured;
  if (!(rawBytes > 0 && packedBytes > 0 && compressMs > 0)) return knowledge;
  const seen = { bytesPerSecond: (rawBytes / compressMs) * 1_000, ratio: rawBytes / packedBytes };
  const known = knowledge[level];
  const isFirst = known.measuredAtBatch === null;
  const weight = isFirst ? 1 : WEIGHT;
  const isFaster = seen.bytesPerSecond > known.bytesPerSecond;
  const speedWeight = isFirst ? 1 : isFaster ? FASTER_WEIGHT : SLOWER_WEIGHT;
  return {
    ...knowledge,
    [level]: {
      // Means of durations and of lengths, not of speeds.
      bytesPerSecond: harmonicStep(known.bytesPerSecond, seen.bytesPerSecond, speedWeight),
      ratio: harmonicStep(known.ratio, seen.ratio, weight),
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
  const slowness = knowledge[reference].bytesPerSecond / TYPICAL[reference].bytesPerSecond;
  const saved = (ratio: number) => Math.max(0, 1 - 1 / ratio);
  const density = saved(knowledge[reference].ratio) / saved(TYPICAL[reference].ratio);
  return {
    bytesPerSecond: own.bytesPerSecond * slowness,
    ratio: 1 / Math.max(0.01, 1 - saved(own.ratio) * density),
  };
}

function harmonicStep(known: number, seen: number, weight: number): number {
  return 1 / ((1 - weight) / known + weight / seen);
}
