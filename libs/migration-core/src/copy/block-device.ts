import { randomInt } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

import { createKernels, KERNEL_RESERVED_BYTES, PAGE_HASH_BYTES, type PageKernels } from '../kernels';
import { PAGE_BYTES } from '../qemu-stream';
import type { RamBlock } from '../ram-blocks';
import { PageCopyError } from './errors';
import { PageSet } from './page-set';
import type { PageSource, PageTarget } from './page-source';

/** Read at once by a scan: larger reads are no faster on disks, smaller ones are slower. */
const SCAN_BYTES = 64 * 1024;
const SCAN_PAGES = SCAN_BYTES / PAGE_BYTES;
const BLOCK_NAME = 'disk';
const HASH_WORDS = PAGE_HASH_BYTES / 4;

const POINTERS_AT = KERNEL_RESERVED_BYTES;
const HASHES_AT = POINTERS_AT + 1_024;
const PAGES_AT = HASHES_AT + 4_096;

export interface BlockDeviceOptions {
  /** Stops and lets go whoever writes, as `fsfreeze` does. Default: nobody writes while the source is paused. */
  readonly freeze?: () => Promise<void>;
  readonly thaw?: () => Promise<void>;
}

/**
 * A disk, or a file in its place, that is written while it is copied, and where nobody keeps a record of what is
 * written: each round reads all of it, 64 KiB at a time, and compares hashes, page by page, with those of what was
 * sent. Costs 16 bytes of memory a page. A change that leaves all 128 bits of a seeded hash as they were goes unseen:
 * one in 2^128 by chance, and nobody can prepare one without the seed.
 */
export class BlockDeviceSource implements PageSource {
  readonly blocks: readonly RamBlock[];
  readonly #pageCount: number;
  readonly #kernels: PageKernels = createKernels({ maxBytes: 1024 * 1024 });
  readonly #hashes: Uint32Array;
  readonly #seed = { low: randomInt(2 ** 32), high: randomInt(2 ** 32) };
  #isFirst = true;

