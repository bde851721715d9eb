import { type IdentifiedPartition, parseDeviceName, stableName } from './block-devices';
import { parseFstab } from './fstab';
import type { GuestTree } from './guest-tree';

/** Turns names that depend on the disk's controller into names that stay. */
export interface DeviceNames {
  /** `UUID=…` for a partition of the moved disk; undefined where a name stays as it is, or means another disk. */
  stable(spec: string): string | undefined;
  /** Whether it names a disk that is not moved. */
  isOtherDisk(spec: string): boolean;
}

/** The disk is the one that the root is on by its old name; where none says so, the only one that is named. */
export async function readDeviceNames(
  tree: GuestTree,
  partitions: readonly IdentifiedPartition[],
): Promise<DeviceNames> {
  const fstab = parseFstab((await tree.readText('/etc/fstab')) ?? '');
  const grub = (await tree.readText('/boot/grub/grub.cfg')) ?? '';
  const roots = [...grub.matchAll(/\sroot=(\S+)/g)].map(([, root]) => root ?? '');
  const rootSpecs = [...fstab.filter(({ mountPoint }) => mountPoint === '/').map(({ spec }) => spec), ...roots];
  const allSpecs = [...rootSpecs, ...fstab.map(({ spec }) => spec)];
  const disksOf = (specs: readonly string[]): Set<string> =>
    new Set(specs.flatMap((spec) => parseDeviceName(spec)?.disk ?? []));
  const [rootDisks, allDisks] = [disksOf(rootSpecs), disksOf(allSpecs)];
  const disks = rootDisks.size > 0 ? rootDisks : allDisks.size === 1 ? allDisks : new Set<string>();
  return deviceNames(partitions, disks);
}

export function deviceNames(
  partitions: readonly IdentifiedPartition[],
  movedDisks: ReadonlySet<string>,
): DeviceNames {
  const isOtherDisk = (spec: string): boolean => {
    const device = parseDeviceName(spec);
    return device !== undefined && movedDisks.size > 0 && !movedDisks.has(device.disk);
  };
  return {
    isOtherDisk,
    stable: (spec) => {
      const device = parseDeviceName(spec);
      if (!device || isOtherDisk(spec)) return undefined;
      const found = partitions.find(({ partition }) => partition.number === device.partitionNumber);
      return found && stableName(found);
    },
  };
}
