/** The part of koffi that is used: calls into shared libraries, on the thread pool. */
interface ForeignCalls {
  load(library: string): { func(prototype: string): ForeignFunction };
  address(bytes: Uint8Array): bigint;
}
export interface ForeignFunction {
  (...given: readonly unknown[]): unknown;
  async(...given: readonly unknown[]): void;
}

const PACKAGE_NAME = 'koffi';
/** Debian, Red Hat and SUSE families name it so; dpkg and rpm themselves need it. */
const LIBRARY_NAME = 'libzstd.so.1';
/** 1.4.0: the interface with parameters became stable. */
const VERSION_MIN = 10_400;

export type ZstdCalls = NonNullable<ReturnType<typeof openSystemZstd>>;

/**
 * The system's libzstd, or null where there is none: the package is an optional dependency, and a system may be
 * without the library.
 */
export function openSystemZstd(load: (name: string) => unknown = require) {
  let calls: ReturnType<typeof callsOf>;
  let foreign: ForeignCalls;
  try {
    foreign = load(PACKAGE_NAME) as ForeignCalls;
    calls = callsOf(foreign.load(LIBRARY_NAME));
  } catch {
    return null;
  }
  const version = Number(calls.version());
  if (version < VERSION_MIN) return null;
  return {
    ...calls,
    name: `zstd ${Math.floor(version / 10_000)}.${Math.floor(version / 100) % 100}.${version % 100} of the system`,
    addressOf: (bytes: Uint8Array): bigint => BigInt(foreign.address(bytes)),
    /** The result, unless it is the number of an error, which is thrown. */
    succeed(result: number): number {
      if (result < 0) throw new Error(String(calls.errorName(result)));
      return result;
    },
  };
}

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
    freeCompressor: library.func('int64_t ZSTD_freeCCtx(void *context)'),
    freeDecompressor: library.func('int64_t ZSTD_freeDCtx(void *context)'),
    setParameter: library.func('int64_t ZSTD_CCtx_setParameter(void *context, int parameter, int value)'),
    setLimit: library.func('int64_t ZSTD_DCtx_setParameter(void *context, int parameter, int value)'),
    resetCompressor: library.func('int64_t ZSTD_CCtx_reset(void *context, int what)'),
    compress: library.func(
      'int64_t ZSTD_compress2(void *context, void *into, size_t room, void *bytes, size_t length)',
    ),
    decompress: library.func(
      'int64_t ZSTD_decompressDCtx(void *context, void *into, size_t room, void *bytes, size_t length)',
    ),
    compressOn: library.func(
      'int64_t ZSTD_compressStream2(void *context, void *output, void *input, int directive)',
    ),
    decompressOn: library.func('int64_t ZSTD_decompressStream(void *context, void *output, void *input)'),
  };
}

/** On the thread pool. What is given must stay where it is until then, which the callers' references see to. */
export function finished(call: ForeignFunction, ...given: readonly unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    call.async(...given, (error: Error | null, result: unknown) => {
      if (error) reject(error);
      else resolve(Number(result));
    });
  });
}
