import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, constants, copyFile, open, rm, stat, truncate } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type HostTools, HostToolFailed } from '@watari/host-tools';
import { DiskUnusable } from '../errors';
import { Scratch } from '../file-system/scratch';
import { convertByQemuImg } from '../image/qemu-img';
import { fullTarget, refuseTooSmall, targetError } from '../image/sparse-copy';
import { confine } from './confined-tools';
import { examineImage } from './examine-image';
import type { ExtentContent, ImageContent, ImageExamination } from './image-format';
import { SECTOR_BYTES, cutOff, damaged } from './refusals';

export interface UnpackImageOptions {
  /** What `examineImage` said of it; nothing else of the image is opened. */
  readonly examination: ImageExamination;
  /** A new file. */
  readonly targetPath: string;
  readonly tools: HostTools;
  readonly onProgress?: (fraction: number) => void;
  readonly signal?: AbortSignal;
}

const CHECK_TIMEOUT_MS = 30 * 60_000;
const ONLY_LEAKS = 3;
/** What a VMDK needs beside its disk's bytes: tables, markers, and grains that deflate badly. */
const VMDK_OVERHEAD = 1.05;
const VMDK_OVERHEAD_BYTES = 64 * 1024 * 1024;

/**
 * Writes the disk of an image as a raw file, zeros as holes. The image is only read. When it rejects, the target
 * is not there: TARGET_DISK_FULL, TARGET_DISK_EXISTS, TARGET_NOT_WRITABLE, DISK_DAMAGED, DISK_TRUNCATED,
 * DISK_NOT_READABLE where another program has it locked, DISK_CHANGED where a file of the image was written to
 * since it was examined, a host tool's error, or the reason of an abort.
 */
export async function unpackImage(options: UnpackImageOptions): Promise<{ readonly copiedBytes: number }> {
  const { examination, targetPath } = options;
  const { content, virtualBytes, files } = examination;
  await refuseChanged(examination);
  const isCompressed = content.kind === 'single-vmdk';
  const storedBytes = files.reduce((sum, { allocatedBytes }) => sum + allocatedBytes, 0);
  await refuseTooSmall(dirname(targetPath), isCompressed ? 0 : Math.min(storedBytes, virtualBytes));
  const scratch = await Scratch.make();
  // Where the disk of an archive grows for a while: beside the target, where there is room for disks.
  const packedPath = join(dirname(targetPath), `.${randomUUID()}.vmdk`);
  let isOurs = false;
  try {
    isOurs = examination.format === 'raw' && (await shareBlocks(files[0]?.path ?? '', targetPath));
    if (!isOurs) {
      const file = await open(targetPath, 'wx', 0o600);
      isOurs = true;
      await file.truncate(virtualBytes).finally(() => file.close());
      await fill(options, scratch, packedPath);
    }
    await refuseChanged(examination);
    options.onProgress?.(1);
    return { copiedBytes: (await stat(targetPath)).blocks * SECTOR_BYTES };
  } catch (error) {
    if (isOurs) await rm(targetPath, { force: true });
    throw targetError(unpackError(error, examination, targetPath), targetPath);
  } finally {
    await rm(packedPath, { force: true });
    await scratch.remove();
  }
}

