import { Slabs } from '../slabs';
import type { ZstdLibrary } from './zstd-library';

/** The part of koffi that is used: calls into shared libraries, on the thread pool. */
interface ForeignCalls {
  load(library: string): { func(prototype: string): ForeignFunction };
}
interface ForeignFunction {
  (...given: readonly unknown[]): unknown;
  async(...given: readonly unknown[]): void;
}

const PACKAGE_NAME = 'koffi';
/** Debian, Red Hat and SUSE families name it so; dpkg and rpm themselves need it. */
const LIBRARY_NAME = 'libzstd.so.1';
/** 1.4.0: the interface with parameters became stable. */
const VERSION_MIN = 10_400;
/** `ZSTD_c_compressionLevel` in zstd.h. */
const LEVEL_PARAMETER = 100;

/**
 * The zstd that the system has. Faster than libraries that make a context for every call: its tables are megabytes of
 * fresh memory, and a batch is half of one. null where there is none.
 */
export function zstdOfSystem(load: (name: string) => unknown = require): ZstdLibrary | null {
  let calls: ZstdCalls;
  try {
    calls = callsOf((load(PACKAGE_NAME) as ForeignCalls).load(LIBRARY_NAME));
  } catch {
    // An optional dependency, and a system that may have none of it.
    return null;
  }
  const version = Number(calls.version());
  if (version < VERSION_MIN) return null;
  const compressors = new Contexts(() => calls.createCompressor());
  const decompressors = new Contexts(() => calls.createDecompressor());
  const slabs = new Slabs();
  const succeed = (result: number): number => {
    if (result < 0) throw new Error(String(calls.errorName(result)));
    return result;
  };
  return {
    name: `zstd ${Math.floor(version / 10_000)}.${Math.floor(version / 100) % 100}.${version % 100} of the system`,
    compress: (bytes, level) =>
      compressors.with(async (context) => {
        succeed(Number(calls.setParameter(context, LEVEL_PARAMETER, level)));
        const room = slabs.take(Number(calls.compressBound(bytes.length)));
        try {
          const length = succeed(
            await finished(calls.compress, context, room, room.length, bytes, bytes.length),
          );
          return room.slice(0, length);
        } finally {
          slabs.give(room);
        }
      }),
    decompress: (bytes, rawBytes, into = new Uint8Array(rawBytes)) =>
      decompressors.with(async (context) => {
        const length = succeed(
          await finished(calls.decompress, context, into, into.length, bytes, bytes.length),
        );
        return into.subarray(0, length);
      }),
  };
}

type ZstdCalls = ReturnType<typeof callsOf>;

/**
 * As zstd.h declares them, but for `size_t` where it may be an error's number: those count down from 2^64, which a
 * signed type shows as what they are.
 */
function callsOf(library: ReturnType<ForeignCalls['load']>) {
  return {
    version: library.func('unsigned int ZSTD_versionNumber()'),
    errorName: library.func('const char *ZSTD_getErrorName(int64_t code)'),
    compressBound: library.func('size_t ZSTD_compressBound(size_t bytes)'),
    createCompressor: library.func('void *ZSTD_createCCtx()'),
    createDecompressor: library.func('void *ZSTD_createDCtx()'),
    setParameter: library.func('int64_t ZSTD_CCtx_setParameter(void *context, int parameter, int value)'),
    compress: library.func(
      'int64_t ZSTD_compress2(void *context, void *into, size_t room, void *bytes, size_t length)',
    ),
    decompress: library.func(
      'int64_t ZSTD_decompressDCtx(void *context, void *into, size_t room, void *bytes, size_t length)',
    ),
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

/** On the thread pool. What is given must stay where it is until then, which the callers' references see to. */
function finished(call: ForeignFunction, ...given: readonly unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    call.async(...given, (error: Error | null, result: unknown) => {
      if (error) reject(error);
      else resolve(Number(result));
    });
  });
}
