import { type ByteSource, readIfThere } from '../../image/byte-source';
import { refuseOddName } from '../image-folder';
import { cutOff, damaged, quoted, unsupported } from '../refusals';

/** POSIX.1-2017 "pax", ustar interchange format; sizes of 8 GiB and more as GNU or pax write them. */
export interface TarEntry {
  readonly name: string;
  /** Of its content in the archive. */
  readonly offset: number;
  readonly lengthBytes: number;
}

export const BLOCK_BYTES = 512;
const ENTRIES_MAX = 1000;
const EXTENDED_BYTES_MAX = 64 * 1024;
const SUM_AT = 148;
const SUM_BYTES = 8;
const TYPE_AT = 156;
const SIZE_AT = 124;
const SIZE_BYTES = 12;

const TYPE = { file: '0', oldFile: '\0', extended: 'x', global: 'g', longName: 'L' } as const;

/** Whether bytes begin like a tar archive. */
export function isTar(head: Buffer): boolean {
  if (head.length < BLOCK_BYTES) return false;
  return head.toString('latin1', 257, 262) === 'ustar' && hasRightSum(head.subarray(0, BLOCK_BYTES));
}

/** The files of an archive, in order. All have plain names, and none is there twice. */
export async function readTar(image: string, source: ByteSource): Promise<TarEntry[]> {
  const entries: TarEntry[] = [];
  const names = new Set<string>();
  let extended: Extended = {};
  let headers = 0;
  for (let at = 0; ;) {
    const header = await readIfThere(source, at, BLOCK_BYTES);
    // Some writers leave the two blocks of zeros at the end out; a missing member is found by who needs it.
    if (!header) {
      if (at < source.sizeBytes) throw cutOff(image, 'its last header is not complete');
      return entries;
    }
    if (header.every((byte) => byte === 0)) return entries;
    headers += 1;
    if (headers > 2 * ENTRIES_MAX) throw damaged(image, `it has more than ${ENTRIES_MAX} members`);
    if (!hasRightSum(header)) throw damaged(image, `the sum of the header at byte ${at} is wrong`);

    const type = header.toString('latin1', TYPE_AT, TYPE_AT + 1);
    const lengthBytes = extended.lengthBytes ?? sizeOf(image, header);
    const offset = at + BLOCK_BYTES;
    if (offset + lengthBytes > source.sizeBytes)
      throw cutOff(image, `its member ${quoted(nameOf(header, extended))} is past the end`);
    at = offset + Math.ceil(lengthBytes / BLOCK_BYTES) * BLOCK_BYTES;

    if (type === TYPE.extended || type === TYPE.longName) {
      if (lengthBytes > EXTENDED_BYTES_MAX) throw damaged(image, 'a header of its has an impossible length');
      const bytes = await source.read(offset, lengthBytes);
      extended = { ...extended, ...(type === TYPE.extended ? parseExtended(image, bytes) : longName(bytes)) };
      continue;
    }
    if (type === TYPE.global) continue;
    if (type !== TYPE.file && type !== TYPE.oldFile)
      throw unsupported(
        image,
        `holds ${quoted(nameOf(header, extended))}, which is no regular file`,
        'Pack it again with its files alone, without folders and links.',
      );
    const name = nameOf(header, extended);
    extended = {};
    refuseOddName(image, name);
    if (names.has(name)) throw damaged(image, `it holds ${quoted(name)} twice`);
    if (names.size >= ENTRIES_MAX) throw damaged(image, `it has more than ${ENTRIES_MAX} members`);
    names.add(name);
    entries.push({ name, offset, lengthBytes });
  }
}

