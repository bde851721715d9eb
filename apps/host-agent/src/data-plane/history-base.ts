import {
  forgetOutside,
  type PageLayout,
  type PageMirror,
  sharedChunks,
  type StartingMirror,
} from '@watari/migration-core';

import type { HeldHistory } from './histories';

/**
 * A loaded history on its way to becoming the mirror that a stream begins with. Both sides load theirs at the same time,
 * and say what they could read; what only one of them holds is forgotten before the first page.
 */
export class HistoryBase {
  #agreed: PageMirror | null = null;

  /** Null where there was nothing to load. */
  constructor(private readonly held: HeldHistory | null) {}

  /** What both sides could read, in base64; null when that cannot be said: then the stream builds on nothing. */
  agree(theirChunks: string | null): string | null {
    if (!this.held || theirChunks === null) return null;
    const theirs = Buffer.from(theirChunks, 'base64');
    if (theirs.length !== this.held.chunks.length) return null;
    const shared = sharedChunks(this.held.chunks, theirs);
    forgetOutside(this.held.mirror, shared);
    this.#agreed = this.held.mirror;
    return encodeChunks(shared);
  }

  /** For a guest of this memory, which may have more or less than the one that left it. Null: nothing was agreed on. */
  startMirror(layout: PageLayout): StartingMirror | null {
    if (!this.held || !this.#agreed) return null;
    const mirror = this.#agreed.layout.equals(layout) ? this.#agreed : this.#agreed.laidOutAs(layout);
    // Never 0, which stands for no history.
    return { mirror, generation: parseInt(this.held.historyId.slice(0, 8), 16) || 1 };
  }
}

export function encodeChunks(chunks: Uint8Array): string {
  return Buffer.from(chunks).toString('base64');
}
