import { cp, mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostTools, createHostTools, ensureHostTools } from '@watari/host-tools';
import { randomFrom } from '../../testing/synthetic-disks';

export interface SampleDisk {
  readonly path: string;
  readonly sizeBytes: number;
}

const MIB = 1024 * 1024;

/** A disk with data that deflate well, data that do not, holes, zeros that are stored, and an odd end. */
export async function sampleDisk(path: string, sizeBytes = 12 * MIB + 512): Promise<SampleDisk> {
  const random = randomFrom(4711);
  const noise = Buffer.from(Array.from({ length: 300_000 }, () => Math.floor(random() * 256)));
  const file = await open(path, 'wx');
  try {
    await file.truncate(sizeBytes);
    await file.write('first sector', 0);
    await file.write(noise, 0, noise.length, MIB + 777);
    await file.write(Buffer.from('Watari '.repeat(40_000)), 0, 280_000, 4 * MIB);
    await file.write(Buffer.alloc(500_000), 0, 500_000, 6 * MIB);
    await file.write('last', sizeBytes - 4);
  } finally {
    await file.close();
  }
  return { path, sizeBytes };
}

/** What qemu-img calls each image that other programs could have made. */
export const SAMPLE_KINDS = {
  'vmdk-sparse': { format: 'vmdk', options: 'subformat=monolithicSparse' },
  'vmdk-flat': { format: 'vmdk', options: 'subformat=monolithicFlat' },
  'vmdk-split': { format: 'vmdk', options: 'subformat=twoGbMaxExtentSparse' },
  'vmdk-split-flat': { format: 'vmdk', options: 'subformat=twoGbMaxExtentFlat' },
  'vmdk-stream': { format: 'vmdk', options: 'subformat=streamOptimized' },
  'vhd-dynamic': { format: 'vpc', options: 'subformat=dynamic,force_size=on' },
  'vhd-fixed': { format: 'vpc', options: 'subformat=fixed,force_size=on' },
  'vhdx-dynamic': { format: 'vhdx', options: 'subformat=dynamic' },
  'vhdx-fixed': { format: 'vhdx', options: 'subformat=fixed' },
  parallels: { format: 'parallels', options: 'cluster_size=1048576' },
  qcow2: { format: 'qcow2', options: 'compat=1.1' },
} as const;
export type SampleKind = keyof typeof SAMPLE_KINDS;

/** Makes an image by qemu-img, in a new folder of its own. */
export async function sampleImage(
  tools: HostTools,
  folder: string,
  kind: SampleKind,
  disk: SampleDisk,
): Promise<string> {
  await mkdir(folder);
  const { format, options } = SAMPLE_KINDS[kind];
  const path = join(folder, 'disk.img');
  await tools.run('qemu-img', ['convert', '-f', 'raw', '-O', format, '-o', options, disk.path, path]);
  return path;
}

/** Writes bytes into a file. */
export async function patch(path: string, at: number, bytes: Buffer): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.write(bytes, 0, bytes.length, at);
  } finally {
    await file.close();
  }
}

export const ALL_SAMPLE_KINDS = Object.keys(SAMPLE_KINDS) as readonly SampleKind[];

/** Images of one disk, for the specs of a file. */
export class SampleSet {
  private count = 0;

  private constructor(
    readonly folder: string,
    readonly tools: HostTools,
    readonly disk: SampleDisk,
  ) {}

  static async make(kinds: readonly SampleKind[] = ALL_SAMPLE_KINDS): Promise<SampleSet> {
    await ensureHostTools(['qemu-img']);
    const tools = createHostTools();
    const folder = await mkdtemp(join(tmpdir(), 'sample-images-spec-'));
    const disk = await sampleDisk(join(folder, 'disk.raw'));
    for (const kind of kinds) await sampleImage(tools, join(folder, kind), kind, disk);
    return new SampleSet(folder, tools, disk);
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  /** A sample that must not be changed. */
  pathOf(kind: SampleKind): string {
    return join(this.folder, kind, 'disk.img');
  }

  /** A path in the folder that nothing is at. */
  newPath(): string {
    this.count += 1;
    return join(this.folder, `new-${this.count}`);
  }

  /** A copy of a sample, with all of its files, in a folder of its own. */
  async copyOf(kind: SampleKind): Promise<string> {
    const target = this.newPath();
    await cp(join(this.folder, kind), target, { recursive: true });
    return join(target, 'disk.img');
  }

  async spoilt(kind: SampleKind, at: number, bytes: Buffer): Promise<string> {
    const path = await this.copyOf(kind);
    await patch(path, at, bytes);
    return path;
  }
}

export function u32le(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function u64le(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}
