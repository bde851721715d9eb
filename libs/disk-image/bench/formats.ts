import { mkdir, mkdtemp, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type HostTools, createHostTools, ensureHostTools } from '@watari/host-tools';
import { examineImage } from '../src/formats/examine-image';
import { unpackImage } from '../src/formats/unpack-image';
import { writeImage } from '../src/formats/write-image';
import { WRITTEN_KINDS, type WrittenKindName } from '../src/formats/written-kinds';

/**
 * Our writing and reading of images beside plain `qemu-img convert` of the same disk with the same options, in
 * pairs whose order turns, so that a machine that grows slow grows slow for both:
 *
 *   node --conditions=@watari/source --require ./tools/workspace/run-typescript.cjs \
 *     libs/disk-image/bench/formats.ts --disk server.raw --folder /dev/shm --rounds 7 \
 *     --out libs/disk-image/bench/formats.bench
 *
 * Ours includes examining the source before and the result afterwards, confinement, repairs and, for an OVA, its
 * digests. The ratio is the peer's time by ours: above 1 is faster than the peer.
 */
interface Pair {
  readonly figure: string;
  /** What both read, in a folder that is removed afterwards. */
  readonly prepare?: () => Promise<void>;
  readonly peer: (target: string) => Promise<void>;
  readonly ours: (target: string) => Promise<void>;
}

interface Bench {
  readonly tools: HostTools;
  readonly disk: string;
  readonly folder: string;
}

