import type { RamBlock } from '../ram-blocks';
import type { PageSet } from './page-set';

/** Memory, or a disk, that is written while it is copied. Pages are numbered through all blocks, in their order. */
export interface PageSource {
  /** What there is; sizes are multiples of PAGE_BYTES. */
  readonly blocks: readonly RamBlock[];
  /**
   * The pages written since it was last asked, at first all. A page that is written between this call and its `read`
   * may be told of again.
   */
  takeDirty(): Promise<PageSet>;
  /** Fills `into` with consecutive pages as they are now. */
  read(firstPage: number, into: Uint8Array): Promise<void>;
  /** Keeps writers from writing for this share of their time; where it is not there, a copy never throttles. */
  throttle?(percent: number): Promise<void>;
  /** From here on nothing is written, until `resume`. */
  pause(): Promise<void>;
  resume(): Promise<void>;
}

/** Where pages go. */
export interface PageTarget {
  /** As the source has them: same names, same sizes. */
  readonly blocks: readonly RamBlock[];
  /** Consecutive pages. Calls come one after the other. */
  write(firstPage: number, bytes: Uint8Array): Promise<void>;
  writeZeros(firstPage: number, pageCount: number): Promise<void>;
  /** All pages that were written are where they stay. */
  flush(): Promise<void>;
}
