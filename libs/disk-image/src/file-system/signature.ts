import { type ByteSource, readIfThere } from '../image/byte-source';

export type ContentKind =
  | 'ext2'
  | 'ext3'
  | 'ext4'
  | 'xfs'
  | 'btrfs'
  | 'ntfs'
  | 'vfat'
  | 'f2fs'
  | 'reiserfs'
  | 'iso9660'
  | 'squashfs'
  | 'swap'
  | 'luks'
  | 'bitlocker'
  | 'lvm'
  | 'md-raid'
  | 'zfs'
  | 'unknown';

interface Signature {
  readonly kind: ContentKind;
  readonly at: number;
  readonly magic: Buffer;
}

const text = (kind: ContentKind, at: number, letters: string): Signature => ({
  kind,
  at,
  magic: Buffer.from(letters, 'latin1'),
});

const MD_MAGIC = Buffer.from([0xfc, 0x4e, 0x2b, 0xa9]);

/** Containers come first: a file system's old signature may be left inside of them. */
const SIGNATURES: readonly Signature[] = [
  text('luks', 0, 'LUKS\xba\xbe'),
  text('bitlocker', 3, '-FVE-FS-'),
  ...[0, 512, 1024, 1536].map((at) => text('lvm', at, 'LABELONE')),
  { kind: 'md-raid', at: 0, magic: MD_MAGIC },
  { kind: 'md-raid', at: 4096, magic: MD_MAGIC },
  text('xfs', 0, 'XFSB'),
  text('btrfs', 0x10040, '_BHRfS_M'),
  text('ntfs', 3, 'NTFS    '),
  text('swap', 4086, 'SWAPSPACE2'),
  text('swap', 65526, 'SWAPSPACE2'),
  { kind: 'f2fs', at: 1024, magic: Buffer.from([0x10, 0x20, 0xf5, 0xf2]) },
  text('reiserfs', 0x10034, 'ReIsEr'),
  text('squashfs', 0, 'hsqs'),
  text('iso9660', 32769, 'CD001'),
  text('vfat', 82, 'FAT32   '),
  text('vfat', 54, 'FAT1'),
];

const EXT_MAGIC_AT = 1080;
const EXT_MAGIC = Buffer.from([0x53, 0xef]);
const ZFS_UBERBLOCK_AT = 128 * 1024;
const ZFS_MAGIC = Buffer.from('0cb1ba0000000000', 'hex');

/** Says what a partition holds, by the marks that file systems and containers leave. */
export async function identifyContent(volume: ByteSource): Promise<ContentKind> {
  for (const { kind, at, magic } of SIGNATURES) if (await hasAt(volume, at, magic)) return kind;
  if (await hasMdAtEnd(volume)) return 'md-raid';
  if (await hasAt(volume, EXT_MAGIC_AT, EXT_MAGIC)) return extKind(volume);
  if (await hasAt(volume, ZFS_UBERBLOCK_AT, ZFS_MAGIC)) return 'zfs';
  return 'unknown';
}

async function hasAt(volume: ByteSource, at: number, magic: Buffer): Promise<boolean> {
  return (await readIfThere(volume, at, magic.length))?.equals(magic) ?? false;
}

/** Version 1.0 lies 8 KiB before the end, version 0.90 in the last whole 64 KiB. */
async function hasMdAtEnd(volume: ByteSource): Promise<boolean> {
  const v10 = Math.floor((volume.sizeBytes - 8192) / 4096) * 4096;
  const v090 = Math.floor(volume.sizeBytes / 65536) * 65536 - 65536;
  return (await hasAt(volume, v10, MD_MAGIC)) || (await hasAt(volume, v090, MD_MAGIC));
}

async function extKind(volume: ByteSource): Promise<ContentKind> {
  const features = await readIfThere(volume, 1024 + 0x5c, 12);
  if (!features) return 'unknown';
  const hasJournal = (features.readUInt32LE(0) & 0x4) !== 0;
  const incompatible = features.readUInt32LE(4);
  const readOnlyCompatible = features.readUInt32LE(8);
  const isExt4 = (incompatible & ~0x16) !== 0 || (readOnlyCompatible & ~0x7) !== 0;
  return isExt4 ? 'ext4' : hasJournal ? 'ext3' : 'ext2';
}
