import { createHash } from 'node:crypto';

import { getU32, putU32 } from './big-endian';
import { emptyCounters, type StreamCounters } from './counters';
import { FRAME_HEADER_BYTES, FRAME_TYPE, type FrameWriter } from './frame';
import { PAGE_BYTES, RAM_FLAG, type StreamVisitor } from './qemu-stream';
import type { RamBlock } from './ram-blocks';
import { StreamParser } from './stream-parser';
import {
  DIGEST_HASH_OFFSET,
  DIGEST_PAYLOAD_BYTES,
  OPAQUE_TOKEN_BYTES,
  RUN_TOKEN_BYTES,
  TOKEN,
} from './tokens';

/** A batch is sent at 64 pages: big enough that headers and calls cost nothing, small beside 20 ms of any link. */
const BATCH_PAYLOAD_BYTES = 64 * PAGE_BYTES;
/** Zero runs rebuild to more than they weigh; bounds what one frame makes the other side write. */
const BATCH_LOGICAL_BYTES = 4 * 1024 * 1024;
/** Room for the token that crosses the mark: a page with its name and heads. */
const BATCH_SLACK_BYTES = 2 * PAGE_BYTES;
/** Without rounds to end, compare hashes this often. */
const DIGEST_INTERVAL_BYTES = 256 * 1024 * 1024;

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

export interface StreamSummary extends StreamCounters {
  /** Of the whole stream, hexadecimal. */
  sha256: string;
}

/**
 * Turns QEMU's migration stream, in chunks of any size, into frames that rebuild it byte by byte. Runs of zero
 * pages become a few bytes; what the parser does not know goes through as it is.
 *
 * Synchronous. `onFrame` gets buffers of its own. Back-pressure is the caller's: stop pushing.
 */
export class StreamEncoder implements StreamVisitor {
  readonly counters: StreamCounters = emptyCounters();
  readonly #parser = new StreamParser(this);
  readonly #hash = createHash('sha256');
  #batch = newBatch();
  #used = FRAME_HEADER_BYTES;
  #logicalBytes = 0;
  #pageCount = 0;
  /** The token that may still grow: where it stands, what it is, which word would continue it. */
  #openAt = -1;
  #openKind = 0;
  #nextHigh = 0;
  #nextLow = 0;
  #chunk: Uint8Array = new Uint8Array(0);
  #hashedOfChunk = 0;
  #digestDue = false;
  #bytesAtDigest = 0;
  #hashedBytes = 0;
  #pushedSinceFlush = false;

  constructor(
    private readonly writer: FrameWriter,
    private readonly onFrame: (frame: Uint8Array) => void,
  ) {}

