import { getU32, putU32 } from './big-endian';
import type { StreamCounters } from './counters';
import type { PageWireError } from './errors';
import { PAGE_BYTES } from './qemu-stream';
import { nameBytesOf, type PageLayout } from './reduction/page-layout';
import type { PageMirror } from './reduction/page-mirror';
import { BATCH_PAGES, DELTA_LITERAL_BYTES_MAX, LINES_PER_PAGE, SCRATCH } from './reduction/scratch';
import type { Slabs } from './slabs';
import { forEachRecord, invalidTokens, readTokens, type Run, streamBytesOf } from './token-reader';
import { COPY_ENTRY_BYTES, type Sections, TOKEN } from './tokens';

type PieceOfStream = { readonly opaqueBytes: number } | Run;

/** Rebuilds pieces of the stream from the sections of frames, and keeps the mirror as the encoder keeps its own. */
export class StreamRebuilder {
  constructor(
    private readonly layout: PageLayout | null,
    private readonly mirror: PageMirror | null,
    private readonly slabs?: Slabs,
  ) {}

  /**
   * The piece of the stream, `logicalBytes` long. Throws TOKEN_INVALID when the sections do not add up to that; the
   * mirror may have changed by then and must not be used any more.
   */
  rebuild(sections: Sections, logicalBytes: number, counters: StreamCounters): Uint8Array {
    const pieces = this.#check(sections, logicalBytes);
    this.#applyDeltas(pieces, sections);
    const into = this.slabs?.take(logicalBytes) ?? new Uint8Array(logicalBytes);
    let written = 0;
    let opaqueAt = 0;
    let contentAt = 0;
    for (const piece of pieces) {
      if ('opaqueBytes' in piece) {
        into.set(sections.opaque.subarray(opaqueAt, opaqueAt + piece.opaqueBytes), written);
        opaqueAt += piece.opaqueBytes;
        written += piece.opaqueBytes;
        continue;
      }
      forEachRecord(piece, (high, low, index) => {
        putU32(into, written, high);
        putU32(into, written + 4, low);
        written += 8;
        if (index === 0 && piece.isNamed) written += this.#putName(piece.block, into, written);
        const page = this.#pageAt(piece, high, low);
        switch (piece.token) {
          case TOKEN.zeroRecords:
          case TOKEN.zeroPages:
            into.fill(0, written, written + streamBytesOfPage(piece));
            this.mirror?.setZero(page);
            break;
          case TOKEN.raw:
            into.set(sections.content.subarray(contentAt, contentAt + PAGE_BYTES), written);
            contentAt += PAGE_BYTES;
            this.#keep(page, into, written);
            break;
          case TOKEN.same:
          case TOKEN.delta:
            this.#putHeld(page, into, written);
            break;
          case TOKEN.copy:
            this.#putHeld(getU32(sections.tokens, piece.copiesAt + index * COPY_ENTRY_BYTES), into, written);
            this.#keep(page, into, written);
            break;
        }
        written += streamBytesOfPage(piece);
      });
      count(piece, counters);
    }
    return into;
  }

