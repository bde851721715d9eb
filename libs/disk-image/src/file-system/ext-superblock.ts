import { DiskUnusable } from '../errors';
import { type ByteSource, readIfThere } from '../image/byte-source';

export interface ExtSuperblock {
  readonly uuid: string;
  readonly label: string;
  readonly blockBytes: number;
  readonly sizeBytes: number;
  readonly freeBytes: number;
  readonly needsRecovery: boolean;
}

const AT = 1024;
const LENGTH_BYTES = 1024;
const INCOMPATIBLE_RECOVER = 0x4;
const INCOMPATIBLE_JOURNAL_DEVICE = 0x8;
const INCOMPATIBLE_64BIT = 0x80;

/** Reads the superblock of ext2, 3 or 4 and refuses one that does not fit its partition. */
export async function readExtSuperblock(volume: ByteSource, partition: string): Promise<ExtSuperblock> {
  const block = await readIfThere(volume, AT, LENGTH_BYTES);
  if (!block || block.readUInt16LE(0x38) !== 0xef53) throw damaged(partition, 'has no superblock');
  const incompatible = block.readUInt32LE(0x60);
  if (incompatible & INCOMPATIBLE_JOURNAL_DEVICE)
    throw damaged(partition, 'is a journal of another file system');
  const logBlock = block.readUInt32LE(0x18);
  if (logBlock > 6) throw damaged(partition, 'has an impossible block size');
  const blockBytes = 1024 * 2 ** logBlock;
  const is64Bit = (incompatible & INCOMPATIBLE_64BIT) !== 0;
  const wide = (low: number, high: number): number =>
    block.readUInt32LE(low) + (is64Bit ? block.readUInt32LE(high) * 2 ** 32 : 0);
  const sizeBytes = wide(0x04, 0x150) * blockBytes;
  if (sizeBytes === 0) throw damaged(partition, 'has no blocks');
  if (sizeBytes > volume.sizeBytes)
    throw new DiskUnusable(
      'DISK_TRUNCATED',
      `The file system on ${partition} has ${sizeBytes} bytes, but only ${volume.sizeBytes} are there. Copy the image again, in full.`,
    );
  const label = block.subarray(0x78, 0x88);
  const end = label.indexOf(0);
  return {
    uuid: uuidOf(block.subarray(0x68, 0x78)),
    label: label.toString('utf8', 0, end < 0 ? label.length : end),
    blockBytes,
    sizeBytes,
    freeBytes: wide(0x0c, 0x158) * blockBytes,
    needsRecovery: (incompatible & INCOMPATIBLE_RECOVER) !== 0,
  };
}

/** Sixteen bytes as people write a UUID. */
export function uuidOf(bytes: Buffer): string {
  const hex = bytes.toString('hex', 0, 16);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

function damaged(partition: string, what: string): DiskUnusable {
  return new DiskUnusable(
    'DISK_DAMAGED',
    `The file system on ${partition} ${what}. Check it with e2fsck on the server, then copy the disk again.`,
  );
}
