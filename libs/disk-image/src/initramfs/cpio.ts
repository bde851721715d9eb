/** One member of a cpio archive in the `newc` format, the one that Linux unpacks at boot. */
export interface CpioEntry {
  /** Without a leading slash. */
  readonly path: string;
  readonly mode: number;
  readonly content: Buffer;
}

const MAGIC = '070701';
const MAGIC_WITH_SUM = '070702';
const HEADER_BYTES = 110;
const TRAILER = 'TRAILER!!!';
const NAME_BYTES_MAX = 4096;
const ENTRIES_MAX = 200_000;
const DIRECTORY_MODE = 0o040755;

/**
 * Writes a newc archive. Parent directories come before what is in them, since the kernel makes none by itself;
 * times and owners are zero, so that the same content gives the same bytes.
 */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const members = new Map<string, CpioEntry>();
  for (const entry of entries) {
    const parts = entry.path.split('/');
    for (let length = 1; length < parts.length; length++) {
      const path = parts.slice(0, length).join('/');
      if (!members.has(path)) members.set(path, { path, mode: DIRECTORY_MODE, content: Buffer.alloc(0) });
    }
    members.set(entry.path, entry);
  }
  const chunks: Buffer[] = [];
  let inode = 1;
  for (const entry of members.values()) chunks.push(...memberOf(entry, inode++));
  chunks.push(...memberOf({ path: TRAILER, mode: 0, content: Buffer.alloc(0) }, 0));
  return Buffer.concat(chunks);
}

function memberOf({ path, mode, content }: CpioEntry, inode: number): Buffer[] {
  const name = Buffer.from(`${path}\0`);
  const isDirectory = (mode & 0o170000) === 0o040000;
  const fields = [inode, mode, 0, 0, isDirectory ? 2 : 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const header = MAGIC + fields.map((field) => field.toString(16).padStart(8, '0')).join('');
  return [
    Buffer.from(header, 'latin1'),
    name,
    padding(HEADER_BYTES + name.length),
    content,
    padding(content.length),
  ];
}

function padding(lengthBytes: number): Buffer {
  return Buffer.alloc((4 - (lengthBytes % 4)) % 4);
}

export function isCpioAt(buffer: Buffer, offset: number): boolean {
  const magic = buffer.toString('latin1', offset, offset + MAGIC.length);
  return magic === MAGIC || magic === MAGIC_WITH_SUM;
}

/** Reads members from `offset` up to the trailer or to where no member begins; contents are views of `buffer`. */
export function readCpio(buffer: Buffer, offset: number): { entries: CpioEntry[]; end: number } {
  const entries: CpioEntry[] = [];
  let at = offset;
  while (entries.length < ENTRIES_MAX && at + HEADER_BYTES <= buffer.length && isCpioAt(buffer, at)) {
    const field = (index: number): number =>
      parseInt(buffer.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
    const [mode, sizeBytes, nameBytes] = [field(1), field(6), field(11)];
    const nameAt = at + HEADER_BYTES;
    const contentAt = align(nameAt + nameBytes - offset) + offset;
    const end = contentAt + sizeBytes;
    if (!(nameBytes > 0 && nameBytes <= NAME_BYTES_MAX) || !(end <= buffer.length) || Number.isNaN(mode))
      break;
    const path = buffer.toString('utf8', nameAt, nameAt + nameBytes - 1);
    at = align(end - offset) + offset;
    if (path === TRAILER) break;
    entries.push({ path: path.replace(/^(\.?\/)+/, ''), mode, content: buffer.subarray(contentAt, end) });
  }
  return { entries, end: Math.min(at, buffer.length) };
}

function align(offset: number): number {
  return Math.ceil(offset / 4) * 4;
}
