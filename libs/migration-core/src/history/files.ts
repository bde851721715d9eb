import { type FileHandle, open } from 'node:fs/promises';

/** Opens a file of a history; the one thing about the disk that a spec replaces. */
export type OpenFile = (path: string, flags: 'wx' | 'r', mode?: number) => Promise<FileHandle>;

/** A rename lives in the folder, which has to reach the disk too. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Writes all of the pieces one after the other, from the position on. */
export async function writeAllAt(
  file: FileHandle,
  pieces: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let at = position;
  for (const piece of pieces)
    for (let offset = 0; offset < piece.length;) {
      const { bytesWritten } = await file.write(piece, offset, piece.length - offset, at);
      offset += bytesWritten;
      at += bytesWritten;
    }
}

/** Fills the buffer from the position on; false when the file ends before. */
export async function readAllAt(file: FileHandle, into: Uint8Array, position: number): Promise<boolean> {
  for (let offset = 0; offset < into.length;) {
    const { bytesRead } = await file.read(into, offset, into.length - offset, position + offset);
    if (bytesRead === 0) return false;
    offset += bytesRead;
  }
  return true;
}

/** Content of a small file. Throws when it is longer than `bytesMax`; sets nothing aside then. */
export async function readSmallFile(path: string, bytesMax: number, openFile: OpenFile): Promise<Buffer> {
  const file = await openFile(path, 'r');
  try {
    const stats = await file.stat();
    if (!stats.isFile() || stats.size > bytesMax)
      throw new Error(`${path} has ${stats.size} bytes where ${bytesMax} are the most`);
    const content = Buffer.alloc(stats.size);
    if (!(await readAllAt(file, content, 0))) throw new Error(`${path} was cut while it was read`);
    return content;
  } finally {
    await file.close();
  }
}
