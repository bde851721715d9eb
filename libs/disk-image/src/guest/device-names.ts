import { type IdentifiedPartition, parseDeviceName, partitionName, stableName } from './block-devices';

/** Turns names that depend on the disk's controller into names that stay. */
export interface DeviceNames {
  /**
   * `UUID=…` for a partition of the moved disk; undefined where a name stays as it is, means another disk, or
   * what is on the partition is not of the type that is expected there.
   */
  stable(spec: string, expectedType?: string): string | undefined;
  /** `PARTUUID=…` for the same, whatever is on it. */
  stablePartition(spec: string): string | undefined;
  /** Whether it names a disk that is not moved. */
  isOtherDisk(spec: string): boolean;
}

export function deviceNames(
  partitions: readonly IdentifiedPartition[],
  movedDisks: ReadonlySet<string>,
): DeviceNames {
  const isOtherDisk = (spec: string): boolean => {
    const device = parseDeviceName(spec);
    return device !== undefined && !movedDisks.has(device.disk);
  };
  const find = (spec: string): IdentifiedPartition | undefined => {
    const device = parseDeviceName(spec);
    if (!device || isOtherDisk(spec)) return undefined;
    return partitions.find(({ partition }) => partition.number === device.partitionNumber);
  };
  return {
    isOtherDisk,
    stable: (spec, expectedType) => {
      const found = find(spec);
      return found && isOfType(found, expectedType) ? stableName(found) : undefined;
    },
    stablePartition: (spec) => {
      const found = find(spec);
      return found && partitionName(found);
    },
  };
}

function isOfType({ content }: IdentifiedPartition, type: string | undefined): boolean {
  if (type === 'swap') return content === 'swap';
  return type === undefined || !/^ext[234]$/.test(type) || /^ext[234]$/.test(content);
}
