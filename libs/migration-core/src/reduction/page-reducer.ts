import type { PageKernels } from '../kernels';
import { PAGE_BYTES } from '../qemu-stream';
import { Slabs } from '../slabs';
import { ContentIndex } from './content-index';
import type { PageMirror } from './page-mirror';
import { BATCH_PAGES, DELTA_LITERAL_BYTES_MAX, kernelsFor, SCRATCH } from './scratch';

/** What became of a page. */
export const PAGE_KIND = { zero: 0, same: 1, delta: 2, raw: 3, copy: 4 } as const;
export type PageKind = (typeof PAGE_KIND)[keyof typeof PAGE_KIND];

export interface ReducedPages {
  /** For each page, in the order in which they were added. */
  readonly kinds: Uint8Array;
  /** Of each page that is a copy: the page that the other side has already. */
  readonly copiedFrom: Int32Array;
  /** Columns of all deltas: 8 bytes each, then as many bytes as lines, then as many words as those name. */
  readonly lineMasks: Uint8Array;
  readonly wordMasks: Uint8Array;
  readonly literals: Uint8Array;
  /** Content of the raw pages. */
  readonly content: Uint8Array;
}

/** Seeds the hash, so that nobody outside can prepare pages that collide. They would only cost time. */
export interface HashSeed {
  readonly low: number;
  readonly high: number;
}

export interface PageReducerOptions {
  readonly seed?: HashSeed;
  /** Memory for the content of raw pages, which whoever takes it gives back there. */
  readonly slabs?: Slabs;
}

/**
 * Takes pages one by one, then says of up to BATCH_PAGES at once in the fewest bytes what they are, given what the
 * other side holds, and brings the mirror up to date. Delta encoding after Svärd et al., "Evaluation of delta
 * compression techniques for efficient live migration of large virtual machines" (VEE 2011); copies by content after
 * Zhang et al., "Exploiting data deduplication to accelerate live virtual machine migration" (CLUSTER 2010), but with
 * every match confirmed by bytes.
 */
export class PageReducer {
  readonly #index: ContentIndex | null;
  readonly #seed: HashSeed;
  readonly #slabs: Slabs;
  readonly #pages = new Int32Array(BATCH_PAGES);
  #count = 0;
  /** Pages that QEMU itself said to be zero, each with the number of pages that came before it. */
  #zeroNotes: { readonly page: number; readonly after: number }[] = [];
  /** For each page the last batch it was in: a page twice in one batch would be its own base. */
  readonly #batchOf: Uint32Array;
  #batch = 1;
  /** The part of the mirror that the batch is about, and its kernels. */
  #part = 0;
  #kernels: PageKernels;

  constructor(
    private readonly mirror: PageMirror | null,
    { seed = { low: 0, high: 0 }, slabs = new Slabs(0) }: PageReducerOptions = {},
  ) {
    this.#kernels = mirror?.kernelsOf(0) ?? kernelsFor(0);
    this.#seed = seed;
    this.#slabs = slabs;
    this.#batchOf = new Uint32Array(mirror?.layout.pageCount ?? 0);
    this.#index = mirror && mirror.pagesMax > 0 ? new ContentIndex(mirror.pagesMax) : null;
    if (mirror && mirror.heldPages > 0) this.#indexAll(mirror);
  }

  get count(): number {
    return this.#count;
  }

  /** The page must wait for the next batch: this one is full, holds it already, or is about another part. */
  mustReduceBefore(page: number): boolean {
    return this.#count === BATCH_PAGES || this.#isInBatch(page) || this.#isElsewhere(page);
  }

