import { open } from 'node:fs/promises';

import {
  CHUNK_BYTES,
  type GuestProgram,
  guestProgram,
  IMAGE_DISK_OFFSET_BYTES,
  TICKS_PER_SECOND,
} from './guest-program';
import { guestMemory, type MemorySizes } from './guest-memory';

const PAGES_PER_MIB = 256;

export interface Workload {
  readonly name: string;
  readonly title: string;
  readonly sizes: MemorySizes;
  readonly writesPerSecond: number;
  readonly writesWholePages: boolean;
}

/** Sizes of the file cache and the heap for a guest of 1 GiB; smaller guests have less of both. */
export function workloads(memoryMiB: number): Workload[] {
  const fileMiB = Math.round(memoryMiB / 4);
  const heapMiB = Math.round((memoryMiB * 3) / 32);
  return [
    {
      name: 'server',
      title: `file cache ${fileMiB} MiB, heap ${heapMiB} MiB, hot set 96 MiB written at 30 000 records of 256 B a second`,
      sizes: { fileMiB, heapMiB, hotMiB: 96 },
      writesPerSecond: 30_000,
      writesWholePages: false,
    },
    {
      name: 'idle',
      title: `the same memory, nothing written`,
      sizes: { fileMiB, heapMiB, hotMiB: 96 },
      writesPerSecond: 0,
      writesWholePages: false,
    },
    {
      name: 'noise',
      title: `the same file cache and heap, 32 MiB written at 1 500 whole pages of noise a second (no win expected)`,
      sizes: { fileMiB, heapMiB, hotMiB: 32 },
      writesPerSecond: 1_500,
      writesWholePages: true,
    },
  ];
}

/** Writes the guest's disk. Answers the sum of the words that the guest must keep finding in its static memory. */
export async function writeGuestDisk(path: string, sourceDisk: string, workload: Workload): Promise<number> {
  const { fileMiB, heapMiB, hotMiB } = workload.sizes;
  const memory = await guestMemory(sourceDisk, workload.sizes);
  const staticPages = (fileMiB + heapMiB) * PAGES_PER_MIB;
  const program: GuestProgram = {
    imageBytes: Math.ceil(memory.length / CHUNK_BYTES) * CHUNK_BYTES,
    staticPages,
    hotPages: hotMiB * PAGES_PER_MIB,
    writesPerTick: workload.writesPerSecond / TICKS_PER_SECOND,
    writesWholePages: workload.writesWholePages,
    sumPagesPerTick: 128,
  };
  const file = await open(path, 'w');
  try {
    await file.write(guestProgram(program), 0, undefined, 0);
    await file.write(memory, 0, memory.length, IMAGE_DISK_OFFSET_BYTES);
  } finally {
    await file.close();
  }
  const words = new Uint32Array(memory.buffer, memory.byteOffset, staticPages * 1_024);
  return words.reduce((sum, word) => (sum + word) >>> 0, 0);
}
