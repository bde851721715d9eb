import { getU16, getU32 } from './big-endian';
import { RECORD_STEPS, type Step } from './parse-steps';
import {
  FILE_MAGIC,
  FILE_VERSION,
  FLAG_BITS,
  LIMITS,
  PAGE_BYTES,
  RAM_FLAG,
  RAM_VERSION,
  SECTION,
  SELF_CONTAINED_COMMANDS,
  type StreamVisitor,
} from './qemu-stream';
import { RamBlocks } from './ram-blocks';

/** Longest piece that is looked at whole: a command's payload, the length of which is two bytes. */
const CARRY_BYTES = 65_535;
const WORD_BYTES = 8;

const CONTINUED_PAGE = RAM_FLAG.page | RAM_FLAG.continue;
const CONTINUED_ZERO = RAM_FLAG.zero | RAM_FLAG.continue;

/**
 * Reads QEMU's migration stream in chunks of any size and tells a visitor what is in it. It is a hint, never a
 * truth: on anything it does not know it tells the rest of the stream as opaque, and it never throws on input.
 */
export class StreamParser {
  readonly blocks = new RamBlocks();
  #step: Step = 'file-header';
  /** Bytes that the step needs at once. */
  #need = 8;
  readonly #carry = new Uint8Array(CARRY_BYTES);
  #carried = 0;
  /** Bytes of the record under way that were taken but not told yet: word, length, name. */
  readonly #header = new Uint8Array(WORD_BYTES + 1 + 255 + 3);
  #headerBytes = 0;
  #ramId = -1;
  #sectionId = -1;
  #sectionType = 0;
  #isMemoryOver = false;
  /** What comes is told at once: it is no record, or the record's beginning has been told already. */
  #isToldAtOnce = true;
  #wordHigh = 0;
  #wordLow = 0;
  #named = false;
  #sectionEnded = false;
  #why: string | null = null;

  constructor(private readonly visitor: StreamVisitor) {}

  /** Why memory is passed on unread; null while it is being read, and for device state in its place. */
  get passThroughReason(): string | null {
    return this.#why;
  }

  /** Nothing is looked at any more: device state has begun or something is not understood. */
  get isPassingThrough(): boolean {
    return this.#step === 'pass-through';
  }