  /** `page`: its number in the layout; -1 when there is no mirror. Throws when it must not be added now. */
  add(page: number, bytes: Uint8Array, offset: number): void {
    if (this.mustReduceBefore(page)) throw new Error('A page was added to a batch that cannot hold it.');
    if (this.#count === 0 && page >= 0) this.#turnTo(page);
    const to = SCRATCH.pages + this.#count * PAGE_BYTES;
    this.#kernels.memory.bytes.set(bytes.subarray(offset, offset + PAGE_BYTES), to);
    this.#pages[this.#count] = page;
    if (page >= 0) this.#batchOf[page] = this.#batch;
    this.#count += 1;
  }

  /** QEMU itself said that the page is zero. Throws when the batch must be reduced first, as it holds the page. */
  noteZero(page: number): void {
    if (this.#isInBatch(page)) throw new Error('A page was noted in a batch that holds it already.');
    if (page < 0) return;
    this.#batchOf[page] = this.#batch;
    this.#zeroNotes.push({ page, after: this.#count });
  }

  isInBatch(page: number): boolean {
    return this.#isInBatch(page);
  }

  /** What was added since the last call. The result is the caller's. */
  reduce(): ReducedPages {
    const count = this.#count;
    const kernels = this.#kernels;
    const { memory } = kernels;
    this.#pointToBatch(count);
    kernels.scanZero(SCRATCH.pointersA, count, SCRATCH.flags);
    const isZero = memory.bytes.slice(SCRATCH.flags, SCRATCH.flags + count);
    this.#pointToBases(count, isZero);
    kernels.encodeDeltas(
      SCRATCH.pointersB,
      SCRATCH.pointersA,
      count,
      DELTA_LITERAL_BYTES_MAX,
      SCRATCH.kinds,
      SCRATCH.lineMasks,
      SCRATCH.wordMasks,
      SCRATCH.literals,
      SCRATCH.used,
    );
    const kinds = memory.bytes.slice(SCRATCH.kinds, SCRATCH.kinds + count);
    for (let index = 0; index < count; index += 1) if (isZero[index]) kinds[index] = PAGE_KIND.zero;
    const wordMaskBytes = memory.words[SCRATCH.used / 4]!;
    const literalBytes = memory.words[SCRATCH.used / 4 + 1]!;
    const deltas = {
      lineMasks: this.#lineMasksOf(kinds),
      wordMasks: memory.bytes.slice(SCRATCH.wordMasks, SCRATCH.wordMasks + wordMaskBytes),
      literals: memory.bytes.slice(SCRATCH.literals, SCRATCH.literals + literalBytes),
    };
    const copiedFrom = this.#findCopies(kinds);
    const content = this.#contentOf(kinds);
    this.#advanceMirror(kinds);
    this.#count = 0;
    this.#batch += 1;
    return { kinds, copiedFrom, content, ...deltas };
  }

  #isElsewhere(page: number): boolean {
    return this.#count > 0 && page >= 0 && this.mirror?.partOf(page) !== this.#part;
  }

  #turnTo(page: number): void {
    const { mirror } = this;
    if (!mirror || mirror.partOf(page) === this.#part) return;
    this.#part = mirror.partOf(page);
    this.#kernels = mirror.kernelsOf(this.#part);
  }

  #isInBatch(page: number): boolean {
    return page >= 0 && this.#batchOf[page] === this.#batch;
  }

