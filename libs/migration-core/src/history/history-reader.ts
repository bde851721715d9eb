import type { FileHandle } from 'node:fs/promises';
import type { ChunkIndex } from './chunk-index';
import type { HistoryDescription } from './description';
import { readAllAt } from './files';
import { CHUNK_PAGES, type ChunkLayout } from './layout';
import type { Manifest } from './manifest';
import { heldBytes, packedPresenceBytes, unpackPresence } from './presence';
import { type HistorySeal, TAG_BYTES } from './sealing';
import { PAGE_BYTES } from '../qemu-stream';

export interface HistoryChunk {
  readonly chunkIndex: number;
  /** A value of PRESENCE for each page of the chunk. */
  readonly presence: Uint8Array;
  /** The held pages, end to end. The receiver's. */
  readonly pages: Uint8Array;
}

/** Where a chunk is read and opened. Fresh memory for each would cost more than deciphering it. */
interface ReadingDesk {
  readonly sealed: Buffer;
  readonly plain: Buffer;
}

const CHUNK_BYTES_MAX = packedPresenceBytes(CHUNK_PAGES) + CHUNK_PAGES * PAGE_BYTES;

function newDesk(): ReadingDesk {
  return {
    sealed: Buffer.allocUnsafeSlow(CHUNK_BYTES_MAX + TAG_BYTES),
    plain: Buffer.allocUnsafeSlow(CHUNK_BYTES_MAX),
  };
}

const UNSEEN = 0;
const VALID = 1;
const INVALID = 2;

/**
 * Reads a history. A chunk that is damaged, cut off or was never written is unknown: null, no error. Bytes that are
 * handed out are, bit by bit, those that were written.
 */
export class HistoryReader {
  readonly description: HistoryDescription;
  readonly heldPages: number;
  readonly zeroPages: number;
  readonly #states: Uint8Array;
  #isClosed = false;

  constructor(
    manifest: Manifest,
    readonly layout: ChunkLayout,
    private readonly index: ChunkIndex,
    private readonly seal: HistorySeal,
    private readonly file: FileHandle,
  ) {
    this.description = manifest.description;
    this.heldPages = manifest.heldPages;
    this.zeroPages = manifest.zeroPages;
    this.#states = new Uint8Array(layout.chunkCount);
  }

  /** Null when the chunk is unknown. Throws RangeError for a chunk that the layout does not have. */
  async readChunk(chunkIndex: number): Promise<HistoryChunk | null> {
    return this.#readOnto(newDesk(), chunkIndex);
  }

  /**
   * All chunks that are known, in order. Reads one ahead of the receiver, into the same two buffers again and again:
   * a chunk's pages are valid until the next chunk is asked for.
   */
  async *chunks(): AsyncGenerator<HistoryChunk, void, void> {
    const desks = [newDesk(), newDesk()] as const;
    let ahead: Promise<HistoryChunk | null> = Promise.resolve(null);
    try {
      for (let chunkIndex = 0; chunkIndex <= this.layout.chunkCount; chunkIndex += 1) {
        const chunk = await ahead;
        ahead =
          chunkIndex < this.layout.chunkCount
            ? this.#readOnto(desks[chunkIndex % 2]!, chunkIndex)
            : Promise.resolve(null);
        // A failure is met at the next turn; until then it must not count as unhandled.
        ahead.catch(() => undefined);
        if (chunk) yield chunk;
      }
    } finally {
      await Promise.allSettled([ahead]);
    }
  }

  /**
   * One bit per chunk (bit `n & 7` of byte `n >> 3`), set where the chunk could be read. Reads what was not read yet,
   * which for a whole history takes as long as its bytes take from disk. Both sides exchange these and use the chunks
   * that are set in both.
   */
  async validChunks(): Promise<Uint8Array> {
    const bitmap = new Uint8Array((this.layout.chunkCount + 7) >> 3);
    for (let chunkIndex = 0; chunkIndex < this.layout.chunkCount; chunkIndex += 1) {
      if (this.#states[chunkIndex] === UNSEEN) await this.readChunk(chunkIndex);
      if (this.#states[chunkIndex] === VALID) bitmap[chunkIndex >> 3]! |= 1 << (chunkIndex & 7);
    }
    return bitmap;
  }

  /** Closes the file and forgets the key. May be called again. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // Waits for reads that are under way.
    await this.file.close();
    this.seal.destroy();
  }

  async #readOnto(desk: ReadingDesk, chunkIndex: number): Promise<HistoryChunk | null> {
    if (this.#isClosed) throw new Error('A history was read after it was closed.');
    const { pageCount } = this.layout.placeOf(chunkIndex);
    const chunk = await this.#read(desk, chunkIndex, pageCount);
    this.#states[chunkIndex] = chunk === null ? INVALID : VALID;
    return chunk;
  }

  async #read(desk: ReadingDesk, chunkIndex: number, pageCount: number): Promise<HistoryChunk | null> {
    const { offset, length } = this.index.get(chunkIndex);
    const presenceBytes = packedPresenceBytes(pageCount);
    if (length < presenceBytes + TAG_BYTES || length > presenceBytes + pageCount * PAGE_BYTES + TAG_BYTES)
      return null;
    const sealed = desk.sealed.subarray(0, length);
    try {
      if (!(await readAllAt(this.file, sealed, offset))) return null;
    } catch (error) {
      // A disk that cannot give the chunk back: as good as not held.
      if (typeof (error as NodeJS.ErrnoException).code === 'string') return null;
      throw error;
    }
    const plain = this.#isClosed ? null : this.seal.open('chunk', chunkIndex, sealed, desk.plain);
    if (plain === null) return null;
    const presence = unpackPresence(plain.subarray(0, presenceBytes), pageCount);
    const pages = plain.subarray(presenceBytes);
    if (presence === null || pages.length !== heldBytes(presence)) return null;
    return { chunkIndex, presence, pages };
  }
}

/** Chunks that both sides can read. Throws RangeError when the bitmaps are not of the same layout. */
export function sharedChunks(ours: Uint8Array, theirs: Uint8Array): Uint8Array {
  if (ours.length !== theirs.length)
    throw new RangeError(
      `Chunk bitmaps of ${ours.length} and ${theirs.length} bytes are not of the same history; use none of it.`,
    );
  return ours.map((bits, index) => bits & theirs[index]!);
}
