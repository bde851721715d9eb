import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type HostTools, HostToolFailed } from '@watari/host-tools';
import { DiskUnusable } from '../errors';
import { Scratch } from '../file-system/scratch';
import { convertByQemuImg } from '../image/qemu-img';
import { fullTarget, refuseTooSmall, targetError } from '../image/sparse-copy';
import { confine } from './confined-tools';
import { diskPieces } from './disk-pieces';
import { examineImage } from './examine-image';
import type { ImageExamination } from './image-format';
import { OutputFile, overQuota } from './output-file';
import type { OvaMachine } from './ova/describe-machine';
import { writeOva } from './ova/write-ova';
import { describePloop } from './parallels/describe-ploop';
import { PLOOP_DESCRIPTOR } from './parallels/examine-ploop';
import { unpackImage } from './unpack-image';
import { requireRegions } from './vhdx/require-regions';
import { GRAIN_BYTES, type VmdkAdapter, vmdkStream } from './vmdk/stream-writer';
import { WRITTEN_KINDS, type WrittenKind, type WrittenKindName } from './written-kinds';

export interface WriteImageOptions {
  /** A finished disk; only read. */
  readonly source: { readonly path: string; readonly format: 'raw' | 'qcow2' };
  readonly kind: WrittenKindName;
  /** A folder that is not there yet; the image's files are made in it. */
  readonly folder: string;
  /** What the image is called; kinds of several files put their parts' names beside it. */
  readonly name: string;
  readonly tools: HostTools;
  /** What descriptors of VMDK say that the disk is attached to; default ide. */
  readonly vmdkAdapter?: VmdkAdapter;
  /** What an OVA describes; only for that kind, where it must be given. */
  readonly machine?: OvaMachine;
  /** No file of the image may be longer; default: none that the kind does not set. */
  readonly fileBytesMax?: number;
  readonly onProgress?: (fraction: number) => void;
  readonly signal?: AbortSignal;
}

export interface WrittenImageFiles {
  /** Names in the folder; the one that the image is opened by comes first. */
  readonly names: readonly string[];
  /** The folder as a whole is the image. */
  readonly isBundle: boolean;
  /** Size of the disk in it: what the kind rounds it to. */
  readonly virtualBytes: number;
}

/** Zeros of this length are not written. */
const SPARSE = '64k';
const CREATE_TIMEOUT_MS = 10 * 60_000;
/** What a file may need beside its disk's bytes: tables, and the last cluster written whole. */
const FILE_OVERHEAD = 1.1;
const FILE_OVERHEAD_BYTES = 512 * 1024 * 1024;
/** zlib's own choice, which qemu-img makes as well. */
const DEFLATE_LEVEL = 6;
const NAME_BYTES_MAX = 200;
/** Of the 100 that a tar header has for a name, what the longest member's suffix leaves. */
const OVA_NAME_BYTES_MAX = 80;
const PLOOP_IMAGE = 'root.hdd';
const PLOOP_CLUSTER_BYTES = 1024 * 1024;

/**
 * Writes a disk as an image of another kind, zeros as holes where the kind has them. The source is only read,
 * and what is written is not flushed to the disk yet. When it rejects, the folder is not there: TARGET_DISK_FULL, TARGET_NAME_UNSUPPORTED, TARGET_DISK_EXISTS,
 * TARGET_NOT_WRITABLE, DISK_TOO_LARGE, what `examineImage` says of the source, a host tool's error or the reason
 * of an abort.
 */
