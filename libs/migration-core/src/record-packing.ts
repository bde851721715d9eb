import {
  type ColumnKind,
  type ColumnPacker,
  type ColumnUnpacker,
  type PackedColumn,
  storedColumn,
} from './column-coding';
import { CODEC_ID, CompressionError, type ZstdLevel } from './compression';
import { getU32, putU32 } from './big-endian';
import { PageWireError } from './errors';
import { FRAME_LOGICAL_BYTES_MAX } from './frame';
import type { Slabs } from './slabs';
import type { Sections } from './tokens';

const SECTION_NAMES = ['tokens', 'masks', 'literals', 'opaque', 'content'] as const;
const COLUMNS_AT = SECTION_NAMES.length * 4;
const COLUMN_HEAD_BYTES = 1 + 4;
/**
 * From here on pages are a column of their own: they are of another kind than what is said of pages, and large enough
 * to be worth a call. A call costs as much as the compression of some kilobytes.
 */
const OWN_COLUMN_BYTES_MIN = 64 * 1024;

/** How the sections of one frame are compressed. */
export interface Packing {
  readonly packer: ColumnPacker;
  readonly level: ZstdLevel;
  /** Which of the lanes takes pages; 0 where there is but one. */
  readonly contentLane: number;
}

export interface PackedSections {
  readonly payload: Uint8Array;
  /** How long the column that took longest kept a worker busy; null where nothing was compressed. */
  readonly busyMs: number | null;
}

/** A data frame's payload, compressed. */
export async function packSections(
  sections: Sections,
  { packer, level, contentLane }: Packing,
): Promise<PackedSections> {
  const packings = await Promise.all(
    columnsOf(sections).map(({ kind, bytes }) => packer.pack(kind, bytes, level, contentLane)),
  );
  const busyMs = packings.reduce<number | null>(
    (longest, packing) => (packing.busyMs === null ? longest : Math.max(longest ?? 0, packing.busyMs)),
    null,
  );
  const payload = layOut(
    sections,
    packings.map(({ column }) => column),
  );
  return { payload, busyMs };
}

/** The same without compression, at once. */
export function storeSections(sections: Sections): Uint8Array {
  return layOut(
    sections,
    columnsOf(sections).map(({ bytes }) => storedColumn(bytes)),
  );
}

/**
 * The sections of a payload that came from the other side; to be called in the order in which payloads came. Rejects
 * with PageWireError: SECTIONS_INVALID when it does not hold or names what was not agreed on. With `slabs`, they may
 * lie in memory from there, which the caller gives back, section by section, when it is done with them.
 */
export async function unpackSections(
  payload: Uint8Array,
  unpacker: ColumnUnpacker,
  slabs?: Slabs,
): Promise<Sections> {
  const { lengths, columns } = readHeads(payload);
  try {
    const unpacked = await Promise.all(
      columns.map(({ packed, rawBytes }) => unpacker.unpack(packed, rawBytes, slabs)),
    );
    return toSections(lengths, unpacked);
  } catch (error) {
    if (!(error instanceof CompressionError)) throw error;
    throw new PageWireError('SECTIONS_INVALID', error.message);
  }
}

/** The same where nothing but stored sections was agreed on, at once. */
export function unstoreSections(payload: Uint8Array): Sections {
  const { lengths, columns } = readHeads(payload);
  const stored = columns.map(({ rawBytes, packed: { coding, bytes } }) => {
    if (coding !== CODEC_ID.stored || rawBytes !== bytes.length)
      throw invalid(`a column names coding ${coding}, which was not agreed on`);
    return bytes;
  });
  return toSections(lengths, stored);
}

function columnsOf(sections: Sections): { readonly kind: ColumnKind; readonly bytes: Uint8Array }[] {
  const { tokens, masks, literals, opaque, content } = sections;
  const said = [tokens, masks, literals, opaque];
  if (content.length < OWN_COLUMN_BYTES_MIN) return [{ kind: 'said', bytes: joined([...said, content]) }];
  return [
    { kind: 'said', bytes: joined(said) },
    { kind: 'content', bytes: content },
  ];
}

