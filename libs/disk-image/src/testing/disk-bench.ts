import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostTools, createHostTools, ensureHostTools } from '@watari/host-tools';
import { type Conversion, type ConvertDiskOptions, convertDisk } from '../conversion/convert-disk';
import { BOOT_OFFSET_BYTES, ROOT_OFFSET_BYTES, readGuestFile } from './fake-server';

/** A folder for the disks of one spec file, and what the specs do with them. */
export class DiskBench {
  private count = 0;

  private constructor(
    readonly folder: string,
    readonly tools: HostTools,
  ) {}

  static async open(): Promise<DiskBench> {
    await ensureHostTools(['debugfs', 'e2fsck', 'mke2fs', 'dumpe2fs', 'zstd', 'xz', 'qemu-img']);
    return new DiskBench(await mkdtemp(join(tmpdir(), 'disk-image-spec-')), createHostTools());
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  /** A new, empty folder. */
  place(): Promise<string> {
    this.count += 1;
    return mkdtemp(join(this.folder, `case-${this.count}-`));
  }

  /** Converts into `guest.raw` beside the source. */
  convert(sourcePath: string, more: Partial<ConvertDiskOptions> = {}): Promise<Conversion> {
    return convertDisk({
      sourcePath,
      sourceFormat: 'raw',
      targetPath: join(sourcePath, '..', 'guest.raw'),
      target: 'kvm-virtio',
      tools: this.tools,
      ...more,
    });
  }

  async rootFile(disk: string, path: string): Promise<string> {
    return (await readGuestFile(this.tools, disk, ROOT_OFFSET_BYTES, path)).toString('utf8');
  }

  bootFile(disk: string, path: string): Promise<Buffer> {
    return readGuestFile(this.tools, disk, BOOT_OFFSET_BYTES, path);
  }

  /** The status of a check that changes nothing: 0 for a whole file system. */
  async check(disk: string, offset: number): Promise<number> {
    const args = ['-f', '-n', `${disk}?offset=${offset}`];
    return (await this.tools.run('e2fsck', args, { okStatuses: [0, 4, 8, 12] })).status;
  }

  async edit(disk: string, offset: number, commands: readonly string[]): Promise<void> {
    const stdin = `${commands.join('\n')}\n`;
    await this.tools.run('debugfs', ['-w', '-f', '-', `${disk}?offset=${offset}`], { stdin });
  }
}

export async function digestOf(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}
