import { BIOS_BOOT_PARTITION, EFI_SYSTEM_PARTITION } from '../partitions/gpt';
import type { Partition } from '../partitions/partition';
import type { PartitionTable } from '../partitions/partition-table';

/** By which firmware a disk starts, as far as its partition table tells. */
export type Firmware = 'bios' | 'uefi' | 'unknown';

export function firmwareOf(
  { kind }: Pick<PartitionTable, 'kind'>,
  partitions: readonly { readonly partition: Pick<Partition, 'type'> }[],
): Firmware {
  const types = partitions.map(({ partition }) => partition.type);
  if (types.includes(BIOS_BOOT_PARTITION)) return 'bios';
  if (types.includes(EFI_SYSTEM_PARTITION) || types.includes('ef')) return 'uefi';
  return kind === 'mbr' ? 'bios' : 'unknown';
}
