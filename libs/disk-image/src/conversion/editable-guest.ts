import type { EditableVolume } from '../file-system/editable-volume';
import type { InodeAttributes } from '../file-system/inode-attributes';
import { type Found, type GuestTree, TEXT_BYTES_MAX } from '../guest/guest-tree';
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

  constructor(readonly tree: GuestTree<EditableVolume>) {}

  /** Writes a text file, and its folders; what stood there keeps its owner and rights. False when it is so already. */
  async write(path: string, text: string): Promise<boolean> {
    const content = Buffer.from(text);
    const found = await this.tree.find(path);
    if (!found) {
      await this.create(path, content);
      return true;
    }
    const before =
      found.entry.kind === 'file' ? await found.volume.read(found.entry, TEXT_BYTES_MAX) : undefined;
    if (!before) throw unreadable(path);
    if (before.equals(content)) return false;
    await this.replace(found, before, content, 'replaced');
    return true;
  }

  /** Puts bytes at the end of a file, on a multiple of four. */
  async append(path: string, bytes: Buffer): Promise<void> {
    const found = await this.tree.find(path);
    const before =
      found?.entry.kind === 'file' ? await found.volume.read(found.entry, INITRAMFS_BYTES_MAX) : undefined;
    if (!found || !before) throw unreadable(path);
    const gapBytes =
      (APPEND_ALIGNMENT_BYTES - (before.length % APPEND_ALIGNMENT_BYTES)) % APPEND_ALIGNMENT_BYTES;
    await this.replace(found, before, Buffer.concat([before, Buffer.alloc(gapBytes), bytes]), 'appended');
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
          lines: lineChanges(original.content.toString('utf8'), after.toString('utf8')),
        };
    }
  }

  private async replace(
    found: Found<EditableVolume>,
    before: Buffer,
    content: Buffer,
    kind: 'replaced' | 'appended',
  ): Promise<void> {
    if (!this.originals.has(found.path)) {
      const attributes = await found.volume.attributesOf(found.entry);
      this.originals.set(found.path, { kind, attributes, content: before });
    }
    await found.volume.replace(found.parentInode, found.entry, content);
    this.current.set(found.path, content);
  }

  private async create(path: string, content: Buffer): Promise<void> {
    const folder = await this.folder(path.slice(0, path.lastIndexOf('/')) || '/');
    const name = path.slice(path.lastIndexOf('/') + 1);
    await folder.volume.create({
      parentInode: folder.entry.inode,
      name,
      content,
      mode: FILE_MODE,
      uid: 0,
      gid: 0,
    });
    const real = `${folder.path === '/' ? '' : folder.path}/${name}`;
    this.originals.set(real, { kind: 'created' });
    this.current.set(real, content);
  }

  private async folder(path: string): Promise<Found<EditableVolume>> {
    const found = await this.tree.find(path);
    if (found?.entry.kind === 'directory') return found;
    if (found || path === '/') throw unreadable(path);
    const parent = await this.folder(path.slice(0, path.lastIndexOf('/')) || '/');
    const name = path.slice(path.lastIndexOf('/') + 1);
    await parent.volume.makeDirectory(parent.entry.inode, name);
    const made = await this.tree.find(path);
    if (!made) throw unreadable(path);
    this.originals.set(made.path, { kind: 'directory-made' });
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
