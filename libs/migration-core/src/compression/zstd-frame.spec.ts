import { SeededChance } from '../testing/seeded-chance';
import { compressionCodeOf } from './testing/compression-code-of';
import { checkZstdFrame, withContentSize } from './zstd-frame';

const KIB = 1_024;

interface Block {
  readonly type: 0 | 1 | 2 | 3;
  readonly size: number;
  /** Bytes that really stand there; `size`, or 1 for a repeated byte, unless told. */
  readonly bodyBytes?: number;
}

/** A frame written by hand: single segment, content size of four bytes. */
function frameOf(contentBytes: number, blocks: readonly Block[], descriptor = 0xa0): Buffer {
  const head = Buffer.alloc(9);
  head.writeUInt32LE(0xfd2fb528, 0);
  head.writeUInt8(descriptor, 4);
  head.writeUInt32LE(contentBytes, 5);
  const pieces = blocks.map(({ type, size, bodyBytes = type === 1 ? 1 : size }, index) => {
    const block = Buffer.alloc(3 + bodyBytes, 7);
    block.writeUIntLE((index === blocks.length - 1 ? 1 : 0) | (type << 1) | (size << 3), 0, 3);
    return block;
  });
  return Buffer.concat([head, ...pieces]);
}

const check = (frame: Uint8Array, rawBytes: number) =>
  compressionCodeOf(() => checkZstdFrame(frame, rawBytes));

describe('the walk over a zstd frame', () => {
  it('accepts frames whose blocks can hold what they announce', () => {
    expect(check(frameOf(100, [{ type: 0, size: 100 }]), 100)).toBe('');
    expect(check(frameOf(100_000, [{ type: 1, size: 100_000 }]), 100_000)).toBe('');
    expect(
      check(
        frameOf(300_000, [
          { type: 2, size: 900 },
          { type: 2, size: 70 },
          { type: 0, size: 0 },
        ]),
        300_000,
      ),
    ).toBe('');
    expect(check(frameOf(0, [{ type: 0, size: 0 }]), 0)).toBe('');
  });

  it('accepts a checksum after the last block and misses it when it is cut off', () => {
    const frame = frameOf(100, [{ type: 0, size: 100 }], 0xa4);
    expect(check(Buffer.concat([frame, Buffer.alloc(4)]), 100)).toBe('');
    expect(check(Buffer.concat([frame, Buffer.alloc(3)]), 100)).toBe('COMPRESSION_FRAME_TRUNCATED');
    expect(check(Buffer.concat([frame, Buffer.alloc(5)]), 100)).toBe('COMPRESSION_FRAME_INVALID');
  });

  it('refuses a repeated byte that claims 128 KiB of a page', () => {
    expect(check(frameOf(4 * KIB, [{ type: 1, size: 128 * KIB }]), 4 * KIB)).toBe(
      'COMPRESSION_FRAME_INVALID',
    );
    const many = Array.from({ length: 9 }, () => ({ type: 1, size: 128 * KIB }) as const);
    expect(check(frameOf(1024 * KIB, many), 1024 * KIB)).toBe('COMPRESSION_BOMB');
    expect(check(frameOf(1024 * KIB, many.slice(1)), 1024 * KIB)).toBe('');
  });

  it('refuses more compressed blocks than the announced length fills', () => {
    const blocks = (count: number) => Array.from({ length: count }, () => ({ type: 2, size: 12 }) as const);
    expect(check(frameOf(512 * KIB, blocks(64)), 512 * KIB)).toBe('');
    expect(check(frameOf(512 * KIB, blocks(65)), 512 * KIB)).toBe('COMPRESSION_BOMB');
    expect(check(frameOf(0, blocks(1)), 0)).not.toBe('');
  });

  it('refuses empty blocks before the end, which could be there without end', () => {
    expect(
      check(
        frameOf(5, [
          { type: 0, size: 0 },
          { type: 0, size: 5 },
        ]),
        5,
      ),
    ).toBe('COMPRESSION_FRAME_INVALID');
  });

  it('refuses a length other than the announced one, in the header and in the blocks', () => {
    expect(check(frameOf(101, [{ type: 0, size: 101 }]), 100)).toBe('COMPRESSION_LENGTH_WRONG');
    expect(check(frameOf(100, [{ type: 0, size: 99 }]), 100)).toBe('COMPRESSION_LENGTH_WRONG');
    const huge = Buffer.from('28b52ffde0ffffffffffffffff010000', 'hex');
    expect(check(huge, 100)).toBe('COMPRESSION_LENGTH_WRONG');
  });

  it('refuses a large window, a dictionary, reserved bits and reserved blocks', () => {
    // Window descriptor 0x70 is 2^24 bytes; content size of four bytes.
    expect(check(Buffer.from('28b52ffd80706400000001000000', 'hex'), 100)).toBe(
      'COMPRESSION_WINDOW_TOO_LARGE',
    );
    expect(check(frameOf(100, [{ type: 0, size: 100 }], 0xa1), 100)).toBe('COMPRESSION_FRAME_INVALID');
    expect(check(frameOf(100, [{ type: 0, size: 100 }], 0xa8), 100)).toBe('COMPRESSION_FRAME_INVALID');
    expect(check(frameOf(100, [{ type: 3, size: 100 }]), 100)).toBe('COMPRESSION_FRAME_INVALID');
  });

  it('refuses a second frame, a skippable frame, and what is no frame', () => {
    const frame = frameOf(100, [{ type: 0, size: 100 }]);
    expect(check(Buffer.concat([frame, frame]), 100)).toBe('COMPRESSION_FRAME_INVALID');
    expect(check(Buffer.from('502a4d1804000000aabbccdd', 'hex'), 4)).toBe('COMPRESSION_FRAME_INVALID');
    expect(check(Buffer.alloc(64), 64)).toBe('COMPRESSION_FRAME_INVALID');
    expect(check(Buffer.alloc(0), 0)).toBe('COMPRESSION_FRAME_TRUNCATED');
  });

  it('refuses a frame without content size', () => {
    expect(check(Buffer.from('28b52ffd0048010000', 'hex'), 0)).toBe('COMPRESSION_FRAME_INVALID');
  });

  it('refuses a frame cut anywhere', () => {
    const frame = frameOf(40, [
      { type: 1, size: 20 },
      { type: 0, size: 20 },
    ]);
    for (let length = 0; length < frame.length; length += 1)
      expect(check(frame.subarray(0, length), 40)).toBe('COMPRESSION_FRAME_TRUNCATED');
  });

  it('never reads outside a frame of random bytes, and never takes one', () => {
    const chance = new SeededChance(11);
    for (let run = 0; run < 5_000; run += 1) {
      const frame = chance.bytes(4 + chance.below(60));
      new DataView(frame.buffer).setUint32(0, 0xfd2fb528, true);
      const rawBytes = chance.below(300);
      const code = check(frame, rawBytes);
      if (code === '') expect(frame.length).toBeLessThan(70);
      else expect(code).toMatch(/^COMPRESSION_/);
    }
  });
});

describe('a frame that gets its content size', () => {
  it('keeps its blocks and is left alone once it has one', () => {
    const bare = Buffer.from('28b52ffd0048' + '210000' + '61626364', 'hex');
    const sized = withContentSize(bare, 4);
    expect(Buffer.from(sized).toString('hex')).toBe('28b52ffda004000000' + '210000' + '61626364');
    expect(check(sized, 4)).toBe('');
    expect(withContentSize(sized, 4)).toBe(sized);
  });
});
