import { availableCodecs, type CodecId } from './compression';
import { FrameReader, FrameWriter } from './frame';
import { frameOf } from './record-framing';
import { RecordPacker, RecordUnpacker } from './record-packer';
import { emptyMirror } from './reduction/page-mirror';
import { StreamDecoder } from './stream-decoder';
import { StreamEncoder, type StreamSummary } from './stream-encoder';

/** With no input for so long, what waits for a fuller batch is sent. */
const IDLE_MS = 5;
/** What is encoded before its frames are handed on, however long the chunks are. */
const PUSH_BYTES_MAX = 256 * 1024;
/** What may wait for compression before more is read. */
const WAITING_BYTES_MAX = 2 * 1024 * 1024;

export interface StreamPipeOptions {
  /** Number of this connection of the move, the same on both sides. */
  readonly epoch: number;
  /** The whole stream has passed; on the target also: its hash was compared and was equal. */
  readonly onEnd?: (summary: StreamSummary) => void;
}

export interface EncodePipeOptions extends StreamPipeOptions {
  /** Default: all that this process has. The target must have them, too. */
  readonly codecs?: readonly CodecId[];
  /** Pages that both sides keep, so that a page sent again costs what changed in it. Default 0. */
  readonly mirrorPagesMax?: number;
}

/** Turns a migration stream into frames, for a link that carries nothing else. Waits whenever its reader does. */
export async function* encodeStream(
  chunks: AsyncIterable<Uint8Array>,
  options: EncodePipeOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { mirrorPagesMax = 0, codecs = availableCodecs().map(({ id }) => id) } = options;
  const frames: Uint8Array[] = [];
  const writer = new FrameWriter(options.epoch);
  let failure: Error | null = null;
  const packer = new RecordPacker(
    (content) => frames.push(frameOf(writer, content)),
    (error) => (failure = error),
    { codecs },
  );
  const encoder = new StreamEncoder((record) => packer.push(record), {
    startMirror: (layout) =>
      mirrorPagesMax > 0 ? { mirror: emptyMirror(layout, mirrorPagesMax), generation: 0 } : null,
  });
  const settled = async (): Promise<Uint8Array[]> => {
    await packer.drained();
    if (failure) throw failure;
    return frames.splice(0);
  };
  try {
    for await (const chunk of withIdleMarks(chunks)) {
      if (chunk === null) encoder.flush();
      else
        for (let at = 0; at < chunk.length; at += PUSH_BYTES_MAX) {
          encoder.push(chunk.subarray(at, at + PUSH_BYTES_MAX));
          yield* packer.waitingBytes > WAITING_BYTES_MAX ? await settled() : frames.splice(0);
        }
      yield* await settled();
    }
    const summary = encoder.end();
    yield* await settled();
    options.onEnd?.(summary);
  } finally {
    packer.close();
  }
}

/**
 * Rebuilds the migration stream from the frames of `encodeStream`, one frame at a time. Throws `PageWireError` when
 * they do not hold, when hashes differ, and when the link ends before the stream did.
 */
export async function* decodeStream(
  chunks: AsyncIterable<Uint8Array>,
  options: StreamPipeOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const pieces: Uint8Array[] = [];
  let failure: Error | null = null;
  const decoder = new StreamDecoder((bytes) => pieces.push(bytes));
  const unpacker = new RecordUnpacker(
    (record) => decoder.apply(record),
    (error) => (failure = error),
  );
  const reader = new FrameReader(
    (frame) => {
      unpacker.push(frame);
      reader.pause();
    },
    { epoch: options.epoch },
  );
  try {
    for await (const chunk of chunks) {
      reader.push(chunk);
      while (reader.isPaused) {
        await unpacker.drained();
        if (failure) throw failure;
        yield* pieces.splice(0);
        reader.resume();
      }
    }
    reader.end();
    const summary = decoder.end();
    options.onEnd?.(summary);
  } finally {
    unpacker.close();
  }
}

/** The same chunks; null after each pause of IDLE_MS, twice at most between two chunks. */
async function* withIdleMarks(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array | null> {
  const iterator = chunks[Symbol.asyncIterator]();
  let isWaiting = false;
  try {
    for (;;) {
      const next = iterator.next();
      isWaiting = true;
      // Whoever leaves at a mark never looks at it again; its failure is then nobody's concern.
      next.catch(() => undefined);
      let result = await within(next, IDLE_MS);
      for (let marks = 0; result === null && marks < 2; marks += 1) {
        yield null;
        result = await within(next, IDLE_MS);
      }
      result ??= await next;
      isWaiting = false;
      if (result.done) return;
      yield result.value;
    }
  } finally {
    // Closes the source. With a read under way that takes effect after it, which may be never: not awaited.
    const closed = iterator.return?.();
    if (isWaiting) closed?.catch(() => undefined);
    else await closed;
  }
}

async function within<Value>(promise: Promise<Value>, milliseconds: number): Promise<Value | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, milliseconds, null);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
