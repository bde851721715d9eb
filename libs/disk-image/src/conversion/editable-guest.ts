import { isUtf8 } from 'node:buffer';
import type { InodeAttributes } from '../file-system/inode-attributes';
import type { GuestFiles } from '../guest/guest-files';
import { INITRAMFS_BYTES_MAX } from '../guest/kernels';
import { DiskUnusable } from '../errors';
import { lineChanges } from './line-changes';
import { type Change, sha256Of } from './manifest';

type Original =
  | { kind: 'replaced'; attributes: InodeAttributes; content: Buffer }
  | { kind: 'created' }
  | { kind: 'directory-made' }
  | { kind: 'appended'; attributes: InodeAttributes; content: Buffer };

const FILE_MODE = 0o644;
const APPEND_ALIGNMENT_BYTES = 4;

/** A guest's files on a clone. Remembers what every file was before its first change. */
export class EditableGuest {
  private readonly originals = new Map<string, Original>();
  private readonly current = new Map<string, Buffer>();

  constructor(readonly tree: GuestFiles) {}

  /** Writes a file, and its folders; what stood there keeps its owner and rights. False when it is so already. */
  async write(path: string, text: string | Buffer): Promise<boolean> {
    const content = typeof text === 'string' ? Buffer.from(text) : text;
    const found = await this.tree.find(path);
    if (!found) {
      await this.create(path, content);
      return true;
    }
    const before = await this.tree.read(found.path);
    if (!before) throw unreadable(path);
    if (before.equals(content)) return false;
    await this.replace(found.path, before, content, 'replaced');
    return true;
  }

  /** Puts bytes at the end of a file, on a multiple of four. */
  async append(path: string, bytes: Buffer): Promise<void> {
    const found = await this.tree.find(path);
    const before = found && (await this.tree.read(found.path, INITRAMFS_BYTES_MAX));
    if (!found || !before) throw unreadable(path);
    const gapBytes =
      (APPEND_ALIGNMENT_BYTES - (before.length % APPEND_ALIGNMENT_BYTES)) % APPEND_ALIGNMENT_BYTES;
    await this.replace(
      found.path,
      before,
      Buffer.concat([before, Buffer.alloc(gapBytes), bytes]),
      'appended',
    );
  }

  /** Files that were written, by their paths without symlinks. */
  get written(): ReadonlyMap<string, Buffer> {
    return this.current;
  }

  changes(): Change[] {
    return [...this.originals].map(([path, original]) => this.changeOf(path, original));
  }

  private changeOf(path: string, original: Original): Change {
    if (original.kind === 'directory-made') return { kind: original.kind, path };
    const after = this.current.get(path) ?? Buffer.alloc(0);
    const afterSha256 = sha256Of(after);
    switch (original.kind) {
      case 'created':
        return { kind: original.kind, path, afterSha256 };
      case 'appended':
        return {
          kind: original.kind,
          path,
          attributes: copyOf(original.attributes),
          originalBytes: original.content.length,
          originalSha256: sha256Of(original.content),
          afterSha256,
        };
      default:
        return {
          kind: original.kind,
          path,
          attributes: copyOf(original.attributes),
          beforeBase64: original.content.toString('base64'),
          afterSha256,
          // Of other bytes nothing can be taken back line by line.
          lines:
            isUtf8(original.content) && isUtf8(after)
              ? lineChanges(original.content.toString('utf8'), after.toString('utf8'))
              : [],
        };
    }
  }

  /** `path` is one without symlinks. */
  private async replace(
    path: string,
    before: Buffer,
    content: Buffer,
    kind: 'replaced' | 'appended',
  ): Promise<void> {
    if (!this.originals.has(path))
      this.originals.set(path, { kind, attributes: await this.tree.attributes(path), content: before });
    await this.tree.replace(path, content);
    this.current.set(path, content);
  }

  private async create(path: string, content: Buffer): Promise<void> {
    const folder = await this.folder(path.slice(0, path.lastIndexOf('/')) || '/');
    const name = path.slice(path.lastIndexOf('/') + 1);
    const rights = { mode: FILE_MODE, uid: 0, gid: 0 };
    const real = await this.tree.create(`${folder === '/' ? '' : folder}/${name}`, content, rights);
    this.originals.set(real, { kind: 'created' });
    this.current.set(real, content);
  }

  /** The folder's path without symlinks; makes what is missing of it. */
  private async folder(path: string): Promise<string> {
    const found = await this.tree.find(path);
    if (found?.entry.kind === 'directory') return found.path;
    if (found || path === '/') throw unreadable(path);
    const parent = await this.folder(path.slice(0, path.lastIndexOf('/')) || '/');
    const name = path.slice(path.lastIndexOf('/') + 1);
    const made = await this.tree.makeDirectory(`${parent === '/' ? '' : parent}/${name}`);
    this.originals.set(made, { kind: 'directory-made' });
    return made;
  }
}

function copyOf(attributes: InodeAttributes): Extract<Change, { kind: 'replaced' }>['attributes'] {
  return {
    ...attributes,
    times: { ...attributes.times },
    xattrs: attributes.xattrs.map((xattr) => ({ ...xattr })),
  };
}

function unreadable(path: string): DiskUnusable {
  return new DiskUnusable(
    'DISK_FILE_UNSUPPORTED',
    `${path} on the disk is no file that can be changed. Make it a plain file on the server, then copy the disk again.`,
  );
}
