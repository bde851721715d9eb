/** Places looked at for one hash. More find little, as every match is confirmed by bytes anyway. */
const PROBES = 8;
const EMPTY = -1;

/**
 * Finds a page by the hash of its content. A hint only: an entry may be stale or of another content with the same
 * hash, so whoever asks compares bytes. Bounded: a full neighbourhood forgets its oldest entry.
 */
export class ContentIndex {
  readonly #mask: number;
  readonly #pages: Int32Array;
  readonly #tags: Uint32Array;

  /** Room for about so many pages. */
  constructor(pagesMax: number) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(64, pagesMax * 2)));
    this.#mask = slots - 1;
    this.#pages = new Int32Array(slots).fill(EMPTY);
    this.#tags = new Uint32Array(slots);
  }

  /** Page with that hash, given as two of its 32-bit words; -1 when there is none. */
  find(place: number, tag: number): number {
    for (let probe = 0; probe < PROBES; probe += 1) {
      const slot = (place + probe) & this.#mask;
      const page = this.#pages[slot]!;
      if (page === EMPTY) return EMPTY;
      if (this.#tags[slot] === tag) return page;
    }
    return EMPTY;
  }

  put(place: number, tag: number, page: number): void {
    let slot = place & this.#mask;
    for (let probe = 0; probe < PROBES; probe += 1) {
      const candidate = (place + probe) & this.#mask;
      if (this.#pages[candidate] === EMPTY || this.#tags[candidate] === tag) {
        slot = candidate;
        break;
      }
    }
    this.#pages[slot] = page;
    this.#tags[slot] = tag;
  }
}
