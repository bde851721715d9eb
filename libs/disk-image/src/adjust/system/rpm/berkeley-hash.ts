import { isOutOfRange } from './out-of-range';

/**
 * Reads the values of a Berkeley DB hash, as RPM before 4.16 has its packages: pages with pairs of a key and a value,
 * whose long values are on chains of pages of their own (dbinc/db_page.h).
 */
const HASH_MAGIC = 0x061561;
const PAGE_HEADER_BYTES = 26;
const HASH_PAGES = [2, 13];
const OVERFLOW_PAGE = 7;
const KEY_DATA = 1;
const OFF_PAGE = 3;
const VALUES_MAX = 100_000;
const VALUE_BYTES_MAX = 32 * 1024 * 1024;

interface Database {
  readonly bytes: Buffer;
  readonly pageBytes: number;
  readonly isBig: boolean;
}

export function isBerkeleyHash(bytes: Buffer): boolean {
  return (
    bytes.length >= 72 && (bytes.readUInt32LE(12) === HASH_MAGIC || bytes.readUInt32BE(12) === HASH_MAGIC)
  );
}

/** All values; undefined where the database is damaged. */
export function readBerkeleyHash(bytes: Buffer): Buffer[] | undefined {
  if (!isBerkeleyHash(bytes)) return undefined;
  const isBig = bytes.readUInt32BE(12) === HASH_MAGIC;
  const pageBytes = isBig ? bytes.readUInt32BE(20) : bytes.readUInt32LE(20);
  if (pageBytes < 512 || pageBytes > 65_536 || (pageBytes & (pageBytes - 1)) !== 0) return undefined;
  const database = { bytes, pageBytes, isBig };
  const values: Buffer[] = [];
  // In a whole database every byte is in one value at most.
  let left = bytes.length;
  try {
    for (let page = 1; page * pageBytes + pageBytes <= bytes.length; page++) {
      const content = pageOf(database, page);
      if (!HASH_PAGES.includes(content.readUInt8(25))) continue;
      for (const value of valuesOf(database, content)) {
        left -= value.length;
        if (values.length >= VALUES_MAX || left < 0) return undefined;
        values.push(value);
      }
    }
    return values;
  } catch (error) {
    // An offset that leads out of the file.
    if (isOutOfRange(error)) return undefined;
    throw error;
  }
}

function pageOf({ bytes, pageBytes }: Database, page: number): Buffer {
  const start = page * pageBytes;
  if (start + pageBytes > bytes.length) throw new RangeError('a page is not in the file');
  return bytes.subarray(start, start + pageBytes);
}

/** Entries are keys and values by turns; each reaches down from the one before it. */
function* valuesOf(database: Database, page: Buffer): Generator<Buffer> {
  const count = half(database, page, 20);
  for (let index = 1; index < count; index += 2) {
    const at = half(database, page, PAGE_HEADER_BYTES + index * 2);
    const end = half(database, page, PAGE_HEADER_BYTES + (index - 1) * 2);
    const type = page.readUInt8(at);
    if (type === KEY_DATA && end > at) yield page.subarray(at + 1, end);
    if (type === OFF_PAGE)
      yield chained(database, word(database, page, at + 4), word(database, page, at + 8));
  }
}

function chained(database: Database, first: number, sizeBytes: number): Buffer {
  if (sizeBytes > VALUE_BYTES_MAX) throw new RangeError('a value is too long');
  const parts: Buffer[] = [];
  let next = first;
  for (let left = sizeBytes; left > 0;) {
    const page = pageOf(database, next);
    const length = Math.min(half(database, page, 22), left, database.pageBytes - PAGE_HEADER_BYTES);
    if (page.readUInt8(25) !== OVERFLOW_PAGE || length === 0) throw new RangeError('a value breaks off');
    parts.push(page.subarray(PAGE_HEADER_BYTES, PAGE_HEADER_BYTES + length));
    left -= length;
    next = word(database, page, 16);
  }
  return Buffer.concat(parts);
}

function half({ isBig }: Database, page: Buffer, at: number): number {
  return isBig ? page.readUInt16BE(at) : page.readUInt16LE(at);
}

function word({ isBig }: Database, page: Buffer, at: number): number {
  return isBig ? page.readUInt32BE(at) : page.readUInt32LE(at);
}
