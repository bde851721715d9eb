import { FILE_MAGIC, FILE_VERSION, PAGE_BYTES, RAM_FLAG, RAM_VERSION, SECTION } from '../qemu-stream';
import type { RamBlock } from '../ram-blocks';

const RAM_SECTION_ID = 2;

/**
 * Writes migration streams as QEMU does, for specs and measurements. It shares the names of numbers with the parser,
 * and none of its code.
 */
export class StreamWriter {
  readonly #pieces: Buffer[] = [];
  #lastBlock = '';
  #sections = 0;

  /** Sections of memory that have ended. */
  get sections(): number {
    return this.#sections;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  raw(...bytes: readonly (Uint8Array | readonly number[])[]): this {
    for (const piece of bytes) this.#pieces.push(Buffer.from(piece));
    return this;
  }

  u16(value: number): this {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16BE(value);
    return this.raw(bytes);
  }

  u32(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return this.raw(bytes);
  }

  u64(value: number): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(value));
    return this.raw(bytes);
  }

  text(text: string): this {
    return this.raw([text.length], Buffer.from(text, 'latin1'));
  }

  header(machine = 'pc-i440fx-10.0'): this {
    this.u32(FILE_MAGIC).u32(FILE_VERSION);
    return this.raw([SECTION.configuration]).u32(machine.length).raw(Buffer.from(machine));
  }

  command(number: number, payload: Uint8Array = new Uint8Array(0)): this {
    return this.raw([SECTION.command]).u16(number).u16(payload.length).raw(payload);
  }

  /** The section that lists the blocks. */
  memoryBegin(blocks: readonly RamBlock[]): this {
    this.raw([SECTION.start]).u32(RAM_SECTION_ID).text('ram').u32(0).u32(RAM_VERSION);
    const sum = blocks.reduce((bytes, block) => bytes + block.bytes, 0);
    this.u64(sum + RAM_FLAG.sizes);
    for (const block of blocks) this.text(block.name).u64(block.bytes);
    return this.sectionEnd();
  }

  part(): this {
    return this.raw([SECTION.part]).u32(RAM_SECTION_ID);
  }

  lastPart(): this {
    return this.raw([SECTION.end]).u32(RAM_SECTION_ID);
  }

  sectionEnd(): this {
    this.u64(RAM_FLAG.endOfSection);
    // The first page of the next section names its block even when that has not changed.
    this.#lastBlock = '';
    this.#sections += 1;
    return this.raw([SECTION.footer]).u32(RAM_SECTION_ID);
  }

  page(block: string, pageIndex: number, content: Uint8Array): this {
    return this.#word(block, pageIndex, RAM_FLAG.page).raw(content);
  }

  zeroPage(block: string, pageIndex: number, fill = 0): this {
    return this.#word(block, pageIndex, RAM_FLAG.zero).raw([fill]);
  }

  encodedPage(block: string, pageIndex: number, encoded: Uint8Array): this {
    return this.#word(block, pageIndex, RAM_FLAG.xbzrle).raw([1]).u16(encoded.length).raw(encoded);
  }

  multifdFlush(): this {
    return this.u64(RAM_FLAG.multifdFlush);
  }

  /** A device's section, the end mark, and the description of all of it. */
  deviceState(state: Uint8Array): this {
    this.raw([SECTION.full]).u32(7).text('cpu').u32(0).u32(12).raw(state).raw([SECTION.footer]).u32(7);
    const description = Buffer.from('{"configuration": {}, "page_size": 4096, "devices": []}');
    return this.raw([0, 6]).u32(description.length).raw(description);
  }

  #word(block: string, pageIndex: number, flag: number): this {
    const continues = block === this.#lastBlock;
    this.u64(pageIndex * PAGE_BYTES + flag + (continues ? RAM_FLAG.continue : 0));
    if (!continues) this.text(block);
    this.#lastBlock = block;
    return this;
  }
}
