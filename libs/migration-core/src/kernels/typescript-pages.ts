import { PAGE_BYTES } from '../qemu-stream';
import { KernelError } from './errors';
import type { KernelMemory } from './kernel-memory';

/** 32-bit words of a page. */
export const PAGE_WORDS = PAGE_BYTES / 4;
const PAGE_ALIGNMENT = 64;

/** The addresses in a pointer array, each of a whole page in the memory. Throws `KERNEL_RANGE`. */
export function pagesOf(memory: KernelMemory, pointers: number, count: number): Uint32Array {
  const pages = memory.words.subarray(pointers / 4, pointers / 4 + count);
  for (const page of pages)
    if (page % PAGE_ALIGNMENT !== 0 || page + PAGE_BYTES > memory.byteLength)
      throw new KernelError(
        'KERNEL_RANGE',
        `There is no page at ${page} in the kernels' memory of ${memory.byteLength} bytes: pages lie wholly in it, at multiples of ${PAGE_ALIGNMENT}.`,
      );
  return pages;
}