/** All of them end to end; where all but one are empty, that one itself. */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  const filled = parts.filter(({ length }) => length > 0);
  if (filled.length === 1) return filled[0]!;
  const all = new Uint8Array(filled.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of filled) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function layOut(sections: Sections, columns: readonly PackedColumn[]): Uint8Array {
  const headBytes = COLUMNS_AT + 1 + columns.length * COLUMN_HEAD_BYTES;
  const payload = new Uint8Array(columns.reduce((sum, { bytes }) => sum + bytes.length, headBytes));
  for (const [index, name] of SECTION_NAMES.entries()) putU32(payload, index * 4, sections[name].length);
  payload[COLUMNS_AT] = columns.length;
  let at = headBytes;
  for (const [index, { coding, bytes }] of columns.entries()) {
    const head = COLUMNS_AT + 1 + index * COLUMN_HEAD_BYTES;
    payload[head] = coding;
    putU32(payload, head + 1, bytes.length);
    payload.set(bytes, at);
    at += bytes.length;
  }
  return payload;
}

interface Column {
  readonly rawBytes: number;
  readonly packed: PackedColumn;
}

/** Bounds what the columns may unpack to before anything is decompressed. */
function readHeads(payload: Uint8Array): { readonly lengths: readonly number[]; readonly columns: Column[] } {
  if (payload.length <= COLUMNS_AT) throw invalid('its heads are cut short');
  const lengths = SECTION_NAMES.map((_, index) => getU32(payload, index * 4));
  const rawBytesInAll = lengths.reduce((sum, bytes) => sum + bytes, 0);
  if (rawBytesInAll > FRAME_LOGICAL_BYTES_MAX)
    throw invalid(`it unpacks to more than ${FRAME_LOGICAL_BYTES_MAX} bytes`);
  const columnCount = payload[COLUMNS_AT]!;
  const contentBytes = lengths.at(-1)!;
  const rawBytes =
    columnCount === 1
      ? [rawBytesInAll]
      : columnCount === 2
        ? [rawBytesInAll - contentBytes, contentBytes]
        : null;
  if (rawBytes === null) throw invalid(`it claims ${columnCount} columns`);
  let at = COLUMNS_AT + 1 + columnCount * COLUMN_HEAD_BYTES;
  if (payload.length < at) throw invalid('its heads are cut short');
  const columns = rawBytes.map((bytes, index): Column => {
    const head = COLUMNS_AT + 1 + index * COLUMN_HEAD_BYTES;
    const packedBytes = getU32(payload, head + 1);
    if (at + packedBytes > payload.length) throw invalid('a column is cut short');
    const packed = { coding: payload[head]!, bytes: payload.subarray(at, at + packedBytes) };
    at += packedBytes;
    return { rawBytes: bytes, packed };
  });
  if (at !== payload.length) throw invalid('more follows its last column');
  return { lengths, columns };
}

function toSections(lengths: readonly number[], columns: readonly Uint8Array[]): Sections {
  const found: Record<string, Uint8Array> = {};
  let column = columns[0]!;
  let at = 0;
  for (const [index, name] of SECTION_NAMES.entries()) {
    if (name === 'content' && columns[1]) {
      column = columns[1];
      at = 0;
    }
    found[name] = column.subarray(at, at + lengths[index]!);
    at += lengths[index]!;
  }
  const { tokens, masks, literals, opaque, content } = found;
  return { tokens: tokens!, masks: masks!, literals: literals!, opaque: opaque!, content: content! };
}

function invalid(why: string): PageWireError {
  return new PageWireError('SECTIONS_INVALID', `A data frame cannot be unpacked: ${why}.`);
}
