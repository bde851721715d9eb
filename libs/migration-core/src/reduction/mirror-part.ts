import type { PageKernels } from '../kernels';
import { PAGE_BYTES } from '../qemu-stream';
import { kernelsFor, SCRATCH_BYTES } from './scratch';

/**
 * Memory grows by so much at a time at least, and else to double its length: each growth makes the collector run. What
 * was set aside and not written to yet takes none of the machine's memory.
 */
const GROWTH_BYTES_MIN = 16 * 1024 * 1024;

/** Places for pages in one memory, numbered from 1 on, beside the place where batches are worked on. */
export class MirrorPart {
  readonly kernels: PageKernels;
  readonly #free: number[] = [];
  #placesUsed = 0;

  /** Throws KERNEL_MEMORY_LIMIT when no memory can hold so many pages. */
  constructor(pagesMax: number) {
    this.kernels = kernelsFor(pagesMax);
  }

  addressOf(place: number): number {
    return SCRATCH_BYTES + (place - 1) * PAGE_BYTES;
  }

  /** May grow the memory, which makes views of it stale. */
  take(): number {
    const place = this.#free.pop();
    if (place !== undefined) return place;
    this.#placesUsed += 1;
    const end = this.addressOf(this.#placesUsed + 1);
    const { memory } = this.kernels;
    if (end > memory.byteLength)
      memory.grow(Math.min(memory.maxBytes, end + Math.max(GROWTH_BYTES_MIN, memory.byteLength)));
    return this.#placesUsed;
  }

  give(place: number): void {
    this.#free.push(place);
  }

  /** Grows the memory at once, as far as it may, for so many pages. */
  makeRoom(pages: number): void {
    const { memory } = this.kernels;
    memory.grow(Math.min(memory.maxBytes, this.addressOf(pages + 1)));
  }
}
