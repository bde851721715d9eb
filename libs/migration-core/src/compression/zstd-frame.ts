import { CompressionError } from './errors';

/*
 * A zstd frame (RFC 8878, section 3.1.1), numbers little-endian:
 *
 *   magic 0xFD2FB528   4
 *   descriptor         1   content size flag 7-6, single segment 5, reserved 3, checksum 2, dictionary id 1-0
 *   window             0/1 not in a single segment
 *   dictionary id      0-4
 *   content size       0-8
 *   blocks                 header 3 (last 0, type 2-1, size 23-3), then `size` bytes, or 1 byte for a repeated one
 *   checksum           0/4
 */
const MAGIC = 0xfd2fb528;
const SINGLE_SEGMENT = 0x20;
const RESERVED = 0x08;
const CHECKSUM = 0x04;
const DICTIONARY_ID = 0x03;
/** Content size of four bytes. */
const CONTENT_SIZE_32 = 0x80;
const CONTENT_SIZE_FIELD_BYTES = [0, 2, 4, 8] as const;

const BLOCK = { raw: 0, repeated: 1, compressed: 2 } as const;
const BLOCK_HEADER_BYTES = 3;
const BLOCK_BYTES_MAX = 128 * 1024;
/**
 * No level up to 12 makes shorter compressed blocks, but for the last: zstd fills blocks of 128 KiB, and since 1.5.7
 * splits one where its content changes, at multiples of 8 KiB. What a compressed block rebuilds is known only once it
 * is decoded, so this bounds what a hostile frame can make of `n` announced bytes: 16 n, rounded up to whole blocks.
 */
const COMPRESSED_BLOCK_RAW_BYTES_MIN = 8 * 1024;
/** Level 3 asks for 2 MiB. The decoder sets this aside before it has seen a block. */
export const WINDOW_BYTES_MAX = 8 * 1024 * 1024;

interface FrameHeader {
  readonly headerBytes: number;
  readonly contentBytes: number | null;
  readonly windowBytes: number;
  readonly hasChecksum: boolean;
}

/**
 * Checks, without decompressing, that the bytes are exactly one zstd frame without dictionary which says that it holds
 * `rawBytes`, and that its blocks cannot rebuild much more. Throws CompressionError.
 */
export function checkZstdFrame(frame: Uint8Array, rawBytes: number): void {
  const header = readHeader(frame);
  if (header.contentBytes === null)
    throw invalid('it does not say how long its content is, which frames of an agent do');
  if (header.contentBytes !== rawBytes)
    throw new CompressionError(
      'COMPRESSION_LENGTH_WRONG',
      `A compressed column says it holds ${header.contentBytes} bytes where ${rawBytes} were announced.`,
    );
  if (header.windowBytes > WINDOW_BYTES_MAX)
    throw new CompressionError(
      'COMPRESSION_WINDOW_TOO_LARGE',
      `A compressed column asks for a window of ${header.windowBytes} bytes; ${WINDOW_BYTES_MAX} is the most.`,
    );
  checkBlocks(frame, header, rawBytes);
}

/**
 * The frame with its content size, as receivers want it. Libraries that compress as a stream leave it out; the header
 * is then rewritten as that of a single segment, whose window is the content.
 */
export function withContentSize(frame: Uint8Array, rawBytes: number): Uint8Array {
  const header = readHeader(frame);
  if (header.contentBytes !== null) return frame;
  const HEADER_BYTES = 9;
  const sized = Buffer.allocUnsafe(HEADER_BYTES + frame.length - header.headerBytes);
  sized.writeUInt32LE(MAGIC, 0);
  sized.writeUInt8(CONTENT_SIZE_32 | SINGLE_SEGMENT | (header.hasChecksum ? CHECKSUM : 0), 4);
  sized.writeUInt32LE(rawBytes, 5);
  sized.set(frame.subarray(header.headerBytes), HEADER_BYTES);
  return sized;
}

