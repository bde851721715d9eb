import type { ByteSource } from '../../image/byte-source';
import { ReadAhead } from '../read-ahead';
import {
  SECTOR_BYTES,
  cutOff,
  damaged,
  needsOthers,
  notClosed,
  offsetFrom,
  unsupported,
  virtualBytesFrom,
} from '../refusals';

/** A hosted sparse extent: VMware, "Virtual Disk Format 5.0", section "Hosted Sparse Extents". */
export interface SparseExtent {
  readonly virtualBytes: number;
  readonly grainBytes: number;
  /** Grains are deflated, each with its marker: what streamOptimized images are made of. */
  readonly isCompressed: boolean;
  /** Where its directory is stands at its end, as in streams. */
  readonly hasFooter: boolean;
  /** The descriptor in the extent, if there is one. */
  readonly descriptor?: { readonly offset: number; readonly lengthBytes: number };
}

export const SPARSE_MAGIC = Buffer.from('KDMV');
const HEADER_BYTES = 512;
const VERSION_MAX = 3;
const FLAG = { redundantTables: 1 << 1, compressed: 1 << 16, markers: 1 << 17 };
const DEFLATE = 1;
/** The directory is at the end, where the last three sectors are footer marker, footer and end-of-stream marker. */
const DIRECTORY_AT_END = 0xffffffffffffffffn;
const FOOTER_MARKER = 3;
const GRAIN_SECTORS_MIN = 8;
const GRAIN_SECTORS_MAX = 65536;
const TABLE_ENTRIES_MAX = 512;
/** As much as 64 TiB in usual grains need. */
const DIRECTORY_BYTES_MAX = 8 * 1024 * 1024;
const MARKER_BYTES = 12;
/** Entries that point to no grain: not allocated, or known to be zeros. */
const LAST_SPECIAL_ENTRY = 1;

/**
 * Readers look for a descriptor in these bytes whatever the header says of where it is, so that a parent named
 * here would be followed.
 */
const DESCRIPTOR_PLACE = { offset: SECTOR_BYTES, lengthBytes: 20 * SECTOR_BYTES };

interface Header {
  readonly capacitySectors: number;
  readonly grainSectors: number;
  readonly tableEntries: number;
  readonly directoryOffset: number;
  readonly isCompressed: boolean;
  readonly hasFooter: boolean;
  readonly descriptorOffset: number;
  readonly descriptorBytes: number;
}

/** Checks header, directory and tables of a sparse extent: all that they point to is within the file. */
export async function examineSparseExtent(image: string, source: ByteSource): Promise<SparseExtent> {
  const header = await readHeader(image, source);
  await refuseHiddenParent(image, source);
  await checkGrains(image, source, header);
  const { descriptorOffset: offset, descriptorBytes: lengthBytes } = header;
  return {
    virtualBytes: header.capacitySectors * SECTOR_BYTES,
    grainBytes: header.grainSectors * SECTOR_BYTES,
    isCompressed: header.isCompressed,
    hasFooter: header.hasFooter,
    ...(offset > 0 && lengthBytes > 0 && { descriptor: { offset, lengthBytes } }),
  };
}

async function readHeader(image: string, source: ByteSource): Promise<Header> {
  if (source.sizeBytes < HEADER_BYTES) throw cutOff(image, 'its header is not complete');
  const head = await source.read(0, HEADER_BYTES);
  if (!head.subarray(0, 4).equals(SPARSE_MAGIC)) throw damaged(image, 'it has no header of a sparse extent');
  const header = parseHeader(image, head);
  if (head.readBigUInt64LE(56) !== DIRECTORY_AT_END) return header;

  const footerAt = source.sizeBytes - 2 * SECTOR_BYTES;
  const end = await source.read(Math.max(0, footerAt - SECTOR_BYTES), 3 * SECTOR_BYTES);
  const isFooter =
    end.readUInt32LE(8) === 0 &&
    end.readUInt32LE(12) === FOOTER_MARKER &&
    end.subarray(SECTOR_BYTES, SECTOR_BYTES + 4).equals(SPARSE_MAGIC) &&
    end.readUInt32LE(2 * SECTOR_BYTES + 8) === 0 &&
    end.readUInt32LE(2 * SECTOR_BYTES + 12) === 0;
  if (!isFooter) throw cutOff(image, 'it does not end with the footer that its header announces');
  const footer = end.subarray(SECTOR_BYTES, 2 * SECTOR_BYTES);
  if (footer.readBigUInt64LE(56) === DIRECTORY_AT_END)
    throw damaged(image, 'its footer does not say where the directory is');
  const same = (from: number, to: number): boolean =>
    head.subarray(from, to).equals(footer.subarray(from, to));
  // All but the directories' places.
  if (!same(0, 28) || !same(44, 48) || !same(72, 79))
    throw damaged(image, 'its footer tells another disk than its header');
  return { ...header, hasFooter: true, directoryOffset: directoryOffsetOf(image, footer) };
}

