import { createHash } from 'node:crypto';

import { getU32, putU32 } from './big-endian';
import { emptyCounters, type StreamCounters } from './counters';
import { PageWireError } from './errors';
import { type Frame, FRAME_HEADER_BYTES, FRAME_LOGICAL_BYTES_MAX, FRAME_TYPE } from './frame';
import { PAGE_BYTES, RAM_FLAG } from './qemu-stream';
import type { StreamSummary } from './stream-encoder';
import {
  DIGEST_HASH_OFFSET,
  DIGEST_PAYLOAD_BYTES,
  OPAQUE_TOKEN_BYTES,
  RUN_TOKEN_BYTES,
  TOKEN,
} from './tokens';

/**
 * Rebuilds the migration stream from its frames, byte by byte, and compares hashes whenever the encoder sends one.
 * Frames are hostile input: `apply` throws `PageWireError` on the first that does not hold, and nothing of that
 * frame has reached `onBytes`. Set-aside memory is bounded by FRAME_LOGICAL_BYTES_MAX.
 */
export class StreamDecoder {
  readonly counters: StreamCounters = emptyCounters();
  readonly #hash = createHash('sha256');
  #summary: StreamSummary | null = null;
  #failure: { error: unknown } | null = null;

  /** `onBytes` gets buffers of its own. */
  constructor(private readonly onBytes: (bytes: Uint8Array) => void) {}

  /** Set once the encoder's last hash has been compared and was equal. */
  get summary(): StreamSummary | null {
    return this.#summary;
  }

