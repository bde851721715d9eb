import { chmod, link, mkdir, open, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { DiskUnusable } from '../errors';
import { targetError } from './sparse-copy';

export interface OutputPlaceOptions {
  /** What will be written in the end; the first file is the image. */
  readonly paths: readonly string[];
  /** Files that must not be written to, whatever else is allowed. */
  readonly sources: readonly string[];
  /** Files that are there are replaced, once the new ones are whole; what a killed run left is removed. */
  readonly mayReplace: boolean;
}

/**
 * Where files grow until they are whole: the folder `<image>.partial`, on the same file system. Nothing appears
 * under its own name before `publish`.
 */
export class OutputPlace {
  private constructor(
    readonly folder: string,
    private readonly options: OutputPlaceOptions,
  ) {}

  /** Rejects with TARGET_DISK_EXISTS, TARGET_BUSY or TARGET_NOT_WRITABLE; nothing is changed then. */
  static async open(options: OutputPlaceOptions): Promise<OutputPlace> {
    const [image = ''] = options.paths;
    const paths = options.paths.map((path) => resolve(path));
    if (new Set(paths).size < paths.length)
      throw new DiskUnusable(
        'TARGET_DISK_EXISTS',
        `${image} is named for two of the outputs. Name another file for each.`,
      );
    for (const path of options.paths) await refuse(path, options);
    const folder = `${image}.partial`;
    if (options.mayReplace) await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw targetError(error, image);
      throw new DiskUnusable(
        'TARGET_BUSY',
        `${folder} is there: another run is writing ${image}, or one was killed. Remove it when nothing writes any more, or let it be replaced (--force).`,
        { cause: error },
      );
    });
    return new OutputPlace(folder, options);
  }

  /** A path in the folder. */
  inside(name: string): string {
    return join(this.folder, name);
  }

  /**
   * Gives finished files their names, the image (the first) last, so that it is there only with all that belongs
   * to it. The files are on disk by then.
   */
  async publish(files: readonly { readonly from: string; readonly to: string }[]): Promise<void> {
    for (const { to } of files) await refuse(to, this.options);
    const done: string[] = [];
    try {
      for (const { from, to } of [...files].reverse()) {
        // A disk holds secrets of its server: it is its owner's alone, whatever the umask.
        await chmod(from, 0o600);
        await syncFile(from);
        if (this.options.mayReplace) await rename(from, to);
        else await moveToNew(from, to);
        done.push(to);
      }
    } catch (error) {
      // What was there before cannot come back; half of an image is of no use either way.
      for (const path of done) await rm(path, { force: true });
      throw targetError(error, files[0]?.to ?? this.folder);
    }
    for (const folder of new Set(files.map(({ to }) => dirname(resolve(to))))) await syncFile(folder);
  }

  /** Removes what is not published. */
  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function refuse(path: string, { sources, mayReplace }: OutputPlaceOptions): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw targetError(error, path);
  });
  if (!found) return;
  for (const source of sources) {
    const own = await stat(source).catch(() => undefined);
    if (own && own.dev === found.dev && own.ino === found.ino)
      throw new DiskUnusable(
        'TARGET_DISK_EXISTS',
        `${path} is the source itself, which is never changed. Name another file.`,
      );
  }
  if (!mayReplace)
    throw new DiskUnusable(
      'TARGET_DISK_EXISTS',
      `${path} is there already. Remove it, name another file, or let it be replaced (--force).`,
    );
  if (!found.isFile())
    throw new DiskUnusable(
      'TARGET_DISK_EXISTS',
      `${path} is no regular file, and only such a file is replaced. Name another file.`,
    );
}

/** Like rename, but a file that appeared meanwhile stays. */
async function moveToNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'EXDEV') throw error;
    // File systems without hard links: the look at the file a moment ago has to do.
    await rename(from, to);
    return;
  }
  await unlink(from);
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

export function nameOf(path: string): string {
  return basename(resolve(path));
}
