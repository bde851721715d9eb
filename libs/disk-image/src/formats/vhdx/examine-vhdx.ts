import { type ByteSource, type OpenedFile, readIfThere } from '../../image/byte-source';
import { fileOf } from '../image-file';
import type { Examined } from '../image-format';
import { cutOff, damaged, notClosed, unsupported } from '../refusals';
import { crc32cWithout } from './crc32c';
import { type VhdxMetadata, readMetadata } from './metadata';
import { type VhdxRegion, readRegions } from './region-table';

/*
 * [MS-VHDX], "Virtual Hard Disk v2 (VHDX) File Format". All of it little endian:
 *
 *   0        64 KiB    128 KiB   192 KiB        256 KiB        1 MiB
 *   file id  header 1  header 2  region table   its copy       log, blocks, metadata, data
 */
const IMAGE = 'The VHDX image';
const SIGNATURE = Buffer.from('vhdxfile');
const HEADER_OFFSETS = [64 * 1024, 128 * 1024] as const;
const HEADER_BYTES = 4096;
const HEADER_SIGNATURE = Buffer.from('head');
const HEADER_SUM_AT = 4;
const MIB = 1024 * 1024;
const BITMAP_SECTORS = 2 ** 23;
const ENTRY_BYTES = 8;
const ENTRIES_PER_READ = 128 * 1024;
/** Blocks of one MiB of the largest disk. */
const BLOCKS_MAX = 64 * 1024 * 1024;

const FULLY_PRESENT = 6;
const PARTIALLY_PRESENT = 7;
const STATES = new Set([0, 1, 2, 3, FULLY_PRESENT]);

interface Header {
  readonly sequence: bigint;
  readonly version: number;
  readonly hasLog: boolean;
}

export function isVhdx(head: Buffer): boolean {
  return head.subarray(0, SIGNATURE.length).equals(SIGNATURE);
}

/** Examines a VHDX image. See `examineImage`. */
export async function examineVhdx(path: string, source: OpenedFile): Promise<Examined> {
  const front = await readIfThere(source, 0, SIGNATURE.length);
  if (!front || !isVhdx(front)) throw damaged(IMAGE, 'it does not begin as one');
  const header = await readHeader(source);
  if (header.version !== 1)
    throw unsupported(
      IMAGE,
      `has version ${header.version}; version 1 can be read`,
      'Export the disk again.',
    );
  if (header.hasLog)
    throw notClosed(
      IMAGE,
      'its log holds changes that are not in the disk yet',
      'Shut the virtual machine down; if it is off, attach the disk once on Hyper-V ("Mount-VHD", then "Dismount-VHD").',
    );
  const regions = await readRegions(IMAGE, source);
  const metadata = await readMetadata(IMAGE, source, regions.metadata);
  await checkBlocks(source, regions.blocks, metadata);
  return {
    subformat: metadata.isFixed ? 'fixed' : 'dynamic',
    virtualBytes: metadata.virtualBytes,
    files: [fileOf(path, 'disk', source)],
    content: { kind: 'file', path, qemuFormat: 'vhdx' },
  };
}

/** The header that counts is the one with the right sum and the higher number. */
async function readHeader(source: ByteSource): Promise<Header> {
  const headers: Header[] = [];
  for (const offset of HEADER_OFFSETS) {
    const bytes = await readIfThere(source, offset, HEADER_BYTES);
    if (!bytes) throw cutOff(IMAGE, 'its headers are past the end');
    const isRight =
      bytes.subarray(0, 4).equals(HEADER_SIGNATURE) &&
      bytes.readUInt32LE(HEADER_SUM_AT) === crc32cWithout(bytes, HEADER_SUM_AT);
    if (!isRight) continue;
    headers.push({
      sequence: bytes.readBigUInt64LE(8),
      version: bytes.readUInt16LE(66),
      hasLog: bytes.subarray(48, 64).some((byte) => byte !== 0),
    });
  }
  const [first, second] = headers;
  if (!first) throw damaged(IMAGE, 'the sums of both of its headers are wrong');
  if (!second) return first;
  if (first.sequence === second.sequence) throw damaged(IMAGE, 'its two headers have the same number');
  return first.sequence > second.sequence ? first : second;
}

/** Reads the block table a piece at a time: every block is in the file, none is shared. */
async function checkBlocks(source: ByteSource, region: VhdxRegion, metadata: VhdxMetadata): Promise<void> {
  const { blockBytes, logicalSectorBytes, virtualBytes } = metadata;
  const blocks = Math.ceil(virtualBytes / blockBytes);
  if (blocks > BLOCKS_MAX) throw damaged(IMAGE, 'its blocks are too small for the size of the disk');
  // After so many blocks comes the entry of a bitmap, which only differencing disks have.
  const blocksPerBitmap = (BITMAP_SECTORS * logicalSectorBytes) / blockBytes;
  const entries = blocks + Math.floor((blocks - 1) / blocksPerBitmap);
  if (entries * ENTRY_BYTES > region.lengthBytes)
    throw damaged(IMAGE, 'its table of blocks does not fit the size of the disk');

  const fileMib = Math.ceil(source.sizeBytes / MIB);
  const blockMib = blockBytes / MIB;
  if (fileMib / blockMib > 2 * BLOCKS_MAX) throw damaged(IMAGE, 'the file is longer than any disk needs');
  /** For each stretch of a block's length, whether a block begins in it. */
  const taken = new Uint8Array(Math.ceil(fileMib / blockMib) + 1);
  for (let first = 0; first < entries; first += ENTRIES_PER_READ) {
    const count = Math.min(ENTRIES_PER_READ, entries - first);
    const table = await source.read(region.offset + first * ENTRY_BYTES, count * ENTRY_BYTES);
    for (let index = 0; index < count; index += 1) {
      if ((first + index + 1) % (blocksPerBitmap + 1) === 0) continue;
      const low = table.readUInt32LE(index * ENTRY_BYTES);
      const state = low & 7;
      if (state === PARTIALLY_PRESENT)
        throw damaged(IMAGE, 'parts of it are in a parent that it does not name');
      if (!STATES.has(state)) throw damaged(IMAGE, `a block has the unknown state ${state}`);
      if (state !== FULLY_PRESENT) continue;
      const atMib = table.readUInt32LE(index * ENTRY_BYTES + 4) * 2 ** 12 + (low >>> 20);
      if (atMib * MIB + blockBytes > source.sizeBytes)
        throw cutOff(IMAGE, `the block of entry ${first + index} is past the end`);
      if (atMib === 0) throw damaged(IMAGE, 'a block lies on its headers');
      const slot = Math.floor(atMib / blockMib);
      // Two blocks that do not touch never begin within one block's length.
      if (taken[slot]) throw damaged(IMAGE, 'two parts of the disk share a block');
      taken[slot] = 1;
    }
  }
}
