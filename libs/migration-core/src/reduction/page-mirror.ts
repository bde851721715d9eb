import type { PageKernels } from '../kernels';
import { PAGE_BYTES } from '../qemu-stream';
import { MirrorPart } from './mirror-part';
import type { PageLayout } from './page-layout';

const UNKNOWN = -1;
const ZERO = 0;

/**
 * A WebAssembly memory addresses 4 GiB, so that memory of more pages than this (3.9 GiB) is held in several: pages of
 * one part of a guest's memory in one. What one batch says of pages is about one part; both ends must cut alike.
 */
export const PART_PAGES = 1_024_000;
/** The most pages that one mirror holds: 256 GiB. */
export const MIRROR_PAGES_MAX = 2 ** 26;
/** As many as a mirror holds unless more, or less, was asked for: 4 GiB. */
export const MIRROR_PAGES_DEFAULT = 2 ** 20;

/**
 * The pages that the other side of a move holds, byte for byte. Both ends keep one and change it by the same steps in
 * the same order, so that "the same as before", "changed here and there" and "like that other page" mean the same.
 *
 * It is a dictionary, not the guest's memory: nothing depends on whether a page in it is still what the guest has.
 */
export class PageMirror {
  /** For each page: unknown, known to be zero, or the number of its place in its part, from 1 on. */
  readonly #places: Int32Array;
  readonly #parts: (MirrorPart | undefined)[] = [];
  #heldPages = 0;

  /** `pagesMax` may be held; both ends must use the same number, as both must hold the same pages. */
  constructor(
    readonly layout: PageLayout,
    readonly pagesMax: number,
  ) {
    this.#places = new Int32Array(layout.pageCount).fill(UNKNOWN);
  }

  /** Pages whose content is held; zero pages cost nothing and do not count. */
  get heldPages(): number {
    return this.#heldPages;
  }

  /** Bytes set aside for pages, and to work on them. */
  get memoryBytes(): number {
    return this.#parts.reduce((sum, part) => sum + (part?.kernels.memory.byteLength ?? 0), 0);
  }

  /** Number of the part that the page is in. */
  partOf(page: number): number {
    return Math.floor(page / PART_PAGES);
  }

  /** Kernels over the memory in which pages of that part lie, and those alone. */
  kernelsOf(part: number): PageKernels {
    return this.#part(part).kernels;
  }

  isKnown(page: number): boolean {
    return this.#place(page) !== UNKNOWN;
  }

  isZero(page: number): boolean {
    return this.#place(page) === ZERO;
  }

  /** Address of the page's content in the memory of its part; 0 when it is unknown or zero. */
  pointer(page: number): number {
    const place = this.#place(page);
    return place <= ZERO ? 0 : this.#part(this.partOf(page)).addressOf(place);
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
   * Address where the page's new content is to be written, in the memory of its part; it must be, at once. 0 when no
   * more pages may be held: the page is unknown then. May grow that memory, which makes views of it stale.
   */
  reserve(page: number): number {
    const place = this.#place(page);
    const part = this.#part(this.partOf(page));
    if (place > ZERO) return part.addressOf(place);
    if (this.#heldPages >= this.pagesMax) {
      this.#places[page] = UNKNOWN;
      return 0;
    }
    const taken = part.take();
    this.#heldPages += 1;
    this.#places[page] = taken;
    return part.addressOf(taken);
  }

  /** The page holds this from now on; false when no more pages may be held. */
  write(page: number, bytes: Uint8Array): boolean {
    const address = this.reserve(page);
    if (address > 0) this.kernelsOf(this.partOf(page)).memory.bytes.set(bytes, address);
    return address > 0;
  }

  /** Sets memory aside for so many pages, where one part holds them all: each growth is a call of the system. */
  makeRoom(pages: number): void {
    if (this.layout.pageCount <= PART_PAGES) this.#part(0).makeRoom(Math.min(pages, this.pagesMax));
  }

  /** The content of a held page; valid until the memory grows or the page changes. */
  bytesOf(page: number): Uint8Array | null {
    const address = this.pointer(page);
    if (address === 0) return null;
    return this.kernelsOf(this.partOf(page)).memory.bytes.subarray(address, address + PAGE_BYTES);
  }

  /**
   * The same content for memory of another layout: blocks of one name keep their pages as far as both reach, and other
   * pages are forgotten, as are those that would come into another part. Both ends come to the same. This mirror must
   * not be used any more.
   */
  laidOutAs(layout: PageLayout): PageMirror {
    const laidOut = new PageMirror(layout, this.pagesMax);
    laidOut.#parts.push(...this.#parts);
    for (const [block, { name, bytes }] of this.layout.blocks.entries()) {
      const other = layout.blocks.findIndex((each) => each.name === name);
      const pages = Math.min(bytes, layout.blocks[other]?.bytes ?? 0) / PAGE_BYTES;
      const from = this.layout.pageAt(block, 0, 0);
      const to = layout.pageAt(other, 0, 0);
      for (let index = 0; index < bytes / PAGE_BYTES; index += 1) {
        const place = this.#place(from + index);
        const part = this.partOf(from + index);
        const isKept = index < pages && this.partOf(to + index) === part;
        if (isKept) laidOut.#places[to + index] = place;
        if (place <= ZERO) continue;
        if (isKept) laidOut.#heldPages += 1;
        else this.#part(part).give(place);
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
    this.#part(this.partOf(page)).give(place);
    this.#heldPages -= 1;
  }

  /** Made when it is first needed: much of a guest's memory may never be. */
  #part(number: number): MirrorPart {
    return (this.#parts[number] ??= new MirrorPart(Math.min(this.pagesMax, PART_PAGES)));
  }
}

/** A mirror that holds nothing yet. `pagesMax` beyond MIRROR_PAGES_MAX is cut down to it. */
export function emptyMirror(layout: PageLayout, pagesMax: number): PageMirror {
  return new PageMirror(layout, Math.min(pagesMax, MIRROR_PAGES_MAX, layout.pageCount));
}
