import { createHash } from 'node:crypto';
import { PAGE_BYTES } from '../qemu-stream';
import type { RamBlock } from '../ram-blocks';

/** 2 MiB: what is sealed, checked and lost as one piece. */
export const CHUNK_PAGES = 512;
/** 4 TiB of guest memory; its index takes 24 MiB. */
export const LAYOUT_BYTES_MAX = 4 * 2 ** 40;
export const BLOCKS_MAX = 4_096;

export interface ChunkPlace {
  readonly blockIndex: number;
  /** Page index in the block. */
  readonly firstPage: number;
  /** CHUNK_PAGES, or less for the last of a block. */
  readonly pageCount: number;
}

/** The guest's RAM blocks cut into chunks. No chunk holds pages of two blocks; they are numbered block by block. */
export class ChunkLayout {
  readonly chunkCount: number;
  readonly #firstChunks: number[] = [];

  /** Blocks as a checked description has them: whole pages, LAYOUT_BYTES_MAX at most. */
  constructor(readonly blocks: readonly RamBlock[]) {
    let chunkCount = 0;
    for (const { bytes } of blocks) {
      this.#firstChunks.push(chunkCount);
      chunkCount += Math.ceil(bytes / PAGE_BYTES / CHUNK_PAGES);
    }
    this.chunkCount = chunkCount;
  }

  /** Throws RangeError for a chunk that there is not. */
  placeOf(chunkIndex: number): ChunkPlace {
    if (!Number.isInteger(chunkIndex) || chunkIndex < 0 || chunkIndex >= this.chunkCount)
      throw new RangeError(`There is no chunk ${chunkIndex}; the layout has ${this.chunkCount}.`);
    let low = 0;
    let high = this.#firstChunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#firstChunks[middle]! <= chunkIndex) low = middle;
      else high = middle - 1;
    }
    const firstPage = (chunkIndex - this.#firstChunks[low]!) * CHUNK_PAGES;
    const pageCount = Math.min(CHUNK_PAGES, this.blocks[low]!.bytes / PAGE_BYTES - firstPage);
    return { blockIndex: low, firstPage, pageCount };
  }

  /** The chunk that holds a page of a block. Throws RangeError for a page that there is not. */
  chunkOf(blockIndex: number, pageIndex: number): number {
    const block = this.blocks[blockIndex];
    if (!block || !Number.isInteger(pageIndex) || pageIndex < 0 || pageIndex * PAGE_BYTES >= block.bytes)
      throw new RangeError(`There is no page ${pageIndex} in block ${blockIndex}.`);
    return this.#firstChunks[blockIndex]! + Math.floor(pageIndex / CHUNK_PAGES);
  }

  /** SHA-256 over names and lengths, in order. */
  digest(): Buffer {
    return createHash('sha256')
      .update(JSON.stringify(this.blocks.map(({ name, bytes }) => [name, bytes])))
      .digest();
  }
}
