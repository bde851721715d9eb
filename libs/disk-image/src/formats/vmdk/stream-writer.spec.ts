import { inflateSync } from 'node:zlib';
import { bytesOf } from '../../image/byte-source';
import { randomFrom } from '../../testing/synthetic-disks';
import { examineSingleVmdk } from './examine-vmdk';
import { type DiskPiece, GRAIN_BYTES, vmdkStream } from './stream-writer';

async function* piecesOf(...pieces: DiskPiece[]): AsyncGenerator<DiskPiece> {
  for (const piece of pieces) yield piece;
}

async function streamOf(virtualBytes: number, ...pieces: DiskPiece[]): Promise<Buffer> {
  const parts: Buffer[] = [];
  const options = { virtualBytes, name: 'disk.vmdk', adapter: 'lsilogic', level: 6 } as const;
  for await (const part of vmdkStream({ ...options, pieces: piecesOf(...pieces) })) parts.push(part);
  return Buffer.concat(parts);
}

/** What the markers from front to back say, without a look at the tables: how an importer reads a stream. */
function replay(stream: Buffer, virtualBytes: number): Buffer {
  const disk = Buffer.alloc(Math.ceil(virtualBytes / GRAIN_BYTES) * GRAIN_BYTES);
  const seen: number[] = [];
  for (let at = GRAIN_BYTES; ;) {
    const value = Number(stream.readBigUInt64LE(at));
    const sizeBytes = stream.readUInt32LE(at + 8);
    if (sizeBytes > 0) {
      inflateSync(stream.subarray(at + 12, at + 12 + sizeBytes)).copy(disk, value * 512);
      at += Math.ceil((12 + sizeBytes) / 512) * 512;
      continue;
    }
    const type = stream.readUInt32LE(at + 12);
    seen.push(type);
    if (type === 0) {
      expect(at + 512).toBe(stream.length);
      expect(seen.slice(-3)).toEqual([2, 3, 0]);
      return disk.subarray(0, virtualBytes);
    }
    at += 512 + value * 512;
  }
}

describe('a VMDK stream', () => {
  const random = randomFrom(99);
  const noise = Buffer.from(Array.from({ length: 5 * GRAIN_BYTES }, () => Math.floor(random() * 256)));

  it('holds the disk for who reads it front to back', async () => {
    const virtualBytes = 70 * 1024 * 1024 + 512;
    const end = Buffer.alloc(virtualBytes - 1120 * GRAIN_BYTES, 3);
    const stream = await streamOf(
      virtualBytes,
      { offset: 0, bytes: noise },
      { offset: 600 * GRAIN_BYTES, bytes: Buffer.alloc(2 * GRAIN_BYTES) },
      {
        offset: 1000 * GRAIN_BYTES,
        bytes: Buffer.from('text '.repeat(GRAIN_BYTES)).subarray(0, GRAIN_BYTES),
      },
      { offset: 1120 * GRAIN_BYTES, bytes: end },
    );
    const disk = replay(stream, virtualBytes);
    expect(disk.subarray(0, noise.length).equals(noise)).toBe(true);
    expect(disk.subarray(noise.length, 1000 * GRAIN_BYTES).every((byte) => byte === 0)).toBe(true);
    expect(disk.toString('latin1', 1000 * GRAIN_BYTES, 1000 * GRAIN_BYTES + 9)).toBe('text text');
    expect(disk.subarray(1120 * GRAIN_BYTES).equals(end)).toBe(true);
    expect(await examineSingleVmdk('The stream', bytesOf(stream))).toEqual({
      subformat: 'streamOptimized',
      virtualBytes,
      hasFooter: true,
    });
  });

  it('holds a disk of zeros alone', async () => {
    const stream = await streamOf(GRAIN_BYTES * 3);
    expect(replay(stream, GRAIN_BYTES * 3).every((byte) => byte === 0)).toBe(true);
    expect(await examineSingleVmdk('The stream', bytesOf(stream))).toMatchObject({
      virtualBytes: GRAIN_BYTES * 3,
    });
  });

  it('fails as its source does', async () => {
    async function* failing(): AsyncGenerator<DiskPiece> {
      yield { offset: 0, bytes: noise };
      throw new Error('the disk is gone');
    }
    const stream = vmdkStream({
      virtualBytes: 1 << 20,
      name: 'd',
      adapter: 'ide',
      level: 1,
      pieces: failing(),
    });
    const drain = async (): Promise<void> => {
      for await (const part of stream) expect(part.length).toBeGreaterThan(0);
    };
    await expect(drain()).rejects.toThrow('the disk is gone');
  });

  it('is refused wherever it ends', async () => {
    const stream = await streamOf(1 << 20, { offset: 0, bytes: noise });
    for (let end = 0; end < stream.length; end += 511)
      await expect(examineSingleVmdk('The stream', bytesOf(stream.subarray(0, end)))).rejects.toMatchObject({
        code: expect.stringMatching(/^DISK_(TRUNCATED|DAMAGED)$/) as string,
      });
  });
});
