import type { EntryKind } from '../file-system/ext-volume';
import type { InodeAttributes } from '../file-system/inode-attributes';

/**
 * A file of a guest. Names are bytes; where they are no UTF-8, an appliance gives each wrong byte as a lone
 * surrogate (U+DC80 and up), which goes back as the byte that it was.
 */
export interface GuestFile {
  readonly kind: EntryKind;
  /** With the file's kind in its upper bits, as stat(2) has it. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
}

export interface FoundFile {
  /** Without symlinks, from the guest's root. */
  readonly path: string;
  readonly entry: GuestFile;
}

export interface NamedFile extends GuestFile {
  readonly name: string;
}

export interface FileRights {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Reading a guest's files, over its mounts. Symlinks lead only to places inside of the guest's own root. */
export interface GuestReader {
  /** Follows symlinks, the last part's too. Undefined where nothing is there, or symlinks run in a circle. */
  find(path: string): Promise<FoundFile | undefined>;
  /** What is in a folder, sorted by name; nothing where there is no such folder. */
  entries(path: string): Promise<readonly NamedFile[]>;
  names(path: string): Promise<string[]>;
  /** Undefined where there is no such plain file, or it has more than `bytesMax` bytes; default 1 MiB. */
  read(path: string, bytesMax?: number): Promise<Buffer | undefined>;
  readText(path: string, bytesMax?: number): Promise<string | undefined>;
}

/**
 * Also changing them, on a clone. Rejects with DiskUnusable: DISK_FILE_UNSUPPORTED where the place does not fit,
 * DISK_FILE_SYSTEM_FULL, DISK_DAMAGED.
 */
export interface GuestFiles extends GuestReader {
  /** Of a plain file, which must be there. */
  attributes(path: string): Promise<InodeAttributes>;
  /** Puts a file where none is; gives its path without symlinks. */
  create(path: string, content: Buffer, rights: FileRights): Promise<string>;
  /** Another content; owner, rights, extended attributes and flags stay. Refuses a file with hard links. */
  replace(path: string, content: Buffer): Promise<void>;
  setAttributes(path: string, attributes: InodeAttributes, options: { withTimes: boolean }): Promise<void>;
  /** A symlink itself, not what it leads to. */
  remove(path: string): Promise<void>;
  /** With the rights 0755 of root; gives its path without symlinks. */
  makeDirectory(path: string): Promise<string>;
  /** An empty one. */
  removeDirectory(path: string): Promise<void>;
}
