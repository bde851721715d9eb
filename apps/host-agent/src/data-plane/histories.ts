import {
  CHUNK_PAGES,
  HistoryStore,
  type HistoryStoreOptions,
  type HistorySummary,
  loadMirror,
  type LoadedMirror,
  type PageMirror,
  saveMirror,
} from '@watari/migration-core';

import { describeError } from '../errors';
export interface HistorySettings {
  /** What all histories of this host may take on its disk; 0 keeps none. */
  readonly bytesMax: number;
  readonly expiresAfterMs: number;
}

export const HISTORY_DEFAULTS: HistorySettings = {
  bytesMax: 16 * 1024 ** 3,
  expiresAfterMs: 24 * 3_600_000,
};

/** Guests have one owner so far; histories never cross between scopes. */
const SCOPE = 'default';
const EXPIRY_CHECK_MS = 600_000;
const PAGE_BYTES = 4_096;

/** Whose history is looked for, or kept. */
export interface HistoryGuest {
  readonly guestId: string;
}

export interface HeldHistory extends LoadedMirror {
  readonly historyId: string;
}

export type HistoryLog = (level: 'info' | 'warn', text: string, fields: Record<string, unknown>) => void;

/**
 * What guests left here when they moved: encrypted, bounded, for a time. It makes the way back cheap and nothing
 * depends on it, so whatever goes wrong with it is noted and passed over.
 */
export class Histories {
  readonly #saving = new Map<string, Promise<void>>();
  readonly #expiry: NodeJS.Timeout;

  private constructor(
    private readonly store: HistoryStore,
    private readonly log: HistoryLog,
  ) {
    this.#expiry = setInterval(() => {
      store.expire().catch((error: unknown) => this.#passOver('histories could not be expired', error));
    }, EXPIRY_CHECK_MS).unref();
  }

  static async open(
    settings: Pick<HistoryStoreOptions, 'folder' | 'keyPath' | 'bytesMax' | 'expiresAfterMs'>,
    log: HistoryLog,
  ): Promise<Histories> {
    const store = await HistoryStore.open({ ...settings, log: (text) => log('info', text, {}) });
    await store.expire();
    return new Histories(store, log);
  }

  /** Names of what the guest could begin with, best first. Reads none of it. Rejects when the folder cannot be read. */
  async find({ guestId }: HistoryGuest): Promise<string[]> {
    await this.#saving.get(guestId);
    const reader = await this.store.open(guestId, SCOPE);
    if (!reader) return [];
    await reader.close();
    return [reader.description.historyId];
  }

  /** The history of that name, if the guest may begin with it and it can be read. Never rejects. */
  async load({ guestId }: HistoryGuest, historyId: string, pagesMax: number): Promise<HeldHistory | null> {
    await this.#saving.get(guestId);
    try {
      const reader = await this.store.open(guestId, SCOPE);
      if (!reader) return null;
      try {
        if (reader.description.historyId !== historyId) return null;
        return { ...(await loadMirror(reader, pagesMax)), historyId };
      } finally {
        await reader.close();
      }
    } catch (error) {
      this.#passOver('a history could not be loaded', error);
      return null;
    }
  }

  /** Writes what both sides hold at the end of a move, in the background. */
  keep({ guestId }: HistoryGuest, mirror: PageMirror | null, streamSha256: string): void {
    if (!mirror || mirror.heldPages === 0) return;
    const saved = this.#save(guestId, mirror, streamSha256)
      .catch((error: unknown) => this.#passOver('a history could not be written', error))
      .finally(() => this.#saving.delete(guestId));
    this.#saving.set(guestId, saved);
  }

  list(): Promise<HistorySummary[]> {
    return this.store.list();
  }

  /** False when there was none. */
  async remove(guestId: string): Promise<boolean> {
    return this.store.remove(guestId);
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    clearInterval(this.#expiry);
    await Promise.all(this.#saving.values());
  }

  async #save(guestId: string, mirror: PageMirror, historyId: string): Promise<void> {
    const writer = await this.store.begin(
      guestId,
      {
        guestId,
        scope: SCOPE,
        historyId,
        blocks: mirror.layout.blocks.map(({ name, bytes }) => ({ name, bytes })),
        savedAtMs: Date.now(),
        chunkPages: CHUNK_PAGES,
      },
      { bytesExpected: mirror.heldPages * PAGE_BYTES },
    );
    const outcome = await saveMirror(mirror, writer);
    this.log('info', 'history', { guestId, historyId, ...outcome });
  }

  #passOver(what: string, error: unknown): void {
    this.log('warn', what, { error: describeError(error) });
  }
}
