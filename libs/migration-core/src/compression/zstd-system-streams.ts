import { Slabs } from '../slabs';
import { type CompressedBatch } from './codec';
import { finished, openSystemZstd, type ZstdCalls } from './zstd-calls';
import { ZSTD_WINDOW_LOG_MAX, type ZstdStreamParameters, type ZstdStreams } from './zstd-stream-codec';

/** `ZSTD_cParameter` in zstd.h. */
const PARAMETER = { level: 100, windowLog: 101, hashLog: 102, chainLog: 103, longDistance: 160 } as const;
/** `ZSTD_d_windowLogMax`. */
const WINDOW_LOG_LIMIT = 100;
/** `ZSTD_EndDirective`. */
const DIRECTIVE = { flush: 1, end: 2 } as const;
/** `ZSTD_reset_session_and_parameters`. */
const RESET_ALL = 3;
/** For the end of one frame and the head of the next. */
const FRAME_ENDS_BYTES = 64;
/** A batch holds what is left of a frame, and of another after it. */
const FRAMES_MAX = 2;

/** Contexts whose owner was forgotten without a word: their memory is not the collector's. */
const forgotten = new FinalizationRegistry((free: () => void) => free());

/** Streams of the zstd that the system has; null where there is none. */
export function zstdStreamsOfSystem(calls = openSystemZstd()): ZstdStreams | null {
  if (calls === null) return null;
  const slabs = new Slabs();
  return {
    name: calls.name,
    compressor: () => new SystemCompressor(calls, slabs),
    decompressor: () => new SystemDecompressor(calls),
  };
}

class SystemCompressor {
  readonly #context: unknown;
  readonly #free: () => void;
  #parameters: ZstdStreamParameters | null = null;

  constructor(
    private readonly calls: ZstdCalls,
    private readonly slabs: Slabs,
  ) {
    this.#context = contextOf(calls.createCompressor());
    this.#free = once(calls.freeCompressor, this.#context);
    forgotten.register(this, this.#free, this);
  }

  async compress(bytes: Uint8Array, parameters: ZstdStreamParameters): Promise<CompressedBatch> {
    const { calls, slabs } = this;
    const room = slabs.take(Number(calls.compressBound(bytes.length)) + FRAME_ENDS_BYTES);
    try {
      const output = new Positions(calls, room);
      const input = new Positions(calls, bytes);
      const beganMs = performance.now();
      if (this.#parameters !== parameters) {
        if (this.#parameters !== null)
          await this.#run(output, new Positions(calls, bytes.subarray(0, 0)), DIRECTIVE.end);
        this.#apply(parameters);
      }
      await this.#run(output, input, DIRECTIVE.flush);
      if (input.at !== bytes.length) throw new Error('it took only a part of the batch');
      return { bytes: room.slice(0, output.at), busyMs: performance.now() - beganMs };
    } finally {
      slabs.give(room);
    }
  }

  close(): void {
    forgotten.unregister(this);
    this.#free();
  }

  #apply(parameters: ZstdStreamParameters): void {
    const { calls } = this;
    calls.succeed(Number(calls.resetCompressor(this.#context, RESET_ALL)));
    for (const [name, value] of Object.entries(parameters))
      calls.succeed(
        Number(calls.setParameter(this.#context, PARAMETER[name as keyof ZstdStreamParameters], value)),
      );
    this.#parameters = parameters;
  }

  async #run(output: Positions, input: Positions, directive: number): Promise<void> {
    const { calls } = this;
    const left = calls.succeed(
      await finished(calls.compressOn, this.#context, output.memory, input.memory, directive),
    );
    if (left > 0) throw new Error(`${left} bytes found no room`);
  }
}

class SystemDecompressor {
  readonly #context: unknown;
  readonly #free: () => void;

  constructor(private readonly calls: ZstdCalls) {
    this.#context = contextOf(calls.createDecompressor());
    this.#free = once(calls.freeDecompressor, this.#context);
    forgotten.register(this, this.#free, this);
    calls.succeed(Number(calls.setLimit(this.#context, WINDOW_LOG_LIMIT, ZSTD_WINDOW_LOG_MAX)));
  }

  async decompress(bytes: Uint8Array, into: Uint8Array): Promise<number> {
    const { calls } = this;
    const output = new Positions(calls, into);
    const input = new Positions(calls, bytes);
    // A call stops where a frame ends.
    for (let frames = 0; frames < FRAMES_MAX && input.at < bytes.length; frames += 1)
      calls.succeed(await finished(calls.decompressOn, this.#context, output.memory, input.memory));
    if (input.at < bytes.length || this.#holdsMore()) throw new Error('it holds more than was announced');
    return output.at;
  }

  /** Of a block that was decoded to its end, what found no room waits in the context, and would come next time. */
  #holdsMore(): boolean {
    const { calls } = this;
    const output = new Positions(calls, new Uint8Array(1));
    const input = new Positions(calls, new Uint8Array(0));
    calls.succeed(Number(calls.decompressOn(this.#context, output.memory, input.memory)));
    return output.at > 0;
  }

  close(): void {
    forgotten.unregister(this);
    this.#free();
  }
}

/**
 * `ZSTD_inBuffer` and `ZSTD_outBuffer` of zstd.h: an address, a length, and how far it got; 64 bits each. Holds on to
 * the bytes, whose address it gave away.
 */
class Positions {
  readonly #words: BigUint64Array;
  readonly memory: Uint8Array;

  constructor(
    calls: ZstdCalls,
    readonly bytes: Uint8Array,
  ) {
    // A short array lives where the collector moves things about, until somebody asks for its buffer.
    const isStill = bytes.buffer.byteLength > 0;
    const address = isStill ? calls.addressOf(bytes) : 0n;
    this.#words = BigUint64Array.of(address, BigInt(bytes.length), 0n);
    this.memory = new Uint8Array(this.#words.buffer);
  }

  get at(): number {
    return Number(this.#words[2]!);
  }
}

function contextOf(created: unknown): unknown {
  if (!created) throw new Error('there is no memory for a context');
  return created;
}

function once(free: ZstdCalls['freeCompressor'], context: unknown): () => void {
  let isFreed = false;
  return () => {
    if (!isFreed) free(context);
    isFreed = true;
  };
}
