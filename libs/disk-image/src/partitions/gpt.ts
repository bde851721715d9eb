import { crc32 } from 'node:zlib';
import { type ByteSource, readIfThere } from '../image/byte-source';
import { type Partition, refuseCutOff, tableDamaged } from './partition';
import { DiskUnusable } from '../errors';

const SIGNATURE = Buffer.from('EFI PART');
const HEADER_BYTES_MIN = 92;
const ENTRIES_MAX = 1024;
const ENTRY_BYTES_MIN = 128;
const ENTRY_BYTES_MAX = 4096;
export const EFI_SYSTEM_PARTITION = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';
export const BIOS_BOOT_PARTITION = '21686148-6449-6e6f-744e-656564454649';
const UNUSED = '00000000-0000-0000-0000-000000000000';

/**
 * Partitions of a GUID partition table; undefined where there is none. Header and entries must match their
 * checksums, else the copy at the end of the disk must.
 */
export async function readGpt(disk: ByteSource): Promise<Partition[] | undefined> {
  for (const sectorBytes of [512, 4096]) {
    const primary = await readIfThere(disk, sectorBytes, sectorBytes);
    if (!primary?.subarray(0, 8).equals(SIGNATURE)) continue;
    const fromPrimary = await readTable(disk, primary, sectorBytes);
    if (fromPrimary) return fromPrimary;
    const lastSector = Math.floor(disk.sizeBytes / sectorBytes) - 1;
    const backup = await readIfThere(disk, lastSector * sectorBytes, sectorBytes);
    const fromBackup =
      backup?.subarray(0, 8).equals(SIGNATURE) && (await readTable(disk, backup, sectorBytes));
    if (fromBackup) return fromBackup;
    throw tableDamaged('neither the GPT nor its copy at the end of the disk matches its checksum');
  }
  return undefined;
}

/** Undefined where a checksum does not match. */
async function readTable(
  disk: ByteSource,
  header: Buffer,
  sectorBytes: number,
): Promise<Partition[] | undefined> {
  const headerBytes = header.readUInt32LE(12);
  if (headerBytes < HEADER_BYTES_MIN || headerBytes > sectorBytes) return undefined;
  const summed = Buffer.from(header.subarray(0, headerBytes));
  summed.writeUInt32LE(0, 16);
  if (crc32(summed) !== header.readUInt32LE(16)) return undefined;

  const alternateSector = header.readBigUInt64LE(32);
  if ((alternateSector + 1n) * BigInt(sectorBytes) > BigInt(disk.sizeBytes))
    throw new DiskUnusable(
      'DISK_TRUNCATED',
      `The partition table names sector ${alternateSector}, but the disk has ${disk.sizeBytes} bytes. Copy the image again, in full.`,
    );
  const entriesAt = Number(header.readBigUInt64LE(72)) * sectorBytes;
  const count = header.readUInt32LE(80);
  const entryBytes = header.readUInt32LE(84);
  if (count > ENTRIES_MAX || entryBytes < ENTRY_BYTES_MIN || entryBytes > ENTRY_BYTES_MAX) return undefined;
  const entries = await readIfThere(disk, entriesAt, count * entryBytes);
  if (!entries || crc32(entries) !== header.readUInt32LE(88)) return undefined;
  return partitionsOf(entries, entryBytes, sectorBytes, disk.sizeBytes);
}

function partitionsOf(
  entries: Buffer,
  entryBytes: number,
  sectorBytes: number,
  diskBytes: number,
): Partition[] {
  const partitions: Partition[] = [];
  for (let at = 0, number = 1; at < entries.length; at += entryBytes, number++) {
    const type = guidOf(entries, at);
    if (type === UNUSED) continue;
    const first = Number(entries.readBigUInt64LE(at + 32));
    const last = Number(entries.readBigUInt64LE(at + 40));
    if (last < first) throw tableDamaged(`partition ${number} ends before it begins`);
    const partition: Partition = {
      number,
      startBytes: first * sectorBytes,
      sizeBytes: (last - first + 1) * sectorBytes,
      type,
      partUuid: guidOf(entries, at + 16),
    };
    refuseCutOff(partition, diskBytes);
    partitions.push(partition);
  }
  return partitions;
}

/** The first three groups of a GUID are stored little-endian. */
function guidOf(buffer: Buffer, at: number): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  return [
    hex(buffer.readUInt32LE(at), 8),
    hex(buffer.readUInt16LE(at + 4), 4),
    hex(buffer.readUInt16LE(at + 6), 4),
    buffer.toString('hex', at + 8, at + 10),
    buffer.toString('hex', at + 10, at + 16),
  ].join('-');
}
