import { availableParallelism } from 'node:os';

import { ColumnPacker, ColumnUnpacker, CONTENT_LANES_MAX } from './column-coding';
import {
  availableCodecs,
  type ChooserState,
  CODEC_ID,
  type CodecId,
  codecOf,
  initialChooserState,
  isStreamCodec,
  observeBatch,
  planBatch,
  seemsIncompressible,
} from './compression';
import type { Frame } from './frame';
import { contentOf, type FrameContent, recordOf } from './record-framing';
import { packSections, storeSections } from './record-packing';
import type { Slabs } from './slabs';
import type { StreamRecord } from './stream-record';
import type { Sections } from './tokens';

export interface RecordPackerOptions {
  /** What both ends can read, best first. Default: nothing but 'stored'. */
  readonly codecs?: readonly CodecId[];
  /**
   * Batches that are compressed at once, at most. By default half as many as there are processors where batches build
   * on each other, up to CONTENT_LANES_MAX, which is never exceeded; else 2.
   */
  readonly workerCount?: number;
  /** What the link takes now, in bytes per second; null while that is unknown. */
  readonly linkBytesPerSecond?: () => number | null;
  /** Where the content of records comes from, and goes back to once it is packed. */
  readonly slabs?: Slabs;
}

export interface RecordUnpackerOptions {
  /** What was agreed on. Default: all that this process has. */
  readonly codecs?: readonly CodecId[];
  /** Memory for what is unpacked; goes back there when `onRecord` returns. */
  readonly slabs?: Slabs;
}

/** The time that less takes says more of the queue than of the compression. */
const TELLING_BYTES_MIN = 64 * 1024;

interface Waiting {
  readonly record: StreamRecord;
  payload: Uint8Array | null;
  isBegun: boolean;
}

/**
 * Compresses records, several at once, and hands them on as contents of frames in the order in which they came. The
 * level of each batch follows from what the link takes and what compressing has cost so far.
 */
export class RecordPacker {
  readonly #queue: Waiting[] = [];
  readonly #columns: ColumnPacker;
  readonly #workerCountMax: number;
  /** Which of the lanes a batch is being compressed on. */
  readonly #busyLanes = new Set<number>();
  #chooser: ChooserState;
  #workerCount: number;
  #reason = 'nothing was sent yet';
  #waitingBytes = 0;
  #failure: Error | null = null;
  #idle: (() => void)[] = [];

  /** `onContent` must not throw. `onError` is called once, when compressing failed; nothing is handed on after it. */
  constructor(
    private readonly onContent: (content: FrameContent) => void,
    private readonly onError: (error: Error) => void,
    private readonly options: RecordPackerOptions = {},
  ) {
    const [best = CODEC_ID.stored] = options.codecs ?? [];
    const codec = codecOf(best, [best]);
    const isStream = isStreamCodec(codec);
    const wanted = options.workerCount ?? (isStream ? availableParallelism() >> 1 : 2);
    this.#workerCountMax = Math.max(1, isStream ? Math.min(wanted, CONTENT_LANES_MAX) : wanted);
    this.#workerCount = this.#workerCountMax;
    this.#columns = new ColumnPacker(codec);
    this.#chooser = initialChooserState(isStream ? 'stream' : 'batches');
  }

  /** Bytes that came and were not handed on yet. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** How the last batch went, and why, in words. */
  get reason(): string {
    return this.#reason;
  }

