import { isUtf8 } from 'node:buffer';
import { rename, rm } from 'node:fs/promises';
import type { HostTools } from '@watari/host-tools';
import { DiskUnusable } from '../errors';
import { Scratch } from '../file-system/scratch';
import { editGuest } from '../guest/edit-guest';
import type { GuestFiles } from '../guest/guest-files';
import { INITRAMFS_BYTES_MAX } from '../guest/kernels';
import type { ApplianceRoute } from '../guest/read-guest';
import { examineImage, type ImageFormat, unpackImage } from '../formats';
import { targetError } from '../image/sparse-copy';
import { undoLines } from './line-changes';
import { type Change, ConversionManifest, sha256Of } from './manifest';

export interface RevertDiskOptions {
  /** A disk that was converted, and may have been used since. Only read when `targetPath` is given. */
  readonly diskPath: string;
  /** Default raw; another format needs a `targetPath`. */
  readonly diskFormat?: ImageFormat;
  readonly manifest: ConversionManifest;
  /** A file that is not there yet; without it `diskPath` itself is changed. */
  readonly targetPath?: string;
  /** As for the conversion. */
  readonly appliance?: ApplianceRoute;
  readonly tools: HostTools;
  readonly onProgress?: (text: string, fraction: number) => void;
  readonly signal?: AbortSignal;
}

export interface Reversion {
  readonly disk: { readonly path: string; readonly format: 'raw' };
  /** Files that are again as they were on the physical server. */
  readonly restored: readonly string[];
  /** Files that were changed since, of which our changes were taken back line by line. */
  readonly merged: readonly string[];
  /** What was left alone, and why: for a person to look at. */
  readonly remarks: readonly string[];
}

/**
 * Gives a converted disk its physical configuration back, with what else happened on it since. Rejects with
 * DISK_REVERT_REFUSED where disk and manifest do not belong together; a target is not there then.
 */
export async function revertDisk(options: RevertDiskOptions): Promise<Reversion> {
  const { diskPath, targetPath, tools, onProgress = () => undefined, signal } = options;
  const manifest = ConversionManifest.parse(options.manifest);
  const workPath = targetPath === undefined ? diskPath : `${targetPath}.partial`;
  if (targetPath === undefined && (options.diskFormat ?? 'raw') !== 'raw')
    throw new DiskUnusable(
      'DISK_REVERT_REFUSED',
      `${diskPath} is a ${options.diskFormat} image; only a raw disk can be changed in its place. Name a file for the result.`,
    );
  const scratch = await Scratch.make();
  try {
    if (targetPath !== undefined) {
      await rm(workPath, { force: true });
      await unpackImage({
        examination: await examineImage(diskPath, { format: options.diskFormat ?? 'raw' }),
        targetPath: workPath,
        tools,
        ...(signal && { signal }),
        onProgress: (fraction) => onProgress('cloning the disk', fraction * 0.7),
      });
    }
    const told = await editGuest(
      {
        diskPath: workPath,
        tools,
        scratch,
        appliance: options.appliance,
        onProgress: (text) => onProgress(text, 0.75),
        signal,
      },
      async ({ files, rootFileSystemUuid }) => {
        if (rootFileSystemUuid !== manifest.rootFileSystemUuid)
          throw new DiskUnusable(
            'DISK_REVERT_REFUSED',
            `The manifest is of a disk whose root file system is ${manifest.rootFileSystemUuid}; this one's is ${rootFileSystemUuid || 'unknown'}. Give the manifest of this disk.`,
          );
        onProgress('restoring the physical configuration', 0.85);
        return restoreAll(files, manifest.changes);
      },
    );
    if (targetPath !== undefined) await rename(workPath, targetPath);
    onProgress('reverted', 1);
    return { disk: { path: targetPath ?? diskPath, format: 'raw' }, ...told };
  } catch (error) {
    if (targetPath !== undefined) await rm(workPath, { force: true });
    throw targetError(error, targetPath ?? diskPath);
  } finally {
    await scratch.remove();
  }
}

