import { SeededChance } from '../testing/seeded-chance';
import { RAW_BYTES_MAX, type StreamCompressor } from './codec';
import { rejectionCodeOf } from './testing/compression-code-of';
import { heapLikeBytes } from './testing/page-content';
import { openSystemZstd } from './zstd-calls';
import { zstdCodec } from './zstd-codec';
import { zstdStreamCodec } from './zstd-stream-codec';
import { zstdOfSystem } from './zstd-system';
import { zstdStreamsOfSystem } from './zstd-system-streams';

// Some of it compresses tens of megabytes, which takes its time on a busy machine.
jest.setTimeout(20_000);

// Where the system has no zstd, agents agree on batches that are compressed by themselves.
const streams = zstdStreamsOfSystem();
const describeWhereItIs = streams ? describe : describe.skip;

const packedOf = async (stream: StreamCompressor, bytes: Uint8Array, level = 1) =>
  (await stream.compress(bytes, level)).bytes;

describeWhereItIs('a stream of batches', () => {
  const codec = zstdStreamCodec(streams!);
  const opened: { close(): void }[] = [];
  const keep = <Opened extends { close(): void }>(one: Opened): Opened => (opened.push(one), one);
  const compressor = (windowLog = 25) => keep(codec.compressor(windowLog));
  const decompressor = () => keep(codec.decompressor());
  afterEach(() => opened.splice(0).forEach((one) => one.close()));

  it('gives back each batch when it comes, at every level and length', async () => {
    const packer = compressor();
    const unpacker = decompressor();
    const lengths = [1, 100, 4_096, 131_071, 131_072, 131_073, 524_288];
    for (const level of [1, -5, -1, 3, 6, 6, 1])
      for (const length of lengths) {
        const bytes = heapLikeBytes(length, length + level);
        const { bytes: packed, busyMs } = await packer.compress(bytes, level);
        expect(busyMs).toBeGreaterThan(0);
        expect(Buffer.compare(await unpacker.decompress(packed, length), bytes)).toBe(0);
      }
  });

  it('gives back random bytes and zeros', async () => {
    const packer = compressor();
    const unpacker = decompressor();
    for (const bytes of [new SeededChance(5).bytes(524_288), Buffer.alloc(524_288)]) {
      const packed = await packedOf(packer, bytes);
      expect(Buffer.compare(await unpacker.decompress(packed, bytes.length), bytes)).toBe(0);
    }
  });

  it('says a batch that came before in next to nothing, as far back as its window reaches', async () => {
    const batch = new SeededChance(7).bytes(300_000);
    const between = new SeededChance(8).bytes(1_000_000);
    const far = compressor(25);
    await far.compress(batch, 1);
    await far.compress(between, 1);
    expect((await packedOf(far, batch)).length).toBeLessThan(batch.length / 100);
    const near = compressor(18);
    await near.compress(batch, 1);
    await near.compress(between, 1);
    expect((await packedOf(near, batch)).length).toBeGreaterThan(batch.length);
  });

  it('makes batches smaller than compressing each by itself', async () => {
    const alone = zstdCodec(zstdOfSystem()!);
    const packer = compressor();
    let together = 0;
    let apart = 0;
    for (let batch = 0; batch < 20; batch += 1) {
      // The same words, in another order.
      const bytes = heapLikeBytes(200_000, 3).subarray(batch * 5_000, batch * 5_000 + 50_000);
      together += (await packedOf(packer, bytes)).length;
      apart += (await alone.compress(bytes, 1)).length;
    }
    expect(together).toBeLessThan(0.7 * apart);
  });

  it('works on calls in their order, also when they overlap', async () => {
    const packer = compressor();
    const unpacker = decompressor();
    const batches = Array.from({ length: 30 }, (_, index) => heapLikeBytes(20_000 + index, index));
    const packed = await Promise.all(
      batches.map((bytes, index) => packedOf(packer, bytes, index < 15 ? 1 : 3)),
    );
    const rebuilt = await Promise.all(
      packed.map((bytes, index) => unpacker.decompress(bytes, batches[index]!.length)),
    );
    rebuilt.forEach((bytes, index) => expect(Buffer.compare(bytes, batches[index]!)).toBe(0));
  });

  it('rebuilds in memory of its caller', async () => {
    const bytes = heapLikeBytes(100_000, 4);
    const into = new Uint8Array(200_000);
    const packed = await packedOf(compressor(), bytes);
    const rebuilt = await decompressor().decompress(packed, bytes.length, into.subarray(50_000, 150_000));
    expect(rebuilt.buffer).toBe(into.buffer);
    expect(Buffer.compare(into.subarray(50_000, 150_000), bytes)).toBe(0);
    expect(into.subarray(150_000).every((byte) => byte === 0)).toBe(true);
  });

  it('refuses another length than the batch has, and everything after it', async () => {
    const packed = await packedOf(compressor(), heapLikeBytes(5_000, 1));
    const short = decompressor();
    expect(await rejectionCodeOf(short.decompress(packed, 5_001))).toBe('COMPRESSION_LENGTH_WRONG');
    expect(await rejectionCodeOf(short.decompress(packed, 5_000))).toBe('COMPRESSION_LENGTH_WRONG');
    expect(await rejectionCodeOf(decompressor().decompress(packed, 10))).toMatch(/^COMPRESSION_/);
  });

  it('refuses a batch that comes out of its turn or twice', async () => {
    const packer = compressor();
    const batches = [heapLikeBytes(90_000, 1), heapLikeBytes(90_000, 1), heapLikeBytes(90_000, 2)];
    const packed: Uint8Array[] = [];
    for (const bytes of batches) packed.push(await packedOf(packer, bytes));
    expect(await rejectionCodeOf(decompressor().decompress(packed[1]!, 90_000))).toMatch(/^COMPRESSION_/);
    const unpacker = decompressor();
    await unpacker.decompress(packed[0]!, 90_000);
    const again = await unpacker.decompress(packed[0]!, 90_000).catch((error: Error) => error);
    // The head of a frame in the middle of another is no block.
    expect(again).toMatchObject({ code: expect.stringMatching(/^COMPRESSION_/) });
  });

  it('rebuilds no more than announced of a bomb, and refuses it', async () => {
    // A frame with a window of 32 MiB, and then blocks of one repeated byte: 128 KiB from four bytes each.
    const bomb = Buffer.concat([
      Buffer.from('28b52ffd0078', 'hex'),
      ...Array.from({ length: 50_000 }, () => Buffer.from([0x02, 0, 0x10, 0x55])),
    ]);
    const before = process.memoryUsage().rss;
    expect(await rejectionCodeOf(decompressor().decompress(bomb, 500_000))).toBe('COMPRESSION_FAILED');
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
  });

  it('refuses a window beyond 2^25 bytes, many frames in one batch, and what is no frame', async () => {
    // 2^26 bytes, and 2^41.
    for (const window of ['80', 'f8']) {
      const frame = Buffer.from(`28b52ffd00${window}` + '22000055', 'hex');
      expect(await rejectionCodeOf(decompressor().decompress(frame, 4))).toBe('COMPRESSION_FAILED');
    }
    const empty = Buffer.from('28b52ffd2000010000', 'hex');
    const many = Buffer.concat(Array.from({ length: 3 }, () => empty));
    expect(await rejectionCodeOf(decompressor().decompress(many, 4))).toBe('COMPRESSION_FAILED');
    expect(await rejectionCodeOf(decompressor().decompress(Buffer.alloc(64, 7), 64))).toBe(
      'COMPRESSION_FAILED',
    );
    expect(await rejectionCodeOf(decompressor().decompress(Buffer.alloc(0), 4))).toBe(
      'COMPRESSION_LENGTH_WRONG',
    );
  });

  it('refuses damaged batches, or gives other bytes of the very length', async () => {
    const chance = new SeededChance(3);
    const bytes = heapLikeBytes(30_000, 4);
    const packed = await packedOf(compressor(), bytes);
    let refused = 0;
    for (let run = 0; run < 400; run += 1) {
      const damaged = Uint8Array.from(packed);
      const at = chance.below(damaged.length);
      damaged[at] = damaged[at]! ^ (1 << chance.below(8));
      const unpacker = codec.decompressor();
      const outcome = await unpacker
        .decompress(damaged, bytes.length)
        .catch((error: unknown) => error as Error);
      unpacker.close();
      if (outcome instanceof Error) {
        expect(outcome).toMatchObject({
          name: 'CompressionError',
          code: expect.stringMatching(/^COMPRESSION_/),
        });
        refused += 1;
      } else expect(outcome).toHaveLength(bytes.length);
    }
    expect(refused).toBeGreaterThan(20);
  });

  it('finishes what is under way when it is closed, takes no more, and may be closed again', async () => {
    const packer = codec.compressor(25);
    const unpacker = codec.decompressor();
    const bytes = heapLikeBytes(400_000, 4);
    const under = packedOf(packer, bytes);
    packer.close();
    packer.close();
    const rebuilding = unpacker.decompress(await under, bytes.length);
    unpacker.close();
    expect(Buffer.compare(await rebuilding, bytes)).toBe(0);
    expect(await rejectionCodeOf(packer.compress(bytes, 1))).toBe('COMPRESSION_FAILED');
    expect(await rejectionCodeOf(unpacker.decompress(bytes, 1))).toBe('COMPRESSION_FAILED');
  });

  it('refuses lengths, levels and windows that no agent uses', async () => {
    const packer = compressor();
    expect(await rejectionCodeOf(packer.compress(new Uint8Array(RAW_BYTES_MAX + 1), 1))).toBe(
      'COMPRESSION_TOO_LONG',
    );
    expect(await rejectionCodeOf(packer.compress(new Uint8Array(1), 13))).toBe('COMPRESSION_LEVEL_INVALID');
    expect(await rejectionCodeOf(decompressor().decompress(new Uint8Array(9), RAW_BYTES_MAX + 1))).toBe(
      'COMPRESSION_TOO_LONG',
    );
    for (const windowLog of [16, 26, 20.5]) expect(() => codec.compressor(windowLog)).toThrow(RangeError);
  });
});

describe('the search for the zstd of the system', () => {
  it('does without a package that is not there, a library that is not there, and one that is too old', () => {
    const missing = () => {
      throw new Error('Cannot find module');
    };
    expect(openSystemZstd(missing)).toBeNull();
    expect(openSystemZstd(() => ({ load: missing }))).toBeNull();
    expect(openSystemZstd(() => ({ load: () => ({ func: () => () => 10_399 }) }))).toBeNull();
    expect(zstdStreamsOfSystem(null)).toBeNull();
    expect(zstdOfSystem(null)).toBeNull();
  });
});