  /** Everything that can be known before a byte is set aside: lengths add up, and every loop below is bounded. */
  #check({ tokens, masks, literals, content, opaque }: Sections, logicalBytes: number): PieceOfStream[] {
    const pieces: PieceOfStream[] = [];
    let [bytes, opaqueBytes, rawPages, deltas] = [0, 0, 0, 0];
    const grow = (by: number): void => {
      bytes += by;
      if (bytes > logicalBytes) throw invalidTokens('it rebuilds to more than it says');
    };
    readTokens(tokens, this.layout, {
      opaque: (length) => {
        grow(length);
        opaqueBytes += length;
        pieces.push({ opaqueBytes: length });
      },
      run: (run) => {
        grow(streamBytesOf(run, this.layout!));
        if (run.token === TOKEN.raw) rawPages += run.count;
        if (run.token === TOKEN.delta) deltas += run.count;
        const isOfMirror = run.token === TOKEN.same || run.token === TOKEN.delta || run.token === TOKEN.copy;
        if (isOfMirror && !this.mirror) throw invalidTokens('it builds on pages where none are kept');
        pieces.push(run);
      },
    });
    if (bytes !== logicalBytes) throw invalidTokens('it rebuilds to less than it says');
    if (opaqueBytes !== opaque.length || rawPages * PAGE_BYTES !== content.length)
      throw invalidTokens('it has more or less content than its tokens name');
    const isOfDeltas =
      deltas <= BATCH_PAGES &&
      masks.length >= deltas * 8 &&
      masks.length <= deltas * (8 + LINES_PER_PAGE) &&
      literals.length <= deltas * DELTA_LITERAL_BYTES_MAX;
    if (!isOfDeltas) throw invalidTokens('its masks or literals are too short or too long');
    return pieces;
  }

  /** All deltas at once, in place: a frame changes every page at most once. */
  #applyDeltas(pieces: readonly PieceOfStream[], { masks, literals }: Sections): void {
    if (!this.mirror) return;
    const pointers: number[] = [];
    const parts = new Set<number>();
    for (const piece of pieces) {
      if ('opaqueBytes' in piece || piece.token !== TOKEN.delta) continue;
      forEachRecord(piece, (high, low) => {
        const page = this.#pageAt(piece, high, low);
        pointers.push(this.#pointer(page));
        parts.add(this.mirror!.partOf(page));
      });
    }
    const deltas = pointers.length;
    const [part] = parts;
    if (part === undefined) return;
    if (parts.size > 1) throw invalidTokens('its deltas lie in several parts of the memory');
    const kernels = this.mirror.kernelsOf(part);
    const { bytes, words } = kernels.memory;
    words.set(pointers, SCRATCH.pointersA / 4);
    const wordMasks = masks.subarray(deltas * 8);
    bytes.set(masks.subarray(0, deltas * 8), SCRATCH.lineMasks);
    bytes.set(wordMasks, SCRATCH.wordMasks);
    bytes.set(literals, SCRATCH.literals);
    const failed = kernels.applyDeltas(
      SCRATCH.pointersA,
      SCRATCH.pointersA,
      deltas,
      SCRATCH.lineMasks,
      SCRATCH.wordMasks,
      SCRATCH.wordMasks + wordMasks.length,
      SCRATCH.literals,
      SCRATCH.literals + literals.length,
      SCRATCH.used,
    );
    const isUsedUp =
      words[SCRATCH.used / 4] === wordMasks.length && words[SCRATCH.used / 4 + 1] === literals.length;
    if (failed !== 0 || !isUsedUp) throw invalidTokens('its masks do not fit its literals');
  }

  #pageAt({ block }: Run, high: number, low: number): number {
    if (!this.mirror) return -1;
    const page = this.layout!.pageAt(block, high, low);
    if (page < 0) throw invalidTokens('a page lies outside its RAM block');
    return page;
  }

  #pointer(page: number): number {
    const pointer = this.mirror?.pointer(page) ?? 0;
    if (pointer === 0) throw notHeld();
    return pointer;
  }

  #putHeld(page: number, into: Uint8Array, at: number): void {
    const held = this.mirror?.bytesOf(page);
    if (!held) throw notHeld();
    into.set(held, at);
  }

  #keep(page: number, from: Uint8Array, at: number): void {
    this.mirror?.write(page, from.subarray(at, at + PAGE_BYTES));
  }

  #putName(block: number, into: Uint8Array, at: number): number {
    const name = nameBytesOf(this.layout!.blocks[block]!);
    into[at] = name.length;
    into.set(name, at + 1);
    return 1 + name.length;
  }
}

/** What follows a record's head. */
function streamBytesOfPage({ token }: Run): number {
  return token === TOKEN.zeroRecords ? 1 : PAGE_BYTES;
}

function notHeld(): PageWireError {
  return invalidTokens('it builds on a page that is not held here');
}

function count({ token, count: pages }: Run, counters: StreamCounters): void {
  counters.pages += pages;
  if (token === TOKEN.raw) counters.rawPages += pages;
  else if (token === TOKEN.same) counters.samePages += pages;
  else if (token === TOKEN.delta) counters.deltaPages += pages;
  else if (token === TOKEN.copy) counters.copiedPages += pages;
  else counters.zeroPages += pages;
}
