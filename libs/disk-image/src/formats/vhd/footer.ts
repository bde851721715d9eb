import { SECTOR_BYTES, damaged, offsetFrom, unsupported, virtualBytesFrom } from '../refusals';

/** Microsoft, "Virtual Hard Disk Image Format Specification" 1.0, "Hard Disk Footer Format". Big endian. */
export interface VhdFooter {
  readonly diskType: 'fixed' | 'dynamic' | 'differencing';
  readonly virtualBytes: number;
  /** Of the dynamic header; undefined for fixed disks. */
  readonly headerOffset?: number;
  /** Four letters of the program that wrote it. */
  readonly creator: string;
  readonly isSavedState: boolean;
}

export const FOOTER_BYTES = SECTOR_BYTES;
export const FOOTER_COOKIE = Buffer.from('conectix');
const CHECKSUM_AT = 64;
const VERSION = 0x00010000;
const NO_OFFSET = 0xffffffffffffffffn;
const DISK_TYPES: Readonly<Record<number, VhdFooter['diskType']>> = {
  2: 'fixed',
  3: 'dynamic',
  4: 'differencing',
};

/** The one's complement of the sum of all bytes but the checksum's own. */
export function checksumOf(bytes: Buffer, checksumAt: number): number {
  let sum = 0;
  for (const [index, byte] of bytes.entries())
    if (index < checksumAt || index >= checksumAt + 4) sum = (sum + byte) >>> 0;
  return ~sum >>> 0;
}

/** Whether a sector is a footer with a right checksum. */
export function isFooter(sector: Buffer): boolean {
  return (
    sector.length === FOOTER_BYTES &&
    sector.subarray(0, FOOTER_COOKIE.length).equals(FOOTER_COOKIE) &&
    sector.readUInt32BE(CHECKSUM_AT) === checksumOf(sector, CHECKSUM_AT)
  );
}

/** Reads a footer, which `isFooter` has been asked about. */
export function parseFooter(image: string, sector: Buffer): VhdFooter {
  const version = sector.readUInt32BE(12);
  if (version !== VERSION)
    throw unsupported(
      image,
      `has version 0x${version.toString(16)}; only version 1.0 exists`,
      'Export the disk again.',
    );
  const type = sector.readUInt32BE(60);
  const diskType = DISK_TYPES[type];
  if (!diskType)
    throw unsupported(
      image,
      `is of type ${type}; fixed (2) and dynamic (3) disks can be read`,
      'Convert it into a fixed or dynamic disk ("Convert-VHD").',
    );
  const dataOffset = sector.readBigUInt64BE(16);
  if (diskType !== 'fixed' && dataOffset === NO_OFFSET)
    throw damaged(image, 'its footer does not say where the header is');
  return {
    diskType,
    virtualBytes: virtualBytesFrom(image, sector.readBigUInt64BE(48)),
    ...(diskType !== 'fixed' && { headerOffset: offsetFrom(image, dataOffset) }),
    creator: sector.toString('latin1', 28, 32),
    isSavedState: sector.readUInt8(84) !== 0,
  };
}
