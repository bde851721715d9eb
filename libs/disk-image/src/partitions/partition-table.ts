import { DiskUnusable } from '../errors';
import { type ByteSource, readIfThere } from '../image/byte-source';
import { readGpt } from './gpt';
import { hasMbr, readMbr } from './mbr';
import type { Partition } from './partition';

export interface PartitionTable {
  readonly kind: 'mbr' | 'gpt' | 'none';
  readonly partitions: readonly Partition[];
}

/** Blocks of zeros say that there is nothing: how much of the front of a disk is looked at. */
const BLANK_BYTES = 1024 * 1024;

/** Reads the partition table; `none` where a file system may begin at the first byte. */
export async function readPartitionTable(disk: ByteSource): Promise<PartitionTable> {
  await refuseBlank(disk);
  const gpt = await readGpt(disk);
  if (gpt) return { kind: 'gpt', partitions: gpt };
  if (await hasMbr(disk)) return { kind: 'mbr', partitions: await readMbr(disk) };
  return { kind: 'none', partitions: [] };
}

async function refuseBlank(disk: ByteSource): Promise<void> {
  const front = await readIfThere(disk, 0, Math.min(BLANK_BYTES, disk.sizeBytes));
  if (!front || front.every((byte) => byte === 0))
    throw new DiskUnusable(
      'DISK_NOT_AN_IMAGE',
      'The disk is blank: it has no partition table and no file system. Give the image of an installed server.',
    );
}
