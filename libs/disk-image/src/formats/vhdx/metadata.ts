import type { ByteSource } from '../../image/byte-source';
import { damaged, needsOthers, unsupported, virtualBytesFrom } from '../refusals';
import { type VhdxRegion, guidAt } from './region-table';

/** [MS-VHDX] 2.6: what kind of disk it is. */
export interface VhdxMetadata {
  readonly virtualBytes: number;
  readonly blockBytes: number;
  readonly logicalSectorBytes: number;
  /** All blocks are kept allocated: a fixed disk. */
  readonly isFixed: boolean;
}

const TABLE_BYTES = 64 * 1024;
const ENTRY_BYTES = 32;
const ENTRIES_AT = 32;
const ENTRIES_MAX = 2047;
const SIGNATURE = Buffer.from('metadata');
const FLAG_REQUIRED = 4;
const MIB = 1024 * 1024;

const ITEMS = {
  'caa16737-fa36-4d43-b3b6-33f0aa44e76b': { name: 'fileParameters', lengthBytes: 8 },
  '2fa54224-cd1b-4876-b211-5dbed83bf4b8': { name: 'virtualDiskSize', lengthBytes: 8 },
  'beca12ab-b2e6-4523-93ef-c309e000c746': { name: 'diskId', lengthBytes: 16 },
  '8141bf1d-a96f-4709-ba47-f233a8faab5f': { name: 'logicalSectorSize', lengthBytes: 4 },
  'cda348c7-445d-4471-9cc9-e9885251c556': { name: 'physicalSectorSize', lengthBytes: 4 },
  'a8d35f2d-b30b-454d-abf7-d3d84834ab0c': { name: 'parentLocator', lengthBytes: undefined },
} as const;
type ItemName = (typeof ITEMS)[keyof typeof ITEMS]['name'];

const isKnown = (guid: string): guid is keyof typeof ITEMS => Object.hasOwn(ITEMS, guid);

/** Reads the metadata region. An item that is required and not known is refused, and so is a parent. */
export async function readMetadata(
  image: string,
  source: ByteSource,
  region: VhdxRegion,
): Promise<VhdxMetadata> {
  const items = await readItems(image, source, region);
  const item = (name: ItemName): Buffer => {
    const value = items.get(name);
    if (!value) throw damaged(image, `its metadata lack the ${name}`);
    return value;
  };
  const flags = item('fileParameters').readUInt32LE(4);
  if (flags & 2 || items.has('parentLocator'))
    throw needsOthers(
      image,
      'is a differencing disk, which needs its parent',
      'Merge it into its parent ("Merge-VHD"), or export the virtual machine.',
    );
  const blockBytes = item('fileParameters').readUInt32LE(0);
  if (!Number.isInteger(Math.log2(blockBytes)) || blockBytes < MIB || blockBytes > 256 * MIB)
    throw damaged(image, `blocks of ${blockBytes} bytes are outside of what the format allows`);
  const logicalSectorBytes = item('logicalSectorSize').readUInt32LE(0);
  if (logicalSectorBytes !== 512 && logicalSectorBytes !== 4096)
    throw damaged(image, `sectors of ${logicalSectorBytes} bytes are outside of what the format allows`);
  if (logicalSectorBytes !== 512)
    throw unsupported(
      image,
      'is a disk with sectors of 4096 bytes, whose partitions start elsewhere on a disk with 512',
      'Copy the system onto a disk with sectors of 512 bytes first.',
    );
  return {
    virtualBytes: virtualBytesFrom(image, item('virtualDiskSize').readBigUInt64LE(0)),
    blockBytes,
    logicalSectorBytes,
    isFixed: (flags & 1) !== 0,
  };
}

async function readItems(
  image: string,
  source: ByteSource,
  region: VhdxRegion,
): Promise<ReadonlyMap<ItemName, Buffer>> {
  const table = await source.read(region.offset, TABLE_BYTES);
  const count = table.readUInt16LE(10);
  if (!table.subarray(0, 8).equals(SIGNATURE) || count > ENTRIES_MAX)
    throw damaged(image, 'its table of metadata is none');
  const items = new Map<ItemName, Buffer>();
  for (let index = 0; index < count; index += 1) {
    const at = ENTRIES_AT + index * ENTRY_BYTES;
    const guid = guidAt(table, at);
    if (!isKnown(guid)) {
      if (table.readUInt32LE(at + 24) & FLAG_REQUIRED)
        throw unsupported(
          image,
          `has metadata that readers have to know, and that are not known here (${guid})`,
          'Write it again with "Convert-VHD" on Hyper-V.',
        );
      continue;
    }
    const { name, lengthBytes } = ITEMS[guid];
    const [offset, itemBytes] = [table.readUInt32LE(at + 16), table.readUInt32LE(at + 20)];
    if (items.has(name)) throw damaged(image, `its metadata say the ${name} twice`);
    if (offset < TABLE_BYTES || offset + itemBytes > region.lengthBytes)
      throw damaged(image, `the ${name} is outside of its metadata`);
    // A parent locator is refused for being there; its content is of no interest.
    if (lengthBytes === undefined) items.set(name, Buffer.alloc(0));
    else if (itemBytes !== lengthBytes) throw damaged(image, `the ${name} has ${itemBytes} bytes`);
    else items.set(name, await source.read(region.offset + offset, lengthBytes));
  }
  return items;
}