  push(chunk: Uint8Array): void {
    let at = 0;
    while (this.#step !== 'pass-through') {
      if (this.#step === 'word' && this.#carried === 0) at = this.#takeWholeRecords(chunk, at);
      const from = at;
      const isTold = this.#isToldAtOnce;
      let bytes: Uint8Array | null = null;
      if (this.#carried === 0 && chunk.length - at >= this.#need) {
        at += this.#need;
        bytes = chunk.subarray(from, at);
      } else {
        at += Math.min(this.#need - this.#carried, chunk.length - at);
        this.#carry.set(chunk.subarray(from, at), this.#carried);
        this.#carried += at - from;
        if (this.#carried === this.#need) {
          bytes = this.#carry.subarray(0, this.#need);
          this.#carried = 0;
        }
      }
      if (isTold && at > from) this.visitor.opaque(chunk.subarray(from, at));
      if (bytes === null) return;
      this.#take(bytes);
      if (this.#sectionEnded) {
        this.#sectionEnded = false;
        this.visitor.sectionEnd(at);
      }
    }
    if (at < chunk.length) this.visitor.opaque(at === 0 ? chunk : chunk.subarray(at));
  }

  /** Tells what is held of a record that is not whole. The rest of that record is told as it comes. */
  release(): void {
    if (this.#isToldAtOnce) return;
    this.#tellHeader();
    if (this.#carried > 0) this.visitor.opaque(this.#carry.subarray(0, this.#carried));
    this.#isToldAtOnce = this.#step !== 'word' || this.#carried > 0;
  }

  /** The stream is over: tells all that is held. */
  end(): void {
    this.release();
    this.#carried = 0;
    if (this.#step === 'pass-through' || this.#step === 'section-type') return;
    this.#passThrough('it ended in the middle of a section');
  }

  /** The bulk of every stream: records of the block at hand that lie in the chunk whole. Returns where they end. */
  #takeWholeRecords(chunk: Uint8Array, from: number): number {
    if (this.#isToldAtOnce) return from;
    const { blocks, visitor } = this;
    let at = from;
    while (at + WORD_BYTES < chunk.length) {
      const low = getU32(chunk, at + 4);
      const flags = low & FLAG_BITS;
      if (flags !== CONTINUED_PAGE && flags !== CONTINUED_ZERO) break;
      const content = at + WORD_BYTES;
      const end = content + (flags === CONTINUED_PAGE ? PAGE_BYTES : 1);
      if (end > chunk.length || (flags === CONTINUED_ZERO && chunk[content] !== 0)) break;
      const high = getU32(chunk, at);
      const place = blocks.enter(blocks.current, high, low - flags);
      if (place === 'outside') break;
      if (place === 'earlier') visitor.roundBegin();
      if (flags === CONTINUED_PAGE) visitor.page(high, low, null, chunk, content);
      else visitor.zeroPage(high, low, null);
      at = end;
    }
    return at;
  }

  #take(bytes: Uint8Array): void {
    if (RECORD_STEPS.has(this.#step)) this.#takeOfRecord(bytes);
    else this.#takeOfStructure(bytes);
  }

  /** Structure is told as opaque before it is read, so nothing here needs telling again. */
  #takeOfStructure(bytes: Uint8Array): void {
    switch (this.#step) {
      case 'file-header':
        if (getU32(bytes, 0) !== FILE_MAGIC || getU32(bytes, 4) !== FILE_VERSION)
          return this.#passThrough('it does not begin like a migration stream of version 3');
        return this.#next('section-type', 1);
      case 'section-type':
        return this.#takeSectionType(bytes[0]!);
      case 'configuration-length': {
        const length = getU32(bytes, 0);
        if (length === 0 || length > LIMITS.configurationBytesMax)
          return this.#passThrough('its configuration section is of another form');
        return this.#next('configuration', length);
      }
      case 'configuration':
      case 'command-payload':
        return this.#next('section-type', 1);
      case 'command': {
        if (!SELF_CONTAINED_COMMANDS.has(getU16(bytes, 0)))
          return this.#passThrough(`command ${getU16(bytes, 0)} is unknown`);
        const length = getU16(bytes, 2);
        return length === 0 ? this.#next('section-type', 1) : this.#next('command-payload', length);
      }
      case 'section-name-length':
        this.#sectionId = getU32(bytes, 0);
        return this.#next('section-start', bytes[4]! + 8);
      case 'section-start':
        return this.#takeSectionStart(bytes);
      case 'section-id':
        this.#sectionId = getU32(bytes, 0);
        if (this.#sectionId !== this.#ramId)
          return this.#passThrough(`section ${this.#sectionId} is not RAM`);
        return this.#next('word', WORD_BYTES);
      case 'block-name-length':
        return bytes[0] === 0
          ? this.#passThrough('a RAM block has no name')
          : this.#next('block-name', bytes[0]!);
      case 'block-name':
        this.blocks.name(bytes);
        return this.#next('block-size', 8);
      case 'block-size': {
        const listed = this.blocks.size(getU32(bytes, 0), getU32(bytes, 4));
        if (listed === 'invalid') return this.#passThrough('the list of RAM blocks does not add up');
        return listed === 'complete' ? this.#next('word', WORD_BYTES) : this.#next('block-name-length', 1);
      }
      case 'footer':
        if (bytes[0] !== SECTION.footer || getU32(bytes, 1) !== this.#sectionId)
          return this.#passThrough('a section has no footer');
        this.#sectionEnded = true;
        if (this.#sectionType === SECTION.end) this.#isMemoryOver = true;
        return this.#next('section-type', 1);
      default:
        throw new Error(`Step ${this.#step} is no step of the structure.`);
    }
  }

  #takeSectionType(type: number): void {
    this.#sectionType = type;
    switch (type) {
      case SECTION.configuration:
        return this.#next('configuration-length', 4);
      case SECTION.command:
        return this.#next('command', 4);
      case SECTION.start:
        return this.#next('section-name-length', 5);
      case SECTION.part:
      case SECTION.end:
        return this.#next('section-id', 4);
      case SECTION.full:
        return this.#passThrough(this.#isMemoryOver ? null : 'device state comes before the memory is over');
      default:
        return this.#passThrough(`section type ${type} is unknown`);
    }
  }

  #takeSectionStart(bytes: Uint8Array): void {
    const isRam = bytes.length === 11 && bytes[0] === 0x72 && bytes[1] === 0x61 && bytes[2] === 0x6d;
    if (!isRam || getU32(bytes, 7) !== RAM_VERSION || this.#ramId >= 0)
      return this.#passThrough('another kind of section than RAM begins');
    this.#ramId = this.#sectionId;
    return this.#next('word', WORD_BYTES);
  }

  #takeOfRecord(bytes: Uint8Array): void {
    switch (this.#step) {
      case 'word':
        return this.#takeWord(bytes);
      case 'page-name-length':
        this.#hold(bytes);
        return bytes[0] === 0
          ? this.#passThrough('a page names no block')
          : this.#next('page-name', bytes[0]!);
      case 'page-name':
        this.#hold(bytes);
        this.#named = true;
        return this.#takeBlock(this.blocks.find(bytes));
      case 'page-content':
        if (!this.#isToldAtOnce) this.visitor.page(this.#wordHigh, this.#wordLow, this.#name(), bytes, 0);
        break;
      case 'zero-fill':
        if (this.#isToldAtOnce) break;
        if (bytes[0] === 0) {
          this.visitor.zeroPage(this.#wordHigh, this.#wordLow, this.#name());
        } else {
          this.#tellHeader();
          this.visitor.opaque(bytes);
        }
        break;
      case 'xbzrle-length': {
        this.#hold(bytes);
        const length = getU16(bytes, 1);
        if (length === 0 || length > PAGE_BYTES) return this.#passThrough('an encoded page is too long');
        return this.#next('xbzrle', length);
      }
      case 'xbzrle':
        this.#tellHeader();
        if (!this.#isToldAtOnce) this.visitor.opaque(bytes);
        break;
      default:
        throw new Error(`Step ${this.#step} is no step of a record.`);
    }
    this.#headerBytes = 0;
    this.#next('word', WORD_BYTES);
  }

  #takeWord(bytes: Uint8Array): void {
    this.#hold(bytes);
    this.#wordHigh = getU32(bytes, 0);
    this.#wordLow = getU32(bytes, 4);
    this.#named = false;
    const flags = this.#wordLow & FLAG_BITS;
    if (flags === RAM_FLAG.endOfSection) {
      this.#tellHeader();
      return this.#next('footer', 5);
    }
    if (flags === RAM_FLAG.sizes) {
      this.#tellHeader();
      const begun = this.blocks.begin(this.#wordHigh, this.#wordLow - flags);
      return begun ? this.#next('block-name-length', 1) : this.#passThrough('the RAM size makes no sense');
    }
    if (flags === RAM_FLAG.multifdFlush) {
      this.#tellHeader();
      return this.#next('word', WORD_BYTES);
    }
    const kind = flags & ~RAM_FLAG.continue;
    if (kind !== RAM_FLAG.page && kind !== RAM_FLAG.zero && kind !== RAM_FLAG.xbzrle)
      return this.#passThrough(`RAM flags 0x${flags.toString(16)} are unknown`);
    if (flags & RAM_FLAG.continue) return this.#takeBlock(this.blocks.current);
    return this.#next('page-name-length', 1);
  }

  #takeBlock(block: number): void {
    const place = this.blocks.enter(block, this.#wordHigh, this.#wordLow - (this.#wordLow & FLAG_BITS));
    if (place === 'outside') return this.#passThrough('a page lies outside the RAM blocks');
    if (place === 'earlier') this.visitor.roundBegin();
    const kind = this.#wordLow & FLAG_BITS & ~RAM_FLAG.continue;
    if (kind === RAM_FLAG.page) return this.#next('page-content', PAGE_BYTES);
    return kind === RAM_FLAG.zero ? this.#next('zero-fill', 1) : this.#next('xbzrle-length', 3);
  }

  #next(step: Step, need: number): void {
    this.#step = step;
    this.#need = need;
    // A record whose beginning has been told stays told to its end; a word begins another.
    if (step === 'word') this.#isToldAtOnce = false;
    else if (!RECORD_STEPS.has(step)) this.#isToldAtOnce = true;
  }

  #hold(bytes: Uint8Array): void {
    if (this.#isToldAtOnce) return;
    this.#header.set(bytes, this.#headerBytes);
    this.#headerBytes += bytes.length;
  }

  #name(): Uint8Array | null {
    return this.#named ? this.#header.subarray(9, this.#headerBytes) : null;
  }

  #tellHeader(): void {
    if (this.#headerBytes > 0) this.visitor.opaque(this.#header.subarray(0, this.#headerBytes));
    this.#headerBytes = 0;
  }

  #passThrough(why: string | null): void {
    this.#tellHeader();
    this.#why = why;
    this.#step = 'pass-through';
    this.#isToldAtOnce = true;
  }
}
