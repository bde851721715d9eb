import { type Hash, createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { DiskUnusable } from '../errors';

const GATHERED_BYTES = 1024 * 1024;

/** A new file that is written front to back in large pieces, and corrected in places at the end. */
export class OutputFile {
  private gathered: Buffer[] = [];
  private gatheredBytes = 0;
  private offset = 0;
  private hash: Hash | undefined;

  private constructor(
    private readonly file: FileHandle,
    private readonly path: string,
    private readonly bytesMax: number,
  ) {}

  /** `bytesMax`: more rejects with DISK_TOO_LARGE. */
  static async create(path: string, bytesMax: number): Promise<OutputFile> {
    return new OutputFile(await open(path, 'wx', 0o600), path, bytesMax);
  }

  get writtenBytes(): number {
    return this.offset + this.gatheredBytes;
  }

  async append(bytes: Buffer): Promise<void> {
    if (this.writtenBytes + bytes.length > this.bytesMax) throw overQuota(this.path, this.bytesMax);
    this.hash?.update(bytes);
    this.gathered.push(bytes);
    this.gatheredBytes += bytes.length;
    if (this.gatheredBytes >= GATHERED_BYTES) await this.flush();
  }

  /** Appends a part and resolves with its sha256, in hex. */
  async appendHashed(parts: AsyncIterable<Buffer>): Promise<string> {
    const hash = createHash('sha256');
    this.hash = hash;
    try {
      for await (const part of parts) await this.append(part);
    } finally {
      this.hash = undefined;
    }
    return hash.digest('hex');
  }

  async correct(offset: number, bytes: Buffer): Promise<void> {
    await this.flush();
    await this.write([bytes], offset);
  }

  /** Writes what is left. Who gives the file its name flushes it to the disk. */
  async finish(): Promise<void> {
    await this.flush();
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  private async flush(): Promise<void> {
    const [parts, bytes] = [this.gathered, this.gatheredBytes];
    this.gathered = [];
    this.gatheredBytes = 0;
    await this.write(parts, this.offset);
    this.offset += bytes;
  }

  private async write(parts: readonly Buffer[], offset: number): Promise<void> {
    const all = parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts);
    for (let done = 0; done < all.length;)
      done += (await this.file.write(all, done, all.length - done, offset + done)).bytesWritten;
  }
}

export function overQuota(path: string, bytesMax: number, cause?: unknown): DiskUnusable {
  return new DiskUnusable(
    'DISK_TOO_LARGE',
    `${path} would be longer than ${bytesMax} bytes, which is its limit. Raise the limit, or write a compressed kind of image.`,
    { cause },
  );
}
