import type { ContentKind } from '../file-system/signature';
import type { Partition } from '../partitions/partition';

/** A partition and what it is known by. */
export interface IdentifiedPartition {
  readonly partition: Partition;
  readonly content: ContentKind;
  readonly uuid?: string;
  readonly label?: string;
}

export interface NamedDevice {
  /** `sda`, `nvme0n1`, or what stands before `-part1` in by-id and by-path. */
  readonly disk: string;
  readonly partitionNumber: number;
}

/** Names that a disk's controller gives to partitions, and that change with it. */
export function parseDeviceName(spec: string): NamedDevice | undefined {
  const lettered = /^\/dev\/((?:sd|hd|vd|xvd)[a-z]{1,3})(\d{1,3})$/.exec(spec);
  if (lettered) return { disk: lettered[1] ?? '', partitionNumber: Number(lettered[2]) };
  const numbered = /^\/dev\/((?:nvme\d{1,3}n|mmcblk)\d{1,3})p(\d{1,3})$/.exec(spec);
  if (numbered) return { disk: numbered[1] ?? '', partitionNumber: Number(numbered[2]) };
  const linked = /^\/dev\/disk\/by-(?:id|path)\/([^/]+)-part(\d{1,3})$/.exec(spec);
  return linked ? { disk: linked[1] ?? '', partitionNumber: Number(linked[2]) } : undefined;
}

/** The partition that a mount, a kernel or a boot loader means by `spec`. */
export function findPartition(
  partitions: readonly IdentifiedPartition[],
  spec: string,
): IdentifiedPartition | undefined {
  const [, tag, quoted] = /^(UUID|LABEL|PARTUUID)=(.+)$/i.exec(spec) ?? [];
  const value = quoted?.replace(/^"|"$/g, '');
  const byDisk = /^\/dev\/disk\/by-(uuid|label|partuuid)\/(.+)$/.exec(spec);
  const key = (tag ?? byDisk?.[1])?.toLowerCase();
  const wanted = value ?? byDisk?.[2];
  switch (key) {
    case 'uuid':
      return partitions.find(({ uuid }) => uuid?.toLowerCase() === wanted?.toLowerCase());
    case 'label':
      return partitions.find(({ label }) => label === wanted);
    case 'partuuid':
      return partitions.find(({ partition }) => partition.partUuid === wanted?.toLowerCase());
    default: {
      const device = parseDeviceName(spec);
      return device && partitions.find(({ partition }) => partition.number === device.partitionNumber);
    }
  }
}

/** A name that stays when the disk gets another controller; undefined where the partition has none. */
export function stableName(identified: IdentifiedPartition): string | undefined {
  const { uuid } = identified;
  return uuid && !/^[0-]*$/.test(uuid) ? `UUID=${uuid}` : partitionName(identified);
}

/** The same, of the partition itself: it also stays when what is on it is made anew. */
export function partitionName({ partition }: IdentifiedPartition): string | undefined {
  // Without an identifier of the disk udev gives its partitions none.
  return /^(0{8}-[0-9a-f]{2}|[0-]*)$/.test(partition.partUuid) ? undefined : `PARTUUID=${partition.partUuid}`;
}
