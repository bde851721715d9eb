import { PageWireError } from '../errors';
import { LIMITS, PAGE_BYTES } from '../qemu-stream';
import type { RamBlock } from '../ram-blocks';

const HIGH = 2 ** 32;
/** Page numbers fit into an Int32Array, and the tables for them into memory: 2^30 pages are 4 TiB. */
export const LAYOUT_PAGES_MAX = 2 ** 30;
const NAME_BYTES_MAX = 255;

/** Numbers the pages of all RAM blocks from 0 on, in the order of the blocks. */
export class PageLayout {
  readonly pageCount: number;
  readonly #firstPages: readonly number[];

  /** Throws LAYOUT_INVALID when the blocks hold no whole pages, or more than LAYOUT_PAGES_MAX. */
  constructor(readonly blocks: readonly RamBlock[]) {
    const firstPages: number[] = [];
    let pageCount = 0;
    for (const { bytes } of blocks) {
      if (!Number.isSafeInteger(bytes) || bytes <= 0 || bytes % PAGE_BYTES !== 0)
        throw invalid(`a RAM block of ${bytes} bytes`);
      firstPages.push(pageCount);
      pageCount += bytes / PAGE_BYTES;
    }
    if (pageCount > LAYOUT_PAGES_MAX) throw invalid(`${pageCount} pages`);
    this.#firstPages = firstPages;
    this.pageCount = pageCount;
  }

  /** Number of the page at an address of a block; -1 when there is none. The low word's flags count for nothing. */
  pageAt(block: number, wordHigh: number, wordLow: number): number {
    const ram = this.blocks[block];
    const first = this.#firstPages[block];
    if (ram === undefined || first === undefined) return -1;
    const page = (wordHigh * HIGH + wordLow - (wordLow % PAGE_BYTES)) / PAGE_BYTES;
    return page < ram.bytes / PAGE_BYTES ? first + page : -1;
  }

  equals(other: PageLayout): boolean {
    return (
      this.blocks.length === other.blocks.length &&
      this.blocks.every(({ name, bytes }, index) => {
        const block = other.blocks[index];
        return block?.name === name && block.bytes === bytes;
      })
    );
  }
}

/** What both ends agree on before the first page. */
export interface LayoutNote {
  readonly layout: PageLayout;
  /** Number of the history that both ends begin with; 0 when they begin with nothing. */
  readonly generation: number;
  /** Pages that either end keeps at most; 0 when nothing is kept. */
  readonly mirrorPagesMax: number;
}

/*
 * Payload of a layout frame, all numbers big-endian:
 *   generation:4 mirror pages:4 block count:2, then for each block: name length:1 name bytes:8
 */
const HEAD_BYTES = 10;

export function encodeLayout({ layout, generation, mirrorPagesMax }: LayoutNote): Uint8Array {
  const nameBytes = layout.blocks.reduce((sum, { name }) => sum + 1 + name.length + 8, 0);
  const payload = Buffer.alloc(HEAD_BYTES + nameBytes);
  payload.writeUInt32BE(generation, 0);
  payload.writeUInt32BE(mirrorPagesMax, 4);
  payload.writeUInt16BE(layout.blocks.length, 8);
  let at = HEAD_BYTES;
  for (const { name, bytes } of layout.blocks) {
    at = payload.writeUInt8(name.length, at);
    at += payload.write(name, at, 'latin1');
    at = payload.writeBigUInt64BE(BigInt(bytes), at);
  }
  return payload;
}

/** Throws LAYOUT_INVALID on anything but what `encodeLayout` writes. */
export function decodeLayout(bytes: Uint8Array): LayoutNote {
  const payload = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (payload.length < HEAD_BYTES) throw invalid('a note that is cut short');
  const blockCount = payload.readUInt16BE(8);
  if (blockCount === 0 || blockCount > LIMITS.ramBlocksMax) throw invalid(`${blockCount} RAM blocks`);
  const blocks: RamBlock[] = [];
  const names = new Set<string>();
  let at = HEAD_BYTES;
  for (let index = 0; index < blockCount; index += 1) {
    const nameBytes = at < payload.length ? payload.readUInt8(at) : 0;
    if (nameBytes === 0 || at + 1 + nameBytes + 8 > payload.length) throw invalid('a note that is cut short');
    const name = payload.toString('latin1', at + 1, at + 1 + nameBytes);
    const size = payload.readBigUInt64BE(at + 1 + nameBytes);
    if (names.has(name)) throw invalid('two RAM blocks of one name');
    if (size > BigInt(LAYOUT_PAGES_MAX) * BigInt(PAGE_BYTES)) throw invalid(`a RAM block of ${size} bytes`);
    names.add(name);
    blocks.push({ name, bytes: Number(size) });
    at += 1 + nameBytes + 8;
  }
  if (at !== payload.length) throw invalid('a note with more than its blocks');
  return {
    layout: new PageLayout(blocks),
    generation: payload.readUInt32BE(0),
    mirrorPagesMax: payload.readUInt32BE(4),
  };
}

/** The name as it stands in the stream: one letter per byte. */
export function nameBytesOf({ name }: RamBlock): Uint8Array {
  return Buffer.from(name, 'latin1').subarray(0, NAME_BYTES_MAX);
}

function invalid(what: string): PageWireError {
  return new PageWireError(
    'LAYOUT_INVALID',
    `The guest's memory was described by ${what}. The move must be given up.`,
  );
}
