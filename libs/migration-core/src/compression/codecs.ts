import { CODEC_ID, type Codec, type CodecId, storedCodec, type StreamCodec } from './codec';
import { CompressionError } from './errors';
import { zstdCodec } from './zstd-codec';
import { findZstdLibrary } from './zstd-library';
import { zstdStreamCodec } from './zstd-stream-codec';
import { zstdStreamsOfSystem } from './zstd-system-streams';

let found: readonly (Codec | StreamCodec)[] | null = null;

/** What this process can do, best first. 'stored' is always there, and last. Looked for once. */
export function availableCodecs(): readonly (Codec | StreamCodec)[] {
  if (found === null) {
    const streams = zstdStreamsOfSystem();
    const library = findZstdLibrary();
    found = [
      ...(streams ? [zstdStreamCodec(streams)] : []),
      ...(library ? [zstdCodec(library)] : []),
      storedCodec,
    ];
  }
  return found;
}

export function isStreamCodec(codec: Codec | StreamCodec): codec is StreamCodec {
  return 'compressor' in codec;
}

/**
 * The codecs that both sides have, best first as we see it; 'stored' is always among them. Numbers that this side does
 * not know are those of a newer agent and are passed over. Both sides come to the same set, and each may use any of it.
 */
export function negotiate(ours: readonly CodecId[], theirs: readonly number[]): CodecId[] {
  const shared = ours.filter((id) => id !== CODEC_ID.stored && theirs.includes(id));
  return [...shared, CODEC_ID.stored];
}

/** The codec that a column names. Throws COMPRESSION_CODEC_UNKNOWN when it was not agreed on. */
export function codecOf(id: number, agreed: readonly CodecId[]): Codec | StreamCodec {
  const codec = availableCodecs().find((candidate) => candidate.id === id);
  if (!codec || !agreed.includes(codec.id))
    throw new CompressionError(
      'COMPRESSION_CODEC_UNKNOWN',
      `A column names codec ${id}, and agreed were ${agreed.join(', ')}. Update the older agent.`,
    );
  return codec;
}

export interface PackedBytes {
  readonly codecId: CodecId;
  readonly bytes: Uint8Array;
}

/** What stays larger than this share of the input saves too little to make the other side decompress. */
export const WORTHWHILE_SHARE = 31 / 32;

/** Compresses, or stores what the codec hardly makes smaller. The result may be the input itself. */
export async function packBytes(codec: Codec, bytes: Uint8Array, level: number): Promise<PackedBytes> {
  if (codec.id === CODEC_ID.stored || bytes.length === 0) return { codecId: CODEC_ID.stored, bytes };
  const packed = await codec.compress(bytes, level);
  return packed.length <= bytes.length * WORTHWHILE_SHARE
    ? { codecId: codec.id, bytes: packed }
    : { codecId: CODEC_ID.stored, bytes };
}
