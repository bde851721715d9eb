/**
 * How long a compressed stream is, found without unpacking it: an initramfs may go on behind it.
 * Each returns the offset of the first byte behind the stream; undefined where the stream is broken.
 */
const ZSTD_MAGIC = 0xfd2fb528;
const ZSTD_SKIPPABLE = 0x184d2a50;
const LZ4_LEGACY_MAGIC = 0x184c2102;
const LZ4_BLOCK_COMPRESSED_MAX = 8 * 1024 * 1024 + 64 * 1024;
const BLOCK_RAW_OR_COMPRESSED_BYTES_MAX = 1 << 21;

/** Walks the blocks of zstd frames (RFC 8878), as many frames as follow each other. */
export function zstdEnd(buffer: Buffer, start: number): number | undefined {
  let at = start;
  while (at + 4 <= buffer.length) {
    const magic = buffer.readUInt32LE(at);
    if ((magic & 0xfffffff0) >>> 0 === ZSTD_SKIPPABLE && at + 8 <= buffer.length) {
      at += 8 + buffer.readUInt32LE(at + 4);
      continue;
    }
    if (magic !== ZSTD_MAGIC) break;
    const end = zstdFrameEnd(buffer, at);
    if (end === undefined) return undefined;
    at = end;
  }
  return at > start && at <= buffer.length ? at : undefined;
}

function zstdFrameEnd(buffer: Buffer, start: number): number | undefined {
  if (start + 5 > buffer.length) return undefined;
  const descriptor = buffer.readUInt8(start + 4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const contentSizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 0x3] ?? 0;
  let at = start + 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes + contentSizeBytes;
  for (;;) {
    if (at + 3 > buffer.length) return undefined;
    const header = buffer.readUIntLE(at, 3);
    const type = (header >> 1) & 0x3;
    const sizeBytes = header >> 3;
    if (type === 3 || sizeBytes > BLOCK_RAW_OR_COMPRESSED_BYTES_MAX) return undefined;
    at += 3 + (type === 1 ? 1 : sizeBytes);
    if (header & 0x1) break;
  }
  const hasChecksum = (descriptor & 0x4) !== 0;
  at += hasChecksum ? 4 : 0;
  return at <= buffer.length ? at : undefined;
}

/** Walks the blocks of lz4's legacy format, which is what Linux takes. */
export function lz4End(buffer: Buffer, start: number): number | undefined {
  let at = start + 4;
  for (;;) {
    if (at === buffer.length) return at;
    if (at + 4 > buffer.length) return undefined;
    const sizeBytes = buffer.readUInt32LE(at);
    if (sizeBytes === LZ4_LEGACY_MAGIC) {
      at += 4;
      continue;
    }
    // Zeros fill up to the next archive; `0707` is the next archive.
    if (sizeBytes === 0 || sizeBytes > LZ4_BLOCK_COMPRESSED_MAX) return at;
    at += 4 + sizeBytes;
    if (at > buffer.length) return undefined;
  }
}
