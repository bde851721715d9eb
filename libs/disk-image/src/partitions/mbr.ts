import { type ByteSource, readIfThere } from '../image/byte-source';
import { type Partition, refuseCutOff, tableDamaged } from './partition';

const SECTOR_BYTES = 512;
const ENTRIES_AT = 446;
const EXTENDED_TYPES = new Set([0x05, 0x0f, 0x85]);
/** Linux names no more; a longer chain is a loop or an attack. */
const LOGICAL_PARTITIONS_MAX = 60;

interface Entry {
  readonly type: number;
  readonly firstSector: number;
  readonly sectors: number;
}

/** Whether the first sector is a master boot record, and not a bare file system's boot sector. */
export async function hasMbr(disk: ByteSource): Promise<boolean> {
  const sector = await readIfThere(disk, 0, SECTOR_BYTES);
  if (!sector || sector.readUInt16LE(510) !== 0xaa55) return false;
  const entries = [0, 1, 2, 3].map((index) => ENTRIES_AT + index * 16);
  const areStatusesSane = entries.every((at) => sector[at] === 0x00 || sector[at] === 0x80);
  return areStatusesSane && entriesOf(sector).some((entry) => entry.type !== 0);
}

/** Partitions of a master boot record, logical ones included. */
export async function readMbr(disk: ByteSource): Promise<Partition[]> {
  const sector = await disk.read(0, SECTOR_BYTES);
  const signature = sector.readUInt32LE(440).toString(16).padStart(8, '0');
  const partitionOf = (number: number, { type, sectors }: Entry, firstSector: number): Partition => {
    const partition: Partition = {
      number,
      startBytes: firstSector * SECTOR_BYTES,
      sizeBytes: sectors * SECTOR_BYTES,
      type: type.toString(16).padStart(2, '0'),
      partUuid: `${signature}-${number.toString(16).padStart(2, '0')}`,
    };
    refuseCutOff(partition, disk.sizeBytes);
    return partition;
  };

  const partitions: Partition[] = [];
  for (const [index, entry] of entriesOf(sector).entries()) {
    if (entry.type === 0 || entry.sectors === 0) continue;
    if (entry.firstSector === 0) throw tableDamaged(`partition ${index + 1} begins at the table itself`);
    if (!EXTENDED_TYPES.has(entry.type)) {
      partitions.push(partitionOf(index + 1, entry, entry.firstSector));
      continue;
    }
    for (const logical of await readLogical(disk, entry))
      partitions.push(partitionOf(5 + logical.index, logical.entry, logical.firstSector));
  }
  return partitions;
}

async function readLogical(
  disk: ByteSource,
  extended: Entry,
): Promise<{ index: number; entry: Entry; firstSector: number }[]> {
  const found: { index: number; entry: Entry; firstSector: number }[] = [];
  const visited = new Set<number>();
  let table: number | undefined = extended.firstSector;
  while (table !== undefined) {
    if (visited.has(table)) throw tableDamaged('its chain of logical partitions runs in a circle');
    if (visited.size >= LOGICAL_PARTITIONS_MAX)
      throw tableDamaged(`it has more than ${LOGICAL_PARTITIONS_MAX} logical partitions`);
    visited.add(table);
    const sector = await disk.read(table * SECTOR_BYTES, SECTOR_BYTES);
    if (sector.readUInt16LE(510) !== 0xaa55) {
      // An extended partition may be made and never filled.
      if (visited.size === 1) return [];
      throw tableDamaged('a link in its chain of logical partitions is broken');
    }
    const [entry, link] = entriesOf(sector);
    if (entry && entry.type !== 0 && entry.sectors !== 0)
      found.push({ index: found.length, entry, firstSector: table + entry.firstSector });
    const goesOn: boolean = link !== undefined && EXTENDED_TYPES.has(link.type) && link.sectors !== 0;
    table = goesOn && link ? extended.firstSector + link.firstSector : undefined;
  }
  return found;
}

function entriesOf(sector: Buffer): Entry[] {
  return [0, 1, 2, 3].map((index) => {
    const at = ENTRIES_AT + index * 16;
    return {
      type: sector.readUInt8(at + 4),
      firstSector: sector.readUInt32LE(at + 8),
      sectors: sector.readUInt32LE(at + 12),
    };
  });
}
