import { getU32, putU32 } from './big-endian';
import type { StreamCounters } from './counters';
import { PAGE_BYTES, RAM_FLAG } from './qemu-stream';
import { PAGE_KIND, type PageReducer, type ReducedPages } from './reduction/page-reducer';
import {
  COPY_ENTRY_BYTES,
  OPAQUE_TOKEN_BYTES,
  RUN_TOKEN_BYTES,
  type RunToken,
  type Sections,
  TOKEN,
  TOKEN_NAMED,
} from './tokens';

/** Items of the stream in one batch; bounds what it takes to say them, and the time until they are sent. */
const ITEMS_MAX = 8_192;
const OPAQUE_BYTES_MAX = 256 * 1024;
/** Zero runs rebuild to more than they weigh; bounds what one frame makes the other side write. */
const LOGICAL_BYTES_MAX = 4 * 1024 * 1024;

const ITEM = { opaque: 0, zeroRecord: 1, page: 2 } as const;
const TOKEN_OF_KIND: Readonly<Record<number, RunToken>> = {
  [PAGE_KIND.zero]: TOKEN.zeroPages,
  [PAGE_KIND.same]: TOKEN.same,
  [PAGE_KIND.delta]: TOKEN.delta,
  [PAGE_KIND.raw]: TOKEN.raw,
  [PAGE_KIND.copy]: TOKEN.copy,
};

const NOTHING = new Uint8Array(0);
const NO_PAGES: ReducedPages = {
  kinds: NOTHING,
  copiedFrom: new Int32Array(0),
  lineMasks: NOTHING,
  wordMasks: NOTHING,
  literals: NOTHING,
  content: NOTHING,
};

/** What a page record says of its page besides the content. */
export interface PagePlace {
  readonly block: number;
  readonly wordHigh: number;
  readonly wordLow: number;
  /** Length of the block's name when the record carries it; else 0. */
  readonly nameBytes: number;
  /** Number of the page in the layout. */
  readonly page: number;
}

export interface SealedBatch {
  readonly sections: Sections;
  readonly pageCount: number;
  readonly logicalBytes: number;
}

/**
 * Gathers pieces of the stream until there are enough to be sent, then says them as the sections of a frame. Without a
 * reducer it takes opaque bytes alone.
 */
export class StreamBatch {
  readonly #kinds = new Uint8Array(ITEMS_MAX);
  readonly #blocks = new Uint16Array(ITEMS_MAX);
  readonly #highs = new Uint32Array(ITEMS_MAX);
  /** Of opaque items: the length. */
  readonly #lows = new Uint32Array(ITEMS_MAX);
  readonly #named = new Uint8Array(ITEMS_MAX);
  #items = 0;
  #pages = 0;
  #logicalBytes = 0;
  #opaque: Uint8Array = new Uint8Array(4_096);
  #opaqueBytes = 0;
  #tokens: Uint8Array = new Uint8Array(4_096);
  #tokenBytes = 0;
  /** The run that may still grow: where its token stands, what it is, which word would continue it. */
  #openAt = -1;
  #openToken = 0;
  #nextHigh = 0;
  #nextLow = 0;

  constructor(
    private readonly reducer: PageReducer | null,
    private readonly counters: StreamCounters,
  ) {}

  get isEmpty(): boolean {
    return this.#items === 0;
  }

  get isFull(): boolean {
    return (
      this.#items === ITEMS_MAX ||
      this.#opaqueBytes >= OPAQUE_BYTES_MAX ||
      this.#logicalBytes >= LOGICAL_BYTES_MAX
    );
  }

  /** The page must wait for the next batch. */
  mustSealBefore(page: number): boolean {
    return this.isFull || this.#knownReducer.mustReduceBefore(page);
  }

