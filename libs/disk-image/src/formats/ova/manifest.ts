import { type Hash, createHash } from 'node:crypto';
import type { ByteSource } from '../../image/byte-source';
import { damaged, quoted, unsupported } from '../refusals';
import type { TarEntry } from './tar';

/** DSP0243, "Open Virtualization Format", section 6.1: digests of the files of a package. */
export type Manifest = ReadonlyMap<string, { readonly algorithm: string; readonly hex: string }>;

export const MANIFEST_BYTES_MAX = 1024 * 1024;
const LINE = /^(SHA1|SHA256|SHA512)\s?\(([^\r\n]{1,255})\)\s*=\s*([0-9a-fA-F]{40,128})\s*$/;
const HEX_DIGITS: Readonly<Record<string, number>> = { sha1: 40, sha256: 64, sha512: 128 };
const READ_BYTES = 4 * 1024 * 1024;

export function parseManifest(image: string, text: string): Manifest {
  const manifest = new Map<string, { algorithm: string; hex: string }>();
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === '') continue;
    const found = LINE.exec(line);
    if (!found) throw damaged(image, `its manifest has the line ${quoted(line)}`);
    const [, algorithm = '', name = '', hex = ''] = found;
    const lower = algorithm.toLowerCase();
    if (hex.length !== HEX_DIGITS[lower]) throw damaged(image, `its manifest has the line ${quoted(line)}`);
    if (manifest.has(name)) throw damaged(image, `its manifest names ${quoted(name)} twice`);
    manifest.set(name, { algorithm: lower, hex: hex.toLowerCase() });
  }
  return manifest;
}

/** Reads every member that matters and compares its digest. Rejects with DISK_DAMAGED where one differs. */
export async function checkDigests(
  image: string,
  source: ByteSource,
  manifest: Manifest,
  entries: readonly TarEntry[],
  { signal, onBytes }: { readonly signal?: AbortSignal; readonly onBytes?: (bytes: number) => void } = {},
): Promise<void> {
  for (const entry of entries) {
    const told = manifest.get(entry.name);
    if (!told)
      throw unsupported(
        image,
        `has a manifest that does not list ${quoted(entry.name)}`,
        'Something was added after it was made: export it again, or take the manifest out.',
      );
    const hash = createHash(told.algorithm);
    await hashEntry(source, entry, hash, signal, onBytes);
    if (hash.digest('hex') !== told.hex)
      throw damaged(image, `${quoted(entry.name)} is not what the manifest was made of`);
  }
}

async function hashEntry(
  source: ByteSource,
  { offset, lengthBytes }: TarEntry,
  hash: Hash,
  signal: AbortSignal | undefined,
  onBytes: ((bytes: number) => void) | undefined,
): Promise<void> {
  for (let done = 0; done < lengthBytes;) {
    signal?.throwIfAborted();
    const piece = Math.min(READ_BYTES, lengthBytes - done);
    hash.update(await source.read(offset + done, piece));
    done += piece;
    onBytes?.(piece);
  }
}

/** The manifest of files whose sha256 are given as hex. */
export function formatManifest(files: readonly { readonly name: string; readonly sha256: string }[]): string {
  return files.map(({ name, sha256 }) => `SHA256(${name})= ${sha256}\n`).join('');
}