/** Lets a new file have another's blocks, where the file system can do that; false, and no file, where it cannot. */
async function shareBlocks(sourcePath: string, targetPath: string): Promise<boolean> {
  try {
    await copyFile(sourcePath, targetPath, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
  } catch (error) {
    // Whatever else is in the way, the copy that follows says it.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error;
    return false;
  }
  await chmod(targetPath, 0o600);
  return true;
}

async function fill(options: UnpackImageOptions, scratch: Scratch, packedPath: string): Promise<void> {
  const { examination, targetPath, signal } = options;
  const { content, virtualBytes } = examination;
  const tools = confine(options.tools, { fileBytesMax: virtualBytes });
  if (content.kind === 'file' && content.qemuFormat === 'qcow2')
    await checkQcow2(tools, await scratch.link(content.path), signal);
  const source =
    content.kind === 'single-vmdk' && content.isGzipped
      ? await sourceInGzip(content, options, scratch, packedPath)
      : await sourceOf(content, scratch);
  const converting = convertByQemuImg(
    // The target is there, and as long as the disk: nothing is created, and zeros need not be written.
    ['-n', '--target-is-zero', '-S', '64k', '-O', 'raw', '--image-opts', source, `./${basename(targetPath)}`],
    {
      tools,
      folder: dirname(targetPath),
      ...(options.onProgress && { onProgress: options.onProgress }),
      ...(signal && { signal }),
    },
  );
  // Both have ended before anything is removed.
  const outcomes = await Promise.allSettled([
    content.kind === 'slice' ? undefined : refuseOtherReading(tools, source, examination, signal),
    converting,
  ]);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/** The image for `qemu-img --image-opts`. Links have plain names, whatever the image is called. */
async function sourceOf(content: ImageContent, scratch: Scratch): Promise<string> {
  switch (content.kind) {
    case 'slice':
      return sliceOptions('', await scratch.link(content.path), content.offset, content.lengthBytes);
    case 'file': {
      const file = `file.driver=file,file.filename=${await scratch.link(content.path)}`;
      // By its geometry, which some writers leave to be told by, a disk would lose its last sectors.
      const more = content.qemuFormat === 'vpc' ? 'force_size_calc=current_size,' : '';
      return `driver=${content.qemuFormat},${more}${file}`;
    }
    case 'single-vmdk': {
      const slice = sliceOptions(
        'file.',
        await scratch.link(content.path),
        content.offset,
        content.lengthBytes,
      );
      return `driver=vmdk,${slice}`;
    }
    case 'extents':
      return describedSource(content.extents, scratch);
  }
}

const sliceOptions = (prefix: string, path: string, offset: number, lengthBytes: number): string =>
  [
    `${prefix}driver=raw`,
    `${prefix}offset=${offset}`,
    `${prefix}size=${lengthBytes}`,
    `${prefix}file.driver=file`,
    `${prefix}file.filename=${path}`,
  ].join(',');

/**
 * Extents under a descriptor of our own: the image's descriptor, which could have changed since it was read, or
 * be read otherwise by another reader, is not looked at again.
 */
async function describedSource(extents: readonly ExtentContent[], scratch: Scratch): Promise<string> {
  const lines: string[] = [];
  let zeros: string | undefined;
  for (const { type, sectors, path, offsetSectors } of extents) {
    if (path === undefined) {
      // qemu-img passes extents of zeros over, and what follows them would move up: they get a file of holes.
      zeros ??= basename(await holes(extents, scratch));
      lines.push(`RW ${sectors} FLAT "${zeros}" 0`);
    } else {
      const name = basename(await scratch.link(path));
      lines.push(
        `RW ${sectors} ${type.toUpperCase()} "${name}"${type === 'flat' ? ` ${offsetSectors}` : ''}`,
      );
    }
  }
  const isFlat = extents.some(({ type }) => type !== 'sparse');
  const descriptor = [
    '# Disk DescriptorFile',
    'version=1',
    'CID=fffffffe',
    'parentCID=ffffffff',
    `createType="${isFlat ? 'twoGbMaxExtentFlat' : 'twoGbMaxExtentSparse'}"`,
    ...lines,
    '',
  ].join('\n');
  return `driver=vmdk,file.driver=file,file.filename=${await scratch.write(descriptor)}`;
}

/** A file as long as the longest extent of zeros, and empty. */
async function holes(extents: readonly ExtentContent[], scratch: Scratch): Promise<string> {
  const path = await scratch.write('');
  const longest = Math.max(...extents.map(({ type, sectors }) => (type === 'zero' ? sectors : 0)));
  await truncate(path, longest * SECTOR_BYTES);
  return path;
}

/** Unpacks the member of an archive, which is examined before anything else reads it. */
async function sourceInGzip(
  content: Extract<ImageContent, { kind: 'single-vmdk' }>,
  { examination, signal }: UnpackImageOptions,
  scratch: Scratch,
  path: string,
): Promise<string> {
  const image = 'The packed disk of the OVA';
  const bytesMax = Math.ceil(examination.virtualBytes * VMDK_OVERHEAD) + VMDK_OVERHEAD_BYTES;
  const target = await open(path, 'wx', 0o600);
  let doneBytes = 0;
  const bound = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      doneBytes += chunk.length;
      if (doneBytes > bytesMax) done(damaged(image, `it unpacks to more than ${bytesMax} bytes`));
      else done(null, chunk);
    },
  });
  const { offset, lengthBytes } = content;
  await pipeline(
    createReadStream(content.path, { start: offset, end: offset + lengthBytes - 1 }),
    createGunzip(),
    bound,
    target.createWriteStream(),
    { ...(signal && { signal }) },
  ).catch((error: NodeJS.ErrnoException) => {
    signal?.throwIfAborted();
    if (error.code === 'Z_BUF_ERROR') throw cutOff(image, 'it ends within its packed bytes');
    if (error.code?.startsWith('Z_')) throw damaged(image, `it cannot be unpacked (${error.message})`);
    throw error;
  });
  const unpacked = await examineImage(path, { format: 'vmdk' });
  if (unpacked.virtualBytes !== examination.virtualBytes)
    throw damaged(image, 'its content tells another size than its header');
  return sourceOf(unpacked.content, scratch);
}