/** The header of a regular file. Sizes that do not fit are written in base 256, as GNU does. */
export function tarHeader(name: string, lengthBytes: number, modifiedAtSeconds: number): Buffer {
  if (Buffer.byteLength(name) > 100) throw new RangeError(`"${name}" is too long for a tar header`);
  const header = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, at: number, digits: number): number =>
    header.write(`${value.toString(8).padStart(digits, '0')}\0`, at, 'latin1');
  header.write(name, 0, 'utf8');
  octal(0o644, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  if (lengthBytes < 8 ** 11) octal(lengthBytes, SIZE_AT, 11);
  else {
    header.writeUInt8(0x80, SIZE_AT);
    header.writeBigUInt64BE(BigInt(lengthBytes), SIZE_AT + 4);
  }
  octal(modifiedAtSeconds, 136, 11);
  header.write(TYPE.file, TYPE_AT, 'latin1');
  header.write('ustar\0', 257, 'latin1');
  header.write('00', 263, 'latin1');
  header.write(`${sumOf(header).toString(8).padStart(6, '0')}\0 `, SUM_AT, 'latin1');
  return header;
}

/** Zeros that fill a member's last block. */
export function tarPadding(lengthBytes: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (lengthBytes % BLOCK_BYTES)) % BLOCK_BYTES);
}

/** Two blocks of zeros. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK_BYTES);
}

interface Extended {
  readonly name?: string;
  readonly lengthBytes?: number;
}

function nameOf(header: Buffer, extended: Extended): string {
  if (extended.name !== undefined) return extended.name;
  const isPosix = header.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isPosix ? textOf(header, 345, 155) : '';
  const name = textOf(header, 0, 100).replace(/^\.\//, '');
  return prefix ? `${prefix}/${name}` : name;
}

function textOf(bytes: Buffer, at: number, lengthBytes: number): string {
  const field = bytes.subarray(at, at + lengthBytes);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end === -1 ? field.length : end);
}

function sizeOf(image: string, header: Buffer): number {
  if (header.readUInt8(SIZE_AT) === 0x80) {
    const size = header.readBigUInt64BE(SIZE_AT + 4);
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw cutOff(image, `a member has ${size} bytes`);
    return Number(size);
  }
  const text = textOf(header, SIZE_AT, SIZE_BYTES).trim();
  if (!/^[0-7]{1,12}$/.test(text)) throw damaged(image, `a member has the size ${quoted(text)}`);
  return parseInt(text, 8);
}

/** Records of `<length> <key>=<value>\n`; only names and sizes matter. */
function parseExtended(image: string, bytes: Buffer): Extended {
  let found: { name?: string; lengthBytes?: number } = {};
  for (let at = 0; at < bytes.length;) {
    const record = /^(\d{1,6}) /.exec(bytes.toString('latin1', at, at + 8));
    const recordBytes = Number(record?.[1] ?? 0);
    if (!record || recordBytes < record[0].length + 2 || at + recordBytes > bytes.length)
      throw damaged(image, 'a pax header of its cannot be read');
    const text = bytes.toString('utf8', at + record[0].length, at + recordBytes - 1);
    at += recordBytes;
    const equals = text.indexOf('=');
    const [key, value] = [text.slice(0, equals), text.slice(equals + 1)];
    if (key === 'path') found = { ...found, name: value.replace(/^\.\//, '') };
    if (key === 'size') {
      const lengthBytes = /^\d{1,16}$/.test(value) ? Number(value) : NaN;
      if (!Number.isSafeInteger(lengthBytes)) throw damaged(image, `a member has the size ${quoted(value)}`);
      found = { ...found, lengthBytes };
    }
    if (key.startsWith('GNU.sparse'))
      throw unsupported(image, 'has members with holes', 'Pack it again without "--sparse".');
  }
  return found;
}

function longName(bytes: Buffer): Extended {
  return { name: textOf(bytes, 0, bytes.length).replace(/^\.\//, '') };
}

function hasRightSum(header: Buffer): boolean {
  const text = textOf(header, SUM_AT, SUM_BYTES).trim();
  return /^[0-7]{1,8}$/.test(text) && parseInt(text, 8) === sumOf(header);
}

/** Of all bytes, those of the sum itself taken as spaces. */
function sumOf(header: Buffer): number {
  let sum = 0;
  for (const [index, byte] of header.entries())
    sum += index >= SUM_AT && index < SUM_AT + SUM_BYTES ? 0x20 : byte;
  return sum;
}
