import { bytesOf } from '../image/byte-source';
import { randomFrom } from '../testing/synthetic-disks';
import { ReadAhead } from './read-ahead';

const PIECE_BYTES = 512;

describe('reading ahead', () => {
  const content = Buffer.from(
    Array.from({ length: 1024 * PIECE_BYTES + 100 }, (_, index) => (index * 7) % 251),
  );
  const counting = () => {
    const source = bytesOf(content);
    const reads: number[] = [];
    return {
      reads,
      source: {
        ...source,
        read: (offset: number, lengthBytes: number) => {
          reads.push(lengthBytes);
          return source.read(offset, lengthBytes);
        },
      },
    };
  };

  it('gives every piece as it is, in whatever order they are asked for', async () => {
    const random = randomFrom(3);
    const ahead = new ReadAhead(bytesOf(content), PIECE_BYTES);
    let offset = 0;
    for (let round = 0; round < 2000; round += 1) {
      offset = random() < 0.7 ? offset + PIECE_BYTES : Math.floor(random() * content.length);
      if (offset + PIECE_BYTES > content.length) offset = 0;
      expect((await ahead.read(offset)).equals(content.subarray(offset, offset + PIECE_BYTES))).toBe(true);
    }
  });

  it('takes few reads for pieces in a row', async () => {
    const { source, reads } = counting();
    const ahead = new ReadAhead(source, PIECE_BYTES);
    for (let index = 0; index < 1024; index += 1) await ahead.read(index * PIECE_BYTES);
    expect(reads.length).toBeLessThan(15);
  });

  it('reads no more than the pieces where they are apart', async () => {
    const { source, reads } = counting();
    const ahead = new ReadAhead(source, PIECE_BYTES);
    for (let index = 1023; index >= 0; index -= 1) await ahead.read(index * PIECE_BYTES);
    expect(reads.every((lengthBytes) => lengthBytes === PIECE_BYTES)).toBe(true);
  });

  it('rejects a piece past the end', () =>
    expect(new ReadAhead(bytesOf(content), PIECE_BYTES).read(content.length - 10)).rejects.toMatchObject({
      code: 'DISK_TRUNCATED',
    }));
});
