import { createHash, randomBytes } from 'node:crypto';
import { lstat, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder, writeAllAt } from './files';
import { FILE, MANIFEST_BYTES_MAX } from './manifest';

const ID_DIGITS = 40;
const HISTORY_NAME = /^[0-9a-f]{40}$/;
const LEFT_OVER_NAME = /^[0-9a-f]{40}\.(partial|removed)-[0-9a-f]{16}$/;

/** Folder of a guest's history. Guests are named by people and peers, so the name itself never becomes a path. */
export function historyName(guestId: string): string {
  return createHash('sha256').update(JSON.stringify(guestId)).digest('hex').slice(0, ID_DIGITS);
}

export function partialName(guestId: string): string {
  return `${historyName(guestId)}.partial-${randomBytes(8).toString('hex')}`;
}

/** Names of the histories in the folder. What a crash left half written or half removed goes. */
export async function sweep(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  // A link would lead out of the folder.
  const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  for (const name of names) if (LEFT_OVER_NAME.test(name)) await erase(join(folder, name));
  return names.filter((name) => HISTORY_NAME.test(name));
}

/** Bytes of the files of a history. Files that are missing count nothing. */
export async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of Object.values(FILE)) {
    try {
      bytes += (await stat(join(folder, name))).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return bytes;
}

/** Takes the history out of sight at once, then erases it. */
export async function removeHistory(root: string, name: string): Promise<void> {
  const removed = join(root, `${name}.removed-${randomBytes(8).toString('hex')}`);
  try {
    await rename(join(root, name), removed);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await syncFolder(root);
  await erase(removed);
}

/**
 * Overwrites the wrapped key before the files go: without it the pages are noise, even where a disk keeps old blocks.
 * (A disk that keeps the old blocks of the key itself, as flash may, is made safe by removing the agent's key file.)
 */
async function erase(folder: string): Promise<void> {
  try {
    // A link would lead out of the folder; only the link itself goes.
    if ((await lstat(folder)).isDirectory()) await overwriteKey(join(folder, FILE.manifest));
  } catch (error) {
    // Half written ones have no manifest, and what cannot be overwritten must go all the same.
    if (typeof (error as NodeJS.ErrnoException).code !== 'string') throw error;
  }
  await rm(folder, { recursive: true, force: true });
}

async function overwriteKey(manifestPath: string): Promise<void> {
  const manifest = await open(manifestPath, 'r+');
  try {
    const { size } = await manifest.stat();
    await writeAllAt(manifest, [Buffer.alloc(Math.min(size, MANIFEST_BYTES_MAX))], 0);
    await manifest.sync();
  } finally {
    await manifest.close();
  }
}
