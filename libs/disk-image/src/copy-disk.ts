import { rename, rm } from 'node:fs/promises';
import type { HostTools } from '@watari/host-tools';
import { Scratch } from './file-system/scratch';
import type { DiskFormat } from './image/disk-format';
import { copyAsRaw } from './image/raw-disk';
import { targetError } from './image/sparse-copy';

export interface CopyDiskOptions {
  readonly sourcePath: string;
  readonly sourceFormat: DiskFormat;
  /** Written anew; a file that is there is replaced once the copy is whole. */
  readonly targetPath: string;
  readonly tools: HostTools;
  readonly onProgress?: (text: string, fraction: number) => void;
  readonly signal?: AbortSignal;
}

export interface DiskCopy {
  readonly disk: { readonly path: string; readonly format: 'raw' };
  readonly copiedBytes: number;
}

/** Copies a disk's content into a raw file. The source is only read; the target appears when it is whole. */
export async function copyDisk(options: CopyDiskOptions): Promise<DiskCopy> {
  const { targetPath, onProgress = () => undefined } = options;
  const partialPath = `${targetPath}.partial`;
  const scratch = await Scratch.make();
  try {
    await rm(partialPath, { force: true });
    const { copiedBytes } = await copyAsRaw({
      ...options,
      format: options.sourceFormat,
      targetPath: partialPath,
      scratch,
      onProgress: (fraction) => onProgress('copying the disk', fraction),
    });
    options.signal?.throwIfAborted();
    await rename(partialPath, targetPath);
    return { disk: { path: targetPath, format: 'raw' }, copiedBytes };
  } catch (error) {
    await rm(partialPath, { force: true });
    throw targetError(error, targetPath);
  } finally {
    await scratch.remove();
  }
}
