import { TEXT_BYTES_MAX } from '../guest/guest-tree';
import type { FoundFile, GuestReader, NamedFile } from '../guest/guest-files';
import { isPlainName } from '../file-system/editable-volume';
import type { FileEdit } from './adjustment';

const ROOT_FILE = { kind: 'file', mode: 0o100644, uid: 0, gid: 0 } as const;
const ROOT_FOLDER = { kind: 'directory', mode: 0o040755, uid: 0, gid: 0, sizeBytes: 0 } as const;
const APPEND_ALIGNMENT_BYTES = 4;

/** A guest's files as they will be when edits are carried out; the guest itself is only read. */
export class EditedFiles implements GuestReader {
  /** By paths without symlinks. */
  private readonly contents = new Map<string, Buffer>();
  private readonly made = new Set<string>();

  readonly isWritableName: (name: string) => boolean;

  constructor(
    private readonly guest: GuestReader,
    isWritableName = guest instanceof EditedFiles ? guest.isWritableName : isPlainName,
  ) {
    this.isWritableName = isWritableName;
  }

  get edited(): ReadonlyMap<string, Buffer> {
    return this.contents;
  }

  get created(): ReadonlySet<string> {
    return this.made;
  }

  /** False where the file has that content already. Appended bytes need a file of at most `bytesMax`. */
  async put(
    { path, kind, content }: Pick<FileEdit, 'path' | 'kind' | 'content'>,
    bytesMax?: number,
  ): Promise<boolean> {
    const before = await this.read(path, bytesMax);
    if (kind === 'write' && before?.equals(content)) return false;
    const head = kind === 'append' ? aligned(before ?? Buffer.alloc(0)) : [];
    const real = await this.realPath(path);
    if (!this.contents.has(real) && !(await this.guest.find(real))) this.made.add(real);
    this.contents.set(real, Buffer.concat([...head, content]));
    return true;
  }

  async find(path: string): Promise<FoundFile | undefined> {
    const real = await this.realPath(path);
    const content = this.contents.get(real);
    const found = await this.guest.find(real);
    if (content) {
      const entry = { ...(found?.entry ?? ROOT_FILE), sizeBytes: content.length };
      return { path: real, entry };
    }
    const isNewFolder = [...this.contents.keys()].some((file) => file.startsWith(`${real}/`));
    return found ?? (isNewFolder ? { path: real, entry: ROOT_FOLDER } : undefined);
  }

  async entries(path: string): Promise<readonly NamedFile[]> {
    const entries = new Map((await this.guest.entries(path)).map((entry) => [entry.name, entry]));
    const folder = await this.realPath(path);
    const prefix = folder === '/' ? '/' : `${folder}/`;
    for (const [file, content] of this.contents) {
      if (!file.startsWith(prefix)) continue;
      const [name = '', ...below] = file.slice(prefix.length).split('/');
      if (entries.has(name)) continue;
      const entry = below.length > 0 ? ROOT_FOLDER : { ...ROOT_FILE, sizeBytes: content.length };
      entries.set(name, { ...entry, name });
    }
    return [...entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async names(path: string): Promise<string[]> {
    return (await this.entries(path)).map(({ name }) => name);
  }

  async read(path: string, bytesMax = TEXT_BYTES_MAX): Promise<Buffer | undefined> {
    const content = this.contents.get(await this.realPath(path));
    if (content) return content.length > bytesMax ? undefined : content;
    return this.guest.read(path, bytesMax);
  }

  async readText(path: string, bytesMax?: number): Promise<string | undefined> {
    return (await this.read(path, bytesMax))?.toString('utf8');
  }

  /** What is there of the path without symlinks, and the rest as it stands. */
  private async realPath(path: string): Promise<string> {
    const parts = path.split('/').filter((part) => part !== '' && part !== '.');
    for (let length = parts.length; length > 0; length--) {
      const found = await this.guest.find(`/${parts.slice(0, length).join('/')}`);
      if (!found) continue;
      const rest = parts.slice(length).map((part) => `/${part}`);
      return `${found.path === '/' ? '' : found.path}${rest.join('')}` || '/';
    }
    return `/${parts.join('/')}`;
  }
}

function aligned(content: Buffer): Buffer[] {
  const gapBytes =
    (APPEND_ALIGNMENT_BYTES - (content.length % APPEND_ALIGNMENT_BYTES)) % APPEND_ALIGNMENT_BYTES;
  return [content, Buffer.alloc(gapBytes)];
}