  /** Takes what has room and returns its length; the batch must not be full. */
  addOpaque(bytes: Uint8Array): number {
    const length = Math.min(bytes.length, OPAQUE_BYTES_MAX - this.#opaqueBytes);
    this.#opaque = withRoom(this.#opaque, this.#opaqueBytes, length);
    this.#opaque.set(length === bytes.length ? bytes : bytes.subarray(0, length), this.#opaqueBytes);
    this.#opaqueBytes += length;
    this.#logicalBytes += length;
    const last = this.#items - 1;
    if (last >= 0 && this.#kinds[last] === ITEM.opaque) this.#lows[last]! += length;
    else {
      this.#kinds[this.#items] = ITEM.opaque;
      this.#lows[this.#items] = length;
      this.#items += 1;
    }
    return length;
  }

  addZeroRecord(place: PagePlace): void {
    this.#knownReducer.noteZero(place.page);
    this.#addRecord(ITEM.zeroRecord, place);
    this.#logicalBytes += 1;
    this.counters.zeroPages += 1;
  }

  addPage(place: PagePlace, bytes: Uint8Array, offset: number): void {
    this.#knownReducer.add(place.page, bytes, offset);
    this.#addRecord(ITEM.page, place);
    this.#logicalBytes += PAGE_BYTES;
  }

  /** Everything added since the last call. */
  seal(): SealedBatch {
    const reduced = this.reducer?.reduce() ?? NO_PAGES;
    let page = 0;
    let copy = 0;
    let opaqueFrom = 0;
    for (let item = 0; item < this.#items; item += 1) {
      if (this.#kinds[item] === ITEM.opaque) {
        this.#putOpaque(this.#lows[item]!);
        opaqueFrom += this.#lows[item]!;
      } else if (this.#kinds[item] === ITEM.zeroRecord) this.#putRecord(TOKEN.zeroRecords, item);
      else {
        const kind = reduced.kinds[page]!;
        this.#count(kind);
        if (kind === PAGE_KIND.copy) this.#putCopy(item, reduced.copiedFrom[copy++]!);
        else this.#putRecord(TOKEN_OF_KIND[kind]!, item);
        page += 1;
      }
    }
    const masks = new Uint8Array(reduced.lineMasks.length + reduced.wordMasks.length);
    masks.set(reduced.lineMasks);
    masks.set(reduced.wordMasks, reduced.lineMasks.length);
    const sealed: SealedBatch = {
      sections: {
        tokens: this.#tokens.slice(0, this.#tokenBytes),
        masks,
        literals: reduced.literals,
        content: reduced.content,
        opaque: this.#opaque.slice(0, opaqueFrom),
      },
      pageCount: this.#pages,
      logicalBytes: this.#logicalBytes,
    };
    this.#items = 0;
    this.#pages = 0;
    this.#logicalBytes = 0;
    this.#opaqueBytes = 0;
    this.#tokenBytes = 0;
    this.#openAt = -1;
    return sealed;
  }

  get #knownReducer(): PageReducer {
    if (!this.reducer) throw new Error('A page came before the memory was known.');
    return this.reducer;
  }

  #addRecord(kind: number, { block, wordHigh, wordLow, nameBytes }: PagePlace): void {
    const at = this.#items;
    this.#kinds[at] = kind;
    this.#blocks[at] = block;
    this.#highs[at] = wordHigh;
    this.#lows[at] = wordLow;
    this.#named[at] = nameBytes > 0 ? 1 : 0;
    this.#items += 1;
    this.#pages += 1;
    this.#logicalBytes += 8 + (nameBytes > 0 ? 1 + nameBytes : 0);
    this.counters.pages += 1;
  }

  #count(kind: number): void {
    const { counters } = this;
    if (kind === PAGE_KIND.zero) counters.zeroPages += 1;
    else if (kind === PAGE_KIND.same) counters.samePages += 1;
    else if (kind === PAGE_KIND.delta) counters.deltaPages += 1;
    else if (kind === PAGE_KIND.copy) counters.copiedPages += 1;
    else counters.rawPages += 1;
  }

  #putOpaque(length: number): void {
    this.#openAt = -1;
    const at = this.#extend(OPAQUE_TOKEN_BYTES);
    this.#tokens[at] = TOKEN.opaque;
    putU32(this.#tokens, at + 1, length);
  }

  #putCopy(item: number, from: number): void {
    this.#putRecord(TOKEN.copy, item);
    // Its entries stand right behind a run's head, so that a run of copies can grow only by what is last.
    const at = this.#extend(COPY_ENTRY_BYTES);
    putU32(this.#tokens, at, from);
  }

  /** Opens a run with this record, or lets the open one grow by it. */
  #putRecord(token: RunToken, item: number): void {
    const high = this.#highs[item]!;
    const low = this.#lows[item]!;
    const isNamed = this.#named[item] === 1;
    const continues =
      this.#openAt >= 0 &&
      this.#openToken === token &&
      !isNamed &&
      high === this.#nextHigh &&
      low === this.#nextLow;
    if (!continues) {
      const at = this.#extend(RUN_TOKEN_BYTES);
      this.#openAt = at;
      this.#openToken = token;
      const block = this.#blocks[item]!;
      this.#tokens[at] = token | (isNamed ? TOKEN_NAMED : 0);
      this.#tokens[at + 1] = block >> 8;
      this.#tokens[at + 2] = block & 0xff;
      putU32(this.#tokens, at + 3, high);
      putU32(this.#tokens, at + 7, low);
      putU32(this.#tokens, at + 11, 0);
    }
    const countAt = this.#openAt + 11;
    putU32(this.#tokens, countAt, getU32(this.#tokens, countAt) + 1);
    const next = low + PAGE_BYTES;
    this.#nextHigh = next > 0xffffffff ? high + 1 : high;
    this.#nextLow = ((next >>> 0) | RAM_FLAG.continue) >>> 0;
  }

  #extend(bytes: number): number {
    this.#tokens = withRoom(this.#tokens, this.#tokenBytes, bytes);
    const at = this.#tokenBytes;
    this.#tokenBytes += bytes;
    return at;
  }
}

function withRoom(buffer: Uint8Array, used: number, more: number): Uint8Array {
  if (used + more <= buffer.length) return buffer;
  const larger = new Uint8Array(Math.max(buffer.length * 2, used + more));
  larger.set(buffer.subarray(0, used));
  return larger;
}
