import { SeededChance } from '../testing/seeded-chance';
import { CODEC_ID, storedCodec } from './codec';
import { availableCodecs, codecOf, negotiate, packBytes } from './codecs';
import { compressionCodeOf, rejectionCodeOf } from './testing/compression-code-of';
import { heapLikeBytes } from './testing/page-content';
import { zstdCodec } from './zstd-codec';
import { findZstdLibrary } from './zstd-library';

describe('the codecs of an agent', () => {
  it('always hold stored, last', () => {
    expect(availableCodecs().at(-1)).toBe(storedCodec);
    expect(availableCodecs()).toBe(availableCodecs());
  });

  it('are cut down to what both sides have', () => {
    expect(negotiate([1, 0], [0, 1])).toEqual([1, 0]);
    expect(negotiate([1, 0], [0])).toEqual([0]);
    expect(negotiate([0], [1, 0])).toEqual([0]);
  });

  it('keep stored when the other side forgets it, and pass over numbers of the future', () => {
    expect(negotiate([1, 0], [1, 77])).toEqual([1, 0]);
    expect(negotiate([1, 0], [])).toEqual([0]);
  });

  it('refuse a column whose codec was not agreed on', () => {
    expect(codecOf(0, [0])).toBe(storedCodec);
    expect(compressionCodeOf(() => codecOf(CODEC_ID.zstd, [0]))).toBe('COMPRESSION_CODEC_UNKNOWN');
    expect(compressionCodeOf(() => codecOf(CODEC_ID.lz4, [2, 0]))).toBe('COMPRESSION_CODEC_UNKNOWN');
    expect(compressionCodeOf(() => codecOf(77, [1, 0]))).toBe('COMPRESSION_CODEC_UNKNOWN');
  });

  it('store what hardly gets smaller', async () => {
    const codec = zstdCodec(findZstdLibrary()!);
    const random = new SeededChance(1).bytes(50_000);
    expect(await packBytes(codec, random, 1)).toEqual({ codecId: CODEC_ID.stored, bytes: random });
    const packed = await packBytes(codec, heapLikeBytes(50_000, 1), 1);
    expect(packed.codecId).toBe(CODEC_ID.zstd);
    expect(packed.bytes.length).toBeLessThan(40_000);
    expect((await packBytes(codec, new Uint8Array(0), 1)).codecId).toBe(CODEC_ID.stored);
    expect((await packBytes(storedCodec, heapLikeBytes(100, 1), 1)).codecId).toBe(CODEC_ID.stored);
  });

  it('refuse stored bytes of another length than announced', async () => {
    expect(await rejectionCodeOf(storedCodec.decompress(new Uint8Array(3), 4))).toBe(
      'COMPRESSION_LENGTH_WRONG',
    );
  });
});
