import zlib from 'node:zlib';

import { zstdOfSystem } from './zstd-system';

/** What is needed of a library that does zstd. Calls overlap; each runs on libuv's thread pool. */
export interface ZstdLibrary {
  readonly name: string;
  compress(bytes: Buffer, level: number): Promise<Uint8Array>;
  /**
   * Only ever called with a frame that was checked against `rawBytes`. `into`, of that length, may take the result;
   * what is returned is where it stands.
   */
  decompress(bytes: Buffer, rawBytes: number, into?: Uint8Array): Promise<Uint8Array>;
}

/** Node's own, from 22.15 on; absent from the types of Node 20. */
interface ZlibWithZstd {
  zstdCompress(bytes: Uint8Array, options: ZstdOptions, done: ZstdDone): void;
  zstdDecompress(bytes: Uint8Array, options: ZstdOptions, done: ZstdDone): void;
  readonly constants: { readonly ZSTD_c_compressionLevel: number };
}
interface ZstdOptions {
  readonly params?: Readonly<Record<number, number>>;
  readonly chunkSize?: number;
  readonly maxOutputLength?: number;
}
type ZstdDone = (error: Error | null, result: Uint8Array) => void;

/** The package's classes keep nothing but their level, so one object serves calls that overlap. */
interface ZstdPackage {
  readonly Encoder: new (level: number) => { encode(bytes: Buffer): Promise<Buffer> };
  readonly Decoder: new () => { decode(bytes: Buffer): Promise<Buffer> };
}
const PACKAGE_NAME = '@toondepauw/node-zstd';

/** Below this zlib refuses the chunk size. */
const CHUNK_BYTES_MIN = 64;

/** The quickest that this Node can load; null when there is none. */
export function findZstdLibrary(): ZstdLibrary | null {
  return zstdOfSystem() ?? zstdOfNode() ?? zstdOfPackage();
}

export function zstdOfNode(candidate: object = zlib): ZstdLibrary | null {
  if (!isZlibWithZstd(candidate)) return null;
  return {
    name: `zstd of Node ${process.versions.node}`,
    compress: (bytes, level) =>
      new Promise((resolve, reject) => {
        const options = {
          params: { [candidate.constants.ZSTD_c_compressionLevel]: level },
          // Room for all of it, so that one turn on the thread pool does: ZSTD_COMPRESSBOUND, rounded up.
          chunkSize: bytes.length + (bytes.length >> 7) + 1_024,
        };
        candidate.zstdCompress(bytes, options, (error, result) => (error ? reject(error) : resolve(result)));
      }),
    decompress: (bytes, rawBytes) =>
      new Promise((resolve, reject) => {
        const options = {
          chunkSize: Math.max(rawBytes, CHUNK_BYTES_MIN),
          maxOutputLength: Math.max(rawBytes, 1),
        };
        candidate.zstdDecompress(bytes, options, (error, result) =>
          error ? reject(error) : resolve(result),
        );
      }),
  };
}

export function zstdOfPackage(load: (name: string) => unknown = require): ZstdLibrary | null {
  let library: unknown;
  try {
    library = load(PACKAGE_NAME);
  } catch {
    // An optional dependency: not there for this machine, or not for its C library.
    return null;
  }
  if (!isZstdPackage(library)) return null;
  const { Encoder, Decoder } = library;
  const encoders = new Map<number, InstanceType<ZstdPackage['Encoder']>>();
  const decoder = new Decoder();
  return {
    name: PACKAGE_NAME,
    compress: (bytes, level) => {
      let encoder = encoders.get(level);
      if (!encoder) encoders.set(level, (encoder = new Encoder(level)));
      return encoder.encode(bytes);
    },
    decompress: (bytes) => decoder.decode(bytes),
  };
}

function isZlibWithZstd(candidate: object): candidate is ZlibWithZstd {
  const { zstdCompress, zstdDecompress, constants } = candidate as Partial<ZlibWithZstd>;
  return (
    typeof zstdCompress === 'function' &&
    typeof zstdDecompress === 'function' &&
    typeof constants?.ZSTD_c_compressionLevel === 'number'
  );
}

function isZstdPackage(candidate: unknown): candidate is ZstdPackage {
  const { Encoder, Decoder } = (candidate ?? {}) as Partial<ZstdPackage>;
  return typeof Encoder === 'function' && typeof Decoder === 'function';
}
