import { Slabs } from '../slabs';
import { finished, openSystemZstd } from './zstd-calls';
import type { ZstdLibrary } from './zstd-library';

/** `ZSTD_c_compressionLevel` in zstd.h. */
const LEVEL_PARAMETER = 100;

/**
 * The zstd that the system has. Faster than libraries that make a context for every call: its tables are megabytes of
 * fresh memory, and a batch is half of one. null where there is none.
 */
export function zstdOfSystem(calls = openSystemZstd()): ZstdLibrary | null {
  if (calls === null) return null;
  const compressors = new Contexts(() => calls.createCompressor());
  const decompressors = new Contexts(() => calls.createDecompressor());
  const slabs = new Slabs();
  return {
    name: calls.name,
    compress: (bytes, level) =>
      compressors.with(async (context) => {
        calls.succeed(Number(calls.setParameter(context, LEVEL_PARAMETER, level)));
        const room = slabs.take(Number(calls.compressBound(bytes.length)));
        try {
          const length = calls.succeed(
            await finished(calls.compress, context, room, room.length, bytes, bytes.length),
          );
          return room.slice(0, length);
        } finally {
          slabs.give(room);
        }
      }),
    decompress: (bytes, rawBytes, into = new Uint8Array(rawBytes)) =>
      decompressors.with(async (context) => {
        const length = calls.succeed(
          await finished(calls.decompress, context, into, into.length, bytes, bytes.length),
        );
        return into.subarray(0, length);
      }),
  };
}

/** One for each call under way; as many are kept as were ever under way at once, which their callers bound. */
class Contexts {
  readonly #idle: unknown[] = [];

  constructor(private readonly create: () => unknown) {}

  async with<Result>(work: (context: unknown) => Promise<Result>): Promise<Result> {
    const context = this.#idle.pop() ?? this.create();
    if (!context) throw new Error('there is no memory for a context');
    try {
      return await work(context);
    } finally {
      this.#idle.push(context);
    }
  }
}
