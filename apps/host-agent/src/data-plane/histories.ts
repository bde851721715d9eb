import {
  CHUNK_PAGES,
  HistoryStore,
  type HistoryDescription,
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
  /** Whether a guest may begin with what another guest of its tenant left. */
  readonly isSharedWithinTenant: boolean;
}

export const HISTORY_DEFAULTS: HistorySettings = {
  bytesMax: 16 * 1024 ** 3,
  expiresAfterMs: 24 * 3_600_000,
  isSharedWithinTenant: false,
};

/** Of guests without a tenant, which share with nobody. */
const SCOPE_WITHOUT_TENANT = 'default';
const EXPIRY_CHECK_MS = 600_000;
const PAGE_BYTES = 4_096;
const MIB = 1_048_576;

/** Whose history is looked for, or kept. */
export interface HistoryGuest {
  readonly guestId: string;
  /** Null when it shares with nobody. */
  readonly tenant: string | null;
  readonly memoryMiB: number;
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
    private readonly settings: Pick<HistorySettings, 'expiresAfterMs' | 'isSharedWithinTenant'>,
    private readonly log: HistoryLog,
  ) {
    this.#expiry = setInterval(() => {
      store.expire().catch((error: unknown) => this.#passOver('histories could not be expired', error));
    }, EXPIRY_CHECK_MS).unref();
  }

  static async open(
    settings: HistorySettings & Pick<HistoryStoreOptions, 'folder' | 'keyPath'>,
    log: HistoryLog,
  ): Promise<Histories> {
    const { folder, keyPath, bytesMax, expiresAfterMs } = settings;
    const store = await HistoryStore.open({
      folder,
      keyPath,
      bytesMax,
      expiresAfterMs,
      log: (text) => log('info', text, {}),
    });
    await store.expire();
    return new Histories(store, settings, log);
  }

  /**
   * Names of what the guest could begin with, best first: what it left itself, then what others of its tenant left where
   * that is allowed, the latest first. Reads none of it. Rejects when the folder cannot be read.
   */
  async find(guest: HistoryGuest): Promise<string[]> {
    return (await this.#candidates(guest)).map(({ historyId }) => historyId);
  }

  /** The history of that name, if the guest may begin with it and it can be read. Never rejects. */
  async load(guest: HistoryGuest, historyId: string, pagesMax: number): Promise<HeldHistory | null> {
    try {
      const owner = (await this.#candidates(guest)).find((each) => each.historyId === historyId);
      const reader = owner && (await this.store.open(owner.guestId, owner.scope));
      if (!reader) return null;
      try {
        // Replaced since it was found.
        if (reader.description.historyId !== historyId) return null;
        if (owner.guestId !== guest.guestId)
          this.log('info', 'a guest begins with the history of another of its tenant', {
            guestId: guest.guestId,
            tenant: guest.tenant,
            historyOf: owner.guestId,
          });
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
  keep(guest: HistoryGuest, mirror: PageMirror | null, streamSha256: string): void {
    if (!mirror || mirror.heldPages === 0) return;
    const { guestId } = guest;
    const saved = this.#save(guest, mirror, streamSha256)
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

  async #candidates(guest: HistoryGuest): Promise<HistoryDescription[]> {
    const { guestId, tenant, memoryMiB } = guest;
    await this.#saving.get(guestId);
    const { isSharedWithinTenant, expiresAfterMs } = this.settings;
    const mayShare = isSharedWithinTenant && tenant !== null;
    const scope = scopeOf(guest);
    const nowMs = Date.now();
    return (
      (await this.store.list())
        .map(({ description }) => description)
        .filter(
          (description) => description.scope === scope && nowMs - description.savedAtMs <= expiresAfterMs,
        )
        // Of a smaller machine too little would be there.
        .filter(
          (description) =>
            description.guestId === guestId || (mayShare && ramBytesOf(description) >= memoryMiB * MIB),
        )
        .sort(
          (a, b) =>
            Number(b.guestId === guestId) - Number(a.guestId === guestId) || b.savedAtMs - a.savedAtMs,
        )
    );
  }

  async #save(guest: HistoryGuest, mirror: PageMirror, historyId: string): Promise<void> {
    const { guestId } = guest;
    const writer = await this.store.begin(
      guestId,
      {
        guestId,
        scope: scopeOf(guest),
        historyId,
        blocks: mirror.layout.blocks.map(({ name, bytes }) => ({ name, bytes })),
        savedAtMs: Date.now(),
        chunkPages: CHUNK_PAGES,
      },
      { bytesExpected: mirror.heldPages * PAGE_BYTES },
    );
    const outcome = await saveMirror(mirror, writer);
    if (outcome.isKept) this.log('info', 'a history was kept', { guestId, historyId, ...outcome });
    else this.log('warn', 'a history was dropped', { guestId, historyId, ...outcome });
  }

  #passOver(what: string, error: unknown): void {
    this.log('warn', what, { error: describeError(error) });
  }
}

/** Histories never cross between scopes: the store opens none of another. */
function scopeOf({ tenant }: HistoryGuest): string {
  return tenant === null ? SCOPE_WITHOUT_TENANT : `tenant:${tenant}`;
}

/** What the machine was given; its other memory, of devices, is smaller. */
function ramBytesOf({ blocks }: HistoryDescription): number {
  return Math.max(...blocks.map(({ bytes }) => bytes));
}
