import type { HostTools } from '@watari/host-tools';
import { DiskUnusable } from '../errors';
import type { ExtSuperblock } from './ext-superblock';
import type { Scratch } from './scratch';

export const ROOT_INODE = 2;
const DIRECTORY_LISTING_BYTES_MAX = 16 * 1024 * 1024;
const TIMEOUT_MS = 120_000;

export type EntryKind = 'file' | 'directory' | 'symlink' | 'other';

export interface DirectoryEntry {
  readonly inode: number;
  readonly kind: EntryKind;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
  readonly sizeBytes: number;
}

export interface VolumeOptions {
  readonly tools: HostTools;
  readonly scratch: Scratch;
  /** A plain path (see Scratch) of the disk. */
  readonly diskPath: string;
  readonly offsetBytes: number;
  /** As people know it, such as `partition 1`. */
  readonly name: string;
  readonly superblock: ExtSuperblock;
  readonly signal?: AbortSignal;
}

/**
 * Reads files of an ext2, 3 or 4 file system inside of a disk by debugfs: nothing is mounted. Everything
 * in the file system is named to debugfs by its inode's number, so no name of a guest is ever part of a command.
 */
export class ExtVolume {
  private readonly directories = new Map<number, Promise<Map<string, DirectoryEntry>>>();

  constructor(protected readonly options: VolumeOptions) {}

  get name(): string {
    return this.options.name;
  }

  get superblock(): ExtSuperblock {
    return this.options.superblock;
  }

  /** For e2fsprogs: the disk and where in it the file system begins. */
  get device(): string {
    return `${this.options.diskPath}?offset=${this.options.offsetBytes}`;
  }

  /** Entries of a directory by name. Names that hold a line break or a slash are left out. */
  list(inode: number): Promise<Map<string, DirectoryEntry>> {
    const known = this.directories.get(inode);
    if (known) return known;
    const listed = this.readDirectory(inode);
    this.directories.set(inode, listed);
    return listed;
  }

  /** Content of a file; undefined where it has more than `bytesMax` bytes or cannot be read. */
  async read(entry: DirectoryEntry, bytesMax: number): Promise<Buffer | undefined> {
    if (entry.sizeBytes > bytesMax) return undefined;
    const path = this.options.scratch.path();
    await this.debugfs(`dump <${entry.inode}> ${path}`);
    const content = await this.options.scratch.take(path, bytesMax);
    return content?.length === entry.sizeBytes ? content : undefined;
  }

  /** Where a symlink points. */
  async readLink(entry: DirectoryEntry): Promise<string | undefined> {
    if (entry.sizeBytes > 4095) return undefined;
    const described = (await this.debugfs(`stat <${entry.inode}>`)).stdout;
    const fast = /^Fast link dest: "(.*)"$/ms.exec(described)?.[1];
    if (fast !== undefined) return fast;
    return (await this.read(entry, 4095))?.toString('utf8');
  }

  protected forget(): void {
    this.directories.clear();
  }

  protected async debugfs(command: string): Promise<{ stdout: string; stderr: string }> {
    const { tools, signal } = this.options;
    const { stdout, stderr } = await tools.run('debugfs', ['-R', command, this.device], {
      timeoutMs: TIMEOUT_MS,
      stdoutBytesMax: DIRECTORY_LISTING_BYTES_MAX,
      signal,
    });
    const text = stdout.toString('utf8');
    if (/Filesystem not open/.test(text + stderr))
      throw new DiskUnusable(
        'DISK_DAMAGED',
        `The file system on ${this.name} cannot be opened: ${stderr.trim().slice(-300)}. Check it with e2fsck on the server, then copy the disk again.`,
      );
    return { stdout: text, stderr };
  }

  private async readDirectory(inode: number): Promise<Map<string, DirectoryEntry>> {
    const { stdout } = await this.debugfs(`ls -p <${inode}>`);
    const entries = new Map<string, DirectoryEntry>();
    for (const line of stdout.split('\n')) {
      const entry = parseEntry(line);
      if (entry && !entries.has(entry.name)) entries.set(entry.name, entry);
    }
    return entries;
  }
}

function parseEntry(line: string): DirectoryEntry | undefined {
  const fields = /^\/(\d{1,10})\/([0-7]{6})\/(\d{1,10})\/(\d{1,10})\/([^/]+)\/(\d{0,19})\/$/.exec(line);
  if (!fields) return undefined;
  const [, inode, mode, uid, gid, name = '', sizeBytes] = fields;
  if (Number(inode) === 0 || name === '.' || name === '..') return undefined;
  const bits = parseInt(mode ?? '0', 8);
  return {
    inode: Number(inode),
    kind: kindOf(bits),
    mode: bits,
    uid: Number(uid),
    gid: Number(gid),
    name,
    sizeBytes: Number(sizeBytes),
  };
}

function kindOf(mode: number): EntryKind {
  switch (mode & 0o170000) {
    case 0o100000:
      return 'file';
    case 0o040000:
      return 'directory';
    case 0o120000:
      return 'symlink';
    default:
      return 'other';
  }
}
