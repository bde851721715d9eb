import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

import type { GuestDisk } from '@watari/host-agent-client';

import { AgentError } from '../errors';

const QCOW2_MAGIC = 0x514649fb;
const QCOW2_HEADER_BYTES = 104;
const EXTERNAL_DATA_FILE_BIT = 4n;

export interface DiskFacts {
  /** Whether the file system takes O_DIRECT: then writes of one host are what another reads. */
  readonly takesDirect: boolean;
}

/**
 * Refuses a disk that is not there, or a qcow2 image that makes QEMU open other files: what is in an image must
 * not choose what the host reads. Throws DISK_MISSING, DISK_FORMAT_WRONG, DISK_HAS_BACKING_FILE.
 */
export async function checkDisk(disk: GuestDisk, field: string): Promise<DiskFacts> {
  let file: FileHandle;
  try {
    file = await open(disk.path, 'r');
  } catch (cause) {
    throw new AgentError(
      'DISK_MISSING',
      `The disk ${disk.path} cannot be opened on this host (${(cause as NodeJS.ErrnoException).code}). Is the path right, and the storage mounted?`,
      { status: 422, field, cause },
    );
  }
  try {
    const found = await file.stat();
    if (!found.isFile() && !found.isBlockDevice())
      throw new AgentError('DISK_FORMAT_WRONG', `${disk.path} is neither a file nor a block device.`, {
        status: 422,
        field,
      });
    if (disk.format === 'qcow2') await checkQcow2(file, disk.path, field);
  } finally {
    await file.close();
  }
  return { takesDirect: await takesDirect(disk.path) };
}

async function checkQcow2(file: FileHandle, path: string, field: string): Promise<void> {
  const header = Buffer.alloc(QCOW2_HEADER_BYTES);
  const { bytesRead } = await file.read(header, 0, QCOW2_HEADER_BYTES, 0);
  if (bytesRead < 72 || header.readUInt32BE(0) !== QCOW2_MAGIC)
    throw new AgentError(
      'DISK_FORMAT_WRONG',
      `${path} is no qcow2 image. Name its real format, or convert it.`,
      { status: 422, field },
    );
  const hasBackingFile = header.readBigUInt64BE(8) !== 0n;
  const isVersion3 = header.readUInt32BE(4) >= 3;
  const hasDataFile = isVersion3 && (header.readBigUInt64BE(72) & EXTERNAL_DATA_FILE_BIT) !== 0n;
  if (hasBackingFile || hasDataFile)
    throw new AgentError(
      'DISK_HAS_BACKING_FILE',
      `${path} names another file that it depends on. Flatten it first: qemu-img convert -O qcow2.`,
      { status: 422, field },
    );
}

async function takesDirect(path: string): Promise<boolean> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_DIRECT);
    await file.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return false;
    throw error;
  }
}
