import type { LevelCost } from './level-chooser';
import type { CompressionLevel } from './level-figures';

export function levelName(level: CompressionLevel): string {
  return level === 'stored' ? 'stored' : `zstd ${level}`;
}

/** Why the level is in use, with the figures it was chosen by. */
export function reasonFor(
  level: CompressionLevel,
  costs: readonly LevelCost[],
  linkBytesPerSecond: number,
  workerCount: number,
): string {
  const link = `the link takes ${megabytes(linkBytesPerSecond)}`;
  if (level === 'stored') {
    const quickest = costs.reduce((best, next) =>
      next.level !== 'stored' && (best.level === 'stored' || next.cost < best.cost) ? next : best,
    );
    const given = `${levelName(quickest.level)} ${givesText(quickest, workerCount)}`;
    const limit =
      quickest.compressBytesPerSecond < quickest.linkRawBytesPerSecond
        ? 'compressing would be the limit'
        : 'compressing would hardly save bytes';
    return `stored: ${link}, ${given}: ${limit}`;
  }
  const chosen = costs.find((cost) => cost.level === level);
  if (!chosen) return `${levelName(level)}: ${link}`;
  const limit =
    chosen.linkRawBytesPerSecond <= chosen.compressBytesPerSecond
      ? 'the link is the limit'
      : 'compressing is the limit, and still quicker than sending more';
  return `${levelName(level)}: ${link}, ${levelName(level)} ${givesText(chosen, workerCount)}: ${limit}`;
}

function givesText({ compressBytesPerSecond, ratio }: LevelCost, workerCount: number): string {
  const by = workerCount === 1 ? 'one worker' : `${workerCount} workers`;
  return `gives ${megabytes(compressBytesPerSecond)} by ${by} at ${ratio.toFixed(2)}x`;
}

function megabytes(bytesPerSecond: number): string {
  const value = bytesPerSecond / 1e6;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} MB/s`;
}
