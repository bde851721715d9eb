import {
  type Codec,
  CODEC_ID,
  type CodecId,
  codecOf,
  CompressionError,
  packBytes,
  type PackedBytes,
} from './compression';
import { getU32, putU32 } from './big-endian';
import { PageWireError } from './errors';
import { FRAME_LOGICAL_BYTES_MAX } from './frame';
import type { Slabs } from './slabs';
import type { Sections } from './tokens';

const SECTION_NAMES = ['tokens', 'masks', 'literals', 'opaque', 'content'] as const;
const COLUMNS_AT = SECTION_NAMES.length * 4;
const COLUMN_HEAD_BYTES = 1 + 4;
/** Less than this is sent as it is: compressing would cost more than it saves. */
const PACKED_BYTES_MIN = 512;
/**
 * From here on pages are a column of their own: they are of another kind than what is said of pages, and large enough
 * to be worth a call. A call costs as much as the compression of some kilobytes.
 */
const OWN_COLUMN_BYTES_MIN = 64 * 1024;

/** How the sections of one frame are compressed. */
export interface Packing {
  readonly codec: Codec;
  readonly level: number;
}

/** A data frame's payload, compressed. `null` stores everything. */
export async function packSections(sections: Sections, packing: Packing | null): Promise<Uint8Array> {
  if (packing === null) return storeSections(sections);
  const packed = await Promise.all(
    columnsOf(sections).map((bytes) =>
      bytes.length < PACKED_BYTES_MIN
        ? { codecId: CODEC_ID.stored, bytes }
        : packBytes(packing.codec, bytes, packing.level),
    ),
  );
  return layOut(sections, packed);
}

/** The same without compression, at once. */
export function storeSections(sections: Sections): Uint8Array {
  return layOut(
    sections,
    columnsOf(sections).map((bytes) => ({ codecId: CODEC_ID.stored, bytes })),
  );
}

/**
 * The sections of a payload that came from the other side; `agreed` are the codecs that may be in it. Rejects with
 * PageWireError: SECTIONS_INVALID when it does not hold or names what was not agreed on. With `slabs`, they may lie in
 * memory from there, which the caller gives back, section by section, when it is done with them.
 */
export async function unpackSections(
  payload: Uint8Array,
  agreed: readonly CodecId[],
  slabs?: Slabs,
): Promise<Sections> {
  const { lengths, columns } = readHeads(payload);
  try {
    const unpacked = await Promise.all(columns.map((column) => unpackColumn(column, agreed, slabs)));
    return toSections(lengths, unpacked);
  } catch (error) {
    if (!(error instanceof CompressionError)) throw error;
    throw new PageWireError('SECTIONS_INVALID', error.message);
  }
}

/** The same where nothing but stored sections was agreed on, at once. */
export function unstoreSections(payload: Uint8Array): Sections {
  const { lengths, columns } = readHeads(payload);
  const stored = columns.map(({ codecId, rawBytes, packed }) => {
    if (codecId !== CODEC_ID.stored || rawBytes !== packed.length)
      throw invalid(`a column names codec ${codecId}, which was not agreed on`);
    return packed;
  });
  return toSections(lengths, stored);
}

async function unpackColumn(
  { codecId, rawBytes, packed }: Column,
  agreed: readonly CodecId[],
  slabs: Slabs | undefined,
): Promise<Uint8Array> {
  const codec = codecOf(codecId, agreed);
  if (!slabs || codec.id === CODEC_ID.stored) return codec.decompress(packed, rawBytes);
  const into = slabs.take(rawBytes);
  const unpacked = await codec.decompress(packed, rawBytes, into);
  // Not every library can be told where to.
  if (unpacked.buffer !== into.buffer) slabs.give(into);
  return unpacked;
}

function columnsOf(sections: Sections): Uint8Array[] {
  const { tokens, masks, literals, opaque, content } = sections;
  const said = [tokens, masks, literals, opaque];
  return content.length >= OWN_COLUMN_BYTES_MIN ? [joined(said), content] : [joined([...said, content])];
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

function layOut(sections: Sections, columns: readonly PackedBytes[]): Uint8Array {
  const headBytes = COLUMNS_AT + 1 + columns.length * COLUMN_HEAD_BYTES;
  const payload = new Uint8Array(columns.reduce((sum, { bytes }) => sum + bytes.length, headBytes));
  for (const [index, name] of SECTION_NAMES.entries()) putU32(payload, index * 4, sections[name].length);
  payload[COLUMNS_AT] = columns.length;
  let at = headBytes;
  for (const [index, { codecId, bytes }] of columns.entries()) {
    const head = COLUMNS_AT + 1 + index * COLUMN_HEAD_BYTES;
    payload[head] = codecId;
    putU32(payload, head + 1, bytes.length);
    payload.set(bytes, at);
    at += bytes.length;
  }
  return payload;
}

interface Column {
  readonly codecId: number;
  readonly rawBytes: number;
  readonly packed: Uint8Array;
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
    const packed = payload.subarray(at, at + packedBytes);
    at += packedBytes;
    return { codecId: payload[head]!, rawBytes: bytes, packed };
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
