import { DiskUnusable } from '../errors';
import { type ByteSource, readIfThere } from '../image/byte-source';
import { readGpt } from './gpt';
import { hasMbr, readMbr } from './mbr';

export interface Partition {
  /** As in /dev/sda1: logical MBR partitions begin at 5. */
  readonly number: number;
  readonly startBytes: number;
  readonly sizeBytes: number;
  /** MBR: two hex digits; GPT: the type's GUID in lower case. */
  readonly type: string;
  /** As in /dev/disk/by-partuuid. */
  readonly partUuid: string;
}

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

/** Partitions that reach past the end show that the image is not whole. */
export function refuseCutOff(partition: Partition, diskBytes: number): void {
  if (partition.startBytes + partition.sizeBytes > diskBytes)
    throw new DiskUnusable(
      'DISK_TRUNCATED',
      `Partition ${partition.number} ends at ${partition.startBytes + partition.sizeBytes} bytes, but the disk has ${diskBytes}. Copy the image again, in full.`,
    );
}

export function tableDamaged(what: string): DiskUnusable {
  return new DiskUnusable(
    'DISK_PARTITION_TABLE_DAMAGED',
    `The partition table is damaged: ${what}. Repair it on the server (fdisk, sgdisk), then copy the disk again.`,
  );
}