  /** The guest's memory as the stream listed it; empty before that. */
  get ramBlocks(): readonly RamBlock[] {
    return this.#parser.blocks.list;
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
    if (this.#parser.isPassingThrough && this.#isDigestOverdue()) this.#sendDigest(false);
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
    let at = 0;
    while (at < bytes.length) {
      if (this.#openKind !== TOKEN.opaque || this.#openAt < 0) this.#open(TOKEN.opaque, OPAQUE_TOKEN_BYTES);
      const length = Math.min(bytes.length - at, BATCH_PAYLOAD_BYTES + FRAME_HEADER_BYTES - this.#used);
      if (length > 0) {
        this.#batch.set(
          at === 0 && length === bytes.length ? bytes : bytes.subarray(at, at + length),
          this.#used,
        );
        this.#used += length;
        this.#add(this.#openAt + 1, length);
        at += length;
        this.#logicalBytes += length;
      }
      this.#sendIfFull();
    }
  }

  page(wordHigh: number, wordLow: number, name: Uint8Array | null, bytes: Uint8Array, offset: number): void {
    this.#countPage();
    const isZero = isZeroPage(bytes, offset);
    this.#record(isZero ? TOKEN.zeroPages : TOKEN.pages, wordHigh, wordLow, name);
    if (isZero) {
      this.counters.zeroPages += 1;
    } else {
      this.counters.rawPages += 1;
      this.#batch.set(bytes.subarray(offset, offset + PAGE_BYTES), this.#used);
      this.#used += PAGE_BYTES;
    }
    this.#logicalBytes += PAGE_BYTES;
    this.#sendIfFull();
  }

  zeroPage(wordHigh: number, wordLow: number, name: Uint8Array | null): void {
    this.#countPage();
    this.counters.zeroPages += 1;
    this.#record(TOKEN.zeroRecords, wordHigh, wordLow, name);
    this.#logicalBytes += 1;
    this.#sendIfFull();
  }

  roundBegin(): void {
    this.counters.rounds += 1;
    this.#digestDue = true;
  }

  sectionEnd(chunkOffset: number): void {
    this.counters.sections += 1;
    if (!this.#digestDue && !this.#isDigestOverdue()) return;
    this.#hashUpTo(chunkOffset);
    this.#sendDigest(false);
  }

  #isDigestOverdue(): boolean {
    return this.counters.guestBytes - this.#bytesAtDigest > DIGEST_INTERVAL_BYTES;
  }

  #countPage(): void {
    if (this.counters.rounds === 0) this.counters.rounds = 1;
    this.counters.pages += 1;
    this.#pageCount += 1;
  }

  /** Opens a run with this record, or lets the open one grow by it. */
  #record(kind: number, wordHigh: number, wordLow: number, name: Uint8Array | null): void {
    const continues =
      this.#openAt >= 0 &&
      this.#openKind === kind &&
      name === null &&
      wordHigh === this.#nextHigh &&
      wordLow === this.#nextLow;
    if (!continues) {
      if (name !== null) this.#putName(name);
      this.#open(kind, RUN_TOKEN_BYTES);
      putU32(this.#batch, this.#openAt + 1, wordHigh);
      putU32(this.#batch, this.#openAt + 5, wordLow);
    }
    this.#add(this.#openAt + 9, 1);
    this.#logicalBytes += 8;
    const low = wordLow + PAGE_BYTES;
    this.#nextHigh = low > 0xffffffff ? wordHigh + 1 : wordHigh;
    this.#nextLow = ((low >>> 0) | RAM_FLAG.continue) >>> 0;
  }

  #putName(name: Uint8Array): void {
    this.#batch[this.#used] = TOKEN.named;
    this.#batch[this.#used + 1] = name.length;
    this.#batch.set(name, this.#used + 2);
    this.#used += 2 + name.length;
    this.#logicalBytes += 1 + name.length;
  }

  #open(kind: number, headBytes: number): void {
    this.#openAt = this.#used;
    this.#openKind = kind;
    this.#batch.fill(0, this.#used, this.#used + headBytes);
    this.#batch[this.#used] = kind;
    this.#used += headBytes;
  }

  #add(at: number, count: number): void {
    putU32(this.#batch, at, getU32(this.#batch, at) + count);
  }

  #sendIfFull(): void {
    if (this.#used >= BATCH_PAYLOAD_BYTES + FRAME_HEADER_BYTES || this.#logicalBytes >= BATCH_LOGICAL_BYTES)
      this.#sendBatch();
  }

  #sendBatch(): void {
    this.#openAt = -1;
    if (this.#logicalBytes === 0) return;
    const isSmall = this.#used * 2 < this.#batch.length;
    const frame = isSmall ? this.#batch.slice(0, this.#used) : this.#batch.subarray(0, this.#used);
    const pageCount = this.#pageCount;
    const logicalBytes = this.#logicalBytes;
    if (!isSmall) this.#batch = newBatch();
    this.#used = FRAME_HEADER_BYTES;
    this.#logicalBytes = 0;
    this.#pageCount = 0;
    this.#send(this.writer.stamp(frame, FRAME_TYPE.data, { pageCount, logicalBytes }));
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
    const frame = new Uint8Array(FRAME_HEADER_BYTES + DIGEST_PAYLOAD_BYTES);
    const payload = new DataView(frame.buffer, FRAME_HEADER_BYTES);
    payload.setBigUint64(0, BigInt(this.#hashedBytes));
    payload.setUint8(8, isLast ? 1 : 0);
    payload.setUint32(9, this.counters.rounds);
    payload.setUint32(13, this.counters.sections);
    frame.set(digest, FRAME_HEADER_BYTES + DIGEST_HASH_OFFSET);
    this.#digestDue = false;
    this.#bytesAtDigest = this.counters.guestBytes;
    this.#send(this.writer.stamp(frame, FRAME_TYPE.digest));
    return digest.toString('hex');
  }

  #send(frame: Uint8Array): void {
    this.counters.wireBytes += frame.length;
    this.onFrame(frame);
  }
}

function newBatch(): Uint8Array {
  return new Uint8Array(FRAME_HEADER_BYTES + BATCH_PAYLOAD_BYTES + BATCH_SLACK_BYTES);
}

/** QEMU says most zero pages itself, so nearly every page ends this at its first bytes. */
function isZeroPage(bytes: Uint8Array, offset: number): boolean {
  if (bytes[offset] !== 0 || bytes[offset + PAGE_BYTES - 1] !== 0 || bytes[offset + (PAGE_BYTES >> 1)] !== 0)
    return false;
  return ZERO_PAGE.compare(bytes, offset, offset + PAGE_BYTES) === 0;
}
