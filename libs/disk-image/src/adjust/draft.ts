import type { GuestReader } from '../guest/guest-files';
import { plain } from '../guest/operating-system';
import type { FileEdit, LeftUndone, StepPlan } from './adjustment';
import { EditedFiles } from './edited-files';
import { FOLDER_FILES_MAX, SETTINGS_BYTES_MAX, readSettings } from './settings-file';

const LEFT_UNDONE_MAX = 100;
const REASON_LETTERS_MAX = 500;
/** Names that settings have; others are left alone, since what reads them differs in what it makes of them. */
const PLAIN_NAME = /^[A-Za-z0-9@_+][A-Za-z0-9@_.:+ ()#,&'~-]{0,199}$/;

/**
 * Collects what a step wants. Texts are read as one letter per byte (latin1), so that bytes which a step does not
 * understand go back as they came, whatever their encoding.
 */
export class Draft {
  readonly files: EditedFiles;
  private readonly edits = new Map<string, FileEdit>();
  private readonly undone = new Map<string, LeftUndone>();

  constructor(guest: GuestReader) {
    this.files = new EditedFiles(guest);
  }

  /** Undefined where no plain file is there, or a longer one, which is told. */
  async text(path: string, bytesMax = SETTINGS_BYTES_MAX): Promise<string | undefined> {
    const text = await readSettings(this.files, path, bytesMax);
    if (text === undefined && (await this.files.find(path))?.entry.kind === 'file')
      this.leave(path, `It has more than ${bytesMax} bytes, so that it is left as it is.`);
    return text;
  }

  /** False where nothing is there, or `change` gives back what it got. */
  async edit(
    path: string,
    change: (text: string) => string,
    reason: string,
    bytesMax?: number,
  ): Promise<boolean> {
    const before = await this.text(path, bytesMax);
    return before !== undefined && this.write(path, Buffer.from(change(before), 'latin1'), reason);
  }

  async write(path: string, content: Buffer | string, reason: string): Promise<boolean> {
    const bytes = Buffer.isBuffer(content) ? content : Buffer.from(content, 'latin1');
    const obstacle = await this.obstacleTo(path);
    if (obstacle !== undefined) {
      this.leave(path, `${obstacle}. Put it right on the server if it should be adjusted.`);
      return false;
    }
    if (!(await this.files.put({ path, kind: 'write', content: bytes }))) return false;
    const real = (await this.files.find(path))?.path ?? path;
    const reasons = [this.edits.get(real)?.reason, shown(reason)];
    const told = [...new Set(reasons.filter((text) => text !== undefined))].join(' ');
    this.edits.set(real, { path: real, kind: 'write', content: bytes, reason: told });
    return true;
  }

  leave(subject: string, reason: string): void {
    const key = `${subject}\n${reason}`;
    if (this.undone.size < LEFT_UNDONE_MAX)
      this.undone.set(key, { subject: shown(subject), reason: shown(reason) });
  }

  /** Paths of the plain files in a folder of settings, in the order in which they are read. */
  async filesIn(folder: string, suffix = ''): Promise<string[]> {
    const entries = (await this.files.entries(folder)).filter(({ name }) => name.endsWith(suffix));
    const fit = entries.filter(({ name, kind }) => PLAIN_NAME.test(name) && kind !== 'directory');
    const odd = entries.filter(({ name }) => !PLAIN_NAME.test(name) && !name.startsWith('.'));
    if (odd.length > 0)
      this.leave(
        folder,
        `${odd.length} file(s) with odd names there (${JSON.stringify(odd[0]?.name)}) are left as they are.`,
      );
    if (fit.length > FOLDER_FILES_MAX)
      this.leave(folder, `Only the first ${FOLDER_FILES_MAX} of its ${fit.length} files were looked at.`);
    return fit.slice(0, FOLDER_FILES_MAX).map(({ name }) => `${folder}/${name}`);
  }

  /** What stands where a file, or a folder of its path, should be: a folder, a file, a link that leads nowhere. */
  private async obstacleTo(path: string): Promise<string | undefined> {
    const found = await this.files.find(path);
    if (found && found.entry.kind !== 'file') return 'It is no plain file';
    const isWritable = (at: string): boolean => this.files.isWritableName(at.slice(at.lastIndexOf('/') + 1));
    if (!isWritable(found?.path ?? path)) return 'A file of that name cannot be written';
    if (found) return undefined;
    for (let below = path; below !== '/';) {
      const parent = below.slice(0, below.lastIndexOf('/')) || '/';
      const folder = await this.files.find(parent);
      if (folder) {
        if (folder.entry.kind !== 'directory') return `${parent} is no folder`;
        const name = below.slice(below.lastIndexOf('/') + 1);
        const isThere = (await this.files.names(parent)).includes(name);
        return isThere ? `${below} is a link that leads nowhere` : undefined;
      }
      below = parent;
    }
    return undefined;
  }

  plan(): StepPlan {
    return { edits: [...this.edits.values()], leftUndone: [...this.undone.values()] };
  }
}

function shown(text: string): string {
  return plain(text, REASON_LETTERS_MAX);
}
