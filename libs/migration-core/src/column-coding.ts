import {
  CODEC_ID,
  type Codec,
  type CodecId,
  codecOf,
  CompressionError,
  isStreamCodec,
  packBytes,
  type PackedBytes,
  type StreamCodec,
  type StreamCompressor,
  type StreamDecompressor,
  type ZstdLevel,
} from './compression';
import type { Slabs } from './slabs';

/** What is said of pages, and pages. The two have nothing in common that a compressor could find. */
export type ColumnKind = 'said' | 'content';

/** A column as it goes over the wire. */
export interface PackedColumn {
  /** The codec in the low four bits; the lane, where the codec has lanes, in the high four. */
  readonly coding: number;
  readonly bytes: Uint8Array;
}

/** What one column cost. */
export interface ColumnPacking {
  readonly column: PackedColumn;
  /** Null where nothing was compressed. */
  readonly busyMs: number | null;
}

/**
 * Columns of one kind are spread over so many lanes at most, each a stream of its own that one worker compresses. Each
 * may cost either side 2^25 bytes and some tables.
 */
export const CONTENT_LANES_MAX = 3;
const SAID_LANE = 0;
const LANE_SHIFT = 4;
const CODEC_MASK = 0x0f;
/** What is said is a few kilobytes per batch: a megabyte of it is a long memory. */
const SAID_WINDOW_LOG = 20;
const CONTENT_WINDOW_LOG = 25;
/** Less than this is sent as it is: compressing would cost more than it saves. */
const PACKED_BYTES_MIN = 512;

/** Compresses columns by one codec. */
export class ColumnPacker {
  readonly #lanes = new Map<number, StreamCompressor>();

  constructor(readonly codec: Codec | StreamCodec) {}

  /**
   * With a stream codec, the columns of a lane have to reach the other side in the order of the calls. Rejects with a
   * CompressionError.
   */
  async pack(
    kind: ColumnKind,
    bytes: Uint8Array,
    level: ZstdLevel,
    contentLane: number,
  ): Promise<ColumnPacking> {
    const { codec } = this;
    if (bytes.length < PACKED_BYTES_MIN) return { column: storedColumn(bytes), busyMs: null };
    if (isStreamCodec(codec)) {
      const lane = kind === 'said' ? SAID_LANE : 1 + contentLane;
      const { bytes: packed, busyMs } = await this.#lane(codec, lane).compress(bytes, level);
      // Even where it saves nothing: later columns build on it.
      return { column: { coding: codec.id | (lane << LANE_SHIFT), bytes: packed }, busyMs };
    }
    const beganMs = performance.now();
    const packed: PackedBytes = await packBytes(codec, bytes, level);
    return {
      column: { coding: packed.codecId, bytes: packed.bytes },
      busyMs: performance.now() - beganMs,
    };
  }

  close(): void {
    for (const lane of this.#lanes.values()) lane.close();
  }

  #lane(codec: StreamCodec, number: number): StreamCompressor {
    let lane = this.#lanes.get(number);
    if (!lane) {
      lane = codec.compressor(number === SAID_LANE ? SAID_WINDOW_LOG : CONTENT_WINDOW_LOG);
      this.#lanes.set(number, lane);
    }
    return lane;
  }
}

/** Rebuilds the columns that another side's ColumnPacker made. */
export class ColumnUnpacker {
  readonly #lanes = new Map<number, StreamDecompressor>();

  /** `agreed` are the codecs that may come. */
  constructor(private readonly agreed: readonly CodecId[]) {}

  /**
   * To be called in the order in which columns came. What is rebuilt may lie in memory from `slabs`. Rejects with a
   * CompressionError.
   */
  async unpack({ coding, bytes }: PackedColumn, rawBytes: number, slabs?: Slabs): Promise<Uint8Array> {
    const codec = codecOf(coding & CODEC_MASK, this.agreed);
    const lane = coding >> LANE_SHIFT;
    if (lane > (isStreamCodec(codec) ? CONTENT_LANES_MAX : 0))
      throw new CompressionError(
        'COMPRESSION_CODEC_UNKNOWN',
        `A column names lane ${lane} of codec ${codec.id}, which agents do not use. Update the older agent.`,
      );
    const decompressor = isStreamCodec(codec) ? this.#lane(codec, lane) : codec;
    if (!slabs || codec.id === CODEC_ID.stored) return decompressor.decompress(bytes, rawBytes);
    const into = slabs.take(rawBytes);
    const unpacked = await decompressor.decompress(bytes, rawBytes, into);
    // Not every library can be told where to.
    if (unpacked.buffer !== into.buffer) slabs.give(into);
    return unpacked;
  }

  close(): void {
    for (const lane of this.#lanes.values()) lane.close();
  }

  #lane(codec: StreamCodec, number: number): StreamDecompressor {
    let lane = this.#lanes.get(number);
    if (!lane) this.#lanes.set(number, (lane = codec.decompressor()));
    return lane;
  }
}

export function storedColumn(bytes: Uint8Array): PackedColumn {
  return { coding: CODEC_ID.stored, bytes };
}
