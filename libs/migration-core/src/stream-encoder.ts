import { createHash } from 'node:crypto';

import { emptyCounters, type StreamCounters } from './counters';
import type { StreamVisitor } from './qemu-stream';
import type { RamBlock } from './ram-blocks';
import { encodeLayout, PageLayout } from './reduction/page-layout';
import type { PageMirror } from './reduction/page-mirror';
import { type HashSeed, PageReducer } from './reduction/page-reducer';
import type { Slabs } from './slabs';
import { StreamBatch } from './stream-batch';
import { StreamParser } from './stream-parser';
import type { StreamRecord } from './stream-record';
import { DIGEST_HASH_OFFSET, DIGEST_PAYLOAD_BYTES } from './tokens';

/** Without rounds to end, compare hashes this often. */
const DIGEST_INTERVAL_BYTES = 256 * 1024 * 1024;
/** Rounds shorter than this share a hash: with nothing left to copy, QEMU begins thousands of them a second. */
const DIGEST_BYTES_MIN = 64 * 1024;

export interface StreamSummary extends StreamCounters {
  /** Of the whole stream, hexadecimal. */
  sha256: string;
}

/** What an encoder begins with, once the stream has said which memory the guest has. */
export interface StartingMirror {
  readonly mirror: PageMirror;
  /** Number that both ends agreed on for what the mirror holds; 0 when it holds nothing. */
  readonly generation: number;
}

export interface StreamEncoderOptions {
  /** Without it, or where it gives null, the other side keeps nothing and every page crosses whole. */
  readonly startMirror?: (layout: PageLayout) => StartingMirror | null;
  readonly seed?: HashSeed;
  /** Memory for the content of records, which whoever takes them gives back there. */
  readonly slabs?: Slabs;
}

/**
 * Turns QEMU's migration stream, in chunks of any size, into records that rebuild it byte by byte: zero pages as runs,
 * pages that the other side holds by name or by what changed in them, the rest as it is. What the parser does not know
 * goes through unread.
 *
 * Synchronous. `onRecord` gets buffers of its own. Back-pressure is the caller's: stop pushing.
 */
export class StreamEncoder implements StreamVisitor {
  readonly counters: StreamCounters = emptyCounters();
  readonly #parser = new StreamParser(this);
  readonly #hash = createHash('sha256');
  #batch = new StreamBatch(null, this.counters);
  #layout: PageLayout | null = null;
  #mirror: PageMirror | null = null;
  #generation = 0;
  #chunk: Uint8Array = new Uint8Array(0);
  #hashedOfChunk = 0;
  #digestDue = false;
  #bytesAtDigest = 0;
  #hashedBytes = 0;
  #pushedSinceFlush = false;

  constructor(
    private readonly onRecord: (record: StreamRecord) => void,
    private readonly options: StreamEncoderOptions = {},
  ) {}

  /** The guest's memory as the stream listed it; empty before that. */
  get ramBlocks(): readonly RamBlock[] {
    return this.#parser.blocks.list;
  }

  /** What the other side holds by now, as far as this side has told it; null while nothing is kept. */
  get mirror(): PageMirror | null {
    return this.#mirror;
  }

  /** Why memory is passed on unread; null while it is being read and when device state follows it as it should. */
  get passThroughReason(): string | null {
    return this.#parser.passThroughReason;
  }

  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#hashedOfChunk = 0;
    this.#pushedSinceFlush = true;
    this.counters.guestBytes += chunk.length;
    this.#parser.push(chunk);
    this.#hashUpTo(chunk.length);
    // Unread, the stream has no sections that could end.
    if (this.#parser.isPassingThrough && this.#bytesSinceDigest(chunk.length) >= DIGEST_INTERVAL_BYTES)
      this.#sendDigest(false);
  }