  /** Takes a data or digest frame, in sequence. Once it has thrown, it throws the same again. */
  apply(frame: Frame): void {
    if (this.#failure) throw this.#failure.error;
    try {
      this.#apply(frame);
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
  }

  /** The link is closed. Throws STREAM_TRUNCATED when the last hash had not come. */
  end(): StreamSummary {
    if (this.#failure) throw this.#failure.error;
    if (this.#summary) return this.#summary;
    throw new PageWireError(
      'STREAM_TRUNCATED',
      `The stream was cut after ${this.counters.guestBytes} bytes, before its last hash. The move must be given up.`,
    );
  }

  #apply(frame: Frame): void {
    if (this.#summary)
      throw new PageWireError('STREAM_ENDED', 'Frames came after the last hash of the stream.');
    if (frame.type !== FRAME_TYPE.data && frame.type !== FRAME_TYPE.digest)
      throw new PageWireError('FRAME_TYPE_UNKNOWN', `A frame of type ${frame.type} is no part of a stream.`);
    if (frame.baseGeneration !== 0)
      throw new PageWireError(
        'FRAME_BASE_UNKNOWN',
        `A frame builds on history ${frame.baseGeneration}, which this side does not hold.`,
      );
    if (frame.logicalBytes > FRAME_LOGICAL_BYTES_MAX)
      throw new PageWireError(
        'FRAME_TOO_LONG',
        `A frame claims ${frame.logicalBytes} bytes of stream; refused.`,
      );
    this.counters.wireBytes += FRAME_HEADER_BYTES + frame.payload.length;
    if (frame.type === FRAME_TYPE.data) this.#rebuild(frame);
    else this.#compare(frame.payload);
  }

  #rebuild(frame: Frame): void {
    const bytes = new Uint8Array(frame.logicalBytes);
    const tokens = new TokenReader(frame.payload, bytes);
    tokens.readAll();
    this.#hash.update(bytes);
    this.counters.guestBytes += bytes.length;
    this.counters.pages += tokens.pages;
    this.counters.zeroPages += tokens.zeroPages;
    this.counters.rawPages += tokens.pages - tokens.zeroPages;
    if (bytes.length > 0) this.onBytes(bytes);
  }

  #compare(payload: Uint8Array): void {
    if (payload.length !== DIGEST_PAYLOAD_BYTES || payload[8]! > 1)
      throw new PageWireError('TOKEN_INVALID', 'A hash of the stream has another form than agreed.');
    const view = new DataView(payload.buffer, payload.byteOffset);
    const digest = this.#hash.copy().digest();
    const isSame = Buffer.compare(digest, payload.subarray(DIGEST_HASH_OFFSET)) === 0;
    if (!isSame || view.getBigUint64(0) !== BigInt(this.counters.guestBytes))
      throw new PageWireError(
        'STREAM_DIFFERS',
        `After ${this.counters.guestBytes} bytes the rebuilt stream differs from the source's. The move must be given up.`,
      );
    this.counters.rounds = view.getUint32(9);
    this.counters.sections = view.getUint32(13);
    if (payload[8] === 1) this.#summary = { ...this.counters, sha256: digest.toString('hex') };
  }
}

/** Expands the tokens of one frame into a buffer whose length the frame promised. */
class TokenReader {
  pages = 0;
  zeroPages = 0;
  #at = 0;
  #written = 0;
  #name: Uint8Array | null = null;

  constructor(
    private readonly payload: Uint8Array,
    private readonly into: Uint8Array,
  ) {}

  readAll(): void {
    while (this.#at < this.payload.length) this.#readToken();
    if (this.#name !== null || this.#written !== this.into.length)
      throw invalid('it rebuilds to less than it says');
  }

  #readToken(): void {
    const { payload } = this;
    const kind = payload[this.#at]!;
    if (kind === TOKEN.named) {
      this.#need(2);
      const length = payload[this.#at + 1]!;
      this.#need(2 + length);
      if (length === 0 || this.#name !== null) throw invalid('a block name stands where none may');
      this.#name = payload.subarray(this.#at + 2, this.#at + 2 + length);
      this.#at += 2 + length;
      return;
    }
    if (kind === TOKEN.opaque) {
      this.#need(OPAQUE_TOKEN_BYTES);
      if (this.#name !== null) throw invalid('a block name stands where none may');
      const length = getU32(payload, this.#at + 1);
      this.#at += OPAQUE_TOKEN_BYTES;
      this.#need(length);
      this.#write(payload.subarray(this.#at, this.#at + length));
      this.#at += length;
      return;
    }
    if (kind !== TOKEN.pages && kind !== TOKEN.zeroRecords && kind !== TOKEN.zeroPages)
      throw invalid(`token ${kind} is unknown`);
    this.#need(RUN_TOKEN_BYTES);
    const high = getU32(payload, this.#at + 1);
    const low = getU32(payload, this.#at + 5);
    const count = getU32(payload, this.#at + 9);
    this.#at += RUN_TOKEN_BYTES;
    this.#readRun(kind, high, low, count);
  }

  #readRun(kind: number, firstHigh: number, firstLow: number, count: number): void {
    const contentBytes = kind === TOKEN.zeroRecords ? 1 : PAGE_BYTES;
    const nameBytes = this.#name === null ? 0 : 1 + this.#name.length;
    // Checked as a whole, so that the loop below cannot be made long: both sides of it are bounded.
    if (count === 0 || this.#written + nameBytes + count * (8 + contentBytes) > this.into.length)
      throw invalid('a run is longer than the frame');
    if (kind === TOKEN.pages) this.#need(count * PAGE_BYTES);
    let high = firstHigh;
    let low = firstLow;
    for (let index = 0; index < count; index += 1) {
      putU32(this.into, this.#written, high);
      putU32(this.into, this.#written + 4, low);
      this.#written += 8;
      if (index === 0) this.#writeName();
      if (kind === TOKEN.pages) {
        this.into.set(this.payload.subarray(this.#at, this.#at + PAGE_BYTES), this.#written);
        this.#at += PAGE_BYTES;
      }
      // Zeros need no writing: the buffer came zeroed.
      this.#written += contentBytes;
      const nextLow = low + PAGE_BYTES;
      if (nextLow > 0xffffffff) high = (high + 1) >>> 0;
      low = ((nextLow >>> 0) | RAM_FLAG.continue) >>> 0;
    }
    this.pages += count;
    if (kind !== TOKEN.pages) this.zeroPages += count;
  }

  #writeName(): void {
    if (this.#name === null) return;
    this.into[this.#written] = this.#name.length;
    this.into.set(this.#name, this.#written + 1);
    this.#written += 1 + this.#name.length;
    this.#name = null;
  }

  #write(bytes: Uint8Array): void {
    if (this.#written + bytes.length > this.into.length) throw invalid('it rebuilds to more than it says');
    this.into.set(bytes, this.#written);
    this.#written += bytes.length;
  }

  #need(bytes: number): void {
    if (this.#at + bytes > this.payload.length) throw invalid('a token is cut short');
  }
}

function invalid(why: string): PageWireError {
  return new PageWireError(
    'TOKEN_INVALID',
    `A data frame cannot be rebuilt: ${why}. The move must be given up.`,
  );
}