/**
 * Two readers of one image may see two disks, and a shorter one would be filled up with zeros without a word. The
 * size that qemu-img sees has to be the one that was examined.
 */
async function refuseOtherReading(
  tools: HostTools,
  source: string,
  { format, virtualBytes }: ImageExamination,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { stdout } = await tools.run('qemu-img', ['info', '--output=json', '--image-opts', source], {
    ...(signal && { signal }),
  });
  const told = (JSON.parse(stdout.toString('utf8')) as { 'virtual-size'?: unknown })['virtual-size'];
  if (told !== virtualBytes)
    throw damaged(
      `The ${format} image`,
      `it has ${virtualBytes} bytes by its headers, and ${String(told)} as qemu-img reads it`,
    );
}

/** A cut-off image converts without a complaint, so it is checked first. */
async function checkQcow2(tools: HostTools, path: string, signal: AbortSignal | undefined): Promise<void> {
  const { status, stderr } = await tools.run('qemu-img', ['check', '-q', '-f', 'qcow2', path], {
    timeoutMs: CHECK_TIMEOUT_MS,
    okStatuses: [0, 1, 2, ONLY_LEAKS],
    ...(signal && { signal }),
  });
  if (LOCKED.test(stderr)) throw inUse('qcow2');
  if (status !== 0 && status !== ONLY_LEAKS)
    throw damaged(
      'The qcow2 image',
      stderr.trim().slice(-300).replaceAll(path, 'it') || 'qemu-img check found errors in it',
    );
}

/** What was examined is what was read. */
async function refuseChanged({ files }: ImageExamination): Promise<void> {
  for (const { path, sizeBytes, modifiedAtMs } of files) {
    const now = await stat(path).catch(() => undefined);
    if (now?.size === sizeBytes && now.mtimeMs === modifiedAtMs) continue;
    throw new DiskUnusable(
      'DISK_CHANGED',
      `${path} was written to since it was examined. Switch off what uses it, then try again.`,
      { canRetry: true },
    );
  }
}

const LOCKED = /Failed to get .{0,40}lock/;

function inUse(format: string, cause?: unknown): DiskUnusable {
  return new DiskUnusable(
    'DISK_NOT_READABLE',
    `The ${format} image is in use by another program, such as a running virtual machine. Shut that down, then try again.`,
    { canRetry: true, cause },
  );
}

function unpackError(error: unknown, { format }: ImageExamination, targetPath: string): unknown {
  if (!(error instanceof HostToolFailed)) return error;
  if (/No space left|Disk quota/.test(error.message))
    return fullTarget(`${targetPath} could not be written in full`, error);
  if (LOCKED.test(error.stderrTail)) return inUse(format, error);
  if (!/error while reading|Could not open|File truncated/.test(error.stderrTail)) return error;
  const [said = ''] = error.stderrTail.trim().split('\n');
  // What qemu-img opened are links of ours, which tell nobody anything.
  const what = said.replace(/^qemu-img: /, '').replace(/^Could not open '[^']*': /, '');
  return damaged(`The ${format} image`, `qemu-img cannot read it (${what.slice(0, 200)})`, error);
}