  /**
   * Sends what waits for a fuller batch; a record of which only the beginning came still waits. Called again with
   * nothing pushed in between, it sends that as well: the rest may never come if the stream is not what it seems.
   */
  flush(): void {
    if (!this.#pushedSinceFlush) this.#parser.release();
    this.#pushedSinceFlush = false;
    this.#sendBatch();
  }

  /** The stream is over: sends the rest and the final hash. */
  end(): StreamSummary {
    this.#parser.end();
    const sha256 = this.#sendDigest(true);
    return { ...this.counters, sha256 };
  }

  opaque(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      at += this.#batch.addOpaque(at === 0 ? bytes : bytes.subarray(at));
      if (this.#batch.isFull) this.#sendBatch();
    }
  }

  page(wordHigh: number, wordLow: number, name: Uint8Array | null, bytes: Uint8Array, offset: number): void {
    const place = this.#place(wordHigh, wordLow, name);
    if (this.#batch.mustSealBefore(place.page)) this.#sendBatch();
    this.#batch.addPage(place, bytes, offset);
  }

  zeroPage(wordHigh: number, wordLow: number, name: Uint8Array | null): void {
    const place = this.#place(wordHigh, wordLow, name);
    if (this.#batch.mustSealBefore(place.page)) this.#sendBatch();
    this.#batch.addZeroRecord(place);
  }

  roundBegin(): void {
    this.counters.rounds += 1;
    this.#digestDue = true;
  }

  sectionEnd(chunkOffset: number): void {
    this.counters.sections += 1;
    const bytes = this.#bytesSinceDigest(chunkOffset);
    if (bytes < (this.#digestDue ? DIGEST_BYTES_MIN : DIGEST_INTERVAL_BYTES)) return;
    this.#hashUpTo(chunkOffset);
    this.#sendDigest(false);
  }

  /** Up to there in the chunk, which is not behind what is hashed of it. */
  #bytesSinceDigest(chunkOffset: number): number {
    return this.#hashedBytes + Math.max(0, chunkOffset - this.#hashedOfChunk) - this.#bytesAtDigest;
  }

  #place(wordHigh: number, wordLow: number, name: Uint8Array | null) {
    if (this.counters.rounds === 0) this.counters.rounds = 1;
    const layout = this.#layout ?? this.#begin();
    const block = this.#parser.blocks.current;
    const page = this.#mirror ? layout.pageAt(block, wordHigh, wordLow) : -1;
    return { block, wordHigh, wordLow, nameBytes: name?.length ?? 0, page };
  }

  /** The first page: the stream has listed its RAM blocks, and the other side is told of them. */
  #begin(): PageLayout {
    const layout = new PageLayout(this.#parser.blocks.list);
    this.#layout = layout;
    this.#sendBatch();
    const start = this.options.startMirror?.(layout) ?? null;
    this.#mirror = start?.mirror ?? null;
    this.#generation = start?.generation ?? 0;
    this.#batch = new StreamBatch(new PageReducer(this.#mirror, this.options), this.counters);
    const mirrorPagesMax = start?.mirror.pagesMax ?? 0;
    const payload = encodeLayout({ layout, generation: this.#generation, mirrorPagesMax });
    this.onRecord({ kind: 'layout', payload });
    return layout;
  }

  #sendBatch(): void {
    if (this.#batch.isEmpty) return;
    this.onRecord({ kind: 'data', ...this.#batch.seal(), baseGeneration: this.#generation });
  }

  #hashUpTo(chunkOffset: number): void {
    if (chunkOffset <= this.#hashedOfChunk) return;
    this.#hash.update(this.#chunk.subarray(this.#hashedOfChunk, chunkOffset));
    this.#hashedBytes += chunkOffset - this.#hashedOfChunk;
    this.#hashedOfChunk = chunkOffset;
  }

  /** Everything hashed has been told, so the batch is sent first: the hash must find the other side as far. */
  #sendDigest(isLast: boolean): string {
    this.#sendBatch();
    const digest = this.#hash.copy().digest();
    const payload = new Uint8Array(DIGEST_PAYLOAD_BYTES);
    const view = new DataView(payload.buffer);
    view.setBigUint64(0, BigInt(this.#hashedBytes));
    view.setUint8(8, isLast ? 1 : 0);
    view.setUint32(9, this.counters.rounds);
    view.setUint32(13, this.counters.sections);
    payload.set(digest, DIGEST_HASH_OFFSET);
    this.#digestDue = false;
    this.#bytesAtDigest = this.#hashedBytes;
    this.onRecord({ kind: 'digest', payload });
    return digest.toString('hex');
  }
}