export async function writeImage(options: WriteImageOptions): Promise<WrittenImageFiles> {
  const { folder, name, signal } = options;
  const kind = WRITTEN_KINDS[options.kind];
  refuseOddName(name, options.kind === 'ova' ? OVA_NAME_BYTES_MAX : NAME_BYTES_MAX);
  signal?.throwIfAborted();
  if (kind.format === 'ova') machineOf(options);
  const source = await examineImage(options.source.path, { format: options.source.format });
  const virtualBytes = roundedSize(options.kind, kind, source.virtualBytes);
  if (kind.qemu) await refuseTooSmall(dirname(folder), allocatedOf(source));
  await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
    throw targetError(error, folder);
  });
  const scratch = await Scratch.make();
  try {
    const writing = { ...options, kind, source, virtualBytes, scratch };
    return await (kind.qemu ? writeByQemuImg(writing, kind.qemu) : writeStream(writing));
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw writeError(error, options);
  } finally {
    await scratch.remove();
  }
}

interface Writing extends Omit<WriteImageOptions, 'kind' | 'source'> {
  readonly kind: WrittenKind;
  readonly source: ImageExamination;
  readonly virtualBytes: number;
  readonly scratch: Scratch;
}

async function writeByQemuImg(
  writing: Writing,
  qemu: { readonly format: string; readonly options: readonly string[] },
): Promise<WrittenImageFiles> {
  const { kind, source, virtualBytes, folder, scratch, onProgress, signal } = writing;
  const [first] = source.files;
  const name = kind.format === 'ploop' ? PLOOP_IMAGE : writing.name;
  const tools = confine(writing.tools, { fileBytesMax: fileBytesMaxOf(writing) });
  const asked = [
    ...qemu.options,
    ...(kind.namesAdapter ? [`adapter_type=${writing.vmdkAdapter ?? 'ide'}`] : []),
  ];
  const chosen = asked.length > 0 ? ['-o', asked.join(',')] : [];
  const isLarger = virtualBytes !== source.virtualBytes;
  if (isLarger) {
    // Converting never makes a disk larger, but fills one that is.
    await tools.run(
      'qemu-img',
      ['create', '-q', '-f', qemu.format, ...chosen, `./${name}`, `${virtualBytes}`],
      {
        cwd: folder,
        timeoutMs: CREATE_TIMEOUT_MS,
        ...(signal && { signal }),
      },
    );
  }
  const target = isLarger ? ['-n', '--target-is-zero'] : chosen;
  const from = await scratch.link(first?.path ?? '');
  await convertByQemuImg(
    ['-f', source.format, '-O', qemu.format, ...target, '-S', SPARSE, from, `./${name}`],
    { tools, folder, ...(onProgress && { onProgress }), ...(signal && { signal }) },
  );
  return finish(writing, name);
}

/** What is left to do when qemu-img is done. */
async function finish(writing: Writing, name: string): Promise<WrittenImageFiles> {
  const { kind, folder, virtualBytes } = writing;
  if (kind.format === 'vhdx') await requireRegions(join(folder, name));
  if (kind.format === 'ploop') {
    const descriptor = describePloop(PLOOP_IMAGE, virtualBytes, PLOOP_CLUSTER_BYTES);
    await writeFile(join(folder, PLOOP_DESCRIPTOR), descriptor, { flag: 'wx', mode: 0o600 });
  }
  const opened = kind.format === 'ploop' ? PLOOP_DESCRIPTOR : name;
  const others = (await readdir(folder)).filter((file) => file !== opened).sort();
  // Whatever wrote it: what comes out is an image that we would take.
  const written = await examineImage(join(folder, opened), { format: kind.format, skipDigests: true });
  return {
    names: [opened, ...others],
    isBundle: kind.format === 'ploop',
    virtualBytes: written.virtualBytes,
  };
}

