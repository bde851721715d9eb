import { type ByteSource, type OpenedFile, readIfThere } from '../../image/byte-source';
import { fileOf } from '../image-file';
import type { Examined } from '../image-format';
import { SECTOR_BYTES, cutOff, damaged, needsOthers, notClosed, offsetFrom, unsupported } from '../refusals';
import { FOOTER_BYTES, FOOTER_COOKIE, type VhdFooter, checksumOf, isFooter, parseFooter } from './footer';

const IMAGE = 'The VHD image';
const HEADER_BYTES = 1024;
const HEADER_COOKIE = Buffer.from('cxsparse');
const HEADER_CHECKSUM_AT = 36;
const HEADER_VERSION = 0x00010000;
const BLOCK_BYTES_MIN = SECTOR_BYTES;
const BLOCK_BYTES_MAX = 256 * 1024 * 1024;
/** 2040 GB in blocks of 2 MB are a million; ten times as many is no disk. */
const TABLE_ENTRIES_MAX = 16 * 1024 * 1024;
const ENTRIES_PER_READ = 256 * 1024;
const NOT_ALLOCATED = 0xffffffff;

/** Whether the file is a VHD: a dynamic one has a copy of its footer at its front, a fixed one only a footer. */
export async function isVhd(source: ByteSource): Promise<boolean> {
  const front = await readIfThere(source, 0, FOOTER_COOKIE.length);
  if (front?.equals(FOOTER_COOKIE)) return true;
  const footer = await readIfThere(source, source.sizeBytes - FOOTER_BYTES, FOOTER_BYTES);
  if (!footer || !isFooter(footer)) return false;
  // The end of a raw disk is the guest's to write: only a footer that fits the file exactly counts.
  return footer.readBigUInt64BE(48) === BigInt(source.sizeBytes - FOOTER_BYTES);
}

/** Examines a VHD image. See `examineImage`. */
export async function examineVhd(path: string, source: OpenedFile): Promise<Examined> {
  const footer = await readFooter(source);
  if (footer.diskType === 'differencing')
    throw needsOthers(
      IMAGE,
      'is a differencing disk, which needs its parent',
      'Merge it into its parent ("Merge-VHD"), or export the virtual machine.',
    );
  if (footer.isSavedState)
    throw notClosed(
      IMAGE,
      'it belongs to a virtual machine in saved state',
      'Start the virtual machine and shut it down.',
    );
  const { virtualBytes } = footer;
  const files = [fileOf(path, 'disk', source)];
  if (footer.headerOffset === undefined) {
    if (virtualBytes + FOOTER_BYTES > source.sizeBytes)
      throw cutOff(IMAGE, `its disk has ${virtualBytes} bytes, and the file only ${source.sizeBytes}`);
    // Its bytes are the disk's: no reader has to look into them, which the guest could have prepared.
    const content = { kind: 'slice', path, offset: 0, lengthBytes: virtualBytes } as const;
    return { subformat: 'fixed', virtualBytes, files, content };
  }
  await checkBlocks(source, footer, footer.headerOffset);
  return { subformat: 'dynamic', virtualBytes, files, content: { kind: 'file', path, qemuFormat: 'vpc' } };
}

async function readFooter(source: ByteSource): Promise<VhdFooter> {
  const front = await readIfThere(source, 0, FOOTER_BYTES);
  const end = await readIfThere(source, source.sizeBytes - FOOTER_BYTES, FOOTER_BYTES);
  const hasFront = front !== undefined && front.subarray(0, FOOTER_COOKIE.length).equals(FOOTER_COOKIE);
  if (!end || !isFooter(end)) {
    if (hasFront && front && isFooter(front)) throw cutOff(IMAGE, 'it does not end with a footer');
    throw hasFront
      ? damaged(IMAGE, 'the checksum of its footer is wrong')
      : cutOff(IMAGE, 'it does not end with a footer whose checksum is right');
  }
  const footer = parseFooter(IMAGE, end);
  if (footer.diskType === 'fixed') {
    if (hasFront)
      throw damaged(
        IMAGE,
        'its end tells of a fixed disk, its front of one that grows; readers would differ',
      );
    return footer;
  }
  if (!front || !hasFront || !isFooter(front))
    throw damaged(IMAGE, 'the copy of its footer at the front is missing or wrong');
  // Some writers leave the copy of a flag or a time behind; what the disk is has to be the same.
  for (const [from, to] of [
    [8, 24],
    [48, 64],
  ] as const)
    if (!front.subarray(from, to).equals(end.subarray(from, to)))
      throw damaged(IMAGE, 'its footer and the copy at the front tell different disks');
  return footer;
}

/** Reads the block allocation table a piece at a time: every block is in the file, none is shared. */
async function checkBlocks(source: ByteSource, footer: VhdFooter, headerOffset: number): Promise<void> {
  const header = await readIfThere(source, headerOffset, HEADER_BYTES);
  if (!header) throw cutOff(IMAGE, 'its header is past the end');
  if (!header.subarray(0, HEADER_COOKIE.length).equals(HEADER_COOKIE))
    throw damaged(IMAGE, 'its header is not where the footer says');
  if (header.readUInt32BE(HEADER_CHECKSUM_AT) !== checksumOf(header, HEADER_CHECKSUM_AT))
    throw damaged(IMAGE, 'the checksum of its header is wrong');
  const version = header.readUInt32BE(24);
  if (version !== HEADER_VERSION)
    throw unsupported(IMAGE, `has a header of version 0x${version.toString(16)}`, 'Export the disk again.');

  const tableOffset = offsetFrom(IMAGE, header.readBigUInt64BE(16));
  const entries = header.readUInt32BE(28);
  const blockBytes = header.readUInt32BE(32);
  if (
    !Number.isInteger(Math.log2(blockBytes)) ||
    blockBytes < BLOCK_BYTES_MIN ||
    blockBytes > BLOCK_BYTES_MAX
  )
    throw damaged(IMAGE, `blocks of ${blockBytes} bytes are outside of what the format allows`);
  if (entries > TABLE_ENTRIES_MAX || entries * blockBytes < footer.virtualBytes)
    throw damaged(IMAGE, `its table of ${entries} blocks does not fit the size of the disk`);
  if (tableOffset + entries * 4 > source.sizeBytes)
    throw cutOff(IMAGE, 'its table of blocks is past the end');

  const endBytes = source.sizeBytes - FOOTER_BYTES;
  const bitmapBytes = Math.ceil(blockBytes / SECTOR_BYTES / 8 / SECTOR_BYTES) * SECTOR_BYTES;
  const starts = new Uint32Array(Math.ceil(footer.virtualBytes / blockBytes)).fill(NOT_ALLOCATED);
  for (let first = 0; first < starts.length; first += ENTRIES_PER_READ) {
    const count = Math.min(ENTRIES_PER_READ, starts.length - first);
    const table = await source.read(tableOffset + first * 4, count * 4);
    for (let index = 0; index < count; index += 1) {
      const sector = table.readUInt32BE(index * 4);
      starts[first + index] = sector;
      if (sector !== NOT_ALLOCATED && sector * SECTOR_BYTES + bitmapBytes + blockBytes > endBytes)
        throw cutOff(IMAGE, `block ${first + index} is past the end`);
    }
  }
  starts.sort();
  const blockSectors = (bitmapBytes + blockBytes) / SECTOR_BYTES;
  const overlaps = starts.some((start, index) => {
    const next = starts[index + 1];
    return next !== undefined && next !== NOT_ALLOCATED && next - start < blockSectors;
  });
  if (overlaps) throw damaged(IMAGE, 'two parts of the disk share a block');
}
