import type { HostTools } from '@watari/host-tools';
import { EditableVolume } from '../file-system/editable-volume';
import type { Scratch } from '../file-system/scratch';
import { expectWhole, mendVolume, type VolumePlace } from '../file-system/check-volume';
import { type GuestPartition, type OpenGuest, nameOf, openGuest, readPartitions } from '../guest/open-guest';
import { openReadOnly } from '../image/byte-source';

export interface CloneOptions {
  /** A raw disk that may be changed. */
  readonly diskPath: string;
  readonly tools: HostTools;
  readonly scratch: Scratch;
  readonly signal?: AbortSignal;
}

/** Brings the file systems of a clone to rest: journals replayed, small errors mended. */
export async function mendClone(options: CloneOptions): Promise<void> {
  for (const place of await places(options)) await mendVolume(place, options);
}

/** Opens a clone's guest for writing; its file systems must have been mended. */
export async function openClone(options: CloneOptions): Promise<OpenGuest<EditableVolume>> {
  const disk = await openReadOnly(options.diskPath);
  try {
    return await openGuest({
      ...options,
      disk,
      diskPath: await options.scratch.link(options.diskPath),
      makeVolume: (volume) => new EditableVolume(volume),
    });
  } finally {
    await disk.close();
  }
}

/** Rejects with DISK_DAMAGED where a file system of the clone is not whole. */
export async function expectWholeClone(options: CloneOptions): Promise<void> {
  for (const place of await places(options)) await expectWhole(place, options);
}

async function places({ diskPath }: CloneOptions): Promise<VolumePlace[]> {
  const disk = await openReadOnly(diskPath);
  try {
    const { partitions } = await readPartitions(disk);
    return partitions.filter(({ superblock }) => superblock).map((found) => placeOf(found, diskPath));
  } finally {
    await disk.close();
  }
}

function placeOf({ partition, superblock }: GuestPartition, diskPath: string): VolumePlace {
  return {
    diskPath,
    offsetBytes: partition.startBytes,
    sizeBytes: partition.sizeBytes,
    name: nameOf(partition),
    needsRecovery: superblock?.needsRecovery ?? false,
  };
}