/** A streamOptimized VMDK, by itself or on its way into an OVA. */
async function writeStream(writing: Writing): Promise<WrittenImageFiles> {
  const { kind, folder, name, virtualBytes, scratch, tools, onProgress, signal } = writing;
  const { rawPath, share } = await rawOf(writing);
  const pieces = (): ReturnType<typeof diskPieces> =>
    diskPieces({
      rawPath,
      virtualBytes,
      alignBytes: GRAIN_BYTES,
      tools: confine(tools, { fileBytesMax: 0 }),
      scratch,
      onProgress: (fraction) => onProgress?.(1 - share + share * fraction),
      ...(signal && { signal }),
    });
  const adapter = writing.vmdkAdapter ?? 'ide';
  const disk = (fileName: string): AsyncGenerator<Buffer, void> =>
    vmdkStream({ virtualBytes, name: fileName, adapter, level: DEFLATE_LEVEL, pieces: pieces() });
  const output = await OutputFile.create(join(folder, name), fileBytesMaxOf(writing));
  try {
    if (kind.format === 'ova') {
      const stem = name.replace(/\.ova$/i, '');
      await writeOva(output, { machine: machineOf(writing), stem, virtualBytes, disk, madeAt: new Date() });
    } else for await (const part of disk(name)) await output.append(part);
    await output.finish();
  } finally {
    await output.close();
  }
  if (rawPath !== writing.source.files[0]?.path) await rm(rawPath);
  return finish(writing, name);
}

/** Our own writers read raw disks; another one is unpacked beside the image first. */
async function rawOf({ source, folder, tools, onProgress, signal }: Writing): Promise<{
  readonly rawPath: string;
  /** Of the work that is left then. */
  readonly share: number;
}> {
  const [first] = source.files;
  if (source.format === 'raw' && first) return { rawPath: first.path, share: 1 };
  const rawPath = join(folder, '.unpacked');
  await unpackImage({
    examination: source,
    targetPath: rawPath,
    tools,
    onProgress: (fraction) => onProgress?.(fraction / 4),
    ...(signal && { signal }),
  });
  return { rawPath, share: 3 / 4 };
}

function machineOf({ machine }: Pick<WriteImageOptions, 'machine'>): OvaMachine {
  if (machine) return machine;
  throw new DiskUnusable(
    'TARGET_IMAGE_KIND_UNSUPPORTED',
    'An OVA describes a machine, and here is only its disk. Write another kind of image, such as vmdk-stream.',
  );
}

function roundedSize(kindName: WrittenKindName, kind: WrittenKind, virtualBytes: number): number {
  const rounded = Math.ceil(virtualBytes / kind.roundedToBytes) * kind.roundedToBytes;
  if (rounded <= kind.virtualBytesMax) return rounded;
  throw new DiskUnusable(
    'DISK_TOO_LARGE',
    `The disk has ${virtualBytes} bytes, and an image of the kind ${kindName} holds up to ${kind.virtualBytesMax}. Write another kind, or shrink the disk.`,
  );
}

function fileBytesMaxOf({ fileBytesMax, virtualBytes }: Writing): number {
  const needed = Math.ceil(virtualBytes * FILE_OVERHEAD) + FILE_OVERHEAD_BYTES;
  return Math.min(fileBytesMax ?? needed, needed);
}

function allocatedOf({ files }: ImageExamination): number {
  return files.reduce((sum, { allocatedBytes }) => sum + allocatedBytes, 0);
}

/** Names stand in descriptors of images, between quotes, and in headers of archives. */
function refuseOddName(name: string, bytesMax: number): void {
  const isPlain = /^[^"\\/:\p{Cc}]+$/u.test(name) && !name.startsWith('.');
  if (isPlain && Buffer.byteLength(name) <= bytesMax) return;
  throw new DiskUnusable(
    'TARGET_NAME_UNSUPPORTED',
    `An image cannot be called ${JSON.stringify(name)}. Take a name of up to ${bytesMax} bytes without quotes, slashes, backslashes, colons and control characters that does not begin with a dot.`,
  );
}

function writeError(error: unknown, { folder, name, fileBytesMax }: WriteImageOptions): unknown {
  const path = join(folder, name);
  if (!(error instanceof HostToolFailed)) return targetError(error, path);
  if (/No space left|Disk quota/.test(error.message))
    return fullTarget(`the image in ${dirname(folder)} could not be written in full`, error);
  const isOverQuota = error.exitCode === null || /File too large/.test(error.message);
  return isOverQuota && fileBytesMax !== undefined ? overQuota(path, fileBytesMax, error) : error;
}
