import { createHash } from 'node:crypto';

import { emptyCounters, type StreamCounters } from './counters';
import { PageWireError } from './errors';
import { FRAME_LOGICAL_BYTES_MAX } from './frame';
import { decodeLayout, type LayoutNote } from './reduction/page-layout';
import { emptyMirror, MIRROR_PAGES_DEFAULT, type PageMirror } from './reduction/page-mirror';
import type { Slabs } from './slabs';
import type { StreamSummary } from './stream-encoder';
import { StreamRebuilder } from './stream-rebuilder';
import type { StreamRecord } from './stream-record';
import { DIGEST_HASH_OFFSET, DIGEST_PAYLOAD_BYTES } from './tokens';

export interface StreamDecoderOptions {
  /** Pages that this side is ready to keep; a source that wants more is refused. Default: MIRROR_PAGES_DEFAULT. */
  readonly mirrorPagesMax?: number;
  /** Pages that the guest may have, RAM of its devices included; bounds tables. Default: 2^24, which are 64 GiB. */
  readonly layoutPagesMax?: number;
  /**
   * The mirror to begin with when the source names a generation other than 0; null when this side does not hold that,
   * which refuses the stream.
   */
  readonly startMirror?: (note: LayoutNote) => PageMirror | null;
  /** Memory for the pieces of the stream, which whoever takes them gives back there. */
  readonly slabs?: Slabs;
}

const LAYOUT_PAGES_DEFAULT = 2 ** 24;

/**
 * Rebuilds the migration stream from its records, byte by byte, and compares hashes whenever the encoder sends one.
 * Records are hostile input: `apply` throws `PageWireError` on the first that does not hold, and nothing of it has
 * reached `onBytes`. Set-aside memory is bounded by FRAME_LOGICAL_BYTES_MAX and what the mirror may hold.
 */
export class StreamDecoder {
  readonly counters: StreamCounters = emptyCounters();
  readonly #hash = createHash('sha256');
  #rebuilder: StreamRebuilder;
  #mirror: PageMirror | null = null;
  #note: LayoutNote | null = null;
  #summary: StreamSummary | null = null;
  #failure: { error: unknown } | null = null;

  /** `onBytes` gets buffers of its own. */
  constructor(
    private readonly onBytes: (bytes: Uint8Array) => void,
    private readonly options: StreamDecoderOptions = {},
  ) {
    this.#rebuilder = new StreamRebuilder(null, null, options.slabs);
  }

  /** Set once the encoder's last hash has been compared and was equal. */
  get summary(): StreamSummary | null {
    return this.#summary;
  }

  /** The pages that came, as the encoder believes them to be here; null while nothing is kept. */
  get mirror(): PageMirror | null {
    return this.#mirror;
  }

  /** Takes the next record. Once it has thrown, it throws the same again. */
  apply(record: StreamRecord): void {
    if (this.#failure) throw this.#failure.error;
    try {
      this.#apply(record);
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

  #apply(record: StreamRecord): void {
    if (this.#summary)
      throw new PageWireError('STREAM_ENDED', 'Frames came after the last hash of the stream.');
    if (record.kind !== 'data')
      return record.kind === 'layout' ? this.#begin(record.payload) : this.#compare(record.payload);
    const generation = this.#note?.generation ?? 0;
    if (record.baseGeneration !== generation)
      throw new PageWireError(
        'FRAME_BASE_UNKNOWN',
        `A frame builds on history ${record.baseGeneration}, and ${generation} was agreed on.`,
      );
    if (record.logicalBytes > FRAME_LOGICAL_BYTES_MAX)
      throw new PageWireError(
        'FRAME_TOO_LONG',
        `A frame claims ${record.logicalBytes} bytes of stream; refused.`,
      );
    const bytes = this.#rebuilder.rebuild(record.sections, record.logicalBytes, this.counters);
    this.#hash.update(bytes);
    this.counters.guestBytes += bytes.length;
    if (bytes.length > 0) this.onBytes(bytes);
  }

  #begin(payload: Uint8Array): void {
    if (this.#note)
      throw new PageWireError(
        'LAYOUT_INVALID',
        "The guest's memory was described twice. The move must be given up.",
      );
    const note = decodeLayout(payload);
    this.#note = note;
    this.#mirror = this.#startMirror(note);
    this.#rebuilder = new StreamRebuilder(note.layout, this.#mirror, this.options.slabs);
  }

  #startMirror(note: LayoutNote): PageMirror | null {
    const { generation, layout, mirrorPagesMax } = note;
    const allowed = this.options.mirrorPagesMax ?? MIRROR_PAGES_DEFAULT;
    if (mirrorPagesMax > allowed)
      throw new PageWireError(
        'LAYOUT_TOO_LARGE',
        `The source wants ${mirrorPagesMax} pages kept and this side keeps ${allowed} at most. Lower the source's limit.`,
      );
    const layoutPagesMax = this.options.layoutPagesMax ?? LAYOUT_PAGES_DEFAULT;
    if (layout.pageCount > layoutPagesMax)
      throw new PageWireError(
        'LAYOUT_TOO_LARGE',
        `The source speaks of ${layout.pageCount} pages and this side expects ${layoutPagesMax} at most.`,
      );
    if (generation === 0) return mirrorPagesMax === 0 ? null : emptyMirror(layout, mirrorPagesMax);
    const mirror = this.options.startMirror?.(note) ?? null;
    if (mirror?.pagesMax !== mirrorPagesMax || !mirror.layout.equals(layout))
      throw new PageWireError(
        'FRAME_BASE_UNKNOWN',
        `The source builds on history ${generation}, which this side does not hold. Begin the move again without history.`,
      );
    return mirror;
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
