import { isOutOfRange } from './out-of-range';

/**
 * Reads the rows of one table of an SQLite database (file format, sqlite.org/fileformat2.html): pages of a tree, in
 * whose leaves are rows, whose long ones go on in chains of pages.
 */
const MAGIC = 'SQLite format 3\0';
const HEADER_BYTES = 100;
const INTERIOR = 0x05;
const LEAF = 0x0d;
const ROWS_MAX = 100_000;
const ROW_BYTES_MAX = 32 * 1024 * 1024;
const COLUMNS_MAX = 64;

interface Database {
  readonly bytes: Buffer;
  readonly pageBytes: number;
  /** Of a page, without what extensions keep at its end. */
  readonly usableBytes: number;
}

/** A column's value; numbers that are not needed here are undefined. */
export type Value = string | Buffer | number | undefined;

export function isSqlite(bytes: Buffer): boolean {
  return bytes.toString('latin1', 0, MAGIC.length) === MAGIC && bytes.length >= HEADER_BYTES;
}

/** Values of all rows; undefined where there is no such table, or the database is damaged. */
export function readSqliteTable(bytes: Buffer, table: string): Value[][] | undefined {
  if (!isSqlite(bytes)) return undefined;
  const stated = bytes.readUInt16BE(16);
  const pageBytes = stated === 1 ? 65_536 : stated;
  const usableBytes = pageBytes - bytes.readUInt8(20);
  if (pageBytes < 512 || (pageBytes & (pageBytes - 1)) !== 0 || usableBytes < 480) return undefined;
  const database = { bytes, pageBytes, usableBytes };
  try {
    const root = rowsOf(database, 1).find(([type, name]) => type === 'table' && name === table)?.[3];
    return typeof root === 'number' ? rowsOf(database, root) : undefined;
  } catch (error) {
    // An offset that leads out of the file.
    if (isOutOfRange(error)) return undefined;
    throw error;
  }
}

function rowsOf(database: Database, root: number): Value[][] {
  const rows: Value[][] = [];
  const seen = new Set<number>();
  const pending = [root];
  // In a whole database every byte is in one row at most.
  let left = database.bytes.length;
  for (let page = pending.pop(); page !== undefined; page = pending.pop()) {
    if (seen.has(page)) throw new RangeError('a page is in the tree twice');
    seen.add(page);
    const at = page === 1 ? HEADER_BYTES : 0;
    const content = pageOf(database, page);
    const [type, count] = [content.readUInt8(at), content.readUInt16BE(at + 3)];
    if (type !== LEAF && type !== INTERIOR) throw new RangeError('a page is no part of a table');
    const pointers = at + (type === LEAF ? 8 : 12);
    for (let index = 0; index < count; index++) {
      const cell = content.readUInt16BE(pointers + index * 2);
      if (type === INTERIOR) pending.push(content.readUInt32BE(cell));
      else {
        const row = rowAt(database, content, cell);
        left -= row.length;
        if (rows.length >= ROWS_MAX || left < 0) throw new RangeError('there is more in it than it holds');
        rows.push(valuesOf(row));
      }
    }
    if (type === INTERIOR) pending.push(content.readUInt32BE(at + 8));
  }
  return rows;
}

function pageOf({ bytes, pageBytes }: Database, page: number): Buffer {
  const start = (page - 1) * pageBytes;
  if (page < 1 || start + pageBytes > bytes.length) throw new RangeError('a page is not in the file');
  return bytes.subarray(start, start + pageBytes);
}

function rowAt(database: Database, content: Buffer, cell: number): Buffer {
  const size = varint(content, cell);
  const key = varint(content, size.end);
  return payloadAt(database, content, key.end, size.value);
}

/** A long row is partly in its page; how much, is the format's own arithmetic. */
function payloadAt(database: Database, content: Buffer, at: number, sizeBytes: number): Buffer {
  if (sizeBytes > ROW_BYTES_MAX) throw new RangeError('a row is too long');
  const { usableBytes } = database;
  const most = usableBytes - 35;
  if (sizeBytes <= most) return within(content, at, sizeBytes);
  const least = Math.floor(((usableBytes - 12) * 32) / 255) - 23;
  const fitting = least + ((sizeBytes - least) % (usableBytes - 4));
  const localBytes = fitting <= most ? fitting : least;
  const parts = [within(content, at, localBytes)];
  let next = content.readUInt32BE(at + localBytes);
  for (let left = sizeBytes - localBytes; left > 0;) {
    const page = pageOf(database, next);
    const part = page.subarray(4, 4 + Math.min(left, usableBytes - 4));
    parts.push(part);
    left -= part.length;
    next = page.readUInt32BE(0);
  }
  return Buffer.concat(parts);
}

function within(content: Buffer, at: number, length: number): Buffer {
  if (at + length > content.length) throw new RangeError('a row is not in its page');
  return content.subarray(at, at + length);
}

function valuesOf(row: Buffer): Value[] {
  const header = varint(row, 0);
  const values: Value[] = [];
  let at = header.value;
  for (let place = header.end; place < header.value && values.length < COLUMNS_MAX;) {
    const kind = varint(row, place);
    place = kind.end;
    const length = lengthOf(kind.value);
    values.push(valueOf(kind.value, within(row, at, length)));
    at += length;
  }
  return values;
}

function lengthOf(kind: number): number {
  if (kind >= 12) return Math.floor((kind - 12) / 2);
  return [0, 1, 2, 3, 4, 6, 8, 8, 0, 0][kind] ?? 0;
}

function valueOf(kind: number, bytes: Buffer): Value {
  if (kind >= 12) return kind % 2 === 0 ? bytes : bytes.toString('utf8');
  if (kind === 8 || kind === 9) return kind - 8;
  return kind >= 1 && kind <= 5 ? bytes.readIntBE(0, bytes.length) : undefined;
}

/** Seven bits a byte, the highest first; nine bytes at most, of which no sizes here need more than seven. */
function varint(bytes: Buffer, at: number): { value: number; end: number } {
  let value = 0;
  for (let index = 0; index < 9; index++) {
    const byte = bytes.readUInt8(at + index);
    value = index === 8 ? value * 256 + byte : value * 128 + (byte & 0x7f);
    if (byte < 0x80 || index === 8) return { value, end: at + index + 1 };
  }
  return { value, end: at + 9 };
}
