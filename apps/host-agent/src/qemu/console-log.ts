import { appendFile, readFile, writeFile } from 'node:fs/promises';

/** What the agent remembers of a console, in memory and on disk; older output is forgotten. */
const KEPT_BYTES = 256 * 1024;
/** The file may grow to twice that before it is cut back. */
const FILE_BYTES_MAX = 2 * KEPT_BYTES;

/** The last part of a guest's serial console, in a file that survives the agent. */
export class ConsoleLog {
  #kept: Buffer;
  #fileBytes: number;
  #writing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly path: string,
    content: Buffer,
  ) {
    this.#fileBytes = content.length;
    this.#kept = content.subarray(-KEPT_BYTES);
  }

  static async open(path: string): Promise<ConsoleLog> {
    try {
      return new ConsoleLog(path, await readFile(path));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      return new ConsoleLog(path, Buffer.alloc(0));
    }
  }

  /** Appends; rejects when the file cannot be written, with the text kept in memory all the same. */
  append(bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return this.#writing;
    this.#kept = Buffer.concat([this.#kept, bytes]).subarray(-KEPT_BYTES);
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#write(bytes));
    return this.#writing;
  }

  /** Puts what the guest wrote on its former host before what it wrote here. */
  prepend(bytes: Buffer): Promise<void> {
    const whole = Buffer.concat([bytes, this.#kept]).subarray(-KEPT_BYTES);
    this.#kept = Buffer.alloc(0);
    this.#fileBytes = FILE_BYTES_MAX;
    return this.append(whole);
  }

  /** The last bytes as text; a letter that was cut in two shows as a replacement character. */
  tail(bytesMax: number): string {
    return this.#kept.subarray(-bytesMax).toString('utf8');
  }

  includes(text: string): boolean {
    return this.#kept.includes(text);
  }

  get bytes(): Buffer {
    return this.#kept;
  }

  async #write(bytes: Buffer): Promise<void> {
    this.#fileBytes += bytes.length;
    if (this.#fileBytes <= FILE_BYTES_MAX) return appendFile(this.path, bytes, { mode: 0o600 });
    this.#fileBytes = this.#kept.length;
    return writeFile(this.path, this.#kept, { mode: 0o600 });
  }
}
