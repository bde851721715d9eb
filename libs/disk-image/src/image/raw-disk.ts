import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { HostTools } from '@watari/host-tools';
import { DiskUnusable } from '../errors';
import type { Scratch } from '../file-system/scratch';
import { openReadOnly } from './byte-source';
import { type DiskFormat, readDiskShape } from './disk-format';
import { type CopyOptions, type CopyResult, copySparse, refuseTooSmall, targetError } from './sparse-copy';

const CHECK_TIMEOUT_MS = 10 * 60_000;
const CONVERT_TIMEOUT_MS = 60 * 60_000;

export interface RawCopyOptions extends CopyOptions {
  readonly sourcePath: string;
  readonly format?: DiskFormat;
  readonly targetPath: string;
  readonly tools: HostTools;
  readonly scratch: Scratch;
}

/** Writes the content of a disk image into a new raw file. The source is only read; see `copySparse` for errors. */
export async function copyAsRaw(options: RawCopyOptions): Promise<CopyResult> {
  const { sourcePath, targetPath } = options;
  const source = await openReadOnly(sourcePath);
  let format: DiskFormat;
  try {
    format = (await readDiskShape(source, options.format)).format;
    if (format === 'qcow2') await refuseTooSmall(dirname(targetPath), source.allocatedBytes);
  } finally {
    await source.close();
  }
  return format === 'raw' ? copySparse(sourcePath, targetPath, options) : unpackQcow2(options);
}

/** A cut-off image converts without a complaint, so it is checked first. */
async function unpackQcow2(options: RawCopyOptions): Promise<CopyResult> {
  const { sourcePath, targetPath, tools, scratch, signal, onProgress } = options;
  // qemu-img takes names with a colon for addresses; a link's name has none.
  const source = await scratch.link(sourcePath);
  const { status, stderr } = await tools.run('qemu-img', ['check', '-q', '-f', 'qcow2', source], {
    timeoutMs: CHECK_TIMEOUT_MS,
    okStatuses: [0, 1, 2, 3],
    signal,
  });
  const hasOnlyLeaks = status === 3;
  if (status !== 0 && !hasOnlyLeaks)
    throw new DiskUnusable(
      'DISK_DAMAGED',
      `The qcow2 image is damaged or cut off: ${stderr.trim().slice(-300) || 'qemu-img check found errors'}. Copy it again, in full.`,
    );
  try {
    const target = await scratch.link(targetPath);
    // The target is a link that leads nowhere yet: qemu-img makes the file that it names.
    await tools.run('qemu-img', ['convert', '-q', '-f', 'qcow2', '-O', 'raw', '-S', '64k', source, target], {
      timeoutMs: CONVERT_TIMEOUT_MS,
      signal,
    });
    onProgress?.(1);
    const written = await openReadOnly(targetPath);
    await written.close();
    return { copiedBytes: written.allocatedBytes };
  } catch (error) {
    await rm(targetPath, { force: true });
    const isFull = /No space left|Disk quota/.test((error as Error).message);
    throw targetError(
      isFull ? Object.assign(new Error((error as Error).message), { code: 'ENOSPC' }) : error,
      targetPath,
    );
  }
}