const NAME = 'disk.img';
/** Where a pair takes longer, fewer rounds have to do. */
const PAIR_MS_MAX = 60_000;
const ROUNDS_MIN = 3;
/** statfs(2). */
const TMPFS_MAGIC = 0x01021994;
const KINDS: readonly WrittenKindName[] = [
  ...(['raw', 'qcow2', 'vmdk', 'vmdk-flat', 'vmdk-split', 'vmdk-split-flat', 'vhd', 'vhd-fixed'] as const),
  ...(['vhdx', 'parallels', 'ploop', 'vmdk-stream', 'ova'] as const),
];
const MACHINE = {
  name: 'server',
  cpuCount: 2,
  memoryMib: 1024,
  firmware: 'bios',
  diskController: 'pvscsi',
  nicModel: 'vmxnet3',
  nics: [{ network: 'VM Network' }],
} as const;
/** What the peer is asked for where we write by ourselves; an OVA holds such a disk. */
const STREAM = { format: 'vmdk', options: ['subformat=streamOptimized'] };

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      disk: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      folder: { type: 'string', default: tmpdir() },
      only: { type: 'string' },
      out: { type: 'string' },
    },
  });
  if (values.disk === undefined) throw new Error('Give a raw disk with a system on it: --disk server.raw');
  await ensureHostTools(['qemu-img']);
  const tools = createHostTools();
  const rounds = Number(values.rounds);
  const folder = await mkdtemp(join(values.folder, 'watari-bench-'));
  try {
    const bench = { tools, disk: values.disk, folder };
    const all = [...KINDS.map((kind) => writing(bench, kind)), ...readings(bench)];
    const pairs = all.filter(({ figure }) => values.only === undefined || figure.includes(values.only));
    const rows: string[][] = [['figure', 'peer s', 'ours s', 'ratio min', 'median', 'max', 'rounds']];
    for (const pair of pairs) {
      const seconds = await measure(pair, rounds, folder);
      const ratios = seconds.map(({ peer, ours }) => peer / ours);
      const peer = middle(seconds.map((each) => each.peer));
      const ours = middle(seconds.map((each) => each.ours));
      const range = [Math.min(...ratios), middle(ratios), Math.max(...ratios)];
      rows.push([
        pair.figure,
        ...[peer, ours, ...range].map((value) => value.toFixed(2)),
        `${seconds.length}`,
      ]);
      process.stderr.write(`${rows.at(-1)?.join('  ') ?? ''}\n`);
    }
    const text = `${await headOf(bench, values.folder)}\n${tableOf(rows)}\n`;
    process.stdout.write(text);
    if (values.out) await writeFile(values.out, text);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function writing({ tools, disk }: Bench, kind: WrittenKindName): Pair {
  const { qemu = STREAM } = WRITTEN_KINDS[kind];
  const asked = qemu.options.length > 0 ? ['-o', qemu.options.join(',')] : [];
  return {
    figure: `write ${kind}`,
    peer: async (target) => {
      await mkdir(target);
      await convert(tools, ['-f', 'raw', '-O', qemu.format, ...asked, disk, join(target, NAME)]);
    },
    ours: async (target) => {
      const source = { path: disk, format: 'raw' } as const;
      await writeImage({ source, kind, folder: target, name: NAME, tools, machine: MACHINE });
    },
  };
}

/** Images that the peer made, read by both. */
function readings({ tools, disk, folder }: Bench): Pair[] {
  const kinds = KINDS.filter((kind) => !['ova', 'ploop'].includes(kind));
  return kinds.map((kind) => {
    const { qemu = STREAM, format } = WRITTEN_KINDS[kind];
    const path = join(folder, 'source', NAME);
    const asked = qemu.options.length > 0 ? ['-o', qemu.options.join(',')] : [];
    return {
      figure: `read ${kind}`,
      prepare: () => convert(tools, ['-f', 'raw', '-O', qemu.format, ...asked, disk, path]),
      peer: async (target) => {
        await mkdir(target);
        await convert(tools, ['-f', qemu.format, '-O', 'raw', path, join(target, NAME)]);
      },
      ours: async (target) => {
        await mkdir(target);
        const examination = await examineImage(path, { format });
        await unpackImage({ examination, targetPath: join(target, NAME), tools });
      },
    };
  });
}

async function convert(tools: HostTools, args: readonly string[]): Promise<void> {
  await tools.run('qemu-img', ['convert', ...args], { timeoutMs: 60 * 60_000 });
}

async function measure(
  { prepare, peer, ours }: Pair,
  rounds: number,
  folder: string,
): Promise<{ readonly peer: number; readonly ours: number }[]> {
  const timed = async (work: (target: string) => Promise<void>): Promise<number> => {
    const target = join(folder, 'target');
    const startedAt = performance.now();
    await work(target);
    const seconds = (performance.now() - startedAt) / 1000;
    await rm(target, { recursive: true });
    return seconds;
  };
  const source = join(folder, 'source');
  await mkdir(source);
  await prepare?.();
  // Once each for the page cache.
  await timed(peer);
  await timed(ours);
  const seconds: { peer: number; ours: number }[] = [];
  const startedAt = performance.now();
  for (let round = 0; round < rounds; round += 1) {
    const isLong = performance.now() - startedAt > PAIR_MS_MAX;
    if (isLong && round >= ROUNDS_MIN) break;
    if (round % 2 === 0) seconds.push({ peer: await timed(peer), ours: await timed(ours) });
    else {
      const first = await timed(ours);
      seconds.push({ ours: first, peer: await timed(peer) });
    }
  }
  await rm(source, { recursive: true });
  return seconds;
}

function middle(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

async function headOf({ tools, disk }: Bench, folder: string): Promise<string> {
  const where =
    (await statfs(folder)).type === TMPFS_MAGIC ? 'memory (tmpfs)' : 'a disk, and are not flushed to it';
  const { version } = await tools.resolve('qemu-img');
  const { size, blocks } = await stat(disk);
  const [cpu] = cpus();
  const mib = (bytes: number): string => `${Math.round(bytes / 1024 ** 2)} MiB`;
  return [
    `# ${cpu?.model ?? 'unknown processor'}, ${cpus().length} processors, ${Math.round(totalmem() / 1024 ** 3)} GiB, Node ${process.version}, qemu-img ${version ?? ''}`,
    `# A server's disk of ${mib(size)}, ${mib(blocks * 512)} stored, in the page cache. Images go to ${where}.`,
    '# Peer: plain qemu-img convert with the same options; for an OVA a streamOptimized VMDK, without digests and archive.',
    '# Seconds are medians. Ratio: the peer by ours in a pair, above 1 is faster than the peer.',
  ].join('\n');
}

function tableOf(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

main().catch((error: unknown) => {
  process.stderr.write(`${(error as Error).stack ?? String(error)}\n`);
  process.exitCode = 1;
});
