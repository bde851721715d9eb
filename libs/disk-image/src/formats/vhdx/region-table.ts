import { type ByteSource, readIfThere } from '../../image/byte-source';
import { cutOff, damaged, offsetFrom, unsupported } from '../refusals';
import { crc32cWithout } from './crc32c';

/** [MS-VHDX] 2.2.3: where the regions are. Two copies, either of which does. */
export interface VhdxRegions {
  readonly blocks: VhdxRegion;
  readonly metadata: VhdxRegion;
}

export interface VhdxRegion {
  readonly offset: number;
  readonly lengthBytes: number;
}

export const REGION_TABLE_OFFSETS = [192 * 1024, 256 * 1024] as const;
export const REGION_TABLE_BYTES = 64 * 1024;
export const REGION_SUM_AT = 4;
export const REGION_ENTRY_BYTES = 32;
export const REGION_ENTRIES_AT = 16;
const SIGNATURE = Buffer.from('regi');
const ENTRIES_MAX = 2047;
const MIB = 1024 * 1024;
const FLAG_REQUIRED = 1;

export const BLOCKS_REGION = '2dc27766-f623-4200-9d64-115e9bfd4a08';
export const METADATA_REGION = '8b7ca206-4790-4b9a-b8fe-575f050f886e';

/** A GUID as Microsoft writes it: the first three fields little endian. */
export function guidAt(bytes: Buffer, at: number): string {
  const hex = (from: number, to: number): string => bytes.toString('hex', at + from, at + to);
  const little = (from: number, to: number): string =>
    Buffer.from(bytes.subarray(at + from, at + to))
      .reverse()
      .toString('hex');
  return [little(0, 4), little(4, 6), little(6, 8), hex(8, 10), hex(10, 16)].join('-');
}

/** Whether bytes are a region table with a right sum. */
export function isRegionTable(bytes: Buffer): boolean {
  return (
    bytes.subarray(0, 4).equals(SIGNATURE) &&
    bytes.readUInt32LE(REGION_SUM_AT) === crc32cWithout(bytes, REGION_SUM_AT)
  );
}

export function entryCountOf(image: string, table: Buffer): number {
  const count = table.readUInt32LE(8);
  if (count > ENTRIES_MAX) throw damaged(image, `its region table has ${count} entries`);
  return count;
}

/** Reads the region tables. A region that is required and not known is refused. */
export async function readRegions(image: string, source: ByteSource): Promise<VhdxRegions> {
  let broken = false;
  for (const offset of REGION_TABLE_OFFSETS) {
    const table = await readIfThere(source, offset, REGION_TABLE_BYTES);
    if (!table) throw cutOff(image, 'its region tables are past the end');
    if (isRegionTable(table)) return parseRegions(image, source, table);
    broken = true;
  }
  throw damaged(image, broken ? 'both copies of its region table are wrong' : 'it has no region table');
}

function parseRegions(image: string, source: ByteSource, table: Buffer): VhdxRegions {
  const found = new Map<string, VhdxRegion>();
  const count = entryCountOf(image, table);
  for (let index = 0; index < count; index += 1) {
    const at = REGION_ENTRIES_AT + index * REGION_ENTRY_BYTES;
    const guid = guidAt(table, at);
    const region = {
      offset: offsetFrom(image, table.readBigUInt64LE(at + 16)),
      lengthBytes: table.readUInt32LE(at + 24),
    };
    if (guid !== BLOCKS_REGION && guid !== METADATA_REGION) {
      if (table.readUInt32LE(at + 28) & FLAG_REQUIRED)
        throw unsupported(
          image,
          `has a region that readers have to know, and that is not known here (${guid})`,
          'Write it again with "Convert-VHD" on Hyper-V.',
        );
      continue;
    }
    if (found.has(guid)) throw damaged(image, 'its region table names a region twice');
    checkRegion(image, source, region);
    found.set(guid, region);
  }
  const [blocks, metadata] = [found.get(BLOCKS_REGION), found.get(METADATA_REGION)];
  if (!blocks || !metadata) throw damaged(image, 'its region table lacks the blocks or the metadata');
  if (overlap(blocks, metadata)) throw damaged(image, 'its regions lie on each other');
  return { blocks, metadata };
}

/** Regions begin after the first MiB, which is the headers', and at a whole one. */
function checkRegion(image: string, source: ByteSource, { offset, lengthBytes }: VhdxRegion): void {
  if (offset < MIB || offset % MIB !== 0 || lengthBytes === 0 || lengthBytes % MIB !== 0)
    throw damaged(image, `a region of ${lengthBytes} bytes at ${offset} cannot be`);
  if (offset + lengthBytes > source.sizeBytes) throw cutOff(image, 'a region is past the end');
}

function overlap(one: VhdxRegion, other: VhdxRegion): boolean {
  return one.offset < other.offset + other.lengthBytes && other.offset < one.offset + one.lengthBytes;
}
