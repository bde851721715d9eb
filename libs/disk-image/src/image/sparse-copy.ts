import { type FileHandle, chmod, constants, copyFile, open, rm, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DiskUnusable } from '../errors';

export interface CopyOptions {
  readonly onProgress?: (fraction: number) => void;
  readonly signal?: AbortSignal;
}

export interface CopyResult {
  /** Bytes that were written; zeros are not. All of them for a copy that shares blocks with its source. */
  readonly copiedBytes: number;
}

const CHUNK_BYTES = 4 * 1024 * 1024;
/** Zeros of this length and alignment become a hole. */
const HOLE_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(HOLE_BYTES);
/** Left free on the file system that a copy goes to. */
const RESERVE_BYTES = 64 * 1024 * 1024;

/**
 * Copies a file to a new one, holes as holes; where the file system can share blocks it only does that.
 * The target is not there when it rejects: TARGET_DISK_FULL, TARGET_DISK_EXISTS, TARGET_NOT_WRITABLE,
 * DISK_CHANGED where the source was written to meanwhile, or the reason of an abort.
 */
export async function copySparse(
  sourcePath: string,
  targetPath: string,
  options: CopyOptions = {},
): Promise<CopyResult> {
  const before = await stat(sourcePath);
  await refuseTooSmall(dirname(targetPath), before.blocks * 512);
  let isOurs = false;
  try {
    isOurs = await cloneBlocks(sourcePath, targetPath);
    let copiedBytes = before.size;
    if (!isOurs) {
      const target = await open(targetPath, 'wx', 0o600);
      isOurs = true;
      copiedBytes = await copyBytes(sourcePath, target, before.size, options);
    }
    const after = await stat(sourcePath);
    if (after.size !== before.size || after.mtimeMs !== before.mtimeMs) throw changed(sourcePath);
    return { copiedBytes };
  } catch (error) {
    if (isOurs) await rm(targetPath, { force: true });
    throw targetError(error, targetPath);
  }
}

/** Rejects with TARGET_DISK_FULL when the folder's file system has not this much left. */
export async function refuseTooSmall(folder: string, neededBytes: number): Promise<void> {
  const space = await statfs(folder).catch((error: unknown) => {
    throw targetError(error, folder);
  });
  const freeBytes = space.bavail * space.bsize;
  if (freeBytes < neededBytes + RESERVE_BYTES)
    throw fullTarget(`${neededBytes + RESERVE_BYTES} bytes are needed in ${folder}, ${freeBytes} are free`);
}

/** Shares the blocks where the file system can do that; false, and no target, where it cannot. */
async function cloneBlocks(sourcePath: string, targetPath: string): Promise<boolean> {
  try {
    await copyFile(sourcePath, targetPath, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    await chmod(targetPath, 0o600);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (['ENOTSUP', 'EOPNOTSUPP', 'ENOTTY', 'EXDEV', 'EINVAL', 'ENOSYS'].includes(code ?? '')) return false;
    throw error;
  }
}

/** Fills the target and closes it. */
async function copyBytes(
  sourcePath: string,
  target: FileHandle,
  sizeBytes: number,
  { onProgress, signal }: CopyOptions,
): Promise<number> {
  try {
    const source = await open(sourcePath, 'r');
    try {
      await target.truncate(sizeBytes);
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      let copiedBytes = 0;
      for (let offset = 0; offset < sizeBytes;) {
        signal?.throwIfAborted();
        const { bytesRead } = await source.read(chunk, 0, Math.min(CHUNK_BYTES, sizeBytes - offset), offset);
        if (bytesRead === 0) throw changed(sourcePath);
        for (const [from, to] of runsOfData(chunk, bytesRead)) {
          await writeAll(target, chunk.subarray(from, to), offset + from);
          copiedBytes += to - from;
        }
        offset += bytesRead;
        onProgress?.(offset / sizeBytes);
      }
      await target.sync();
      return copiedBytes;
    } finally {
      await source.close();
    }
  } finally {
    await target.close();
  }
}

async function writeAll(target: FileHandle, bytes: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length;)
    done += (await target.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
}

/** Stretches of a chunk that are not zeros. */
function* runsOfData(chunk: Buffer, lengthBytes: number): Generator<[number, number]> {
  let start: number | undefined;
  for (let at = 0; at < lengthBytes; at += HOLE_BYTES) {
    const end = Math.min(at + HOLE_BYTES, lengthBytes);
    const isZero = chunk.compare(ZEROS, 0, end - at, at, end) === 0;
    if (isZero && start !== undefined) {
      yield [start, at];
      start = undefined;
    } else if (!isZero) start ??= at;
  }
  if (start !== undefined) yield [start, lengthBytes];
}

function changed(path: string): DiskUnusable {
  return new DiskUnusable(
    'DISK_CHANGED',
    `${path} was written to while it was copied. Switch off what uses it, then try again.`,
    { canRetry: true },
  );
}

/** What is written to has no space left. */
export function fullTarget(detail: string, cause?: unknown): DiskUnusable {
  return new DiskUnusable(
    'TARGET_DISK_FULL',
    `There is not enough space for the disk: ${detail}. Free some space, then try again.`,
    { canRetry: true, cause },
  );
}

/** Names what went wrong with the target; other errors as they are. */
export function targetError(error: unknown, path: string): unknown {
  if (error instanceof DiskUnusable) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return fullTarget(`${path} could not be written in full (${code})`, error);
    case 'EEXIST':
      return new DiskUnusable(
        'TARGET_DISK_EXISTS',
        `${path} is there already. Remove it, or name another file.`,
        {
          cause: error,
        },
      );
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
    case 'ENOENT':
    case 'ENOTDIR':
      return new DiskUnusable(
        'TARGET_NOT_WRITABLE',
        `${path} cannot be written (${message}). Make its folder writable for the user that Watari runs as.`,
        { cause: error },
      );
    default:
      return error;
  }
}