  #pointToBatch(count: number): void {
    const { words } = this.#kernels.memory;
    for (let index = 0; index < count; index += 1)
      words[SCRATCH.pointersA / 4 + index] = SCRATCH.pages + index * PAGE_BYTES;
  }

  #pointToBases(count: number, isZero: Uint8Array): void {
    const { words } = this.#kernels.memory;
    for (let index = 0; index < count; index += 1)
      words[SCRATCH.pointersB / 4 + index] =
        this.mirror && !isZero[index] ? this.mirror.pointer(this.#pages[index]!) : 0;
  }

  #lineMasksOf(kinds: Uint8Array): Uint8Array {
    const { bytes } = this.#kernels.memory;
    const masks = new Uint8Array(countOf(kinds, PAGE_KIND.delta) * 8);
    let at = 0;
    for (let index = 0; index < kinds.length; index += 1) {
      if (kinds[index] !== PAGE_KIND.delta) continue;
      const from = SCRATCH.lineMasks + index * 8;
      masks.set(bytes.subarray(from, from + 8), at);
      at += 8;
    }
    return masks;
  }

  /** Raw pages of which the other side has the like become copies; the others are noted for later. */
  #findCopies(kinds: Uint8Array): Int32Array {
    const index = this.#index;
    const { mirror } = this;
    const kernels = this.#kernels;
    const raw = indexesOf(kinds, PAGE_KIND.raw);
    if (!index || !mirror || raw.length === 0) return new Int32Array(0);
    this.#hash(raw.map((at) => SCRATCH.pages + at * PAGE_BYTES));
    const { words, bytes } = kernels.memory;
    const candidates: { readonly at: number; readonly from: number }[] = [];
    for (const [order, at] of raw.entries()) {
      const [place, tag] = this.#hashOf(order);
      const from = index.find(place, tag);
      // What changes within this batch is not yet, or no longer, what the other side will look at.
      const isHere = from >= 0 && !this.#isInBatch(from) && mirror.partOf(from) === this.#part;
      if (isHere && mirror.pointer(from) > 0) candidates.push({ at, from });
      index.put(place, tag, this.#pages[at]!);
    }
    if (candidates.length === 0) return new Int32Array(0);
    for (const [order, { at, from }] of candidates.entries()) {
      words[SCRATCH.pointersA / 4 + order] = SCRATCH.pages + at * PAGE_BYTES;
      words[SCRATCH.pointersB / 4 + order] = mirror.pointer(from);
    }
    kernels.comparePages(SCRATCH.pointersA, SCRATCH.pointersB, candidates.length, SCRATCH.flags);
    const copies = candidates.filter((_, order) => bytes[SCRATCH.flags + order] === 1);
    for (const { at } of copies) kinds[at] = PAGE_KIND.copy;
    return Int32Array.from(copies, ({ from }) => from);
  }

  #contentOf(kinds: Uint8Array): Uint8Array {
    const { bytes } = this.#kernels.memory;
    const content = this.#slabs.take(countOf(kinds, PAGE_KIND.raw) * PAGE_BYTES);
    let to = 0;
    for (let index = 0; index < kinds.length; index += 1) {
      if (kinds[index] !== PAGE_KIND.raw) continue;
      const from = SCRATCH.pages + index * PAGE_BYTES;
      content.set(bytes.subarray(from, from + PAGE_BYTES), to);
      to += PAGE_BYTES;
    }
    return content;
  }

  /** In the order of the stream, as the other side does it: who gets the last free place must be the same there. */
  #advanceMirror(kinds: Uint8Array): void {
    const { mirror } = this;
    const kernels = this.#kernels;
    if (!mirror) return;
    let copies = 0;
    let notes = 0;
    const zeroNotes = this.#zeroNotes;
    this.#zeroNotes = [];
    for (let index = 0; index <= kinds.length; index += 1) {
      for (; zeroNotes[notes]?.after === index; notes += 1) mirror.setZero(zeroNotes[notes]!.page);
      const kind = kinds[index];
      if (kind === undefined || kind === PAGE_KIND.same) continue;
      const page = this.#pages[index]!;
      if (kind === PAGE_KIND.zero) {
        mirror.setZero(page);
        continue;
      }
      const to = mirror.reserve(page);
      if (to === 0) continue;
      const { words } = kernels.memory;
      words[SCRATCH.pointersA / 4 + copies] = SCRATCH.pages + index * PAGE_BYTES;
      words[SCRATCH.pointersB / 4 + copies] = to;
      copies += 1;
    }
    kernels.copyPages(SCRATCH.pointersA, SCRATCH.pointersB, copies);
  }

  /** What an earlier trip left, so that it is found by content, too. */
  #indexAll(mirror: PageMirror): void {
    let held: number[] = [];
    const put = (): void => {
      this.#hash(held.map((page) => mirror.pointer(page)));
      for (const [order, page] of held.entries()) this.#index?.put(...this.#hashOf(order), page);
      held = [];
    };
    for (let page = 0; page < mirror.layout.pageCount; page += 1) {
      if (mirror.pointer(page) === 0) continue;
      if (held.length > 0 && mirror.partOf(page) !== this.#part) put();
      this.#turnTo(page);
      held.push(page);
      if (held.length === BATCH_PAGES) put();
    }
    if (held.length > 0) put();
  }

  #hash(pointers: readonly number[]): void {
    this.#kernels.memory.words.set(pointers, SCRATCH.pointersB / 4);
    const { low, high } = this.#seed;
    this.#kernels.hashPages(SCRATCH.pointersB, pointers.length, low, high, SCRATCH.hashes);
  }

  #hashOf(order: number): [number, number] {
    const { words } = this.#kernels.memory;
    const at = SCRATCH.hashes / 4 + order * 4;
    return [words[at]!, words[at + 1]!];
  }
}

function countOf(kinds: Uint8Array, kind: PageKind): number {
  let count = 0;
  for (const each of kinds) if (each === kind) count += 1;
  return count;
}

function indexesOf(kinds: Uint8Array, kind: PageKind): number[] {
  const found: number[] = [];
  for (let index = 0; index < kinds.length; index += 1) if (kinds[index] === kind) found.push(index);
  return found;
}
