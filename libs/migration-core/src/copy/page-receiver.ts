import { availableCodecs, type CodecId } from '../compression';
import { FrameReader } from '../frame';
import { PAGE_BYTES, type StreamVisitor } from '../qemu-stream';
import { RecordUnpacker } from '../record-packer';
import { PageLayout } from '../reduction/page-layout';
import { StreamDecoder, type StreamDecoderOptions } from '../stream-decoder';
import type { StreamSummary } from '../stream-encoder';
import { StreamParser } from '../stream-parser';
import { PageCopyError } from './errors';
import type { PageTarget } from './page-source';

/** Pages that are written at once. */
const WRITE_PAGES = 64;
const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

export interface PageReceiverOptions extends Pick<StreamDecoderOptions, 'mirrorPagesMax' | 'startMirror'> {
  /** As the sender's. Default 1. */
  readonly epoch?: number;
  /** What may be in it. Default: all that this process has. */
  readonly codecs?: readonly CodecId[];
}

/**
 * Writes what a `PageSender` sends. What comes is hostile: PageWireError for frames that do not hold, PageCopyError
 * COPY_BLOCKS_DIFFER for another source than the target was made for, COPY_STREAM_INVALID for a stream of something
 * else than pages.
 */
export class PageReceiver {
  readonly #reader: FrameReader;
  readonly #unpacker: RecordUnpacker;
  readonly #decoder: StreamDecoder;
  readonly #parser: StreamParser;
  readonly #pages: PageWriter;
  #failure: Error | null = null;

  constructor(
    private readonly target: PageTarget,
    options: PageReceiverOptions = {},
  ) {
    const { epoch = 1, codecs = availableCodecs().map(({ id }) => id), ...more } = options;
    const layout = new PageLayout(target.blocks);
    this.#pages = new PageWriter(target, layout, () => this.#parser.blocks.current);
    this.#parser = new StreamParser(this.#pages);
    this.#decoder = new StreamDecoder((bytes) => this.#parser.push(bytes), {
      ...more,
      layoutPagesMax: layout.pageCount,
    });
    this.#unpacker = new RecordUnpacker(
      (record) => this.#decoder.apply(record),
      (error) => (this.#failure ??= error),
      { codecs },
    );
    this.#reader = new FrameReader((frame) => this.#unpacker.push(frame), { epoch });
  }

  /** Set once the last hash came and was equal, and everything is written. */
  get summary(): StreamSummary | null {
    return this.#failure ? null : this.#decoder.summary;
  }

  /** What both sides hold; null while nothing is kept. */
  get mirror(): StreamDecoder['mirror'] {
    return this.#decoder.mirror;
  }

  /** Bytes from the link, in pieces of any size. Resolves when what they say is written: send no more before. */
  async push(bytes: Uint8Array): Promise<void> {
    if (this.#failure) throw this.#failure;
    try {
      this.#reader.push(bytes);
      await this.#unpacker.drained();
      if (this.#failure) throw this.#failure;
      this.#refuseOther();
      await this.#pages.written();
      if (this.#decoder.summary) {
        this.#unpacker.close();
        await this.target.flush();
      }
    } catch (error) {
      this.#failure = error as Error;
      this.#unpacker.close();
      throw error;
    }
  }

  /** The link is closed. Throws STREAM_TRUNCATED when the copy was not over. */
  end(): StreamSummary {
    if (this.#failure) throw this.#failure;
    this.#reader.end();
    return this.#decoder.end();
  }

  #refuseOther(): void {
    const { blocks } = this.#parser;
    const { passThroughReason } = this.#parser;
    if (passThroughReason !== null)
      throw new PageCopyError('COPY_STREAM_INVALID', `What came is no copy of pages: ${passThroughReason}.`);
    if (blocks.list.length > this.target.blocks.length || !agree(blocks.list, this.target.blocks))
      throw new PageCopyError(
        'COPY_BLOCKS_DIFFER',
        `The source has ${inWords(blocks.list)}, the target ${inWords(this.target.blocks)}. Make the target as the source is.`,
      );
  }
}

/** Gathers consecutive pages, and writes them one run after the other. */
class PageWriter implements StreamVisitor {
  #firstPage = 0;
  #pages: Uint8Array[] = [];
  #zeroPages = 0;
  #tail: Promise<void> = Promise.resolve();

  constructor(
    private readonly target: PageTarget,
    private readonly layout: PageLayout,
    private readonly block: () => number,
  ) {}

  page(wordHigh: number, wordLow: number, _name: Uint8Array | null, bytes: Uint8Array, offset: number): void {
    const content = bytes.subarray(offset, offset + PAGE_BYTES);
    const isZero = ZERO_PAGE.equals(content);
    this.#open(this.layout.pageAt(this.block(), wordHigh, wordLow), isZero);
    if (isZero) this.#zeroPages += 1;
    else this.#pages.push(Uint8Array.from(content));
  }

  zeroPage(wordHigh: number, wordLow: number): void {
    this.#open(this.layout.pageAt(this.block(), wordHigh, wordLow), true);
    this.#zeroPages += 1;
  }

  /** Nothing but the frame of the stream; what is none is seen by the parser's reason. */
  opaque(): void {}
  roundBegin(): void {}
  sectionEnd(): void {}

  /** Resolves when all pages that came are written. */
  async written(): Promise<void> {
    this.#close();
    await this.#tail;
  }

  #open(page: number, isZero: boolean): void {
    const count = this.#pages.length + this.#zeroPages;
    const continues =
      count > 0 &&
      page === this.#firstPage + count &&
      (isZero ? this.#pages.length === 0 : this.#zeroPages === 0 && count < WRITE_PAGES);
    if (continues) return;
    this.#close();
    this.#firstPage = page;
  }

  #close(): void {
    const { target } = this;
    const firstPage = this.#firstPage;
    const zeroPages = this.#zeroPages;
    const pages = this.#pages;
    this.#zeroPages = 0;
    this.#pages = [];
    // Whoever waits is told of the first that failed; those after it are not written.
    if (zeroPages > 0) this.#tail = this.#tail.then(() => target.writeZeros(firstPage, zeroPages));
    if (pages.length > 0) this.#tail = this.#tail.then(() => target.write(firstPage, Buffer.concat(pages)));
    this.#tail.catch(() => undefined);
  }
}

type Blocks = PageTarget['blocks'];

function agree(found: Blocks, wanted: Blocks): boolean {
  return found.every(
    ({ name, bytes }, index) => wanted[index]?.name === name && wanted[index].bytes === bytes,
  );
}

function inWords(blocks: Blocks): string {
  return (
    blocks.map(({ name, bytes }) => `${JSON.stringify(name.slice(0, 100))} of ${bytes} bytes`).join(', ') ||
    'nothing'
  );
}
