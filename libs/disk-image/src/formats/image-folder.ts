import { lstat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { DiskUnusable } from '../errors';
import { type OpenedFile, openReadOnly } from '../image/byte-source';
import { needsOthers, quoted } from './refusals';

const NAME_BYTES_MAX = 255;

/** A file of an image that consists of several. */
export interface ImagePart extends OpenedFile {
  readonly path: string;
}

/**
 * The folder that an image lies in. Its other files are opened by plain names alone: what an image says never
 * leads out of the folder, neither by a path nor through a link.
 */
export class ImageFolder {
  private readonly opened = new Set<string>();

  private constructor(
    private readonly folder: string,
    private readonly image: string,
  ) {}

  /** `image` says in messages what names the files. */
  static of(imagePath: string, image: string): ImageFolder {
    const folder = new ImageFolder(dirname(resolve(imagePath)), image);
    folder.opened.add(basename(resolve(imagePath)));
    return folder;
  }

  /** Opens a file that the image names. Each may be a part once; the caller closes it. */
  async open(name: string): Promise<ImagePart> {
    refuseOddName(this.image, name);
    if (this.opened.has(name))
      throw needsOthers(
        this.image,
        `names the file ${quoted(name)} twice, or itself`,
        'Each part of a disk is a file of its own: export the disk again.',
      );
    this.opened.add(name);
    const path = join(this.folder, name);
    await this.refuseOdd(path, name);
    const file = await openReadOnly(path);
    try {
      // A link that took the file's place in between would have been followed.
      await this.refuseOdd(path, name);
    } catch (error) {
      await file.close();
      throw error;
    }
    return { ...file, path };
  }

  private async refuseOdd(path: string, name: string): Promise<void> {
    const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      throw new DiskUnusable(
        'DISK_TRUNCATED',
        `${this.image} names the file ${quoted(name)}, which is not beside it. Copy all files of the image.`,
        { cause: error },
      );
    });
    if (!found.isFile())
      throw needsOthers(
        this.image,
        `names ${quoted(name)}, which is no regular file`,
        'A link or a device is not followed: put the file itself beside the image.',
      );
  }
}

/** Rejects with DISK_HAS_BACKING_FILE what is not a plain file name. */
export function refuseOddName(image: string, name: string): void {
  const isPlain =
    /^[^/\\\p{Cc}:]+$/u.test(name) && !name.startsWith('.') && Buffer.byteLength(name) <= NAME_BYTES_MAX;
  if (isPlain) return;
  throw needsOthers(
    image,
    `names the file ${quoted(name)}`,
    'Only files of its own folder are taken, by plain names without slashes, backslashes and colons, and not hidden: put all parts into one folder and correct the name.',
  );
}
