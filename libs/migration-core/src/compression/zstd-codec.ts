import { CODEC_ID, type Codec, requireRawLength } from './codec';
import { CompressionError } from './errors';
import { checkZstdFrame, withContentSize } from './zstd-frame';
import type { ZstdLibrary } from './zstd-library';

/** The levels that agents use: frames of higher ones may have blocks that receivers take for a bomb. */
export const ZSTD_LEVEL_MIN = -7;
export const ZSTD_LEVEL_MAX = 12;

/**
 * zstd by the library. What it sends is always one frame with its content size; what it is given is checked against
 * the announced length before a byte is decompressed.
 */
export function zstdCodec(library: ZstdLibrary): Codec {
  return {
    id: CODEC_ID.zstd,
    name: library.name,
    async compress(bytes, level) {
      requireRawLength(bytes.length);
      requireLevel(level);
      const frame = await failingAs('compress', () => library.compress(inPlace(bytes), level));
      return withContentSize(frame, bytes.length);
    },
    async decompress(bytes, rawBytes, into) {
      requireRawLength(rawBytes);
      checkZstdFrame(bytes, rawBytes);
      const raw = await failingAs('decompress', () => library.decompress(inPlace(bytes), rawBytes, into));
      if (raw.length !== rawBytes)
        throw new CompressionError(
          'COMPRESSION_LENGTH_WRONG',
          `A compressed column gave ${raw.length} bytes where ${rawBytes} were announced.`,
        );
      return raw;
    },
  };
}

/** The same memory: a batch is not copied on its way to the library. */
function inPlace(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Throws COMPRESSION_LEVEL_INVALID. */
export function requireLevel(level: number): void {
  if (!Number.isInteger(level) || level < ZSTD_LEVEL_MIN || level > ZSTD_LEVEL_MAX)
    throw new CompressionError(
      'COMPRESSION_LEVEL_INVALID',
      `zstd level ${level} was asked for; use a whole number from ${ZSTD_LEVEL_MIN} to ${ZSTD_LEVEL_MAX}.`,
    );
}

/** COMPRESSION_FAILED for what a library throws. */
export async function failingAs<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CompressionError('COMPRESSION_FAILED', `zstd could not ${what} a column: ${why}.`, { cause });
  }
}
