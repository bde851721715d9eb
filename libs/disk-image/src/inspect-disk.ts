import { tmpdir } from 'node:os';
import type { HostTools } from '@watari/host-tools';
import { readGuestSystem } from './adjust';
import { DiskUnusable } from './errors';
import { Scratch } from './file-system/scratch';
import { type Application, readApplications } from './guest/applications';
import { type Firmware, firmwareOf } from './guest/firmware';
import { parseFstab } from './guest/fstab';
import { type Kernel, readKernels } from './guest/kernels';
import { type NicRule, readConfiguredNics, readNicRules } from './guest/network-names';
import { type OperatingSystem, plain } from './guest/operating-system';
import { type ApplianceRoute, type ReadableGuest, readGuest } from './guest/read-guest';
import { type OpenedFile, openReadOnly } from './image/byte-source';
import { examineImage, type ImageExamination, type ImageFormat, unpackImage } from './formats';
import type { PartitionTable } from './partitions/partition-table';

export interface InspectDiskOptions {
  readonly path: string;
  /** Found out by the file's first bytes when it is not given. */
  readonly format?: ImageFormat;
  readonly tools: HostTools;
  /** Also opens XFS, btrfs, LVM, RAID and, with a key, LUKS; without it they are refused. */
  readonly appliance?: ApplianceRoute;
  readonly onProgress?: (text: string, fraction?: number) => void;
  readonly signal?: AbortSignal;
}

export interface DiskInspection {
  readonly hostname?: string;
  readonly operatingSystem: OperatingSystem;
  readonly firmware: Firmware;
  readonly partitionTable: PartitionTable['kind'];
  readonly format: ImageFormat;
  readonly virtualSizeBytes: number;
  readonly allocatedBytes: number;
  readonly partitions: readonly { number: number; sizeBytes: number; content: string }[];
  readonly rootFileSystem: string;
  /** Its journal has changes that are not in the files yet; what is told here may be a little old. */
  readonly fileSystemDirty: boolean;
  /** What /etc/fstab mounts, by the names that it uses. */
  readonly mounts: readonly { spec: string; mountPoint: string; type: string }[];
  readonly kernels: readonly Kernel[];
  /** The kernel's `root=` in the boot loader's menu. */
  readonly kernelRoots: readonly string[];
  readonly nicRules: readonly NicRule[];
  readonly configuredNics: readonly string[];
  readonly applications: readonly Application[];
}

/**
 * Looks at a server's disk. The image is opened for reading alone, nothing is mounted and nothing of the guest
 * is run. Rejects with DiskUnusable, whose message says what to do.
 */
export async function inspectDisk(options: InspectDiskOptions): Promise<DiskInspection> {
  const image = await examineImage(
    options.path,
    options.format === undefined ? {} : { format: options.format },
  );
  const about = {
    format: image.format,
    virtualSizeBytes: image.virtualBytes,
    allocatedBytes: image.files.reduce((sum, { allocatedBytes }) => sum + allocatedBytes, 0),
  };
  const scratch = await Scratch.make();
  try {
    if (image.format !== 'raw') return { ...about, ...(await lookInto(image, scratch, options)) };
    const source = await openReadOnly(options.path);
    try {
      return { ...about, ...(await look(source, await scratch.link(options.path), scratch, options)) };
    } finally {
      await source.close();
    }
  } finally {
    await scratch.remove();
  }
}

type Looked = Omit<DiskInspection, 'format' | 'virtualSizeBytes' | 'allocatedBytes'>;

/** The file system tools read raw disks, so another image is unpacked for a while. */
async function lookInto(
  examination: ImageExamination,
  scratch: Scratch,
  options: InspectDiskOptions,
): Promise<Looked> {
  const { tools, onProgress, signal } = options;
  const rawPath = scratch.path();
  await unpackImage({
    examination,
    targetPath: rawPath,
    tools,
    onProgress: (fraction) => onProgress?.('unpacking the image', fraction),
    ...(signal && { signal }),
  }).catch((error: unknown) => {
    if (!(error instanceof DiskUnusable) || error.code !== 'TARGET_DISK_FULL') throw error;
    throw new DiskUnusable(
      error.code,
      `${error.message} Looking into an image that is not raw needs space in ${tmpdir()}; TMPDIR names another folder.`,
      { cause: error, canRetry: true },
    );
  });
  const raw = await openReadOnly(rawPath);
  try {
    return await look(raw, rawPath, scratch, options);
  } finally {
    await raw.close();
  }
}

async function look(
  disk: OpenedFile,
  diskPath: string,
  scratch: Scratch,
  options: InspectDiskOptions,
): Promise<Looked> {
  const { appliance, tools, onProgress, signal } = options;
  onProgress?.('reading what is on the disk');
  const opening = { disk, diskPath, tools, scratch, appliance, onProgress, signal };
  return readGuest(opening, (guest) => describe(guest, options));
}

async function describe(guest: ReadableGuest, { tools, signal }: InspectDiskOptions): Promise<Looked> {
  const { files } = guest;
  const { osId: id, name, version, architecture } = await readGuestSystem(files);
  if (id === 'unknown' && name === 'unknown')
    throw new DiskUnusable(
      'DISK_NO_OPERATING_SYSTEM',
      'There is a Linux file system on the disk, but no /etc/os-release or older file that says which system it is. Give the disk that the server starts from.',
    );
  const hostname = plain(((await files.readText('/etc/hostname')) ?? '').split('\n')[0] ?? '', 253);
  return {
    ...(hostname && { hostname }),
    operatingSystem: { id, name, version, architecture },
    firmware: firmwareOf(guest.table, guest.partitions),
    partitionTable: guest.table.kind,
    partitions: guest.partitions.map(({ partition, content }) => ({
      number: partition.number,
      sizeBytes: partition.sizeBytes,
      content,
    })),
    rootFileSystem: guest.rootFileSystem,
    fileSystemDirty: guest.isDirty,
    mounts: parseFstab((await files.readText('/etc/fstab')) ?? '').slice(0, 100),
    kernels: await readKernels(files, tools, signal),
    kernelRoots: rootsOf((await files.readText('/boot/grub/grub.cfg')) ?? ''),
    nicRules: await readNicRules(files),
    configuredNics: await readConfiguredNics(files),
    applications: await readApplications(files),
  };
}

function rootsOf(grubConfig: string): string[] {
  const roots = [...grubConfig.matchAll(/^\s*linux\S*\s.*?\sroot=(\S+)/gm)].map(([, root]) =>
    plain(root ?? '', 200),
  );
  return [...new Set(roots)].slice(0, 20);
}
