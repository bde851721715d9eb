import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { bootRecord } from '../../testing/synthetic-disks';

const SECTOR_BYTES = 512;
/** Where LVM puts its metadata area, and the parts of its header. */
const AREA_OFFSET = 4096;
const AREA = { checksum: 0, start: 24, text: { offset: 40, size: 48, checksum: 56 }, bytes: 512 };
const LVM_CRC_START = 0xf597a6cf;

export type ByteEdit = (bytes: Buffer) => void;

/** Changes a stretch of a disk in place. */
export async function editBytes(
  path: string,
  offset: number,
  sizeBytes: number,
  edit: ByteEdit,
): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const bytes = Buffer.alloc(sizeBytes);
    await file.read(bytes, 0, sizeBytes, offset);
    edit(bytes);
    await file.write(bytes, 0, sizeBytes, offset);
  } finally {
    await file.close();
  }
}

/** Rewrites the description of a volume group on a whole-disk physical volume, with checksums that fit. */
export async function rewriteVolumeGroup(path: string, change: (text: string) => string): Promise<void> {
  await editBytes(path, AREA_OFFSET, 1024 * 1024 - AREA_OFFSET, (area) => {
    const at = Number(area.readBigUInt64LE(AREA.text.offset));
    const sizeBytes = Number(area.readBigUInt64LE(AREA.text.size));
    const text = Buffer.from(`${change(area.toString('utf8', at, at + sizeBytes - 1))}\0`);
    text.copy(area, at);
    area.writeBigUInt64LE(BigInt(text.length), AREA.text.size);
    area.writeUInt32LE(lvmChecksum(text), AREA.text.checksum);
    area.writeUInt32LE(lvmChecksum(area.subarray(4, AREA.bytes)), AREA.checksum);
  });
}

/** A CRC-32 with a start of its own and without the last inversion. */
function lvmChecksum(bytes: Buffer): number {
  return ~crc32(bytes, ~LVM_CRC_START >>> 0) >>> 0;
}

/** A disk whose chain of logical partitions leads back to its own beginning. */
export function circularPartitions(): Buffer {
  const sectors = 16 * 2048;
  const disk = Buffer.alloc(sectors * SECTOR_BYTES);
  bootRecord([{ type: 0x05, firstSector: 2048, sectors: sectors - 2048 }]).copy(disk);
  const link = bootRecord([
    { type: 0x83, firstSector: 64, sectors: 64 },
    { type: 0x05, firstSector: 0, sectors: 4096 },
  ]);
  link.copy(disk, 2048 * SECTOR_BYTES);
  return disk;
}

/** A GUID partition table that says it has a million partitions, with checksums that fit. */
export function millionPartitions(): Buffer {
  const [count, entryBytes] = [1_000_000, 128];
  const tableSectors = (count * entryBytes) / SECTOR_BYTES;
  const sectors = tableSectors + 4096;
  const disk = Buffer.alloc(sectors * SECTOR_BYTES);
  bootRecord([{ type: 0xee, firstSector: 1, sectors: sectors - 1 }]).copy(disk);
  const table = disk.subarray(2 * SECTOR_BYTES, 2 * SECTOR_BYTES + count * entryBytes);
  for (let index = 0; index < count; index += 1) {
    const at = index * entryBytes;
    table.fill(1 + (index % 250), at, at + 16);
    table.writeUInt32LE(index, at + 16);
    const sector = BigInt(tableSectors + 64 + (index % 2048));
    table.writeBigUInt64LE(sector, at + 32);
    table.writeBigUInt64LE(sector, at + 40);
  }
  const header = disk.subarray(SECTOR_BYTES, 2 * SECTOR_BYTES);
  header.write('EFI PART', 0, 'latin1');
  header.writeUInt32LE(0x00010000, 8);
  header.writeUInt32LE(92, 12);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(BigInt(sectors - 1), 32);
  header.writeBigUInt64LE(BigInt(tableSectors + 34), 40);
  header.writeBigUInt64LE(BigInt(sectors - 34), 48);
  header.fill(7, 56, 72);
  header.writeBigUInt64LE(2n, 72);
  header.writeUInt32LE(count, 80);
  header.writeUInt32LE(entryBytes, 84);
  header.writeUInt32LE(crc32(table), 88);
  header.writeUInt32LE(crc32(header.subarray(0, 92)), 16);
  return disk;
}
