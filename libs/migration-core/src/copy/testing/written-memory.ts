import { PAGE_BYTES } from '../../qemu-stream';
import { SeededChance } from '../../testing/seeded-chance';
import { PageSet } from '../page-set';
import type { PageSource, PageTarget } from '../page-source';

const BLOCKS = [
  { name: 'pc.ram', bytes: 300 * PAGE_BYTES },
  { name: 'vga.vram', bytes: 20 * PAGE_BYTES },
];
const PAGES = 320;

/** Memory of two blocks that somebody writes whenever it is looked at, until it is paused. */
export class WrittenMemory implements PageSource {
  readonly blocks = BLOCKS;
  readonly bytes = new Uint8Array(PAGES * PAGE_BYTES);
  readonly calls: string[] = [];
  writesPerLook = 3;
  /** Where writes go; the rest is written once and left alone. */
  hotPages = 40;
  readonly #chance: SeededChance;
  #dirty = PageSet.all(PAGES);
  #isPaused = false;

  constructor(seed: number) {
    this.#chance = new SeededChance(seed);
    for (let page = 0; page < PAGES; page += 2)
      this.bytes.set(this.#chance.bytes(PAGE_BYTES), page * PAGE_BYTES);
  }

  takeDirty(): Promise<PageSet> {
    this.#write();
    const dirty = this.#dirty;
    this.#dirty = new PageSet(PAGES);
    return Promise.resolve(dirty);
  }

  read(firstPage: number, into: Uint8Array): Promise<void> {
    this.#write();
    into.set(this.bytes.subarray(firstPage * PAGE_BYTES, firstPage * PAGE_BYTES + into.length));
    return Promise.resolve();
  }

  pause(): Promise<void> {
    this.calls.push('pause');
    this.#isPaused = true;
    return Promise.resolve();
  }

  resume(): Promise<void> {
    this.calls.push('resume');
    this.#isPaused = false;
    return Promise.resolve();
  }

  #write(): void {
    if (this.#isPaused) return;
    for (let write = 0; write < this.writesPerLook; write += 1) {
      const page = this.#chance.below(this.hotPages);
      this.bytes.set(this.#chance.bytes(16), page * PAGE_BYTES + 64 * this.#chance.below(64));
      this.#dirty.add(page);
    }
  }
}

export class ReceivedMemory implements PageTarget {
  readonly blocks = BLOCKS;
  readonly bytes = new Uint8Array(PAGES * PAGE_BYTES).fill(0xee);
  flushes = 0;

  write(firstPage: number, bytes: Uint8Array): Promise<void> {
    this.bytes.set(bytes, firstPage * PAGE_BYTES);
    return Promise.resolve();
  }

  writeZeros(firstPage: number, pageCount: number): Promise<void> {
    this.bytes.fill(0, firstPage * PAGE_BYTES, (firstPage + pageCount) * PAGE_BYTES);
    return Promise.resolve();
  }

  flush(): Promise<void> {
    this.flushes += 1;
    return Promise.resolve();
  }
}
