import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** What may stand in a command of debugfs and in a name for e2fsprogs, which read `?` as the start of options. */
const PLAIN_PATH = /^[A-Za-z0-9/._-]+$/;

/** A private folder for the file system tools. Paths in it are plain, whatever the image is called. */
export class Scratch {
  private count = 0;

  private constructor(readonly folder: string) {}

  static async make(): Promise<Scratch> {
    const parent = PLAIN_PATH.test(tmpdir()) ? tmpdir() : '/tmp';
    return new Scratch(await mkdtemp(join(parent, 'watari-disk-')));
  }

  /** A plain path of a file that is not there yet. */
  path(): string {
    this.count += 1;
    return join(this.folder, `file-${this.count}`);
  }

  /** A plain path that leads to `target`. */
  async link(target: string): Promise<string> {
    const path = this.path();
    await symlink(resolve(target), path);
    return path;
  }

  async write(content: string | Uint8Array): Promise<string> {
    const path = this.path();
    await writeFile(path, content, { mode: 0o600 });
    return path;
  }

  /** Reads and forgets a file; undefined where there is none. Longer than `bytesMax` is undefined, too. */
  async take(path: string, bytesMax: number): Promise<Buffer | undefined> {
    const found = await stat(path).catch(() => undefined);
    if (!found) return undefined;
    const content = found.size <= bytesMax ? await readFile(path) : undefined;
    await rm(path, { force: true });
    return content;
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
