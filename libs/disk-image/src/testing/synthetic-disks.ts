import { crc32 } from 'node:zlib';

const SECTOR_BYTES = 512;

export interface MbrEntry {
  readonly type: number;
  readonly firstSector: number;
  readonly sectors: number;
}

/** A sector with the table of a master or an extended boot record. */
export function bootRecord(entries: readonly (MbrEntry | undefined)[], signature = 0xcafe0001): Buffer {
  const sector = Buffer.alloc(SECTOR_BYTES);
  sector.writeUInt32LE(signature, 440);
  for (const [index, entry] of entries.entries()) {
    if (!entry) continue;
    const at = 446 + index * 16;
    sector.writeUInt8(entry.type, at + 4);
    sector.writeUInt32LE(entry.firstSector, at + 8);
    sector.writeUInt32LE(entry.sectors, at + 12);
  }
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

/** A disk of zeros with sectors put into it. */
export function diskOf(sectors: number, parts: Readonly<Record<number, Buffer>>): Buffer {
  const disk = Buffer.alloc(sectors * SECTOR_BYTES);
  for (const [sector, content] of Object.entries(parts)) content.copy(disk, Number(sector) * SECTOR_BYTES);
  return disk;
}

export interface GptEntry {
  readonly typeGuid: Buffer;
  readonly firstSector: number;
  readonly lastSector: number;
}

/** A disk with a GUID partition table at its front and its end, and a protective boot record. */
export function gptDisk(sectors: number, entries: readonly GptEntry[]): Buffer {
  const table = Buffer.alloc(128 * 128);
  for (const [index, { typeGuid, firstSector, lastSector }] of entries.entries()) {
    const at = index * 128;
    typeGuid.copy(table, at);
    table.fill(index + 1, at + 16, at + 32);
    table.writeBigUInt64LE(BigInt(firstSector), at + 32);
    table.writeBigUInt64LE(BigInt(lastSector), at + 40);
  }
  const header = (own: number, other: number, tableAt: number): Buffer => {
    const sector = Buffer.alloc(SECTOR_BYTES);
    sector.write('EFI PART', 0, 'latin1');
    sector.writeUInt32LE(0x00010000, 8);
    sector.writeUInt32LE(92, 12);
    sector.writeBigUInt64LE(BigInt(own), 24);
    sector.writeBigUInt64LE(BigInt(other), 32);
    sector.writeBigUInt64LE(34n, 40);
    sector.writeBigUInt64LE(BigInt(sectors - 34), 48);
    sector.writeBigUInt64LE(BigInt(tableAt), 72);
    sector.writeUInt32LE(128, 80);
    sector.writeUInt32LE(128, 84);
    sector.writeUInt32LE(crc32(table), 88);
    sector.writeUInt32LE(crc32(sector.subarray(0, 92)), 16);
    return sector;
  };
  return diskOf(sectors, {
    0: bootRecord([{ type: 0xee, firstSector: 1, sectors: sectors - 1 }]),
    1: header(1, sectors - 1, 2),
    2: table,
    [sectors - 33]: table,
    [sectors - 1]: header(sectors - 1, 1, sectors - 33),
  });
}

/** A qcow2 image of version 3 without data; its two tables are one cluster each. */
export function qcow2Image(
  virtualSizeBytes: number,
  change: (image: Buffer) => void = () => undefined,
): Buffer {
  const clusterBytes = 65536;
  const image = Buffer.alloc(4 * clusterBytes);
  image.writeUInt32BE(0x514649fb, 0);
  image.writeUInt32BE(3, 4);
  image.writeUInt32BE(16, 20);
  image.writeBigUInt64BE(BigInt(virtualSizeBytes), 24);
  image.writeUInt32BE(Math.ceil(virtualSizeBytes / (clusterBytes * (clusterBytes / 8))), 36);
  image.writeBigUInt64BE(BigInt(3 * clusterBytes), 40);
  image.writeBigUInt64BE(BigInt(clusterBytes), 48);
  image.writeUInt32BE(1, 56);
  image.writeUInt32BE(4, 96);
  image.writeUInt32BE(104, 100);
  image.writeBigUInt64BE(BigInt(2 * clusterBytes), clusterBytes);
  for (let cluster = 0; cluster < 4; cluster++) image.writeUInt16BE(1, 2 * clusterBytes + cluster * 2);
  change(image);
  return image;
}

/** Numbers that look random and are the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
