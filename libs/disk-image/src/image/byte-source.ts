import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { DiskUnusable } from '../errors';

/** Bytes at offsets, read only. */
export interface ByteSource {
  readonly sizeBytes: number;
  /** Exactly `lengthBytes` from `offset`; rejects with DISK_TRUNCATED when they are not all there. */
  read(offset: number, lengthBytes: number): Promise<Buffer>;
}

/** One read never takes more than this, whatever an image claims. */
const READ_BYTES_MAX = 64 * 1024 * 1024;

export interface OpenedFile extends ByteSource {
  readonly allocatedBytes: number;
  readonly modifiedAtMs: number;
  close(): Promise<void>;
}

/** Opens an image for reading alone. Rejects with DISK_NOT_FOUND, DISK_NOT_READABLE or DISK_NOT_AN_IMAGE. */
export async function openReadOnly(path: string): Promise<OpenedFile> {
  let file: FileHandle;
  try {
    // Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw notOpened(path, error as NodeJS.ErrnoException);
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile())
      throw new DiskUnusable(
        'DISK_NOT_AN_IMAGE',
        `${path} is no regular file. Give the path of a disk image; copy a device into a file first.`,
      );
    if (stat.size === 0)
      throw new DiskUnusable(
        'DISK_NOT_AN_IMAGE',
        `${path} is empty. Give the path of a disk image that holds a system.`,
      );
    return {
      sizeBytes: stat.size,
      allocatedBytes: stat.blocks * 512,
      modifiedAtMs: stat.mtimeMs,
      read: (offset, lengthBytes) => readExactly(file, stat.size, offset, lengthBytes),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The bytes of a buffer. */
export function bytesOf(buffer: Buffer): ByteSource {
  return {
    sizeBytes: buffer.length,
    read: async (offset, lengthBytes) => {
      assertWithin(buffer.length, offset, lengthBytes);
      return buffer.subarray(offset, offset + lengthBytes);
    },
  };
}

/** A part of a source, such as one partition. The part is cut where the source ends. */
export function sliceOf(source: ByteSource, startBytes: number, sizeBytes: number): ByteSource {
  const size = Math.max(0, Math.min(sizeBytes, source.sizeBytes - startBytes));
  return {
    sizeBytes: size,
    read: async (offset, lengthBytes) => {
      assertWithin(size, offset, lengthBytes);
      return source.read(startBytes + offset, lengthBytes);
    },
  };
}

/** Like `read`, but undefined where the source is too short: for looking whether something is there. */
export async function readIfThere(
  source: ByteSource,
  offset: number,
  lengthBytes: number,
): Promise<Buffer | undefined> {
  const isThere = offset >= 0 && offset + lengthBytes <= source.sizeBytes;
  return isThere ? source.read(offset, lengthBytes) : undefined;
}

async function readExactly(
  file: FileHandle,
  sizeBytes: number,
  offset: number,
  lengthBytes: number,
): Promise<Buffer> {
  assertWithin(sizeBytes, offset, lengthBytes);
  const buffer = Buffer.alloc(lengthBytes);
  let done = 0;
  while (done < lengthBytes) {
    const { bytesRead } = await file.read(buffer, done, lengthBytes - done, offset + done);
    if (bytesRead === 0) throw truncated(sizeBytes, offset, lengthBytes);
    done += bytesRead;
  }
  return buffer;
}

function assertWithin(sizeBytes: number, offset: number, lengthBytes: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0 || lengthBytes < 0 || lengthBytes > READ_BYTES_MAX)
    throw new DiskUnusable(
      'DISK_DAMAGED',
      `The image points to ${lengthBytes} bytes at ${offset}, which cannot be. Check the image with the tool that wrote it.`,
    );
  if (offset + lengthBytes > sizeBytes) throw truncated(sizeBytes, offset, lengthBytes);
}

function truncated(sizeBytes: number, offset: number, lengthBytes: number): DiskUnusable {
  return new DiskUnusable(
    'DISK_TRUNCATED',
    `The image ends at ${sizeBytes} bytes, but needs ${lengthBytes} bytes at ${offset}. Copy it again, in full.`,
  );
}

function notOpened(path: string, error: NodeJS.ErrnoException): DiskUnusable {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR')
    return new DiskUnusable('DISK_NOT_FOUND', `There is no file ${path}. Check the path.`, { cause: error });
  return new DiskUnusable(
    'DISK_NOT_READABLE',
    `${path} cannot be opened (${error.code ?? error.message}). Make it readable for the user that Watari runs as.`,
    { cause: error },
  );
}
