import type { InodeAttributes } from '../../file-system/inode-attributes';
import { TEXT_BYTES_MAX } from '../../guest/guest-tree';
import type { FileRights, FoundFile, GuestFiles, NamedFile } from '../../guest/guest-files';

type Node = { content: Buffer; mode: number } | { link: string } | { folder: true };
export type MemoryFiles = Record<string, string | Buffer | { link: string }>;

const SYMLINKS_MAX = 40;

/** A guest's files in memory. Symlinks lead to places below its root, as in the ports for disks. */
export class MemoryGuest implements GuestFiles {
  private readonly nodes = new Map<string, Node>([['/', { folder: true }]]);

  constructor(files: MemoryFiles) {
    for (const [path, content] of Object.entries(files)) {
      this.addFolders(path);
      this.nodes.set(path, this.nodeOf(content));
    }
  }

  /** All plain files, for comparing. */
  snapshot(): Record<string, string> {
    const all = [...this.nodes].flatMap(([path, node]) =>
      'content' in node ? [[path, node.content.toString('latin1')] as const] : [],
    );
    return Object.fromEntries(all.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  find(path: string): Promise<FoundFile | undefined> {
    const real = this.realPath(path);
    const node = real === undefined ? undefined : this.nodes.get(real);
    return Promise.resolve(real !== undefined && node ? { path: real, entry: entryOf(node) } : undefined);
  }

  async entries(path: string): Promise<NamedFile[]> {
    const found = await this.find(path);
    if (found?.entry.kind !== 'directory') return [];
    const prefix = found.path === '/' ? '/' : `${found.path}/`;
    return [...this.nodes]
      .filter(([at]) => at.startsWith(prefix) && at !== '/' && !at.slice(prefix.length).includes('/'))
      .map(([at, node]) => ({ ...entryOf(node), name: at.slice(prefix.length) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async names(path: string): Promise<string[]> {
    return (await this.entries(path)).map(({ name }) => name);
  }

  async read(path: string, bytesMax = TEXT_BYTES_MAX): Promise<Buffer | undefined> {
    const found = await this.find(path);
    const node = found && this.nodes.get(found.path);
    return node && 'content' in node && node.content.length <= bytesMax ? node.content : undefined;
  }

  async readText(path: string, bytesMax?: number): Promise<string | undefined> {
    return (await this.read(path, bytesMax))?.toString('utf8');
  }

  async attributes(path: string): Promise<InodeAttributes> {
    const found = await this.find(path);
    if (found?.entry.kind !== 'file') throw new Error(`${path} is no plain file`);
    const time = { seconds: 1 };
    const { mode, uid, gid } = found.entry;
    return { mode, uid, gid, links: 1, flags: 0, times: { mtime: time, atime: time }, xattrs: [] };
  }

  async create(path: string, content: Buffer, { mode }: FileRights): Promise<string> {
    const real = await this.freePlace(path);
    this.nodes.set(real, { content, mode });
    return real;
  }

  async replace(path: string, content: Buffer): Promise<void> {
    const found = await this.find(path);
    const node = found && this.nodes.get(found.path);
    if (!found || !node || !('content' in node)) throw new Error(`${path} is no plain file`);
    this.nodes.set(found.path, { ...node, content });
  }

  setAttributes(): Promise<void> {
    return Promise.resolve();
  }

  async remove(path: string): Promise<void> {
    const found = await this.find(path);
    if (found?.entry.kind !== 'file') throw new Error(`${path} is no plain file`);
    this.nodes.delete(found.path);
  }

  async makeDirectory(path: string): Promise<string> {
    const real = await this.freePlace(path);
    this.nodes.set(real, { folder: true });
    return real;
  }

  async removeDirectory(path: string): Promise<void> {
    if ((await this.names(path)).length > 0) throw new Error(`${path} is not empty`);
    this.nodes.delete(path);
  }

  private nodeOf(content: string | Buffer | { link: string }): Node {
    if (typeof content === 'string') return { content: Buffer.from(content), mode: 0o100644 };
    return Buffer.isBuffer(content) ? { content, mode: 0o100644 } : { link: content.link };
  }

  private addFolders(path: string): void {
    const parts = path.split('/').slice(1, -1);
    for (let length = 1; length <= parts.length; length++) {
      const folder = `/${parts.slice(0, length).join('/')}`;
      if (!this.nodes.has(folder)) this.nodes.set(folder, { folder: true });
    }
  }

  private async freePlace(path: string): Promise<string> {
    const slash = path.lastIndexOf('/');
    const folder = await this.find(path.slice(0, slash) || '/');
    if (folder?.entry.kind !== 'directory') throw new Error(`${path} is in no folder`);
    const real = `${folder.path === '/' ? '' : folder.path}/${path.slice(slash + 1)}`;
    if (this.nodes.has(real)) throw new Error(`${real} is there already`);
    return real;
  }

  private realPath(path: string): string | undefined {
    const parts = partsOf(path);
    const trail: string[] = [];
    for (let links = 0; parts.length > 0;) {
      const part = parts.shift() ?? '';
      if (part === '..') {
        trail.pop();
        continue;
      }
      const at = `/${[...trail, part].join('/')}`;
      const node = this.nodes.get(at);
      if (!node) return undefined;
      if (!('link' in node)) {
        trail.push(part);
        continue;
      }
      links += 1;
      if (links > SYMLINKS_MAX) return undefined;
      if (node.link.startsWith('/')) trail.length = 0;
      parts.unshift(...partsOf(node.link));
    }
    return `/${trail.join('/')}`;
  }
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

function entryOf(node: Node): FoundFile['entry'] {
  const owner = { uid: 0, gid: 0 };
  if ('link' in node) return { ...owner, kind: 'symlink', mode: 0o120777, sizeBytes: node.link.length };
  if ('folder' in node) return { ...owner, kind: 'directory', mode: 0o040755, sizeBytes: 0 };
  return { ...owner, kind: 'file', mode: node.mode, sizeBytes: node.content.length };
}
