import { FRAME_LOGICAL_BYTES_MAX } from '../frame';
import { CompressionError } from './errors';

/** Codecs as they are named on the wire. A number never changes its meaning. */
export const CODEC_ID = {
  stored: 0,
  zstd: 1,
  /** Kept free; no agent offers it yet. */
  lz4: 2,
  /** zstd whose frames go on from one batch to the next, so that a batch builds on those before it. */
  zstdStream: 3,
} as const;
export type CodecId = (typeof CODEC_ID)[keyof typeof CODEC_ID];

/** The longest input of one call, and the most that one call gives back. */
export const RAW_BYTES_MAX = FRAME_LOGICAL_BYTES_MAX;

/**
 * Compresses and decompresses one column of a batch at a time. Calls may overlap; each runs on the thread pool where
 * the codec has one. The input must neither change nor move until the promise settles. The result is the receiver's.
 */
export interface Codec {
  readonly id: CodecId;
  /** For people: which library does it. */
  readonly name: string;
  /**
   * Rejects with COMPRESSION_LEVEL_INVALID, COMPRESSION_TOO_LONG (more than RAW_BYTES_MAX) or COMPRESSION_FAILED.
   * The result may be longer than the input; the caller then sends it stored.
   */
  compress(bytes: Uint8Array, level: number): Promise<Uint8Array>;
  /**
   * `rawBytes` is the exact length of the result. The input may come from an attacker: whatever it claims, no more is
   * set aside than a small multiple of `rawBytes`. `into`, of that length, may take the result; what is returned is
   * where it stands. Rejects with a CompressionError.
   */
  decompress(bytes: Uint8Array, rawBytes: number, into?: Uint8Array): Promise<Uint8Array>;
}

/**
 * Compresses batches that build on each other: what a batch repeats of those before it, as far back as the window
 * reaches, costs next to nothing. The other side has to take them in the same order, every one, once.
 */
export interface StreamCodec {
  readonly id: CodecId;
  readonly name: string;
  /** 2^`windowLog` bytes are what it looks back over, and about what it sets aside. */
  compressor(windowLog: number): StreamCompressor;
  decompressor(): StreamDecompressor;
}

export interface CompressedBatch {
  readonly bytes: Uint8Array;
  /** How long the compressor worked on it; time in which it waited for its turn is not counted. */
  readonly busyMs: number;
}

/** Batches are worked on one after the other, in the order of the calls. */
export interface StreamCompressor {
  /**
   * All of the batch can be rebuilt from what came so far. Another level than the last time begins anew: what came
   * before is not built on. The input must neither change nor move until the promise settles. Rejects as a Codec does;
   * nothing can be compressed after that.
   */
  compress(bytes: Uint8Array, level: number): Promise<CompressedBatch>;
  /** Gives back what was set aside, once the calls under way are over. */
  close(): void;
}

export interface StreamDecompressor {
  /** As a Codec's. A batch that does not hold leaves nothing to build on: later calls reject, too. */
  decompress(bytes: Uint8Array, rawBytes: number, into?: Uint8Array): Promise<Uint8Array>;
  close(): void;
}

/** Hands the bytes through, without a copy. */
export const storedCodec: Codec = {
  id: CODEC_ID.stored,
  name: 'stored',
  async compress(bytes) {
    requireRawLength(bytes.length);
    return bytes;
  },
  async decompress(bytes, rawBytes) {
    requireRawLength(rawBytes);
    if (bytes.length !== rawBytes)
      throw new CompressionError(
        'COMPRESSION_LENGTH_WRONG',
        `${bytes.length} stored bytes came where ${rawBytes} were announced.`,
      );
    return bytes;
  },
};

/** Throws COMPRESSION_TOO_LONG unless a codec takes or gives so many bytes in one call. */
export function requireRawLength(rawBytes: number): void {
  if (!Number.isInteger(rawBytes) || rawBytes < 0 || rawBytes > RAW_BYTES_MAX)
    throw new CompressionError(
      'COMPRESSION_TOO_LONG',
      `${rawBytes} bytes were to be compressed or rebuilt at once; ${RAW_BYTES_MAX} is the most.`,
    );
}
