import type { HostTools } from '@watari/host-tools';
import { DiskUnusable } from '../errors';
import { type ExtSuperblock, readExtSuperblock, uuidOf } from '../file-system/ext-superblock';
import { ExtVolume, type VolumeOptions } from '../file-system/ext-volume';
import type { Scratch } from '../file-system/scratch';
import { type ContentKind, identifyContent } from '../file-system/signature';
import { type ByteSource, readIfThere, sliceOf } from '../image/byte-source';
import type { Partition } from '../partitions/partition';
import { type PartitionTable, readPartitionTable } from '../partitions/partition-table';
import { type IdentifiedPartition, findPartition } from './block-devices';
import { parseFstab } from './fstab';
import { GuestTree } from './guest-tree';

export interface GuestPartition extends IdentifiedPartition {
  readonly superblock?: ExtSuperblock;
}

export interface OpenGuest<Volume extends ExtVolume = ExtVolume> {
  readonly table: PartitionTable;
  readonly partitions: readonly GuestPartition[];
  readonly rootPartition: GuestPartition;
  readonly tree: GuestTree<Volume>;
  readonly volumes: readonly Volume[];
}

export interface OpenGuestOptions<Volume extends ExtVolume> {
  readonly disk: ByteSource;
  readonly diskPath: string;
  readonly tools: HostTools;
  readonly scratch: Scratch;
  readonly signal?: AbortSignal;
  readonly makeVolume: (options: VolumeOptions) => Volume;
}

/** Folders that the inspection and the conversion look into, when they are mounts of their own. */
const MOUNTS_READ = ['/boot', '/usr', '/var'];

/** Says what each partition holds; a disk without a table counts as one partition, number 0. */
export async function readPartitions(
  disk: ByteSource,
): Promise<{ table: PartitionTable; partitions: GuestPartition[] }> {
  const table = await readPartitionTable(disk);
  const whole: Partition = { number: 0, startBytes: 0, sizeBytes: disk.sizeBytes, type: '', partUuid: '' };
  const partitions: GuestPartition[] = [];
  for (const partition of table.kind === 'none' ? [whole] : table.partitions)
    partitions.push(await identify(disk, partition));
  if (table.kind === 'none' && partitions[0]?.content === 'unknown')
    throw new DiskUnusable(
      'DISK_NOT_AN_IMAGE',
      'The file has neither a partition table nor a file system that is known. Give the image of a whole disk.',
    );
  return { table, partitions };
}

async function identify(disk: ByteSource, partition: Partition): Promise<GuestPartition> {
  const volume = sliceOf(disk, partition.startBytes, partition.sizeBytes);
  const content = await identifyContent(volume);
  if (isExt(content)) {
    const superblock = await readExtSuperblock(volume, nameOf(partition));
    return { partition, content, superblock, uuid: superblock.uuid, label: superblock.label };
  }
  if (content !== 'swap') return { partition, content };
  const header = await readIfThere(volume, 1036, 32);
  return { partition, content, ...(header && { uuid: uuidOf(header) }) };
}

/**
 * Finds the installed system and where its folders are. Throws DISK_NO_OPERATING_SYSTEM, DISK_ENCRYPTED or
 * DISK_FILE_SYSTEM_UNSUPPORTED.
 */
export async function openGuest<Volume extends ExtVolume>(
  options: OpenGuestOptions<Volume>,
): Promise<OpenGuest<Volume>> {
  const { table, partitions } = await readPartitions(options.disk);
  const volumes = new Map<GuestPartition, Volume>();
  for (const found of partitions)
    if (found.superblock)
      volumes.set(
        found,
        options.makeVolume({
          tools: options.tools,
          scratch: options.scratch,
          diskPath: options.diskPath,
          offsetBytes: found.partition.startBytes,
          name: nameOf(found.partition),
          superblock: found.superblock,
          signal: options.signal,
        }),
      );

  for (const [rootPartition, volume] of volumes) {
    const tree = new GuestTree(volume);
    const hasRelease = (await tree.find('/etc/os-release')) ?? (await tree.find('/etc/fstab'));
    if (!hasRelease || !(await tree.find('/etc'))) continue;
    await mountFolders(tree, partitions, volumes);
    return { table, partitions, rootPartition, tree, volumes: [...volumes.values()] };
  }
  throw noSystem(partitions);
}

async function mountFolders<Volume extends ExtVolume>(
  tree: GuestTree<Volume>,
  partitions: readonly GuestPartition[],
  volumes: ReadonlyMap<GuestPartition, Volume>,
): Promise<void> {
  const fstab = parseFstab((await tree.readText('/etc/fstab')) ?? '');
  for (const { spec, mountPoint } of fstab) {
    if (!MOUNTS_READ.includes(mountPoint)) continue;
    const found = findPartition(partitions, spec) as GuestPartition | undefined;
    const volume = found && volumes.get(found);
    if (!volume) throw unsupported(found?.content ?? 'unknown', `${mountPoint} (${spec})`);
    tree.addMount({ point: mountPoint, volume });
  }
}

function noSystem(partitions: readonly GuestPartition[]): DiskUnusable {
  for (const { partition, content } of partitions) {
    if (content === 'luks' || content === 'bitlocker')
      return new DiskUnusable(
        'DISK_ENCRYPTED',
        `${capital(nameOf(partition))} is encrypted (${LABELS[content]}). ${content === 'luks' ? 'Give the key that unlocks it (--key-file), or unlock' : 'Unlock'} it on the server and copy the unlocked disk.`,
      );
  }
  const foreign = partitions.find(({ content }) => content in LABELS);
  if (foreign) return unsupported(foreign.content, nameOf(foreign.partition));
  return new DiskUnusable(
    'DISK_NO_OPERATING_SYSTEM',
    `No installed system was found on the disk (${describe(partitions)}). Give the disk that the server starts from.`,
  );
}

const LABELS: Partial<Record<ContentKind, string>> = {
  luks: 'LUKS',
  bitlocker: 'BitLocker',
  lvm: 'LVM',
  'md-raid': 'Linux software RAID',
  zfs: 'ZFS',
  xfs: 'XFS',
  btrfs: 'btrfs',
  ntfs: 'NTFS',
  f2fs: 'F2FS',
  reiserfs: 'ReiserFS',
};

function unsupported(content: ContentKind, where: string): DiskUnusable {
  return new DiskUnusable(
    'DISK_FILE_SYSTEM_UNSUPPORTED',
    `${capital(where)} is ${LABELS[content] ?? content}; at this stage systems on ext2, ext3 or ext4 partitions can be moved.`,
  );
}

function describe(partitions: readonly GuestPartition[]): string {
  if (partitions.length === 0) return 'it has no partitions';
  return partitions
    .slice(0, 8)
    .map(({ partition, content }) => `${nameOf(partition)}: ${content}`)
    .join(', ');
}

export function nameOf({ number }: Partition): string {
  return number === 0 ? 'the disk' : `partition ${number}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function isExt(content: ContentKind): boolean {
  return content === 'ext2' || content === 'ext3' || content === 'ext4';
}

export function openForReading(options: Omit<OpenGuestOptions<ExtVolume>, 'makeVolume'>): Promise<OpenGuest> {
  return openGuest({ ...options, makeVolume: (volume) => new ExtVolume(volume) });
}