  private constructor(
    private readonly file: FileHandle,
    readonly sizeBytes: number,
    private readonly options: BlockDeviceOptions,
  ) {
    this.#pageCount = Math.ceil(sizeBytes / PAGE_BYTES);
    this.blocks = [{ name: BLOCK_NAME, bytes: this.#pageCount * PAGE_BYTES }];
    this.#hashes = new Uint32Array(this.#pageCount * HASH_WORDS);
    this.#kernels.memory.grow(PAGES_AT + SCAN_BYTES);
    const { words } = this.#kernels.memory;
    for (let index = 0; index < SCAN_PAGES; index += 1)
      words[POINTERS_AT / 4 + index] = PAGES_AT + index * PAGE_BYTES;
  }

  /** Opens it for reading alone. Rejects as `open` does, with COPY_SOURCE_CHANGED for one without content. */
  static async open(path: string, options: BlockDeviceOptions = {}): Promise<BlockDeviceSource> {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const sizeBytes = await sizeOf(file);
      if (sizeBytes === 0)
        throw new PageCopyError('COPY_SOURCE_CHANGED', `${path} is empty; there is nothing to copy.`);
      return new BlockDeviceSource(file, sizeBytes, options);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async takeDirty(): Promise<PageSet> {
    if (this.#isFirst) {
      this.#isFirst = false;
      return PageSet.all(this.#pageCount);
    }
    const dirty = new PageSet(this.#pageCount);
    const chunk = Buffer.alloc(SCAN_BYTES);
    for (let first = 0; first < this.#pageCount; first += SCAN_PAGES) {
      const pageCount = Math.min(SCAN_PAGES, this.#pageCount - first);
      await this.#readPages(first, chunk.subarray(0, pageCount * PAGE_BYTES));
      this.#hash(chunk, pageCount, (index, hash) => {
        const at = (first + index) * HASH_WORDS;
        if (hash.some((word, part) => word !== this.#hashes[at + part])) dirty.add(first + index);
      });
    }
    return dirty;
  }

  /** What is handed out is what later scans compare with: a page may change between a scan and this, and back again. */
  async read(firstPage: number, into: Uint8Array): Promise<void> {
    await this.#readPages(firstPage, into);
    for (let at = 0; at < into.length; at += SCAN_BYTES) {
      const part = into.subarray(at, at + SCAN_BYTES);
      const first = firstPage + at / PAGE_BYTES;
      this.#hash(part, part.length / PAGE_BYTES, (index, hash) =>
        this.#hashes.set(hash, (first + index) * HASH_WORDS),
      );
    }
  }

  async pause(): Promise<void> {
    await this.options.freeze?.();
  }

  async resume(): Promise<void> {
    await this.options.thaw?.();
  }

  close(): Promise<void> {
    return this.file.close();
  }

  async #readPages(firstPage: number, into: Uint8Array): Promise<void> {
    const from = firstPage * PAGE_BYTES;
    const wanted = Math.min(into.length, this.sizeBytes - from);
    let done = 0;
    while (done < wanted) {
      const { bytesRead } = await this.file.read(into, done, wanted - done, from + done);
      if (bytesRead === 0)
        throw new PageCopyError(
          'COPY_SOURCE_CHANGED',
          `The source ends at byte ${from + done}; it had ${this.sizeBytes} when the copy began. Begin again.`,
        );
      done += bytesRead;
    }
    // The last page of a disk may be there in part.
    into.fill(0, wanted);
  }

  #hash(bytes: Uint8Array, pageCount: number, take: (index: number, hash: Uint32Array) => void): void {
    const { memory } = this.#kernels;
    memory.bytes.set(bytes.subarray(0, pageCount * PAGE_BYTES), PAGES_AT);
    this.#kernels.hashPages(POINTERS_AT, pageCount, this.#seed.low, this.#seed.high, HASHES_AT);
    for (let index = 0; index < pageCount; index += 1) {
      const at = HASHES_AT / 4 + index * HASH_WORDS;
      take(index, memory.words.subarray(at, at + HASH_WORDS));
    }
  }
}

/** A file that becomes a copy of a disk; zeros that are not there yet are not written. */
export class FileTarget implements PageTarget {
  readonly blocks: readonly RamBlock[];

  private constructor(
    private readonly file: FileHandle,
    private readonly sizeBytes: number,
  ) {
    this.blocks = [{ name: BLOCK_NAME, bytes: Math.ceil(sizeBytes / PAGE_BYTES) * PAGE_BYTES }];
  }

  /** Makes a file that is not there yet, its owner's alone. Rejects with EEXIST where there is one. */
  static async create(path: string, sizeBytes: number): Promise<FileTarget> {
    const file = await open(path, 'wx+', 0o600);
    await file.truncate(sizeBytes);
    return new FileTarget(file, sizeBytes);
  }

  async write(firstPage: number, bytes: Uint8Array): Promise<void> {
    const at = firstPage * PAGE_BYTES;
    const wanted = Math.min(bytes.length, this.sizeBytes - at);
    for (let done = 0; done < wanted;) {
      const { bytesWritten } = await this.file.write(bytes, done, wanted - done, at + done);
      done += bytesWritten;
    }
  }

  async writeZeros(firstPage: number, pageCount: number): Promise<void> {
    const page = Buffer.alloc(PAGE_BYTES);
    for (let index = firstPage; index < firstPage + pageCount; index += 1) {
      const wanted = Math.min(PAGE_BYTES, this.sizeBytes - index * PAGE_BYTES);
      const { bytesRead } = await this.file.read(page, 0, wanted, index * PAGE_BYTES);
      if (page.subarray(0, bytesRead).every((byte) => byte === 0)) continue;
      await this.write(index, Buffer.alloc(wanted));
    }
  }

  async flush(): Promise<void> {
    await this.file.sync();
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

async function sizeOf(file: FileHandle): Promise<number> {
  const found = await file.stat();
  if (found.isFile()) return found.size;
  // A device's size is where reading ends; halving finds it.
  const probe = Buffer.alloc(1);
  const isThere = async (at: number) => (await file.read(probe, 0, 1, at)).bytesRead === 1;
  let below = 0;
  let end = 512;
  while (await isThere(end - 1)) {
    below = end;
    end *= 2;
  }
  while (end - below > 1) {
    const middle = Math.floor((below + end) / 2);
    if (await isThere(middle - 1)) below = middle;
    else end = middle;
  }
  return below;
}