type Told = Pick<Reversion, 'restored' | 'merged' | 'remarks'>;
type Outcome = { kind: 'restored' | 'merged'; remark?: string } | { kind: 'left'; remark: string };

/** The last change is undone first, so that folders are empty when they go. */
async function restoreAll(files: GuestFiles, changes: readonly Change[]): Promise<Told> {
  const [restored, merged, remarks]: [string[], string[], string[]] = [[], [], []];
  for (const change of [...changes].reverse()) {
    const outcome = await restore(files, change);
    if (outcome.kind === 'restored') restored.push(change.path);
    if (outcome.kind === 'merged') merged.push(change.path);
    if (outcome.remark) remarks.push(`${change.path}: ${outcome.remark}`);
  }
  return { restored, merged, remarks };
}

async function restore(files: GuestFiles, change: Change): Promise<Outcome> {
  const found = await files.find(change.path);
  if (!found) {
    const isGone = change.kind === 'created' || change.kind === 'directory-made';
    if (isGone) return { kind: 'restored' };
    if (change.kind === 'appended') return { kind: 'left', remark: 'is not there any more' };
    return putBack(files, change);
  }
  const { path } = found;
  if (change.kind === 'directory-made') {
    if ((await files.names(path)).length > 0) return { kind: 'left', remark: 'is not empty' };
    await files.removeDirectory(path);
    return { kind: 'restored' };
  }
  const current = await files.read(path, INITRAMFS_BYTES_MAX);
  if (!current) return { kind: 'left', remark: 'is no plain file any more' };
  const isUntouched = sha256Of(current) === change.afterSha256;
  const put = async (content: Buffer): Promise<void> => {
    await files.replace(path, content);
    if (change.kind !== 'created') await files.setAttributes(path, change.attributes, { withTimes: true });
  };
  switch (change.kind) {
    case 'created':
      if (!isUntouched)
        return { kind: 'left', remark: 'was made by the conversion, but changed since; it stays' };
      await files.remove(path);
      return { kind: 'restored' };
    case 'appended': {
      const original = current.subarray(0, change.originalBytes);
      if (sha256Of(original) !== change.originalSha256)
        return {
          kind: 'left',
          remark: 'was made anew since; it has the physical drivers that the guest lists',
        };
      await put(original);
      return { kind: 'restored' };
    }
    default: {
      if (isUntouched) {
        await put(Buffer.from(change.beforeBase64, 'base64'));
        return { kind: 'restored' };
      }
      if (!isUtf8(current)) return { kind: 'left', remark: 'was changed since, and is no text; it stays' };
      const { text, missing } = undoLines(current.toString('utf8'), change.lines);
      await put(Buffer.from(text));
      const remark =
        missing.length > 0 ? `changed since; no more there: ${missing.slice(0, 5).join(' | ')}` : undefined;
      return { kind: 'merged', ...(remark && { remark }) };
    }
  }
}

/** A file that we replaced and that somebody removed since was wanted by the physical server. */
async function putBack(files: GuestFiles, change: Extract<Change, { kind: 'replaced' }>): Promise<Outcome> {
  const slash = change.path.lastIndexOf('/');
  const folder = await files.find(change.path.slice(0, slash) || '/');
  if (folder?.entry.kind !== 'directory') return { kind: 'left', remark: 'its folder is not there any more' };
  const name = change.path.slice(slash + 1);
  const content = Buffer.from(change.beforeBase64, 'base64');
  const { mode, uid, gid } = change.attributes;
  const path = await files.create(`${folder.path === '/' ? '' : folder.path}/${name}`, content, {
    mode,
    uid,
    gid,
  });
  await files.setAttributes(path, change.attributes, { withTimes: true });
  return { kind: 'restored', remark: 'was removed since; it is back' };
}
