import { DiskUnusable } from '../errors';
import type { EditableVolume } from '../file-system/editable-volume';
import type { DirectoryEntry } from '../file-system/ext-volume';
import { type InodeAttributes, PRESERVED_FLAGS } from '../file-system/inode-attributes';
import { type Found, type GuestTree, TEXT_BYTES_MAX } from './guest-tree';
import type { FileRights, FoundFile, GuestFiles, NamedFile } from './guest-files';

interface Place {
  readonly folder: Found<EditableVolume>;
  readonly name: string;
  readonly entry: DirectoryEntry | undefined;
}

/** The files of a guest on plain ext partitions, by debugfs: what an appliance offers, without one. */
export class ExtGuestFiles implements GuestFiles {
  constructor(private readonly tree: GuestTree<EditableVolume>) {}

  find(path: string): Promise<FoundFile | undefined> {
    return this.tree.find(path);
  }

  entries(path: string): Promise<readonly NamedFile[]> {
    return this.tree.entries(path);
  }

  names(path: string): Promise<string[]> {
    return this.tree.names(path);
  }

  read(path: string, bytesMax = TEXT_BYTES_MAX): Promise<Buffer | undefined> {
    return this.tree.read(path, bytesMax);
  }

  readText(path: string, bytesMax = TEXT_BYTES_MAX): Promise<string | undefined> {
    return this.tree.readText(path, bytesMax);
  }

  async attributes(path: string): Promise<InodeAttributes> {
    const { volume, entry } = await this.file(path);
    const attributes = await volume.attributesOf(entry);
    // The other flags say how ext4 stores this file, and are not for another one.
    return { ...attributes, flags: attributes.flags & PRESERVED_FLAGS };
  }

  async create(path: string, content: Buffer, rights: FileRights): Promise<string> {
    const { folder, name, entry } = await this.place(path);
    if (entry) throw unfit(path, 'is there already');
    await folder.volume.create({ parentInode: folder.entry.inode, name, content, ...rights });
    return below(folder, name);
  }

  async replace(path: string, content: Buffer): Promise<void> {
    const { volume, parentInode, entry } = await this.file(path);
    await volume.replace(parentInode, entry, content);
  }

  async setAttributes(
    path: string,
    attributes: InodeAttributes,
    options: { withTimes: boolean },
  ): Promise<void> {
    const { volume, parentInode, entry } = await this.file(path);
    await volume.restoreAttributes(parentInode, entry.name, attributes, options);
  }

  async remove(path: string): Promise<void> {
    const { folder, entry } = await this.place(path);
    if (!entry || entry.kind === 'directory') throw unfit(path, 'is no file');
    await folder.volume.remove(folder.entry.inode, entry);
  }

  async makeDirectory(path: string): Promise<string> {
    const { folder, name, entry } = await this.place(path);
    if (entry) throw unfit(path, 'is there already');
    await folder.volume.makeDirectory(folder.entry.inode, name);
    return below(folder, name);
  }

  async removeDirectory(path: string): Promise<void> {
    const { folder, entry } = await this.place(path);
    if (entry?.kind !== 'directory') throw unfit(path, 'is no folder');
    if ((await folder.volume.list(entry.inode)).size > 0) throw unfit(path, 'is not empty');
    await folder.volume.removeDirectory(folder.entry.inode, entry);
  }

  private async file(path: string): Promise<Found<EditableVolume>> {
    const found = await this.tree.find(path);
    if (found?.entry.kind !== 'file') throw unfit(path, 'is no plain file');
    return found;
  }

  /** The folder of a path, its symlinks followed, and what has the path's last name there. */
  private async place(path: string): Promise<Place> {
    const slash = path.lastIndexOf('/');
    const name = path.slice(slash + 1);
    const folder = await this.tree.find(path.slice(0, slash) || '/');
    if (name === '' || name === '.' || name === '..' || folder?.entry.kind !== 'directory')
      throw unfit(path, 'is in no folder');
    return { folder, name, entry: (await folder.volume.list(folder.entry.inode)).get(name) };
  }
}

function below(folder: Found<EditableVolume>, name: string): string {
  return `${folder.path === '/' ? '' : folder.path}/${name}`;
}

function unfit(path: string, why: string): DiskUnusable {
  return new DiskUnusable(
    'DISK_FILE_UNSUPPORTED',
    `${path} on the disk ${why}. Put it right on the server, then copy the disk again.`,
  );
}
