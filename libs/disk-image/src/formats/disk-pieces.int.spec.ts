import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { Scratch } from '../file-system/scratch';
import { type DiskPiecesOptions, diskPieces } from './disk-pieces';

const MIB = 1024 * 1024;
const ALIGN_BYTES = 65536;
const tools = createHostTools();
let folder: string;
let scratch: Scratch;

beforeAll(async () => {
  await ensureHostTools(['qemu-img']);
  folder = await mkdtemp(join(tmpdir(), 'disk-pieces-spec-'));
  scratch = await Scratch.make();
}, 120_000);

afterAll(async () => {
  await scratch.remove();
  await rm(folder, { recursive: true, force: true });
});

async function diskWith(
  name: string,
  sizeBytes: number,
  data: readonly (readonly [number, string])[],
): Promise<string> {
  const path = join(folder, name);
  const file = await open(path, 'wx');
  try {
    await file.truncate(sizeBytes);
    for (const [at, text] of data) await file.write(text, at);
  } finally {
    await file.close();
  }
  return path;
}

async function piecesOf(rawPath: string, more: Partial<DiskPiecesOptions> & { virtualBytes: number }) {
  const pieces: { offset: number; bytes: Buffer }[] = [];
  for await (const piece of diskPieces({ rawPath, alignBytes: ALIGN_BYTES, tools, scratch, ...more }))
    pieces.push(piece);
  return pieces;
}

describe('the pieces of a disk', () => {
  it('are aligned, in order, and hold all data, but not the holes', async () => {
    const data = [
      [0, 'first'],
      [5 * MIB + 100_000, 'near each other'],
      [5 * MIB + 150_000, 'in one stretch or two'],
      [900 * MIB, 'far away'],
      [1000 * MIB - 4, 'last'],
    ] as const;
    const path = await diskWith('holes.raw', 1000 * MIB, data);
    const fractions: number[] = [];
    const onProgress = (fraction: number) => fractions.push(fraction);
    const pieces = await piecesOf(path, { virtualBytes: 1000 * MIB, onProgress });
    let end = 0;
    for (const { offset, bytes } of pieces) {
      expect(offset % ALIGN_BYTES).toBe(0);
      expect(offset).toBeGreaterThanOrEqual(end);
      end = offset + bytes.length;
    }
    for (const [at, text] of data) {
      const piece = pieces.find(({ offset, bytes }) => offset <= at && at < offset + bytes.length);
      expect(piece?.bytes.toString('latin1', at - piece.offset, at - piece.offset + text.length)).toBe(text);
    }
    expect(pieces.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThan(16 * MIB);
    expect(fractions.at(-1)).toBe(1);
  });

  it('are zeros where the disk is longer than its file', async () => {
    const path = await diskWith('short.raw', 512, [[0, 'x'.repeat(512)]]);
    const [piece, ...others] = await piecesOf(path, { virtualBytes: MIB });
    expect(others).toEqual([]);
    expect(piece?.bytes.subarray(0, 512).toString()).toBe('x'.repeat(512));
    expect(piece?.bytes.subarray(512).every((byte) => byte === 0)).toBe(true);
  });

  it('are none of a disk without data', async () => {
    const path = await diskWith('empty.raw', 64 * MIB, []);
    expect(await piecesOf(path, { virtualBytes: 64 * MIB })).toEqual([]);
  });

  it('end when they are aborted', async () => {
    const path = await diskWith('aborted.raw', MIB, [[0, 'data']]);
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(piecesOf(path, { virtualBytes: MIB, signal })).rejects.toThrow('enough');
  });
});
