import { cpus, totalmem } from 'node:os';

import { createHostTools } from '@watari/host-tools';

import type { Trip, TripLimits } from './trip';
import type { Workload } from './workloads';

export interface Measured {
  readonly workload: string;
  readonly rate: number;
  readonly run: number;
  readonly contender: string;
  readonly direction: 'there' | 'back';
  readonly trip: Trip;
}

interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly of: (trip: Trip) => number | undefined;
  readonly digits: number;
}

const FIGURES: readonly Figure[] = [
  { name: 'wire', unit: 'MB', of: ({ wireBytes }) => wireBytes / 1e6, digits: 1 },
  { name: 'total time', unit: 's', of: ({ totalS }) => totalS, digits: 2 },
  { name: 'copy time', unit: 's', of: ({ copyS }) => copyS, digits: 2 },
  { name: 'downtime', unit: 'ms', of: ({ downtimeMs }) => downtimeMs, digits: 1 },
  { name: 'processor', unit: 's', of: ({ cpuS }) => cpuS, digits: 2 },
  { name: 'agent memory', unit: 'MiB', of: ({ agentMiB }) => agentMiB, digits: 0 },
];

const OURS = 'watari';

/** Plain text: what was measured on, then a line for each figure with its median, its ratio and all runs. */
export async function writeTable(
  settings: {
    readonly memoryMiB: number;
    readonly workloads: readonly Workload[];
    readonly limits: TripLimits;
    readonly dwellMs: number;
  },
  measured: readonly Measured[],
): Promise<string> {
  const version = (await createHostTools().resolve('qemu-system-x86_64')).version ?? 'of unknown version';
  const processors = cpus();
  const head = [
    `# ${new Date().toISOString().slice(0, 10)}, ${processors[0]?.model ?? 'unknown processor'}, ${processors.length} processors, ` +
      `${Math.round(totalmem() / 1024 ** 3)} GiB, Node ${process.version}, QEMU ${version}`,
    `# Guests of ${settings.memoryMiB} MiB and one processor, emulated (TCG): no KVM was used. Both hosts, both agents and the guest share the machine.`,
    `# Two network namespaces, a veth pair, a token bucket on both ends. Downtime limit ${settings.limits.downtimeLimitMs} ms for all.`,
    `# "back" is the return trip ${settings.dwellMs / 1_000} s after the guest arrived. A trip is given up after ${settings.limits.timeoutMs / 1_000} s.`,
    ...settings.workloads.map(({ name, title }) => `# ${name}: ${title}`),
    '# wire: all bytes on the veth, both directions, headers included. total time: from the command, start of the target QEMU included.',
    '# downtime: from STOP to RESUME by QEMU events. processor: of agents (watari) or of QEMU outside the vCPU (peers), both ends.',
    `# ratio: ${OURS}'s median divided by this one's; none where a trip was not finished. Link cut and sibling guest: not measured yet.`,
  ];
  return `${[...head, ...aligned(tableRows(measured))].join('\n')}\n`;
}

/** Head and lines. Of trips that were not finished no ratio is made. */
export function tableRows(measured: readonly Measured[]): string[][] {
  const rows = [['workload', 'Mbit/s', 'trip', 'figure', 'contender', 'unit', 'median', 'ratio', 'runs']];
  for (const group of groups(measured))
    for (const figure of FIGURES)
      for (const contender of new Set(group.map((entry) => entry.contender)))
        rows.push(...rowOf(group, figure, contender));
  return rows;
}

function rowOf(group: readonly Measured[], figure: Figure, contender: string): string[][] {
  const entries = group.filter((entry) => entry.contender === contender);
  const middle = median(values(entries, figure));
  if (middle === undefined) return [];
  const ours = group.filter((entry) => entry.contender === OURS);
  const isComparable = contender !== OURS && [...entries, ...ours].every(({ trip }) => trip.hasConverged);
  const oursMedian = isComparable ? median(values(ours, figure)) : undefined;
  const { workload, rate, direction } = entries[0]!;
  const runs = entries.flatMap(({ trip }) => {
    const value = figure.of(trip);
    return value === undefined
      ? []
      : `${value.toFixed(figure.digits)}${trip.hasConverged ? '' : ' (not finished)'}`;
  });
  return [
    [
      ...[workload, `${rate}`, direction, figure.name, contender, figure.unit, middle.toFixed(figure.digits)],
      ...[oursMedian === undefined ? '-' : (oursMedian / middle).toFixed(2), runs.join(' ')],
    ],
  ];
}

function groups(measured: readonly Measured[]): Measured[][] {
  const byKey = new Map<string, Measured[]>();
  for (const entry of measured) {
    const key = `${entry.workload} ${entry.rate} ${entry.direction}`;
    byKey.set(key, [...(byKey.get(key) ?? []), entry]);
  }
  return [...byKey.values()];
}

function values(entries: readonly Measured[], figure: Figure): number[] {
  return entries.flatMap(({ trip }) => figure.of(trip) ?? []);
}

export function median(found: readonly number[]): number | undefined {
  const sorted = [...found].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle];
  const [low, high] = [sorted[middle - 1], sorted[middle]];
  return low === undefined || high === undefined ? undefined : (low + high) / 2;
}

function aligned(rows: readonly string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}
