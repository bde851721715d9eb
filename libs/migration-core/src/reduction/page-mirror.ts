import type { PageKernels } from '../kernels';
import { PAGE_BYTES } from '../qemu-stream';
import type { PageLayout } from './page-layout';
import { kernelsFor, PAGES_MAX, SCRATCH_BYTES } from './scratch';

const UNKNOWN = -1;
const ZERO = 0;
/** Memory grows by so much at a time: a page at a time would copy it all again and again. */
const GROWTH_BYTES = 16 * 1024 * 1024;

export interface PageMirrorOptions {
  /** Pages that may be held; both ends must use the same number, as both must hold the same pages. */
  readonly pagesMax: number;
  /** Where in the kernels' memory pages may lie: from here to its end. A multiple of PAGE_BYTES. */
  readonly firstByte: number;
}

/**
 * The pages that the other side of a move holds, byte for byte. Both ends keep one and change it by the same steps in
 * the same order, so that "the same as before", "changed here and there" and "like that other page" mean the same.
 *
 * It is a dictionary, not the guest's memory: nothing depends on whether a page in it is still what the guest has.
 */
export class PageMirror {
  /** For each page: unknown, known to be zero, or the number of its place from 1 on. */
  readonly #places: Int32Array;
  readonly #free: number[] = [];
  #placesUsed = 0;
  #heldPages = 0;

  /** Throws RangeError when the kernels' memory can never hold so many pages. */
  constructor(
    readonly kernels: PageKernels,
    readonly layout: PageLayout,
    private readonly options: PageMirrorOptions,
  ) {
    const bytes = options.firstByte + options.pagesMax * PAGE_BYTES;
    if (bytes > kernels.memory.maxBytes)
      throw new RangeError(
        `${options.pagesMax} pages do not fit into ${kernels.memory.maxBytes} bytes of memory.`,
      );
    this.#places = new Int32Array(layout.pageCount).fill(UNKNOWN);
  }

  get pagesMax(): number {
    return this.options.pagesMax;
  }

  /** Pages whose content is held; zero pages cost nothing and do not count. */
  get heldPages(): number {
    return this.#heldPages;
  }

  isKnown(page: number): boolean {
    return this.#place(page) !== UNKNOWN;
  }

  isZero(page: number): boolean {
    return this.#place(page) === ZERO;
  }

  /** Address of the page's content; 0 when it is unknown or zero. */
  pointer(page: number): number {
    const place = this.#place(page);
    return place <= ZERO ? 0 : this.#addressOf(place);
  }

  setZero(page: number): void {
    this.#release(page);
    this.#places[page] = ZERO;
  }

  forget(page: number): void {
    this.#release(page);
    this.#places[page] = UNKNOWN;
  }

  /**
   * Address where the page's new content is to be written; it must be, at once. 0 when no more pages may be held: the
   * page is unknown then. May grow the memory, which makes views of it stale.
   */
  reserve(page: number): number {
    const place = this.#place(page);
    if (place > ZERO) return this.#addressOf(place);
    if (this.#heldPages >= this.options.pagesMax) {
      this.#places[page] = UNKNOWN;
      return 0;
    }
    const taken = this.#free.pop() ?? this.#newPlace();
    this.#heldPages += 1;
    this.#places[page] = taken;
    return this.#addressOf(taken);
  }

  /** Grows the memory at once to hold so many pages, if that many may be held. Makes views of it stale. */
  makeRoom(pages: number): void {
    const { memory } = this.kernels;
    memory.grow(this.#addressOf(Math.min(pages, this.options.pagesMax) + 1));
  }

  /** The content of a held page; valid until the memory grows or the page changes. */
  bytesOf(page: number): Uint8Array | null {
    const address = this.pointer(page);
    return address === 0 ? null : this.kernels.memory.bytes.subarray(address, address + PAGE_BYTES);
  }

  /**
   * The same content for memory of another layout: blocks of one name keep their pages as far as both reach, and other
   * pages are forgotten. Both ends come to the same. This mirror must not be used any more.
   */
  laidOutAs(layout: PageLayout): PageMirror {
    const laidOut = new PageMirror(this.kernels, layout, this.options);
    laidOut.#placesUsed = this.#placesUsed;
    for (const place of this.#free) laidOut.#free.push(place);
    for (const [block, { name, bytes }] of this.layout.blocks.entries()) {
      const other = layout.blocks.findIndex((each) => each.name === name);
      const pages = Math.min(bytes, layout.blocks[other]?.bytes ?? 0) / PAGE_BYTES;
      const from = this.layout.pageAt(block, 0, 0);
      for (let index = 0; index < bytes / PAGE_BYTES; index += 1) {
        const place = this.#place(from + index);
        if (index < pages) laidOut.#places[layout.pageAt(other, 0, 0) + index] = place;
        else if (place > ZERO) laidOut.#free.push(place);
        if (index < pages && place > ZERO) laidOut.#heldPages += 1;
      }
    }
    return laidOut;
  }

  #place(page: number): number {
    return this.#places[page] ?? UNKNOWN;
  }

  #release(page: number): void {
    const place = this.#place(page);
    if (place <= ZERO) return;
    this.#free.push(place);
    this.#heldPages -= 1;
  }

  #newPlace(): number {
    this.#placesUsed += 1;
    const end = this.#addressOf(this.#placesUsed) + PAGE_BYTES;
    const { memory } = this.kernels;
    if (end > memory.byteLength) memory.grow(Math.min(memory.maxBytes, end + GROWTH_BYTES));
    return this.#placesUsed;
  }

  #addressOf(place: number): number {
    return this.options.firstByte + (place - 1) * PAGE_BYTES;
  }
}

/** The most pages that one mirror holds: what a WebAssembly memory can address, less what batches are worked on in. */
export const MIRROR_PAGES_MAX = PAGES_MAX;

/** A mirror that holds nothing yet, in a memory of its own. `pagesMax` beyond MIRROR_PAGES_MAX is cut down to it. */
export function emptyMirror(layout: PageLayout, pagesMax: number): PageMirror {
  const pages = Math.min(pagesMax, MIRROR_PAGES_MAX, layout.pageCount);
  return new PageMirror(kernelsFor(pages), layout, { pagesMax: pages, firstByte: SCRATCH_BYTES });
}
