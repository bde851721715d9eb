import { readFile, readlink, stat } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import type { CpioEntry } from '../../initramfs/cpio';
import { readNeeded } from './elf';

const LIBRARY_FOLDERS = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu', 'usr/lib', 'lib', 'lib64'];
const PROGRAM_FOLDERS = ['usr/sbin', 'sbin', 'usr/bin', 'bin'];
const SYMLINKS_MAX = 10;

/** Files of an unpacked root, and all shared libraries that they load. */
export class PackageFiles {
  private readonly taken = new Map<string, CpioEntry>();

  constructor(private readonly root: string) {}

  get entries(): CpioEntry[] {
    return [...this.taken.values()];
  }

  /** Adds a program, below /usr/sbin whatever folder its package has it in. Throws where no package brought it. */
  async addProgram(name: string): Promise<void> {
    for (const folder of PROGRAM_FOLDERS) {
      const content = await this.read(join(folder, name));
      if (content) return this.add(`usr/sbin/${name}`, content, 0o755);
    }
    throw new Error(`No package of the appliance brings the program ${name}.`);
  }

  /** Adds a file under a path of its own, with what it loads. */
  async add(path: string, content: Buffer, mode = 0o644): Promise<void> {
    if (this.taken.has(path)) return;
    this.taken.set(path, { path, mode: 0o100000 | mode, content });
    const { libraries, loader } = readNeeded(content);
    if (loader) await this.addLibrary(loader.slice(loader.lastIndexOf('/') + 1));
    for (const library of libraries) await this.addLibrary(library);
  }

  /** Adds a library that is loaded by its name at run time, such as what the C library needs to end threads. */
  async addLibrary(name: string): Promise<void> {
    const path = `usr/lib/x86_64-linux-gnu/${name}`;
    if (this.taken.has(path)) return;
    for (const folder of LIBRARY_FOLDERS) {
      const content = await this.read(join(folder, name));
      if (content) return this.add(path, content, 0o755);
    }
    throw new Error(`No package of the appliance brings the library ${name}.`);
  }

  /** Reads below the root; symlinks are taken as they are meant there, not as this system would follow them. */
  async read(path: string): Promise<Buffer | undefined> {
    let place = path;
    for (let links = 0; links < SYMLINKS_MAX; links += 1) {
      const target = await readlink(join(this.root, place)).catch(() => undefined);
      if (target === undefined) break;
      place = target.startsWith('/') ? target.slice(1) : normalize(join(dirname(place), target));
    }
    const full = join(this.root, place);
    const found = await stat(full).catch(() => undefined);
    return found?.isFile() ? readFile(full) : undefined;
  }
}
