import { type FileHandle, open } from 'node:fs/promises';
import { damaged } from '../refusals';
import { crc32cWithout } from './crc32c';
import {
  BLOCKS_REGION,
  METADATA_REGION,
  REGION_ENTRIES_AT,
  REGION_ENTRY_BYTES,
  REGION_SUM_AT,
  REGION_TABLE_BYTES,
  REGION_TABLE_OFFSETS,
  entryCountOf,
  guidAt,
  isRegionTable,
} from './region-table';

const IMAGE = 'The VHDX image that was written';
const FLAG_REQUIRED = 1;

/**
 * Marks the regions of blocks and metadata as required in both region tables. [MS-VHDX] 2.2.3.2 wants that of
 * writers; qemu-img leaves it out, and some readers then refuse the file. Resolves with how many were marked.
 */
export async function requireRegions(path: string): Promise<number> {
  const file = await open(path, 'r+');
  try {
    let marked = 0;
    for (const offset of REGION_TABLE_OFFSETS) marked += await requireIn(file, offset);
    return marked;
  } finally {
    await file.close();
  }
}

async function requireIn(file: FileHandle, offset: number): Promise<number> {
  const table = Buffer.alloc(REGION_TABLE_BYTES);
  const { bytesRead } = await file.read(table, 0, table.length, offset);
  if (bytesRead < table.length || !isRegionTable(table))
    throw damaged(IMAGE, `there is no right region table at ${offset}`);
  let marked = 0;
  for (let index = 0; index < entryCountOf(IMAGE, table); index += 1) {
    const at = REGION_ENTRIES_AT + index * REGION_ENTRY_BYTES;
    const guid = guidAt(table, at);
    const flags = table.readUInt32LE(at + 28);
    if ((guid !== BLOCKS_REGION && guid !== METADATA_REGION) || flags & FLAG_REQUIRED) continue;
    table.writeUInt32LE(flags | FLAG_REQUIRED, at + 28);
    marked += 1;
  }
  if (marked === 0) return 0;
  table.writeUInt32LE(crc32cWithout(table, REGION_SUM_AT), REGION_SUM_AT);
  for (let done = 0; done < table.length;)
    done += (await file.write(table, done, table.length - done, offset + done)).bytesWritten;
  return marked;
}
