import { FrameReader, FrameWriter } from '../frame';
import { contentOf, frameOf, storedRecordOf } from '../record-framing';
import { emptyMirror } from '../reduction/page-mirror';
import { StreamDecoder } from '../stream-decoder';
import { StreamEncoder, type StreamEncoderOptions, type StreamSummary } from '../stream-encoder';

export const EPOCH = 7;

export interface Encoded {
  readonly frames: Uint8Array[];
  readonly summary: StreamSummary;
  readonly passThroughReason: string | null;
}

/** Both ends keep so many pages, beginning with none. */
export function keeping(pagesMax: number): StreamEncoderOptions {
  return { startMirror: (layout) => ({ mirror: emptyMirror(layout, pagesMax), generation: 0 }) };
}

/** Encodes a stream that comes cut at the offsets, without compression. */
export function encode(
  bytes: Uint8Array,
  cuts: readonly number[] = [],
  options: StreamEncoderOptions = {},
): Encoded {
  const frames: Uint8Array[] = [];
  const writer = new FrameWriter(EPOCH);
  const encoder = new StreamEncoder((record) => frames.push(frameOf(writer, contentOf(record))), options);
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    encoder.push(bytes.subarray(from, cut));
    from = cut;
  }
  const summary = encoder.end();
  return { frames, summary, passThroughReason: encoder.passThroughReason };
}

export interface Decoded {
  readonly bytes: Buffer;
  readonly summary: StreamSummary;
}

/** Decodes link bytes that come cut at the offsets. Throws what the reader, the decoder or the end throws. */
export function decode(link: Uint8Array, cuts: readonly number[] = []): Decoded {
  const pieces: Uint8Array[] = [];
  const decoder = new StreamDecoder((bytes) => pieces.push(bytes));
  const reader = new FrameReader((frame) => decoder.apply(storedRecordOf(frame)), { epoch: EPOCH });
  let from = 0;
  for (const cut of [...cuts, link.length]) {
    reader.push(link.subarray(from, cut));
    from = cut;
  }
  reader.end();
  return { summary: decoder.end(), bytes: Buffer.concat(pieces) };
}
