import type { HostTools } from '@watari/host-tools';
import { Appliance } from '../appliance/appliance';
import { openApplianceGuest } from '../appliance/open-appliance-guest';
import { DiskUnusable } from '../errors';
import type { Scratch } from '../file-system/scratch';
import type { ByteSource } from '../image/byte-source';
import type { PartitionTable } from '../partitions/partition-table';
import type { GuestReader } from './guest-files';
import { type GuestPartition, openForReading, readPartitions } from './open-guest';

/** How a disk is opened that programs on plain files cannot read. */
export interface ApplianceRoute {
  /** Found out by a probe when it is not given. */
  readonly accelerator?: 'kvm' | 'tcg';
  /** Tried on every encrypted device, byte for byte; without one, an encrypted disk is refused. */
  readonly keys?: readonly Buffer[];
}

export interface ReadGuestOptions {
  readonly disk: ByteSource;
  /** A plain path (see Scratch) of a raw disk. */
  readonly diskPath: string;
  readonly tools: HostTools;
  readonly scratch: Scratch;
  /** Without it, what programs on plain files cannot read is refused. */
  readonly appliance?: ApplianceRoute;
  readonly onProgress?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/** A guest whose files are read, whatever reads them. */
export interface ReadableGuest {
  readonly table: PartitionTable;
  readonly partitions: readonly GuestPartition[];
  readonly files: GuestReader;
  readonly rootFileSystem: string;
  /** A journal has changes that are not in the files yet. */
  readonly isDirty: boolean;
}

const REFUSED = ['DISK_FILE_SYSTEM_UNSUPPORTED', 'DISK_ENCRYPTED'];
/** What an appliance opens and debugfs does not. */
const APPLIANCE_CONTENTS = ['xfs', 'btrfs', 'lvm', 'md-raid'];

/**
 * Finds the installed system and gives its files to `look`: by programs on plain files where they can, otherwise in
 * an appliance, which ends with `look`. Rejects as `openGuest` and `openApplianceGuest` do.
 */
export async function readGuest<Result>(
  options: ReadGuestOptions,
  look: (guest: ReadableGuest) => Promise<Result>,
): Promise<Result> {
  let opened;
  try {
    opened = await openForReading(options);
  } catch (error) {
    if (!isRefused(error) || !options.appliance) throw error;
    const found = await readPartitions(options.disk);
    if (!isForAppliance(found.partitions, options.appliance)) throw error;
    return readInAppliance(options, found, look);
  }
  const { table, partitions, rootPartition, tree, volumes } = opened;
  return look({
    table,
    partitions,
    files: tree,
    rootFileSystem: rootPartition.content,
    isDirty: volumes.some(({ superblock }) => superblock.needsRecovery),
  });
}

/** What programs on plain files leave to an appliance. */
export function isRefused(error: unknown): boolean {
  return error instanceof DiskUnusable && REFUSED.includes(error.code);
}

/** Whether an appliance can open more of the disk than programs on plain files. */
export function isForAppliance(
  partitions: readonly Pick<GuestPartition, 'content'>[],
  { keys = [] }: ApplianceRoute,
): boolean {
  return partitions.some(
    ({ content }) => APPLIANCE_CONTENTS.includes(content) || (content === 'luks' && keys.length > 0),
  );
}

async function readInAppliance<Result>(
  { diskPath, tools, appliance: route = {}, onProgress, signal }: ReadGuestOptions,
  found: Pick<ReadableGuest, 'table' | 'partitions'>,
  look: (guest: ReadableGuest) => Promise<Result>,
): Promise<Result> {
  onProgress?.('starting the appliance that opens this disk');
  const appliance = await Appliance.start({
    disk: diskPath,
    format: 'raw',
    readOnly: true,
    ...(route.accelerator && { accelerator: route.accelerator }),
    tools,
    ...(onProgress && { onProgress }),
    ...(signal && { signal }),
  });
  try {
    const { root, mounts } = await openApplianceGuest(appliance, { keys: route.keys ?? [] });
    onProgress?.('reading what is on the disk');
    return await look({
      ...found,
      files: appliance.files,
      rootFileSystem: root.device.content?.type ?? 'unknown',
      isDirty: mounts.some(({ needsRecovery }) => needsRecovery),
    });
  } finally {
    await appliance.close();
  }
}