function readHeader(frame: Uint8Array): FrameHeader {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < 5) throw truncated();
  if (view.getUint32(0, true) !== MAGIC) throw invalid('it does not begin with the mark of a zstd frame');
  const descriptor = view.getUint8(4);
  if (descriptor & RESERVED) throw invalid('it uses a reserved bit');
  if (descriptor & DICTIONARY_ID) throw invalid('it needs a dictionary, and agents have none');
  const isSingleSegment = (descriptor & SINGLE_SEGMENT) !== 0;
  const windowAt = 5;
  const contentSizeAt = isSingleSegment ? windowAt : windowAt + 1;
  const flag = descriptor >> 6;
  const fieldBytes = flag === 0 && isSingleSegment ? 1 : CONTENT_SIZE_FIELD_BYTES[flag]!;
  const headerBytes = contentSizeAt + fieldBytes;
  if (frame.length < headerBytes) throw truncated();
  const contentBytes = fieldBytes === 0 ? null : contentSize(view, contentSizeAt, fieldBytes);
  return {
    headerBytes,
    contentBytes,
    windowBytes: isSingleSegment ? contentBytes! : windowSize(view.getUint8(windowAt)),
    hasChecksum: (descriptor & CHECKSUM) !== 0,
  };
}

function contentSize(view: DataView, at: number, fieldBytes: number): number {
  if (fieldBytes === 1) return view.getUint8(at);
  if (fieldBytes === 2) return view.getUint16(at, true) + 256;
  if (fieldBytes === 4) return view.getUint32(at, true);
  // Rounding above 2^53 does no harm: so much is never expected.
  return Number(view.getBigUint64(at, true));
}

/** RFC 8878, section 3.1.1.1.2. */
function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function checkBlocks(frame: Uint8Array, header: FrameHeader, rawBytes: number): void {
  const blockBytesMax = Math.min(BLOCK_BYTES_MAX, header.windowBytes);
  const compressedCountMax = Math.ceil(rawBytes / COMPRESSED_BLOCK_RAW_BYTES_MIN);
  let plainBytes = 0;
  let compressedCount = 0;
  let at = header.headerBytes;
  for (let isLast = false; !isLast;) {
    if (at + BLOCK_HEADER_BYTES > frame.length) throw truncated();
    const word = frame[at]! | (frame[at + 1]! << 8) | (frame[at + 2]! << 16);
    isLast = (word & 1) === 1;
    const type = (word >> 1) & 3;
    const size = word >>> 3;
    at += BLOCK_HEADER_BYTES;
    if (size > blockBytesMax)
      throw invalid(`it has a block of ${size} bytes where ${blockBytesMax} is the most`);
    if (type === BLOCK.raw || type === BLOCK.repeated) {
      // An empty block adds nothing and is only ever the last: others could be put there without end.
      if (size === 0 && !isLast) throw invalid('it has an empty block before its end');
      plainBytes += size;
      at += type === BLOCK.raw ? size : 1;
    } else if (type === BLOCK.compressed) {
      compressedCount += 1;
      at += size;
    } else throw invalid('it has a block of the reserved type');
    if (at > frame.length) throw truncated();
    if (plainBytes > rawBytes || compressedCount > compressedCountMax)
      throw new CompressionError(
        'COMPRESSION_BOMB',
        `The blocks of a compressed column rebuild more than the ${rawBytes} bytes announced; refused unopened.`,
      );
  }
  const endAt = at + (header.hasChecksum ? 4 : 0);
  if (endAt > frame.length) throw truncated();
  if (endAt < frame.length) throw invalid(`${frame.length - endAt} bytes follow its end`);
  if (compressedCount === 0 && plainBytes !== rawBytes)
    throw new CompressionError(
      'COMPRESSION_LENGTH_WRONG',
      `The blocks of a compressed column hold ${plainBytes} bytes where ${rawBytes} were announced.`,
    );
}

function invalid(what: string): CompressionError {
  return new CompressionError(
    'COMPRESSION_FRAME_INVALID',
    `A compressed column cannot be taken: ${what}. Drop the link; is the other side a host agent?`,
  );
}

function truncated(): CompressionError {
  return new CompressionError(
    'COMPRESSION_FRAME_TRUNCATED',
    'A compressed column ends in the middle of its frame; it was cut.',
  );
}
