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
import { SECTION_COUNT, SECTION_HEAD_BYTES, type Sections } from './tokens';

const SECTION_NAMES = ['tokens', 'masks', 'literals', 'content', 'opaque'] as const;
/** Less than this is sent as it is: compressing would cost more than it saves. */
const PACKED_BYTES_MIN = 128;
const HEADS_BYTES = SECTION_COUNT * SECTION_HEAD_BYTES;

/** How the sections of one frame are compressed. */
export interface Packing {
  readonly codec: Codec;
  readonly level: number;
}

/** A data frame's payload, with what it holds compressed section by section. `null` stores everything. */
export async function packSections(sections: Sections, packing: Packing | null): Promise<Uint8Array> {
  if (packing === null) return storeSections(sections);
  const packed = await Promise.all(
    SECTION_NAMES.map((name) => {
      const bytes = sections[name];
      return bytes.length < PACKED_BYTES_MIN
        ? { codecId: CODEC_ID.stored, bytes }
        : packBytes(packing.codec, bytes, packing.level);
    }),
  );
  return layOut(sections, packed);
}

/** The same without compression, at once. */
export function storeSections(sections: Sections): Uint8Array {
  return layOut(
    sections,
    SECTION_NAMES.map((name) => ({ codecId: CODEC_ID.stored, bytes: sections[name] })),
  );
}

/**
 * The sections of a payload that came from the other side; `agreed` are the codecs that may be in it. Rejects with
 * PageWireError: SECTIONS_INVALID when it does not hold or names what was not agreed on.
 */
export async function unpackSections(payload: Uint8Array, agreed: readonly CodecId[]): Promise<Sections> {
  const heads = readHeads(payload);
  try {
    const sections = await Promise.all(
      heads.map(({ codecId, rawBytes, packed }) => codecOf(codecId, agreed).decompress(packed, rawBytes)),
    );
    return toSections(sections);
  } catch (error) {
    if (!(error instanceof CompressionError)) throw error;
    throw new PageWireError('SECTIONS_INVALID', error.message);
  }
}

/** The same where nothing but stored sections was agreed on, at once. */
export function unstoreSections(payload: Uint8Array): Sections {
  return toSections(
    readHeads(payload).map(({ codecId, rawBytes, packed }) => {
      if (codecId !== CODEC_ID.stored || rawBytes !== packed.length)
        throw invalid(`a section names codec ${codecId}, which was not agreed on`);
      return packed;
    }),
  );
}

function layOut(sections: Sections, packed: readonly PackedBytes[]): Uint8Array {
  const payload = new Uint8Array(packed.reduce((sum, { bytes }) => sum + bytes.length, HEADS_BYTES));
  let at = HEADS_BYTES;
  for (const [index, { codecId, bytes }] of packed.entries()) {
    const head = index * SECTION_HEAD_BYTES;
    payload[head] = codecId;
    putU32(payload, head + 1, sections[SECTION_NAMES[index]!].length);
    putU32(payload, head + 5, bytes.length);
    payload.set(bytes, at);
    at += bytes.length;
  }
  return payload;
}

interface SectionHead {
  readonly codecId: number;
  readonly rawBytes: number;
  readonly packed: Uint8Array;
}

/** Bounds what the sections may rebuild to before anything is decompressed. */
function readHeads(payload: Uint8Array): SectionHead[] {
  if (payload.length < HEADS_BYTES) throw invalid('its heads are cut short');
  const heads: SectionHead[] = [];
  let at = HEADS_BYTES;
  let rawBytesInAll = 0;
  for (let index = 0; index < SECTION_COUNT; index += 1) {
    const head = index * SECTION_HEAD_BYTES;
    const rawBytes = getU32(payload, head + 1);
    const packedBytes = getU32(payload, head + 5);
    rawBytesInAll += rawBytes;
    if (rawBytesInAll > FRAME_LOGICAL_BYTES_MAX)
      throw invalid(`it unpacks to more than ${FRAME_LOGICAL_BYTES_MAX} bytes`);
    if (at + packedBytes > payload.length) throw invalid('a section is cut short');
    heads.push({ codecId: payload[head]!, rawBytes, packed: payload.subarray(at, at + packedBytes) });
    at += packedBytes;
  }
  if (at !== payload.length) throw invalid('more follows its last section');
  return heads;
}

function toSections([tokens, masks, literals, content, opaque]: readonly Uint8Array[]): Sections {
  return { tokens: tokens!, masks: masks!, literals: literals!, content: content!, opaque: opaque! };
}

function invalid(why: string): PageWireError {
  return new PageWireError('SECTIONS_INVALID', `A data frame cannot be unpacked: ${why}.`);
}
