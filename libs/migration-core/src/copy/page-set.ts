const WORD_BITS = 32;

/** Consecutive pages. */
export interface PageRun {
  readonly firstPage: number;
  readonly pageCount: number;
}

/** Some of the pages 0 to `pageCount - 1`, one bit each. */
export class PageSet {
  readonly #words: Uint32Array;
  #size = 0;

  constructor(readonly pageCount: number) {
    this.#words = new Uint32Array(Math.ceil(pageCount / WORD_BITS));
  }

  static all(pageCount: number): PageSet {
    const set = new PageSet(pageCount);
    set.addRun({ firstPage: 0, pageCount });
    return set;
  }

  /** The inverse of `toBytes`. Throws RangeError when the bytes stand for another number of pages. */
  static fromBytes(pageCount: number, bytes: Uint8Array): PageSet {
    const set = new PageSet(pageCount);
    if (bytes.length !== Math.ceil(pageCount / 8))
      throw new RangeError(`A set of ${pageCount} pages does not have ${bytes.length} bytes.`);
    for (let page = 0; page < pageCount; page += 1) if ((bytes[page >> 3]! >> (page & 7)) & 1) set.add(page);
    return set;
  }

  /** Pages in the set. */
  get size(): number {
    return this.#size;
  }

  has(page: number): boolean {
    return page < this.pageCount && ((this.#words[page >>> 5]! >>> (page & 31)) & 1) === 1;
  }

  add(page: number): void {
    if (page >= this.pageCount) throw new RangeError(`There is no page ${page} among ${this.pageCount}.`);
    if (this.has(page)) return;
    this.#words[page >>> 5]! |= 1 << (page & 31);
    this.#size += 1;
  }

  /** False when it was not in the set. */
  delete(page: number): boolean {
    if (!this.has(page)) return false;
    this.#words[page >>> 5]! &= ~(1 << (page & 31));
    this.#size -= 1;
    return true;
  }

  addRun({ firstPage, pageCount }: PageRun): void {
    for (let page = firstPage; page < firstPage + pageCount; page += 1) this.add(page);
  }

  deleteRun({ firstPage, pageCount }: PageRun): void {
    for (let page = firstPage; page < firstPage + pageCount; page += 1) this.delete(page);
  }

  addAll(other: PageSet): void {
    for (const run of other.runs(this.pageCount)) this.addRun(run);
  }

  /** The first run at or after a page, of so many pages at most; null when there is none. */
  runFrom(page: number, pagesMax: number): PageRun | null {
    let firstPage = page;
    while (firstPage < this.pageCount && !this.has(firstPage)) {
      // A whole word of nothing at a time.
      firstPage += (firstPage & 31) === 0 && this.#words[firstPage >>> 5] === 0 ? WORD_BITS : 1;
    }
    if (firstPage >= this.pageCount) return null;
    let pageCount = 1;
    while (pageCount < pagesMax && this.has(firstPage + pageCount)) pageCount += 1;
    return { firstPage, pageCount };
  }

  /** All runs in order, each of so many pages at most. The set may shrink meanwhile. */
  *runs(pagesMax: number): Generator<PageRun> {
    let run = this.runFrom(0, pagesMax);
    while (run) {
      yield run;
      run = this.runFrom(run.firstPage + run.pageCount, pagesMax);
    }
  }

  /** One bit a page, the lowest bit of the first byte for page 0. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(Math.ceil(this.pageCount / 8));
    for (const { firstPage, pageCount } of this.runs(this.pageCount))
      for (let page = firstPage; page < firstPage + pageCount; page += 1)
        bytes[page >> 3]! |= 1 << (page & 7);
    return bytes;
  }
}