  push(record: StreamRecord): void {
    if (this.#failure) return;
    this.#queue.push({ record, payload: null, isBegun: record.kind !== 'data' });
    this.#waitingBytes += bytesOf(record);
    this.#work();
    this.#handOn();
  }

  /** Resolves when everything that came has been handed on, or failed. */
  async drained(): Promise<void> {
    if (this.#queue.length === 0 || this.#failure) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Nothing more will be pushed. Gives back what compression had set aside. */
  close(): void {
    this.#columns.close();
  }

  #work(): void {
    for (const waiting of this.#queue) {
      if (this.#busyLanes.size >= this.#workerCount) return;
      if (waiting.isBegun || waiting.record.kind !== 'data') continue;
      waiting.isBegun = true;
      const lane = this.#idleLane();
      this.#busyLanes.add(lane);
      this.#pack(waiting, waiting.record.sections, lane)
        .catch((error: unknown) => this.#fail(error))
        .finally(() => {
          this.#busyLanes.delete(lane);
          this.#handOn();
          this.#work();
        });
    }
  }

  #idleLane(): number {
    let lane = 0;
    while (this.#busyLanes.has(lane)) lane += 1;
    return lane;
  }

  async #pack(waiting: Waiting, sections: Sections, contentLane: number): Promise<void> {
    const { state, plan } = planBatch(this.#chooser, {
      linkBytesPerSecond: this.options.linkBytesPerSecond?.() ?? null,
      workerCount: this.#workerCountMax,
      isIncompressible: seemsIncompressible(sections.content) && sections.literals.length === 0,
      canCompress: this.#columns.codec.id !== CODEC_ID.stored,
    });
    this.#chooser = state;
    this.#reason = plan.reason;
    this.#workerCount = plan.workerCount;
    const { level } = plan;
    if (level === 'stored') {
      waiting.payload = storeSections(sections);
      this.options.slabs?.give(sections.content);
      return;
    }
    const rawBytes = bytesOf(waiting.record);
    const { payload, busyMs } = await packSections(sections, { packer: this.#columns, level, contentLane });
    waiting.payload = payload;
    this.options.slabs?.give(sections.content);
    if (busyMs === null || rawBytes < TELLING_BYTES_MIN) return;
    this.#chooser = observeBatch(this.#chooser, {
      level,
      rawBytes,
      packedBytes: payload.length,
      compressMs: busyMs,
    });
  }

  #handOn(): void {
    for (;;) {
      const [first] = this.#queue;
      if (this.#failure || !first || (first.record.kind === 'data' && !first.payload)) break;
      this.#queue.shift();
      this.#waitingBytes -= bytesOf(first.record);
      this.onContent(contentOf(first.record, first.payload ?? undefined));
    }
    if (this.#queue.length === 0) this.#wake();
  }

  #fail(error: unknown): void {
    if (this.#failure) return;
    this.#failure = error instanceof Error ? error : new Error(String(error));
    this.#wake();
    this.onError(this.#failure);
  }

  #wake(): void {
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

/**
 * Takes frames of a stream apart, several at once, and hands their records on in the order in which they came. What
 * waits is bounded by its caller: `waitingFrames` says how much there is.
 */
export class RecordUnpacker {
  #tail: Promise<void> = Promise.resolve();
  #waitingFrames = 0;
  #isFailed = false;
  readonly #columns: ColumnUnpacker;
  readonly #slabs: Slabs | undefined;

  /** `onRecord` may throw. `onError` is called once; nothing is handed on after it. */
  constructor(
    private readonly onRecord: (record: StreamRecord, frame: Frame) => void,
    private readonly onError: (error: Error) => void,
    { codecs = availableCodecs().map(({ id }) => id), slabs }: RecordUnpackerOptions = {},
  ) {
    this.#columns = new ColumnUnpacker(codecs);
    this.#slabs = slabs;
  }

  get waitingFrames(): number {
    return this.#waitingFrames;
  }

  push(frame: Frame): void {
    this.#waitingFrames += 1;
    const unpacked = recordOf(frame, this.#columns, this.#slabs);
    // Waited for below, in its turn.
    unpacked.catch(() => undefined);
    this.#tail = this.#tail.then(async () => {
      try {
        const record = await unpacked;
        if (!this.#isFailed) this.onRecord(record, frame);
        this.#giveBack(record);
      } catch (error) {
        this.#fail(error);
      } finally {
        this.#waitingFrames -= 1;
      }
    });
  }

  /** Resolves when everything that came has been handed on, or failed. */
  drained(): Promise<void> {
    return this.#tail;
  }

  /** Nothing more will come. Gives back what decompression had set aside. */
  close(): void {
    this.#columns.close();
  }

  #giveBack(record: StreamRecord): void {
    if (!this.#slabs || record.kind !== 'data') return;
    const { tokens, masks, literals, content, opaque } = record.sections;
    for (const section of [tokens, masks, literals, content, opaque]) this.#slabs.give(section);
  }

  #fail(error: unknown): void {
    if (this.#isFailed) return;
    this.#isFailed = true;
    this.onError(error instanceof Error ? error : new Error(String(error)));
  }
}

function bytesOf(record: StreamRecord): number {
  if (record.kind !== 'data') return record.payload.length;
  const { tokens, masks, literals, content, opaque } = record.sections;
  return tokens.length + masks.length + literals.length + content.length + opaque.length;
}
