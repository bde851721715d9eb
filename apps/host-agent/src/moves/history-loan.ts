import type { GuestSpec } from '@watari/host-agent-client';

import type { DataPlane } from '../data-plane/data-plane';
import type { HistoryGuest } from '../data-plane/histories';
import type { LoadedHistory } from '../data-plane/messages';

/**
 * The history that one side of a move loads for it, in the background: the source and the target each load their own at
 * the same time, while the target builds the machine. It becomes the stream's, or is let go.
 */
export class HistoryLoan {
  readonly #guest: HistoryGuest;
  #loading: Promise<LoadedHistory | null> = Promise.resolve(null);
  #isOver = false;

  constructor(
    private readonly plane: DataPlane,
    spec: GuestSpec,
  ) {
    this.#guest = historyGuestOf(spec);
  }

  /** Names of histories that the guest could begin with, best first. */
  find(): Promise<string[]> {
    return this.plane.findHistories(this.#guest);
  }

  /** The first of the source's histories that is here, too, and begins to load it. Null when there is none. */
  async choose(theirs: readonly string[], pagesMax: number): Promise<string | null> {
    if (theirs.length === 0) return null;
    const ours = new Set(await this.find());
    const historyId = theirs.find((each) => ours.has(each)) ?? null;
    if (historyId !== null) this.load(historyId, pagesMax);
    return historyId;
  }

  /** Begins to load it. */
  load(historyId: string, pagesMax: number): void {
    if (this.#isOver) return;
    this.#loading = this.plane.loadHistory(this.#guest, historyId, pagesMax);
  }

  /** What was loaded, once it is; null for nothing. */
  loaded(): Promise<LoadedHistory | null> {
    return this.#loading;
  }

  /** Lets go of what became no stream's, also of what is still being loaded. */
  end(): void {
    this.#isOver = true;
    void this.#loading.then((loaded) => this.plane.dropHistory(loaded));
  }
}

export function historyGuestOf({ guestId, tenant, memoryMiB }: GuestSpec): HistoryGuest {
  return { guestId, tenant: tenant ?? null, memoryMiB };
}
