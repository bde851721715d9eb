import { open, rm } from 'node:fs/promises';
import type { HostTools } from '@watari/host-tools';
import { DiskUnusable } from '../errors';
import type { Scratch } from './scratch';

export interface VolumePlace {
  readonly diskPath: string;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  readonly name: string;
  readonly needsRecovery: boolean;
}

export interface CheckOptions {
  readonly tools: HostTools;
  readonly scratch: Scratch;
  readonly signal?: AbortSignal;
}

const TIMEOUT_MS = 30 * 60_000;
const CHUNK_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(CHUNK_BYTES);
/** e2fsck: nothing to do; errors were mended; mended, and a mounted system would have to restart. */
const MENDED = [0, 1, 2, 3];

/**
 * Replays the journal of a clone's file system and mends what needs no decision. Rejects with DISK_DAMAGED where
 * a person has to decide.
 */
export async function mendVolume(place: VolumePlace, options: CheckOptions): Promise<void> {
  if (!place.needsRecovery) return mend(await options.scratch.link(place.diskPath), place, options);
  // Inside of a disk e2fsck replays no journal: it opens the file again without the offset.
  const partPath = `${place.diskPath}.partition`;
  try {
    await rm(partPath, { force: true });
    await copyDifferences(place.diskPath, place.offsetBytes, partPath, 0, place.sizeBytes, options.signal);
    await mend(await options.scratch.link(partPath), { ...place, offsetBytes: 0 }, options);
    await copyDifferences(partPath, 0, place.diskPath, place.offsetBytes, place.sizeBytes, options.signal);
  } finally {
    await rm(partPath, { force: true });
  }
}

async function mend(path: string, place: VolumePlace, { tools, signal }: CheckOptions): Promise<void> {
  const { status, stdout } = await tools.run('e2fsck', ['-f', '-p', deviceOf(path, place.offsetBytes)], {
    okStatuses: [...MENDED, 4, 5, 6, 7, 8, 12],
    timeoutMs: TIMEOUT_MS,
    signal,
  });
  if (!MENDED.includes(status)) throw damaged(place, stdout.toString('utf8'));
}

/** Rejects with DISK_DAMAGED where the file system is not whole. Changes nothing. */
export async function expectWhole(
  place: VolumePlace,
  { tools, scratch, signal }: CheckOptions,
): Promise<void> {
  const device = deviceOf(await scratch.link(place.diskPath), place.offsetBytes);
  const { status, stdout } = await tools.run('e2fsck', ['-f', '-n', device], {
    okStatuses: [0, 1, 2, 3, 4, 5, 6, 7, 8, 12],
    timeoutMs: TIMEOUT_MS,
    signal,
  });
  if (status !== 0) throw damaged(place, stdout.toString('utf8'));
}

function deviceOf(path: string, offsetBytes: number): string {
  return offsetBytes === 0 ? path : `${path}?offset=${offsetBytes}`;
}

function damaged({ name }: VolumePlace, detail: string): DiskUnusable {
  const lines = detail.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('Pass '));
  return new DiskUnusable(
    'DISK_DAMAGED',
    `The file system on ${name} has errors that need a decision: ${lines.slice(0, 3).join(' ').slice(0, 300)}. Run e2fsck on the server, then copy the disk again.`,
  );
}

/** Copies a stretch; what is equal already, such as zeros in a new file, is not written. */
async function copyDifferences(
  sourcePath: string,
  sourceOffset: number,
  targetPath: string,
  targetOffset: number,
  sizeBytes: number,
  signal?: AbortSignal,
): Promise<void> {
  const source = await open(sourcePath, 'r');
  const target = await open(targetPath, targetOffset === 0 ? 'w+' : 'r+', 0o600);
  try {
    const isNew = (await target.stat()).size === 0;
    if (isNew) await target.truncate(sizeBytes);
    const [wanted, present] = [Buffer.alloc(CHUNK_BYTES), Buffer.alloc(CHUNK_BYTES)];
    for (let done = 0; done < sizeBytes;) {
      signal?.throwIfAborted();
      const length = Math.min(CHUNK_BYTES, sizeBytes - done);
      const { bytesRead } = await source.read(wanted, 0, length, sourceOffset + done);
      if (bytesRead === 0) throw new Error(`${sourcePath} ends before ${sourceOffset + sizeBytes} bytes.`);
      if (!isNew) await target.read(present, 0, bytesRead, targetOffset + done);
      const there = isNew ? ZEROS : present;
      if (wanted.compare(there, 0, bytesRead, 0, bytesRead) !== 0)
        await target.write(wanted, 0, bytesRead, targetOffset + done);
      done += bytesRead;
    }
    await target.sync();
  } finally {
    await target.close();
    await source.close();
  }
}
