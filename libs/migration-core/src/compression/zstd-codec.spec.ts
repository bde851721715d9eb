import zlib from 'node:zlib';
import { SeededChance } from '../testing/seeded-chance';
import { RAW_BYTES_MAX } from './codec';
import { rejectionCodeOf } from './testing/compression-code-of';
import { heapLikeBytes } from './testing/page-content';
import { zstdCodec } from './zstd-codec';
import { type ZstdLibrary, zstdOfNode, zstdOfPackage } from './zstd-library';
import { zstdOfSystem } from './zstd-system';

// Some of it compresses tens of megabytes, which takes its time on a busy machine.
jest.setTimeout(20_000);

const libraries = [zstdOfSystem(), zstdOfPackage(), zstdOfNode()].filter((library) => library !== null);

it('finds a library to test', () => expect(libraries).not.toHaveLength(0));

describe.each(libraries.map((library) => [library.name, library] as const))('%s', (_name, library) => {
  const codec = zstdCodec(library);

  it('gives back what it was given, at every level and length', async () => {
    const lengths = [0, 1, 2, 100, 255, 256, 4_095, 65_536, 131_072, 131_073, 524_288, 1_048_576];
    const inputs = lengths.map((length) => heapLikeBytes(length, length + 50));
    for (const level of [-7, -5, -1, 1, 3, 6, 12])
      for (const bytes of inputs) {
        const packed = await codec.compress(bytes, level);
        expect(Buffer.compare(await codec.decompress(packed, bytes.length), bytes)).toBe(0);
      }
  });

  it('gives back zeros, random bytes and content that changes half way', async () => {
    const chance = new SeededChance(5);
    const mixed = Buffer.concat([
      heapLikeBytes(200_000, 1),
      chance.bytes(90_000),
      Buffer.alloc(300_000),
      heapLikeBytes(99_999, 2),
    ]);
    for (const bytes of [Buffer.alloc(1_048_576), chance.bytes(524_288), mixed])
      for (const level of [-5, -1, 1, 3, 9]) {
        const packed = await codec.compress(bytes, level);
        expect(Buffer.compare(await codec.decompress(packed, bytes.length), bytes)).toBe(0);
      }
  });

  it('takes a part of a larger buffer, and many at once', async () => {
    const whole = heapLikeBytes(1_000_000, 9);
    const parts = Array.from({ length: 40 }, (_, index) =>
      whole.subarray(index * 20_000 + 3, index * 20_000 + 15_003),
    );
    const packed = await Promise.all(parts.map((part) => codec.compress(part, 1)));
    const rebuilt = await Promise.all(packed.map((bytes) => codec.decompress(bytes, 15_000)));
    for (const [index, part] of parts.entries()) expect(Buffer.compare(rebuilt[index]!, part)).toBe(0);
  });

  it('refuses a damaged frame, or gives other bytes of the very length', async () => {
    const chance = new SeededChance(3);
    const bytes = heapLikeBytes(30_000, 4);
    const packed = await codec.compress(bytes, 1);
    let refused = 0;
    for (let run = 0; run < 400; run += 1) {
      const damaged = Uint8Array.from(packed);
      const at = chance.below(damaged.length);
      damaged[at] = damaged[at]! ^ (1 << chance.below(8));
      const outcome = await codec.decompress(damaged, bytes.length).catch((error: unknown) => error as Error);
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

  it('refuses a header that lies about its blocks', async () => {
    const packed = await codec.compress(heapLikeBytes(500_000, 1), 1);
    expect(packed[4]! >> 5).toBe(5); // A single segment, content size of four bytes.
    for (const claimed of [499_999, 500_001, 100_000, 70_000]) {
      const lying = Uint8Array.from(packed);
      new DataView(lying.buffer).setUint32(5, claimed, true);
      expect(await rejectionCodeOf(codec.decompress(lying, claimed))).toMatch(/^COMPRESSION_/);
    }
  });

  it('refuses another length than the frame holds', async () => {
    const packed = await codec.compress(heapLikeBytes(5_000, 1), 1);
    expect(await rejectionCodeOf(codec.decompress(packed, 4_999))).toBe('COMPRESSION_LENGTH_WRONG');
  });
});

it('reads with each library what the other wrote', async () => {
  const bytes = heapLikeBytes(700_000, 21);
  for (const writer of libraries)
    for (const reader of libraries) {
      const packed = await zstdCodec(writer).compress(bytes, 3);
      expect(Buffer.compare(await zstdCodec(reader).decompress(packed, bytes.length), bytes)).toBe(0);
    }
});

describe('the zstd codec', () => {
  const opened: number[] = [];
  const watched: ZstdLibrary = {
    name: 'watched',
    compress: async (bytes) => bytes,
    decompress: async (bytes) => {
      opened.push(bytes.length);
      return new Uint8Array(7);
    },
  };
  beforeEach(() => opened.splice(0));

  it('refuses a bomb before the library sees it', async () => {
    const block = Buffer.from([0x02, 0, 0x10, 0]);
    const bomb = Buffer.concat([
      Buffer.from('28b52ffda000001000', 'hex'),
      ...Array.from({ length: 5_000 }, () => block),
    ]);
    expect(await rejectionCodeOf(zstdCodec(watched).decompress(bomb, 0x100000))).toBe('COMPRESSION_BOMB');
    expect(opened).toHaveLength(0);
  });

  it('refuses a result of another length than announced', async () => {
    const frame = Buffer.from('28b52ffda00800000041000061626364' + '65666768', 'hex');
    expect(await rejectionCodeOf(zstdCodec(watched).decompress(frame, 8))).toBe('COMPRESSION_LENGTH_WRONG');
    expect(opened).toEqual([frame.length]);
  });

  it('refuses lengths and levels that no agent uses', async () => {
    const codec = zstdCodec(watched);
    expect(await rejectionCodeOf(codec.compress(new Uint8Array(RAW_BYTES_MAX + 1), 1))).toBe(
      'COMPRESSION_TOO_LONG',
    );
    expect(await rejectionCodeOf(codec.decompress(new Uint8Array(9), RAW_BYTES_MAX + 1))).toBe(
      'COMPRESSION_TOO_LONG',
    );
    for (const rawBytes of [-1, 0.5, Number.NaN, 2 ** 53])
      expect(await rejectionCodeOf(codec.decompress(new Uint8Array(9), rawBytes))).toBe(
        'COMPRESSION_TOO_LONG',
      );
    for (const level of [13, -8, 1.5, Number.NaN])
      expect(await rejectionCodeOf(codec.compress(new Uint8Array(1), level))).toBe(
        'COMPRESSION_LEVEL_INVALID',
      );
  });
});

describe('the search for a library', () => {
  it('does without a package that is not there or is something else', () => {
    expect(
      zstdOfPackage(() => {
        throw new Error('Cannot find module');
      }),
    ).toBeNull();
    expect(zstdOfPackage(() => ({ Encoder: 1 }))).toBeNull();
  });

  it('knows a Node without zstd', () => {
    expect(zstdOfNode({ gzip: zlib.gzip, constants: {} })).toBeNull();
  });
});
