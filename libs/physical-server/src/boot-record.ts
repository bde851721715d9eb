import { PhysicalServerError } from './errors';

const SECTOR_BYTES = 512;

/**
 * Sector 0: GRUB's boot.img with our partition table and the few fields that grub-bios-setup would fill in.
 *
 *     0x000  boot.img's code                         0x1b8  disk signature
 *     0x05c  first sector of the core image, 64 bits 0x1be  four partition entries
 *     0x064  BIOS drive of it; 0xff is "this one"    0x1fe  55 aa
 *     0x066  a jump that is taken on floppies; two NOPs make it a hard disk
 *
 *     sectors 1…  core.img, then nothing until the first partition
 */
const BOOT = {
  kernelSector: 0x5c,
  bootDrive: 0x64,
  driveCheck: 0x66,
  diskSignature: 0x1b8,
  partitions: 0x1be,
  magic: 0x1fe,
};

/** In the first sector of core.img, its last entry says where the others are: sector (64 bits), count, segment. */
const CORE = { listedSector: 0x1f4, listedCount: 0x1fc, listedSegment: 0x1fe, segment: 0x820 };

const LINUX_PARTITION = 0x83;
const ACTIVE = 0x80;
/** Heads and cylinders say nothing on any disk of our time; this is what everybody writes when the sector counts. */
const CHS_UNUSED = Buffer.from([0xfe, 0xff, 0xff]);

export interface BootRecordRequest {
  readonly bootImage: Buffer;
  readonly coreImage: Buffer;
  readonly diskBytes: number;
  readonly partitionOffsetBytes: number;
  /** 32 bits by which BIOS and Linux (PARTUUID) tell disks apart. */
  readonly diskSignature: number;
}

/**
 * The disk's first sectors: master boot record with one active Linux partition to the disk's end, and GRUB's core
 * image behind it. Throws PHYSICAL_SERVER_BOOT_IMAGE_INVALID when the images are not GRUB's or do not fit.
 */
export function bootRecord(request: BootRecordRequest): Buffer {
  const { bootImage, coreImage, diskBytes, partitionOffsetBytes, diskSignature } = request;
  if (bootImage.length !== SECTOR_BYTES || bootImage.readUInt16LE(BOOT.magic) !== 0xaa55) {
    throw invalid('boot.img is not a boot sector of 512 bytes');
  }
  const coreSectors = Math.ceil(coreImage.length / SECTOR_BYTES);
  const gapSectors = partitionOffsetBytes / SECTOR_BYTES - 1;
  if (coreSectors < 2 || coreSectors > gapSectors) {
    throw invalid(`core.img takes ${coreSectors} sectors, and there are ${gapSectors} before the partition`);
  }
  if (coreImage.readUInt16LE(CORE.listedSegment) !== CORE.segment)
    throw invalid('core.img does not begin with a block list');
  if (coreImage.readUInt16LE(CORE.listedCount) !== coreSectors - 1)
    throw invalid('core.img names another length than it has');

  const record = Buffer.alloc((1 + coreSectors) * SECTOR_BYTES);
  bootImage.copy(record);
  record.writeBigUInt64LE(1n, BOOT.kernelSector);
  record.writeUInt8(0xff, BOOT.bootDrive);
  record.fill(0x90, BOOT.driveCheck, BOOT.driveCheck + 2);
  record.fill(0, BOOT.diskSignature, BOOT.magic);
  record.writeUInt32LE(diskSignature, BOOT.diskSignature);
  record.writeUInt8(ACTIVE, BOOT.partitions);
  CHS_UNUSED.copy(record, BOOT.partitions + 1);
  record.writeUInt8(LINUX_PARTITION, BOOT.partitions + 4);
  CHS_UNUSED.copy(record, BOOT.partitions + 5);
  record.writeUInt32LE(partitionOffsetBytes / SECTOR_BYTES, BOOT.partitions + 8);
  record.writeUInt32LE((diskBytes - partitionOffsetBytes) / SECTOR_BYTES, BOOT.partitions + 12);

  coreImage.copy(record, SECTOR_BYTES);
  record.writeBigUInt64LE(2n, SECTOR_BYTES + CORE.listedSector);
  return record;
}

function invalid(what: string): PhysicalServerError {
  return new PhysicalServerError(
    'PHYSICAL_SERVER_BOOT_IMAGE_INVALID',
    `GRUB cannot be put on the disk: ${what}. Its packages may be damaged; remove the cache folder physical-server and try again.`,
  );
}
