import { mkdir, readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { HostTools } from '@watari/host-tools';
import { DiskUnusable } from '../errors';
import type { Scratch } from '../file-system/scratch';
import { OUTPUT_KINDS, type OutputFormat } from './output-format';
import { convertByQemuImg } from './qemu-img';
import { fullTarget } from './sparse-copy';

export interface WriteImageOptions {
  /** A raw disk; only read. */
  readonly rawPath: string;
  readonly format: Exclude<OutputFormat, 'raw'>;
  /** A folder that is not there yet; the image's files are made in it. */
  readonly folder: string;
  /** What the image is called; kinds of several files put their parts' names beside it. */
  readonly name: string;
  readonly tools: HostTools;
  readonly scratch: Scratch;
  readonly onProgress?: (fraction: number) => void;
  readonly signal?: AbortSignal;
}

/** Zeros of this length are not written. */
const SPARSE = '64k';

/**
 * Writes a raw disk as an image of another kind. Resolves with the names of the files, the one that is opened
 * coming first. Rejects with TARGET_DISK_FULL, a host tool's error or the reason of an abort.
 */
export async function writeImage(options: WriteImageOptions): Promise<string[]> {
  const { rawPath, format, folder, name, tools, scratch, onProgress, signal } = options;
  refuseOddName(name);
  await mkdir(folder, { mode: 0o700 });
  const { qemuFormat, qemuOptions } = OUTPUT_KINDS[format];
  const source = await scratch.link(rawPath);
  const asked = qemuOptions.length > 0 ? ['-o', qemuOptions.join(',')] : [];
  try {
    await convertByQemuImg(['-f', 'raw', '-O', qemuFormat, ...asked, '-S', SPARSE, source, `./${name}`], {
      tools,
      folder,
      onProgress,
      signal,
    });
  } catch (error) {
    const { message } = error as Error;
    if (/No space left|Disk quota/.test(message))
      throw fullTarget(`the image in ${dirname(folder)} could not be written in full`, error);
    throw error;
  }
  const others = (await readdir(folder)).filter((file) => file !== name).sort();
  return [name, ...others];
}

/** Names stand in descriptors of images, between quotes. */
function refuseOddName(name: string): void {
  if (/^[^"\\/\p{Cc}]{1,200}$/u.test(name) && !name.startsWith('.')) return;
  throw new DiskUnusable(
    'TARGET_NAME_UNSUPPORTED',
    `An image cannot be called ${JSON.stringify(name)}. Take a name without quotes, backslashes and control characters that does not begin with a dot.`,
  );
}
