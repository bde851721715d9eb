/** A package of RPM's database, by its header. */
export interface RpmPackage {
  readonly name: string;
  readonly version: string;
  /** Absolute paths of all that it installed, worked out when they are asked for. */
  files(): string[];
}

/** Tags of a header that are read here (rpmtag.h). */
const NAME = 1000;
const VERSION = 1001;
const FOLDER_INDEXES = 1116;
const BASE_NAMES = 1117;
const FOLDER_NAMES = 1118;
const INT32 = 4;
const STRING = 6;
const STRING_ARRAY = 8;

const ENTRY_BYTES = 16;
const ENTRIES_MAX = 65_536;
const FILES_MAX = 200_000;

interface Entry {
  readonly type: number;
  readonly at: number;
  readonly count: number;
}

/**
 * Reads a header as the database has it: the counts of entries and of data bytes, the entries, the data; all numbers
 * big-endian. Undefined where it is none.
 */
export function readRpmHeader(blob: Buffer): RpmPackage | undefined {
  if (blob.length < 8) return undefined;
  const [entryCount, dataBytes] = [blob.readUInt32BE(0), blob.readUInt32BE(4)];
  const dataAt = 8 + entryCount * ENTRY_BYTES;
  if (entryCount > ENTRIES_MAX || dataAt + dataBytes > blob.length) return undefined;
  const data = blob.subarray(dataAt, dataAt + dataBytes);
  const entries = new Map<number, Entry>();
  for (let index = 0; index < entryCount; index++) {
    const at = 8 + index * ENTRY_BYTES;
    const [type, offset] = [blob.readUInt32BE(at + 4), blob.readUInt32BE(at + 8)];
    entries.set(blob.readUInt32BE(at), { type, at: offset, count: blob.readUInt32BE(at + 12) });
  }
  const name = strings(data, entries.get(NAME))?.[0];
  if (name === undefined || !/^[A-Za-z0-9][A-Za-z0-9+._-]{0,200}$/.test(name)) return undefined;
  return {
    name,
    version: strings(data, entries.get(VERSION))?.[0] ?? '',
    files: () => filesOf(data, entries),
  };
}

function filesOf(data: Buffer, entries: ReadonlyMap<number, Entry>): string[] {
  const names = strings(data, entries.get(BASE_NAMES)) ?? [];
  const folders = strings(data, entries.get(FOLDER_NAMES)) ?? [];
  const indexes = numbers(data, entries.get(FOLDER_INDEXES)) ?? [];
  return names.map((name, index) => `${folders[indexes[index] ?? -1] ?? '?/'}${name}`);
}

function strings(data: Buffer, entry: Entry | undefined): string[] | undefined {
  if (!entry || (entry.type !== STRING && entry.type !== STRING_ARRAY)) return undefined;
  const found: string[] = [];
  let { at } = entry;
  for (let index = 0; index < Math.min(entry.count, FILES_MAX); index++) {
    const end = data.indexOf(0, at);
    if (end < 0) return undefined;
    found.push(data.toString('utf8', at, end));
    at = end + 1;
  }
  return found;
}

function numbers(data: Buffer, entry: Entry | undefined): number[] | undefined {
  if (!entry || entry.type !== INT32 || entry.count > FILES_MAX) return undefined;
  if (entry.at + entry.count * 4 > data.length) return undefined;
  return Array.from({ length: entry.count }, (_none, index) => data.readUInt32BE(entry.at + index * 4));
}
