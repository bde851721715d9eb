import { gunzipSync, inflateRawSync } from 'node:zlib';
import type { HostTools } from '@watari/host-tools';
import { lz4End, zstdEnd } from './compressed-length';
import { type CpioEntry, isCpioAt, readCpio } from './cpio';
import { unpackLz4 } from './lz4';

export type Compression = 'none' | 'gzip' | 'zstd' | 'xz' | 'lz4';

export interface Initramfs {
  /** Of its main part; early microcode parts are never compressed. */
  readonly compression: Compression;
  /** Members of all parts; a later one takes the place of an earlier one, as at boot. */
  readonly files: ReadonlyMap<string, CpioEntry>;
  /** What made it, and so how it takes modules to load; undefined for one that is made in another way. */
  readonly maker: 'initramfs-tools' | 'dracut' | undefined;
}

const UNPACKED_BYTES_MAX = 768 * 1024 * 1024;
const PARTS_MAX = 32;
const UNPACK_TIMEOUT_MS = 120_000;
const [GZIP_HEAD_SUM, GZIP_EXTRA, GZIP_NAME, GZIP_COMMENT] = [2, 4, 8, 16] as const;

/** Unpacks an initramfs in memory. Undefined where it is broken or of a compression that is not known here. */
export async function readInitramfs(
  image: Buffer,
  tools: HostTools,
  signal?: AbortSignal,
): Promise<Initramfs | undefined> {
  const files = new Map<string, CpioEntry>();
  let compression: Compression = 'none';
  let at = 0;
  for (let part = 0; part < PARTS_MAX; part++) {
    while (at < image.length && image[at] === 0) at += 1;
    if (at >= image.length) return { compression, files, maker: makerOf(files) };
    if (isCpioAt(image, at)) {
      const { entries, end } = readCpio(image, at);
      if (end <= at) return undefined;
      for (const entry of entries) files.set(entry.path, entry);
      at = end;
      continue;
    }
    const unpacked = await unpack(image, at, tools, signal);
    if (!unpacked) return undefined;
    compression = unpacked.compression;
    // What was packed together holds one archive, sometimes more.
    for (let inner = 0; inner < unpacked.content.length;) {
      const { entries, end } = readCpio(unpacked.content, inner);
      for (const entry of entries) files.set(entry.path, entry);
      if (end <= inner) return undefined;
      inner = end;
      while (inner < unpacked.content.length && unpacked.content[inner] === 0) inner += 1;
      if (!isCpioAt(unpacked.content, inner)) break;
    }
    at = unpacked.end;
  }
  return undefined;
}

interface Unpacked {
  readonly compression: Compression;
  readonly content: Buffer;
  readonly end: number;
}

async function unpack(
  image: Buffer,
  start: number,
  tools: HostTools,
  signal: AbortSignal | undefined,
): Promise<Unpacked | undefined> {
  const compression = compressionAt(image, start);
  const limits = { timeoutMs: UNPACK_TIMEOUT_MS, stdoutBytesMax: UNPACKED_BYTES_MAX, signal };
  try {
    switch (compression) {
      case 'gzip':
        return unpackGzip(image, start);
      case 'zstd': {
        const end = zstdEnd(image, start);
        if (end === undefined) return undefined;
        const stdin = image.subarray(start, end);
        const { stdout } = await tools.run('zstd', ['-d', '-c', '-q'], { ...limits, stdin });
        return { compression, content: stdout, end };
      }
      case 'xz': {
        const stdin = image.subarray(start);
        const { stdout } = await tools.run('xz', ['-d', '-c', '-q', '--single-stream'], { ...limits, stdin });
        return { compression, content: stdout, end: xzEnd(image, start) };
      }
      case 'lz4': {
        const end = lz4End(image, start);
        if (end === undefined) return undefined;
        return { compression, content: unpackLz4(image, start, end, UNPACKED_BYTES_MAX), end };
      }
      default:
        return undefined;
    }
  } catch (error) {
    // A missing program or a cancelled run is no property of the initramfs.
    if (signal?.aborted || !isBroken(error)) throw error;
    return undefined;
  }
}

function unpackGzip(image: Buffer, start: number): Unpacked {
  const end = gzipEnd(image, start);
  // By itself: zlib takes what follows at once for more of the same, and complains of it.
  const content = gunzipSync(image.subarray(start, end), { maxOutputLength: UNPACKED_BYTES_MAX });
  return { compression: 'gzip', content, end };
}

/** Where a member ends (RFC 1952): its head, deflated bytes, which say where they end, then sum and length. */
function gzipEnd(image: Buffer, start: number): number {
  const flags = image.readUInt8(start + 3);
  let at = start + 10;
  if (flags & GZIP_EXTRA) at += 2 + image.readUInt16LE(at);
  for (const text of [GZIP_NAME, GZIP_COMMENT])
    if (flags & text) {
      const zero = image.indexOf(0, at);
      if (zero < 0) throw new RangeError('The head of a gzip member has no end.');
      at = zero + 1;
    }
  if (flags & GZIP_HEAD_SUM) at += 2;
  const result: unknown = inflateRawSync(image.subarray(at), {
    info: true,
    maxOutputLength: UNPACKED_BYTES_MAX,
  });
  return at + (result as { engine: { bytesWritten: number } }).engine.bytesWritten + 8;
}

function isBroken(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return (
    error instanceof RangeError ||
    code === 'HOST_TOOL_FAILED' ||
    code === 'HOST_TOOL_OUTPUT_TOO_LARGE' ||
    (typeof code === 'string' && (code.startsWith('Z_') || code === 'ERR_BUFFER_TOO_LARGE'))
  );
}

/** xz ends with a footer, `YZ`, on a multiple of four bytes; the next part begins behind it. */
function xzEnd(image: Buffer, start: number): number {
  for (let at = image.indexOf('YZ', start); at >= 0; at = image.indexOf('YZ', at + 1)) {
    const end = at + 2;
    const isFooter = (end - start) % 4 === 0;
    if (isFooter && (end === image.length || image[end] === 0 || isCpioAt(image, end))) return end;
  }
  return image.length;
}

export function compressionAt(image: Buffer, at: number): Compression | undefined {
  if (isCpioAt(image, at)) return 'none';
  const magic = image.subarray(at, at + 6).toString('hex');
  if (magic.startsWith('1f8b')) return 'gzip';
  if (magic.startsWith('28b52ffd')) return 'zstd';
  if (magic.startsWith('fd377a585a00')) return 'xz';
  if (magic.startsWith('02214c18')) return 'lz4';
  return undefined;
}

function makerOf(files: ReadonlyMap<string, CpioEntry>): Initramfs['maker'] {
  if (files.has('scripts/functions') && files.has('init')) return 'initramfs-tools';
  const isDracut = files.has('usr/lib/dracut-lib.sh') || files.has('lib/dracut-lib.sh');
  return isDracut ? 'dracut' : undefined;
}

/** Whether `lib` is a symlink in it: then nothing may be written below `lib`, or the symlink would be lost. */
export function isMergedUsr(initramfs: Initramfs): boolean {
  return ((initramfs.files.get('lib')?.mode ?? 0) & 0o170000) === 0o120000;
}
