import { DiskUnusable } from '../errors';

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
