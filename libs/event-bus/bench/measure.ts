import { setTimeout as sleep } from 'node:timers/promises';

/** One figure of one round. */
export interface Sample {
  readonly contender: string;
  readonly figure: string;
  readonly unit: 'events/s' | 'ms';
  readonly value: number;
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Begins `work` at a steady pace whatever it takes, as events come in life; waiting in line counts as latency. */
export async function paced(
  perSecond: number,
  seconds: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  const startedAt = performance.now();
  const running: Promise<void>[] = [];
  for (let index = 0; index < perSecond * seconds; index += 1) {
    const dueMs = startedAt + (index * 1000) / perSecond - performance.now();
    if (dueMs > 1) await sleep(dueMs);
    running.push(work(index));
  }
  await Promise.all(running);
}

/** Minimum, median and maximum over the rounds, one line a figure. */
export function tableOf(samples: readonly Sample[]): string {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const name = `${sample.figure}|${sample.contender}`;
    groups.set(name, [...(groups.get(name) ?? []), sample]);
  }
  const show = (value: number) => (value >= 100 ? value.toFixed(0) : value.toFixed(2));
  const rows = [...groups.values()].map((group) => {
    const values = group.map(({ value }) => value);
    const [first] = group;
    return [
      first?.figure ?? '',
      first?.contender ?? '',
      first?.unit ?? '',
      ...[0, 0.5, 1].map((share) => show(percentile(values, share))),
      String(values.length),
    ];
  });
  rows.sort((a, b) => (a[0] ?? '').localeCompare(b[0] ?? ''));
  const lines = [['figure', 'contender', 'unit', 'min', 'median', 'max', 'rounds'], ...rows];
  const widths =
    lines[0]?.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length))) ?? [];
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
