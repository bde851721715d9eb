import { constants } from 'node:fs';
import { type FileHandle, open, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { IdSchema, type StorageCheckRequest, type StorageCheckResult } from '@watari/host-agent-client';

import { AgentError } from './errors';

const MARKER_BYTES_MAX = 256;

/**
 * Places, looks for or removes a marker beside a disk. When the marker that one agent placed is seen by another
 * under the same path, both have the same folder mounted. Throws STORAGE_NOT_WRITABLE.
 */
export async function checkStorage(
  request: StorageCheckRequest,
  self: { agentId: string; bootId: string },
): Promise<StorageCheckResult> {
  const marker = join(dirname(request.diskPath), `.watari-storage-check-${request.nonce}`);
  const placedBy = await readMarker(marker);
  const isToBePlaced = request.action === 'place' || (request.action === undefined && placedBy === null);
  if (isToBePlaced && placedBy === null) await placeMarker(marker, self.agentId);
  if (request.action === 'remove') await rm(marker, { force: true });
  const file = await readFileFacts(request.diskPath);
  return {
    agentId: self.agentId,
    bootId: self.bootId,
    found: placedBy !== null,
    ...(placedBy !== null && placedBy !== '' && { placedBy }),
    ...(file && { file }),
  };
}

/** Who placed it, '' when it says nothing of use, null when there is none. Links are not followed. */
async function readMarker(path: string): Promise<string | null> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return null;
    throw notUsable(path, error as NodeJS.ErrnoException);
  }
  try {
    if (!(await file.stat()).isFile()) return null;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MARKER_BYTES_MAX), 0, MARKER_BYTES_MAX, 0);
    const text = buffer.subarray(0, bytesRead).toString('utf8').trim();
    return IdSchema.safeParse(text).success ? text : '';
  } finally {
    await file.close();
  }
}

async function placeMarker(path: string, agentId: string): Promise<void> {
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(`${agentId}\n`);
      // A shared file system shows to others what has left this host.
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw notUsable(path, error as NodeJS.ErrnoException);
  }
}

async function readFileFacts(path: string): Promise<StorageCheckResult['file'] | null> {
  try {
    const { dev, ino, size } = await stat(path, { bigint: true });
    return { device: `${dev}`, inode: `${ino}`, sizeBytes: Number(size) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw notUsable(path, error as NodeJS.ErrnoException);
  }
}

function notUsable(path: string, cause: NodeJS.ErrnoException): AgentError {
  return new AgentError(
    'STORAGE_NOT_WRITABLE',
    `${dirname(path)} cannot be used by this agent (${cause.code}). Is it mounted, and may the agent write there?`,
    { status: 422, field: 'diskPath', cause },
  );
}
