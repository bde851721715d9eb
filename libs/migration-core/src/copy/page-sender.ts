import { availableCodecs, type CodecId } from '../compression';
import type { StreamCounters } from '../counters';
import { FrameWriter } from '../frame';
import { PAGE_BYTES } from '../qemu-stream';
import { frameOf } from '../record-framing';
import { RecordPacker } from '../record-packer';
import { emptyMirror } from '../reduction/page-mirror';
import { type StartingMirror, StreamEncoder, type StreamSummary } from '../stream-encoder';
import { MemoryStream } from './memory-stream';
import type { PageRun, PageSet } from './page-set';
import type { PageSource } from './page-source';

/** Pages that are read at once. */
const READ_PAGES = 64;
/** What may wait for compression before more is read. */
const WAITING_BYTES_MAX = 2 * 1024 * 1024;

export interface PageSenderOptions {
  /** Resolves when the link takes more. Rejecting ends the copy. */
  readonly send: (frame: Uint8Array) => Promise<void>;
  /** Number of this copy on its link, the same on both sides. Default 1. */
  readonly epoch?: number;
  /** What the other side can read, best first. Default: all that this process has. */
  readonly codecs?: readonly CodecId[];
  /** Pages that both sides keep, so that a page sent again costs what changed in it. Default 0. */
  readonly mirrorPagesMax?: number;
  /** What both sides hold from before; in place of an empty mirror. */
  readonly history?: StartingMirror;
  /** What the link takes, in bytes per second; decides how hard to compress. */
  readonly linkBytesPerSecond?: () => number | null;
}

/** Sends pages of a source as frames: reduced, compressed, and hashed for the other side to compare. */
export class PageSender {
  readonly layout;
  readonly #stream: MemoryStream;
  readonly #encoder: StreamEncoder;
  readonly #packer: RecordPacker;
  readonly #writer: FrameWriter;
  #frames: Uint8Array[] = [];
  #wireBytes = 0;
  #isBegun = false;
  #failure: Error | null = null;

  /** Throws PageWireError LAYOUT_INVALID for blocks that are none. */
  constructor(
    private readonly source: PageSource,
    private readonly options: PageSenderOptions,
  ) {
    const { mirrorPagesMax = 0, history, epoch = 1 } = options;
    this.#stream = new MemoryStream(source.blocks);
    this.layout = this.#stream.layout;
    this.#writer = new FrameWriter(epoch);
    this.#packer = new RecordPacker(
      (content) => this.#frames.push(frameOf(this.#writer, content)),
      (error) => (this.#failure = error),
      {
        codecs: options.codecs ?? availableCodecs().map(({ id }) => id),
        ...(options.linkBytesPerSecond && { linkBytesPerSecond: options.linkBytesPerSecond }),
      },
    );
    this.#encoder = new StreamEncoder((record) => this.#packer.push(record), {
      startMirror: (layout) =>
        history ??
        (mirrorPagesMax > 0 ? { mirror: emptyMirror(layout, mirrorPagesMax), generation: 0 } : null),
    });
  }

  get counters(): StreamCounters {
    return this.#encoder.counters;
  }

  /** Bytes of frames handed to the link. */
  get wireBytes(): number {
    return this.#wireBytes;
  }

  /** What both sides hold by now; null while nothing is kept. */
  get mirror(): StreamEncoder['mirror'] {
    return this.#encoder.mirror;
  }

  /** Sends all pages of the set as they are when their turn comes; `onRun` after each run. */
  async sendPages(pages: PageSet, onRun?: (run: PageRun) => Promise<void> | void): Promise<void> {
    for (const run of pages.runs(READ_PAGES)) {
      await this.sendRun(run);
      await onRun?.(run);
    }
  }

  async sendRun({ firstPage, pageCount }: PageRun): Promise<void> {
    const content = new Uint8Array(pageCount * PAGE_BYTES);
    await this.source.read(firstPage, content);
    this.#begin();
    this.#encoder.push(this.#stream.pages(firstPage, content));
    if (this.#packer.waitingBytes > WAITING_BYTES_MAX) await this.#packer.drained();
    await this.#sendFrames();
  }

  /** Everything said so far is handed to the link. */
  async flush(): Promise<void> {
    this.#encoder.flush();
    await this.#packer.drained();
    await this.#sendFrames();
  }

  /** A round is over: the hashes of both sides are compared. */
  async endRound(): Promise<void> {
    const end = this.#stream.endRound();
    if (end.length > 0) this.#encoder.push(end);
    await this.flush();
  }

  /** The copy is over: the last hash goes out. */
  async end(): Promise<StreamSummary> {
    this.#begin();
    await this.endRound();
    const summary = this.#encoder.end();
    await this.flush();
    this.#packer.close();
    return summary;
  }

  #begin(): void {
    if (!this.#isBegun) this.#encoder.push(this.#stream.begin());
    this.#isBegun = true;
  }

  async #sendFrames(): Promise<void> {
    if (this.#failure) throw this.#failure;
    const frames = this.#frames;
    this.#frames = [];
    for (const frame of frames) {
      this.#wireBytes += frame.length;
      await this.options.send(frame);
    }
  }
}
