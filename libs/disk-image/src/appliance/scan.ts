import { z } from 'zod';

const DEVICES_MAX = 1024;
const path = z.string().regex(/^\/dev\/[A-Za-z0-9/!+_.-]{1,255}$/);
const bytes = z.int().min(0);
const words = z.string().max(512);

const BlockDevice = z.object({
  path,
  kind: z.enum(['disk', 'partition', 'lvm', 'raid', 'crypt', 'other']),
  sizeBytes: bytes,
  isReadOnly: z.boolean(),
  /** What it lies on. */
  parents: z.array(path).max(DEVICES_MAX),
  /** By blkid's names, such as `ext4`, `crypto_LUKS`, `LVM2_member`; `ambivalent` where several fit. */
  content: z.object({ type: words, uuid: words, label: words, version: words }).optional(),
  table: z.object({ kind: words, uuid: words }).optional(),
  partition: z
    .object({
      number: z.int().min(0),
      startBytes: bytes,
      type: words.optional(),
      uuid: words.optional(),
      name: words.optional(),
    })
    .optional(),
  raid: z.object({ level: words, memberCount: z.int().min(0), missingCount: z.int().min(0) }).optional(),
});
/** A block device of the appliance; its path is what `mount` and `openLuks` take. */
export type BlockDevice = z.infer<typeof BlockDevice>;

const VolumeGroup = z.object({
  name: words,
  uuid: words,
  sizeBytes: bytes,
  missingCount: z.int().min(0),
  physicalVolumes: z.array(z.object({ path: words, uuid: words })).max(DEVICES_MAX),
  logicalVolumes: z
    .array(
      z.object({
        name: words,
        uuid: words,
        sizeBytes: bytes,
        isActive: z.boolean(),
        type: words,
        path: words,
      }),
    )
    .max(DEVICES_MAX),
});
export type VolumeGroup = z.infer<typeof VolumeGroup>;

export const DiskScan = z.object({
  devices: z.array(BlockDevice).max(DEVICES_MAX),
  volumeGroups: z.array(VolumeGroup).max(256),
  /** What could not be brought up, and why. */
  problems: z.array(z.string().max(2000)).max(50),
});
/** What is on the disks, with RAID arrays and volume groups brought up, and encrypted devices opened so far. */
export type DiskScan = z.infer<typeof DiskScan>;

export const LUKS_CONTENT = 'crypto_LUKS';

/** File systems that the appliance mounts. */
export const MOUNTABLE: readonly string[] = ['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'vfat', 'iso9660'];
