import { DiskUnusable } from '../errors';
import { type DirectoryEntry, ExtVolume } from './ext-volume';
import { type InodeAttributes, PRESERVED_FLAGS, parseInode } from './inode-attributes';

/** Names that may be part of a command: no space, quote, line break or bracket that debugfs would read. */
const PLAIN_NAME = /^(?!\.\.?$)[A-Za-z0-9.][A-Za-z0-9._+~@-]{0,199}$/;

/** Whether a file of that name can be written: whatever names there are can be read. */
export function isPlainName(name: string): boolean {
  return PLAIN_NAME.test(name);
}

const XATTR_BYTES_MAX = 64 * 1024;

export interface NewFile {
  readonly parentInode: number;
  readonly name: string;
  readonly content: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Also writes files, by debugfs on an unmounted file system. For clones alone. */
export class EditableVolume extends ExtVolume {
  async attributesOf(entry: DirectoryEntry): Promise<InodeAttributes> {
    const { stdout } = await this.debugfs(`stat <${entry.inode}>`);
    const inode = parseInode(stdout);
    if (!inode) throw this.failed(`the attributes of ${entry.name} cannot be read`);
    const xattrs: { name: string; valueBase64: string }[] = [];
    for (const name of inode.xattrNames) {
      const path = this.options.scratch.path();
      await this.debugfs(`ea_get -r -f ${path} <${entry.inode}> ${name}`);
      const value = await this.options.scratch.take(path, XATTR_BYTES_MAX);
      if (!value) throw this.failed(`the attribute ${name} of ${entry.name} cannot be read`);
      xattrs.push({ name, valueBase64: value.toString('base64') });
    }
    return { ...inode.attributes, xattrs };
  }

  /** Puts a new file where none is. */
  async create(file: NewFile): Promise<void> {
    this.expectPlain(file.name);
    await this.expectSpace(file.content.length);
    const path = await this.options.scratch.write(file.content);
    await this.edit([
      `cd <${file.parentInode}>`,
      `write ${path} ${file.name}`,
      `sif ${file.name} mode ${octal(0o100000 | (file.mode & 0o7777))}`,
      `sif ${file.name} uid ${file.uid}`,
      `sif ${file.name} gid ${file.gid}`,
    ]);
    await this.options.scratch.take(path, 0);
  }

  /** Puts another content in a file's place; owner, rights, extended attributes and flags stay. */
  async replace(parentInode: number, entry: DirectoryEntry, content: Buffer): Promise<void> {
    const attributes = await this.attributesOf(entry);
    if (attributes.links > 1)
      throw new DiskUnusable(
        'DISK_FILE_UNSUPPORTED',
        `${entry.name} on ${this.name} has ${attributes.links} hard links, so it cannot be replaced. Give it a name of its own on the server, then copy the disk again.`,
      );
    await this.remove(parentInode, entry);
    await this.create({ parentInode, name: entry.name, content, ...attributes });
    await this.restoreAttributes(parentInode, entry.name, attributes, { withTimes: false });
  }

  async remove(parentInode: number, entry: DirectoryEntry): Promise<void> {
    this.expectPlain(entry.name);
    await this.edit([`cd <${parentInode}>`, `rm ${entry.name}`]);
  }

  async makeDirectory(parentInode: number, name: string): Promise<void> {
    this.expectPlain(name);
    await this.edit([`cd <${parentInode}>`, `mkdir ${name}`, `sif ${name} mode 0040755`]);
  }

  async removeDirectory(parentInode: number, entry: DirectoryEntry): Promise<void> {
    this.expectPlain(entry.name);
    await this.edit([`cd <${parentInode}>`, `rmdir ${entry.name}`]);
  }

  /** Gives a file the attributes that it, or the one before it, had. */
  async restoreAttributes(
    parentInode: number,
    name: string,
    attributes: InodeAttributes,
    { withTimes }: { withTimes: boolean },
  ): Promise<void> {
    this.expectPlain(name);
    const commands = [
      `cd <${parentInode}>`,
      `sif ${name} mode ${octal(0o100000 | (attributes.mode & 0o7777))}`,
      `sif ${name} uid ${attributes.uid}`,
      `sif ${name} gid ${attributes.gid}`,
    ];
    for (const { name: xattr, valueBase64 } of attributes.xattrs) {
      const path = await this.options.scratch.write(Buffer.from(valueBase64, 'base64'));
      commands.push(`ea_set -r -f ${path} ${name} ${xattr}`);
    }
    const entry = (await this.list(parentInode)).get(name);
    const flags = attributes.flags & PRESERVED_FLAGS;
    if (entry && flags !== 0) {
      const now = parseInode((await this.debugfs(`stat <${entry.inode}>`)).stdout);
      if (now) commands.push(`sif ${name} flags ${now.attributes.flags | flags}`);
    }
    if (withTimes)
      for (const [field, time] of Object.entries(attributes.times)) {
        commands.push(`sif ${name} ${field} @${time.seconds}`);
        if (time.extra !== undefined) commands.push(`sif ${name} ${field}_extra ${time.extra}`);
      }
    await this.edit(commands);
  }

  private async expectSpace(bytes: number): Promise<void> {
    const { tools, signal } = this.options;
    const { stdout } = await tools.run('dumpe2fs', ['-h', this.device], { signal });
    const field = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+)$`, 'm').exec(stdout.toString())?.[1]);
    const freeBytes = field('Free blocks') * this.superblock.blockBytes;
    const blockBytes = Math.ceil(bytes / this.superblock.blockBytes + 8) * this.superblock.blockBytes;
    if (freeBytes < blockBytes || field('Free inodes') < 1)
      throw new DiskUnusable(
        'DISK_FILE_SYSTEM_FULL',
        `The file system on ${this.name} is full: ${blockBytes} bytes are needed, ${freeBytes} are free. Remove old kernels or other files on the server, then copy the disk again.`,
      );
  }

  /** All of the commands, or an error: what debugfs complains about is never passed over. */
  private async edit(commands: readonly string[]): Promise<void> {
    const { tools, scratch, signal } = this.options;
    const script = await scratch.write(`${commands.join('\n')}\n`);
    const { stderr } = await tools.run('debugfs', ['-w', '-f', script, this.device], { signal });
    await scratch.take(script, 0);
    this.forget();
    const complaint = stderr.split('\n').find((line) => line.trim() !== '' && !/^debugfs \d/.test(line));
    if (complaint) throw this.failed(complaint.trim().slice(0, 300));
  }

  private expectPlain(name: string): void {
    if (!isPlainName(name))
      throw new DiskUnusable(
        'DISK_FILE_UNSUPPORTED',
        `A file on ${this.name} is called ${JSON.stringify(name)}; only plain names can be written. Rename it on the server, then copy the disk again.`,
      );
  }

  private failed(detail: string): DiskUnusable {
    return new DiskUnusable(
      'DISK_DAMAGED',
      `The file system on ${this.name} could not be changed: ${detail}. Check it with e2fsck on the server, then copy the disk again.`,
    );
  }
}

function octal(mode: number): string {
  return `0${mode.toString(8)}`;
}
