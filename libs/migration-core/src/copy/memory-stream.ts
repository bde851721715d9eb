import { putU32 } from '../big-endian';
import { FILE_MAGIC, FILE_VERSION, PAGE_BYTES, RAM_FLAG, RAM_VERSION, SECTION } from '../qemu-stream';
import { PageLayout } from '../reduction/page-layout';
import type { RamBlock } from '../ram-blocks';

const SECTION_ID = 1;
const WORD_BYTES = 8;
const HIGH = 2 ** 32;
/** The longest name, with its length. */
const NAME_BYTES_MAX = 256;

/**
 * Says pages of any source in the form of QEMU's migration stream, so that everything made for that (reduction,
 * history, frames, hashes at both ends) serves them as well. It has no device state; after the last section it ends.
 */
export class MemoryStream {
  readonly layout: PageLayout;
  readonly #firstPages: number[] = [];
  #isInSection = false;
  #lastBlock = -1;

  /** Throws PageWireError LAYOUT_INVALID. */
  constructor(readonly blocks: readonly RamBlock[]) {
    this.layout = new PageLayout(blocks);
    let first = 0;
    for (const { bytes } of blocks) {
      this.#firstPages.push(first);
      first += bytes / PAGE_BYTES;
    }
  }

  /** The beginning: the list of blocks. */
  begin(): Uint8Array {
    const bytesInAll = this.layout.pageCount * PAGE_BYTES;
    const pieces = [
      words(FILE_MAGIC, FILE_VERSION),
      Uint8Array.of(SECTION.start),
      words(SECTION_ID),
      text('ram'),
      words(0, RAM_VERSION),
      word(bytesInAll + RAM_FLAG.sizes),
      ...this.blocks.flatMap(({ name, bytes }) => [text(name), word(bytes)]),
      sectionEnd(),
    ];
    return Buffer.concat(pieces);
  }

  /** Consecutive pages, with their content. */
  pages(firstPage: number, content: Uint8Array): Uint8Array {
    const pageCount = content.length / PAGE_BYTES;
    const out = new Uint8Array(
      pageCount * (WORD_BYTES + PAGE_BYTES) + this.blocks.length * NAME_BYTES_MAX + 5,
    );
    let at = 0;
    if (!this.#isInSection) {
      out[at] = SECTION.part;
      putU32(out, at + 1, SECTION_ID);
      at += 5;
    }
    this.#isInSection = true;
    for (let index = 0; index < pageCount; index += 1) {
      const block = this.#blockOf(firstPage + index);
      const isNamed = block !== this.#lastBlock;
      this.#lastBlock = block;
      const address = (firstPage + index - this.#firstPages[block]!) * PAGE_BYTES;
      putU32(out, at, Math.floor(address / HIGH));
      putU32(out, at + 4, (address % HIGH) + RAM_FLAG.page + (isNamed ? 0 : RAM_FLAG.continue));
      at += WORD_BYTES;
      if (isNamed) {
        const name = text(this.blocks[block]!.name);
        out.set(name, at);
        at += name.length;
      }
      out.set(content.subarray(index * PAGE_BYTES, (index + 1) * PAGE_BYTES), at);
      at += PAGE_BYTES;
    }
    return out.subarray(0, at);
  }

  /** The end of a round; nothing when no page came since the last. */
  endRound(): Uint8Array {
    if (!this.#isInSection) return new Uint8Array(0);
    this.#isInSection = false;
    // The first page of the next section names its block in any case.
    this.#lastBlock = -1;
    return sectionEnd();
  }

  #blockOf(page: number): number {
    let block = this.blocks.length - 1;
    while (this.#firstPages[block]! > page) block -= 1;
    return block;
  }
}

function sectionEnd(): Uint8Array {
  return Buffer.concat([word(RAM_FLAG.endOfSection), Uint8Array.of(SECTION.footer), words(SECTION_ID)]);
}

function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  for (const [index, value] of values.entries()) putU32(bytes, index * 4, value);
  return bytes;
}

function word(value: number): Uint8Array {
  return words(Math.floor(value / HIGH), value % HIGH);
}

function text(name: string): Uint8Array {
  return Buffer.concat([Uint8Array.of(name.length), Buffer.from(name, 'latin1')]);
}
