import { randomBytes } from 'node:crypto';
import { link, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HistoryError } from './errors';
import { syncFolder } from './files';

export const KEY_BYTES = 32;

/**
 * The key that wraps the keys of all histories of this agent. Made, readable by its owner alone, when the file is not
 * there. Without it the histories are noise, so losing it costs speed and removing it shreds them all.
 * Throws HISTORY_KEY_UNUSABLE for a file that holds something else or that others can read.
 */
export async function loadAgentKey(path: string): Promise<Buffer> {
  return (await readKey(path)) ?? (await makeKey(path));
}

async function readKey(path: string): Promise<Buffer | null> {
  let file;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw unusable(path, (error as Error).message, error);
  }
  try {
    const stats = await file.stat();
    if ((stats.mode & 0o077) !== 0) throw unusable(path, 'others may read it; set its mode to 0600');
    if (stats.size !== KEY_BYTES)
      throw unusable(
        path,
        `it holds ${stats.size} bytes, not ${KEY_BYTES}; remove it, and a new one is made`,
      );
    const key = Buffer.alloc(KEY_BYTES);
    const { bytesRead } = await file.read(key, 0, KEY_BYTES, 0);
    if (bytesRead !== KEY_BYTES) throw unusable(path, 'it was cut while it was read');
    return key;
  } finally {
    await file.close();
  }
}

/** The file appears whole or not at all; of two that make it at once, both use the one that came first. */
async function makeKey(path: string): Promise<Buffer> {
  const partial = `${path}.${randomBytes(8).toString('hex')}.partial`;
  try {
    const file = await open(partial, 'wx', 0o600);
    try {
      await file.writeFile(randomBytes(KEY_BYTES));
      await file.sync();
    } finally {
      await file.close();
    }
    try {
      await link(partial, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    await syncFolder(dirname(path));
  } catch (error) {
    throw unusable(path, `it cannot be made: ${(error as Error).message}`, error);
  } finally {
    await rm(partial, { force: true });
  }
  const key = await readKey(path);
  if (!key) throw unusable(path, 'it vanished as soon as it was made');
  return key;
}

function unusable(path: string, why: string, cause?: unknown): HistoryError {
  return new HistoryError('HISTORY_KEY_UNUSABLE', `The key file ${path} cannot be used: ${why}.`, { cause });
}