function parseHeader(image: string, head: Buffer): Header {
  const version = head.readUInt32LE(4);
  if (version < 1 || version > VERSION_MAX)
    throw unsupported(
      image,
      `has version ${version}; up to ${VERSION_MAX} can be read`,
      'Export the disk again, for an older version of the platform.',
    );
  const flags = head.readUInt32LE(8);
  const grainSectors = offsetFrom(image, head.readBigUInt64LE(20));
  const isPowerOfTwo = Number.isInteger(Math.log2(grainSectors));
  if (!isPowerOfTwo || grainSectors < GRAIN_SECTORS_MIN || grainSectors > GRAIN_SECTORS_MAX)
    throw damaged(image, `grains of ${grainSectors} sectors are outside of what the format allows`);
  const tableEntries = head.readUInt32LE(44);
  if (tableEntries < 1 || tableEntries > TABLE_ENTRIES_MAX)
    throw damaged(image, `tables of ${tableEntries} entries are outside of what the format allows`);
  // Copies in text mode would have changed these line ends.
  if (!head.subarray(73, 77).equals(Buffer.from('\n \r\n')))
    throw damaged(image, 'it was copied as text, which changed its bytes');
  if (head.readUInt8(72) !== 0)
    throw notClosed(
      image,
      'it is marked as open for writing',
      'Shut the virtual machine down; if it is off, start it once and shut it down.',
    );
  const isCompressed = (flags & FLAG.compressed) !== 0;
  const algorithm = head.readUInt16LE(77);
  if (isCompressed && algorithm !== DEFLATE)
    throw unsupported(
      image,
      `is compressed in a way that is not known here (${algorithm})`,
      'Export the disk again, without compression.',
    );
  const capacity = head.readBigUInt64LE(12);
  virtualBytesFrom(image, capacity * BigInt(SECTOR_BYTES));
  const descriptorSectors = head.readBigUInt64LE(36);
  return {
    capacitySectors: Number(capacity),
    grainSectors,
    tableEntries,
    directoryOffset: directoryOffsetOf(image, head),
    isCompressed,
    hasFooter: false,
    descriptorOffset: offsetFrom(image, head.readBigUInt64LE(28) * BigInt(SECTOR_BYTES)),
    descriptorBytes: offsetFrom(image, descriptorSectors * BigInt(SECTOR_BYTES)),
  };
}

function directoryOffsetOf(image: string, head: Buffer): number {
  const sectors = head.readBigUInt64LE(56);
  if (sectors === DIRECTORY_AT_END) return 0;
  if (sectors === 0n) throw damaged(image, 'it has no directory of its grains');
  return offsetFrom(image, sectors * BigInt(SECTOR_BYTES));
}

async function refuseHiddenParent(image: string, source: ByteSource): Promise<void> {
  const { offset, lengthBytes } = DESCRIPTOR_PLACE;
  const place = await source.read(
    Math.min(offset, source.sizeBytes),
    Math.max(0, Math.min(lengthBytes, source.sizeBytes - offset)),
  );
  if (!place.toString('latin1').toLowerCase().includes('parentfilenamehint')) return;
  throw needsOthers(
    image,
    'is a snapshot that names a parent disk',
    'Consolidate the snapshots of the virtual machine, then export the disk again.',
  );
}

/** Reads the directory and every table, a piece at a time, and sees that tables and grains are in the file. */
async function checkGrains(image: string, source: ByteSource, header: Header): Promise<void> {
  const grains = Math.ceil(header.capacitySectors / header.grainSectors);
  const tables = Math.ceil(grains / header.tableEntries);
  if (tables * 4 > DIRECTORY_BYTES_MAX)
    throw damaged(image, 'its grains are too small for the size of the disk');
  const directory = await readOrCutOff(image, source, header.directoryOffset, tables * 4);
  const tableBytes = header.tableEntries * 4;
  const tableSectors = new Uint32Array(tables);
  const ahead = new ReadAhead(source, tableBytes);
  let last = { sector: 0, grain: 0 };
  for (let index = 0; index < tables; index += 1) {
    const tableSector = directory.readUInt32LE(index * 4);
    tableSectors[index] = tableSector;
    if (tableSector === 0) continue;
    const tableAt = tableSector * SECTOR_BYTES;
    if (tableAt + tableBytes > source.sizeBytes)
      throw cutOff(image, `a table at byte ${tableAt} is past the end`);
    const table = await ahead.read(tableAt);
    for (let entry = 0; entry < header.tableEntries; entry += 1) {
      const sector = table.readUInt32LE(entry * 4);
      if (sector > last.sector) last = { sector, grain: index * header.tableEntries + entry };
    }
  }
  if (haveTwins(tableSectors)) throw damaged(image, 'two parts of the disk share a table');
  if (last.sector > LAST_SPECIAL_ENTRY) await checkLastGrain(image, source, header, last);
}

function haveTwins(sectors: Uint32Array): boolean {
  const sorted = sectors.slice().sort();
  return sorted.some((sector, index) => sector !== 0 && sector === sorted[index + 1]);
}

async function checkLastGrain(
  image: string,
  source: ByteSource,
  header: Header,
  { sector, grain }: { readonly sector: number; readonly grain: number },
): Promise<void> {
  const at = sector * SECTOR_BYTES;
  let lengthBytes: number;
  if (header.isCompressed)
    lengthBytes = MARKER_BYTES + (await readOrCutOff(image, source, at, MARKER_BYTES)).readUInt32LE(8);
  else {
    // The end of the disk may be in the middle of a grain, and the file may end there.
    const sectorsLeft = header.capacitySectors - grain * header.grainSectors;
    lengthBytes = Math.min(header.grainSectors, sectorsLeft) * SECTOR_BYTES;
  }
  if (at + lengthBytes > source.sizeBytes) throw cutOff(image, 'its last grain is past the end');
}

async function readOrCutOff(
  image: string,
  source: ByteSource,
  offset: number,
  lengthBytes: number,
): Promise<Buffer> {
  if (offset + lengthBytes > source.sizeBytes)
    throw cutOff(image, `a table at byte ${offset} is past the end`);
  return source.read(offset, lengthBytes);
}
