import { Appliance } from '../appliance/appliance';
import { openApplianceGuest } from '../appliance/open-appliance-guest';
import type { BlockDevice, DiskScan } from '../appliance/scan';
import { type CloneOptions, expectWholeClone, mendClone, openClone } from '../conversion/open-clone';
import { DiskUnusable } from '../errors';
import { isPlainName } from '../file-system/editable-volume';
import type { ContentKind } from '../file-system/signature';
import { openReadOnly } from '../image/byte-source';
import type { IdentifiedPartition } from './block-devices';
import { ExtGuestFiles } from './ext-guest-files';
import type { GuestFiles } from './guest-files';
import { type Firmware, firmwareOf } from './firmware';
import { readPartitions } from './open-guest';
import { type ApplianceRoute, isForAppliance, isRefused } from './read-guest';

export interface EditGuestOptions extends CloneOptions {
  /** Without it, what programs on plain files cannot read is refused. */
  readonly appliance?: ApplianceRoute;
  readonly onProgress?: (text: string) => void;
}

/** A guest on a clone, whose files may be changed, whatever changes them. */
export interface ChangeableGuest {
  readonly files: GuestFiles;
  readonly partitions: readonly IdentifiedPartition[];
  readonly rootFileSystemUuid: string;
  readonly firmware: Firmware;
  /** Which names files may get that are made; all without it. */
  readonly isWritableName?: (name: string) => boolean;
  readonly virtualBytes: number;
}

/**
 * Brings the clone's file systems to rest (journals replayed, small errors mended), gives the installed system's files
 * to `work`, and looks whether all is whole afterwards: by programs on plain files where they can, otherwise in an
 * appliance. The clone is worth nothing when it rejects, with DISK_DAMAGED or as `readGuest` and `work` do.
 */
export async function editGuest<Result>(
  options: EditGuestOptions,
  work: (guest: ChangeableGuest) => Promise<Result>,
): Promise<Result> {
  options.onProgress?.('checking the file systems');
  await mendClone(options);
  const disk = await look(options);
  const route = options.appliance;
  // The boot loader's own files are on FAT then, which programs on plain files do not change.
  if (route && disk.firmware === 'uefi') return editInAppliance(options, route, disk, work);
  let opened;
  try {
    opened = await openClone(options);
  } catch (error) {
    if (!isRefused(error) || !route || !isForAppliance(disk.partitions, route)) throw error;
    return editInAppliance(options, route, disk, work);
  }
  const result = await work({
    ...disk,
    files: new ExtGuestFiles(opened.tree),
    isWritableName: isPlainName,
    partitions: opened.partitions,
    rootFileSystemUuid: opened.rootPartition.uuid ?? '',
  });
  options.onProgress?.('checking the result');
  await expectWholeClone(options);
  return result;
}

type Disk = Pick<ChangeableGuest, 'firmware' | 'partitions' | 'virtualBytes'>;

async function look({ diskPath }: CloneOptions): Promise<Disk> {
  const disk = await openReadOnly(diskPath);
  try {
    const { table, partitions } = await readPartitions(disk);
    return { firmware: firmwareOf(table, partitions), partitions, virtualBytes: disk.sizeBytes };
  } finally {
    await disk.close();
  }
}

async function editInAppliance<Result>(
  { diskPath, tools, scratch, onProgress, signal }: EditGuestOptions,
  { accelerator, keys = [] }: ApplianceRoute,
  disk: Disk,
  work: (guest: ChangeableGuest) => Promise<Result>,
): Promise<Result> {
  onProgress?.('starting the appliance that opens this disk');
  const appliance = await Appliance.start({
    disk: await scratch.link(diskPath),
    format: 'raw',
    readOnly: false,
    ...(accelerator && { accelerator }),
    tools,
    ...(onProgress && { onProgress }),
    ...(signal && { signal }),
  });
  try {
    const { scan, root, mounts } = await openApplianceGuest(appliance, { keys, mend: true });
    const result = await work({
      ...disk,
      files: appliance.files,
      partitions: identifiedPartitions(scan),
      rootFileSystemUuid: root.device.content?.uuid ?? '',
    });
    onProgress?.('checking the result');
    await appliance.unmount();
    for (const device of new Set(mounts.map((mount) => mount.device))) await expectWhole(appliance, device);
    // What was written is on the disk once this has resolved.
    await appliance.close();
    return result;
  } catch (error) {
    await appliance.kill();
    throw error;
  }
}

async function expectWhole(appliance: Appliance, { path, content }: BlockDevice): Promise<void> {
  const { isClean, detail } = await appliance.check(path, content?.type ?? '');
  if (!isClean)
    throw new DiskUnusable(
      'DISK_DAMAGED',
      `The file system on ${path} is not whole after it was changed: ${detail.slice(-300)}. The clone is thrown away; check the disk of the server and try again.`,
    );
}

/** What blkid calls what our own look at a partition has another name for. */
const CONTENT_KINDS: Readonly<Record<string, ContentKind>> = {
  ext2: 'ext2',
  ext3: 'ext3',
  ext4: 'ext4',
  xfs: 'xfs',
  btrfs: 'btrfs',
  vfat: 'vfat',
  swap: 'swap',
  crypto_LUKS: 'luks',
  LVM2_member: 'lvm',
  linux_raid_member: 'md-raid',
};

/** The partitions of the moved disk, by what they hold and are known by. */
export function identifiedPartitions({ devices }: DiskScan): IdentifiedPartition[] {
  const disk = devices.find(({ kind }) => kind === 'disk')?.path ?? '';
  return devices.flatMap(({ partition, parents, sizeBytes, content }): IdentifiedPartition[] => {
    if (!partition || !parents.includes(disk)) return [];
    // Members of an array share the array's identifier, by which nobody may mount one of them.
    const uuid = content?.type === 'linux_raid_member' ? '' : (content?.uuid ?? '');
    return [
      {
        partition: {
          number: partition.number,
          startBytes: partition.startBytes,
          sizeBytes,
          type: partition.type ?? '',
          partUuid: partition.uuid?.toLowerCase() ?? '',
        },
        content: CONTENT_KINDS[content?.type ?? ''] ?? 'unknown',
        ...(uuid !== '' && { uuid }),
        ...(content?.label && { label: content.label }),
      },
    ];
  });
}
