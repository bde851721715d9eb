import { open } from 'node:fs/promises';
import type { HostTools } from '@watari/host-tools';
import type { Scratch } from '../file-system/scratch';
import type { DiskPiece } from './vmdk/stream-writer';

export interface DiskPiecesOptions {
  readonly rawPath: string;
  readonly virtualBytes: number;
  /** Pieces begin at multiples of this. */
  readonly alignBytes: number;
  readonly tools: HostTools;
  readonly scratch: Scratch;
  readonly onProgress?: (fraction: number) => void;
  readonly signal?: AbortSignal;
}

const PIECE_BYTES = 4 * 1024 * 1024;
const MAP_TIMEOUT_MS = 10 * 60_000;
const MAP_BYTES_MAX = 256 * 1024 * 1024;

/** The stretches of a raw disk that hold data, in order; holes of the file are left out without reading them. */
export async function* diskPieces(options: DiskPiecesOptions): AsyncGenerator<DiskPiece> {
  const { rawPath, virtualBytes, alignBytes, onProgress, signal } = options;
  const stretches = await dataOf(options);
  const file = await open(rawPath, 'r');
  try {
    let done = 0;
    for (const { start, end } of stretches) {
      // Where the stretch before ended within the same aligned piece, its bytes were given already.
      let offset = Math.max(done, Math.floor(start / alignBytes) * alignBytes);
      const until = Math.min(virtualBytes, Math.ceil(end / alignBytes) * alignBytes);
      for (; offset < until; offset += PIECE_BYTES) {
        signal?.throwIfAborted();
        const bytes = Buffer.allocUnsafe(Math.min(PIECE_BYTES, until - offset));
        await readFully(file, bytes, offset);
        yield { offset, bytes };
        onProgress?.(Math.min(1, (offset + bytes.length) / virtualBytes));
      }
      done = Math.max(done, until);
    }
    onProgress?.(1);
  } finally {
    await file.close();
  }
}

interface Stretch {
  readonly start: number;
  readonly end: number;
}

async function dataOf({
  rawPath,
  virtualBytes,
  tools,
  scratch,
  signal,
}: DiskPiecesOptions): Promise<Stretch[]> {
  const source = await scratch.link(rawPath);
  const { stdout } = await tools.run('qemu-img', ['map', '--output=json', '-f', 'raw', source], {
    timeoutMs: MAP_TIMEOUT_MS,
    stdoutBytesMax: MAP_BYTES_MAX,
    ...(signal && { signal }),
  });
  const stretches: Stretch[] = [];
  for (const entry of JSON.parse(stdout.toString('utf8')) as unknown[]) {
    const { start, length, data } = entry as { start?: unknown; length?: unknown; data?: unknown };
    if (typeof start !== 'number' || typeof length !== 'number')
      throw new TypeError('qemu-img map told a stretch without start and length.');
    if (data !== false) stretches.push({ start, end: Math.min(start + length, virtualBytes) });
  }
  return stretches;
}

async function readFully(
  file: { read(into: Buffer, at: number, length: number, position: number): Promise<{ bytesRead: number }> },
  into: Buffer,
  offset: number,
): Promise<void> {
  for (let done = 0; done < into.length;) {
    const { bytesRead } = await file.read(into, done, into.length - done, offset + done);
    // Beyond the end of the file a disk is zeros, up to the size that it was rounded to.
    if (bytesRead === 0) {
      into.fill(0, done);
      return;
    }
    done += bytesRead;
  }
}
