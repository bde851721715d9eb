import { forgetOutside, type PageLayout, sharedChunks, type StartingMirror } from '@watari/migration-core';

import type { HeldHistory } from './histories';

/**
 * A loaded history on its way to becoming the mirror that a stream begins with. Both sides load theirs at the same time,
 * and say what they could read; what only one of them holds is forgotten before the first page.
 */
export class HistoryBase {
  #held: HeldHistory | null;
  #start: StartingMirror | null = null;

  /** Null where there was nothing to load. */
  constructor(held: HeldHistory | null) {
    this.#held = held;
  }

  /**
   * What both sides could read, in base64; null when that cannot be said: then the stream builds on nothing, and what
   * was loaded is let go. Once.
   */
  agree(theirChunks: string | null): string | null {
    const held = this.#held;
    this.#held = null;
    if (!held || theirChunks === null) return null;
    const theirs = Buffer.from(theirChunks, 'base64');
    if (theirs.length !== held.chunks.length) return null;
    const shared = sharedChunks(held.chunks, theirs);
    forgetOutside(held.mirror, shared);
    // Never 0, which stands for no history.
    this.#start = { mirror: held.mirror, generation: parseInt(held.historyId.slice(0, 8), 16) || 1 };
    return encodeChunks(shared);
  }

  /** For a guest of this memory, which may have more or less than the one that left it. Null: nothing was agreed on. */
  startMirror(layout: PageLayout): StartingMirror | null {
    if (!this.#start) return null;
    const { mirror, generation } = this.#start;
    return { mirror: mirror.layout.equals(layout) ? mirror : mirror.laidOutAs(layout), generation };
  }
}

export function encodeChunks(chunks: Uint8Array): string {
  return Buffer.from(chunks).toString('base64');
}
