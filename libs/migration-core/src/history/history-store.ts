import { chmod, mkdir, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { loadAgentKey } from './agent-key';
import { type HistoryDescription, requireDescription } from './description';
import { HistoryError, writingError } from './errors';
import { type OpenFile, syncFolder } from './files';
import { historyName, partialName, removeHistory, sizeOf, sweep } from './history-folder';
import { HistoryReader } from './history-reader';
import { HistoryWriter, type WriterHost } from './history-writer';
import { ChunkLayout } from './layout';
import { FILE, readIndex, readManifest } from './manifest';

export interface HistoryStoreOptions {
  /** Made with mode 0700. Belongs to one process. */
  readonly folder: string;
  /** The agent's key; made when the file is not there. Best kept on another disk than the histories. */
  readonly keyPath: string;
  /** Over all histories, those being written included. */
  readonly bytesMax: number;
  readonly expiresAfterMs: number;
  readonly nowMs?: () => number;
  /** What the store decides on its own: histories passed over, expired, or removed for room. */
  readonly log?: (text: string) => void;
  readonly openFile?: OpenFile;
}

export interface HistorySummary {
  readonly description: HistoryDescription;
  readonly bytes: number;
  readonly heldPages: number;
  readonly zeroPages: number;
}

const UNREADABLE = -1;

interface Kept {
  readonly bytes: number;
  /** UNREADABLE when the manifest cannot be read: first to go. */
  readonly savedAtMs: number;
}

/**
 * What guests' memory was when they left or came, one history per guest: encrypted, bounded and perishable. Losing any
 * of it costs speed alone, so faults of the disk never throw here except from `open`, `remove` and `begin`.
 */
export class HistoryStore {
  readonly #kept = new Map<string, Kept>();
  readonly #writers = new Map<string, HistoryWriter>();
  readonly #nowMs: () => number;
  readonly #log: (text: string) => void;
  readonly #openFile: OpenFile;
  #lastExclusive: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly options: HistoryStoreOptions,
    private readonly agentKey: Buffer,
  ) {
    this.#nowMs = options.nowMs ?? Date.now;
    this.#log = options.log ?? (() => undefined);
    this.#openFile = options.openFile ?? open;
  }

  /** Removes what a crash left behind. Throws HISTORY_KEY_UNUSABLE, and what the file system says of the folder. */
  static async open(options: HistoryStoreOptions): Promise<HistoryStore> {
    for (const [name, value] of Object.entries({
      bytesMax: options.bytesMax,
      expiresAfterMs: options.expiresAfterMs,
    }))
      if (!(value >= 0)) throw new RangeError(`${name} is ${value}; give a number from 0 on.`);
    await mkdir(options.folder, { recursive: true, mode: 0o700 });
    await chmod(options.folder, 0o700);
    const store = new HistoryStore(options, await loadAgentKey(options.keyPath));
    for (const name of await sweep(options.folder)) {
      const summary = await store.#summary(name);
      const bytes = summary?.bytes ?? (await sizeOf(join(options.folder, name)));
      store.#kept.set(name, { bytes, savedAtMs: summary?.description.savedAtMs ?? UNREADABLE });
    }
    return store;
  }

  /**
   * Begins the guest's next history; the one before stays until this one is committed, or goes to make room for it.
   * `bytesExpected` of pages that will be held, where known, saves writing what the budget cannot take. Rejects with a
   * HistoryError: HISTORY_DESCRIPTION_INVALID, _TOO_LARGE, _BUSY, _DISK_FULL or _NOT_WRITABLE.
   */
  async begin(
    guestId: string,
    candidate: HistoryDescription,
    options: { readonly bytesExpected?: number } = {},
  ): Promise<HistoryWriter> {
    const description = requireDescription(candidate);
    if (description.guestId !== guestId)
      throw new HistoryError(
        'HISTORY_DESCRIPTION_INVALID',
        `The description is of guest ${description.guestId}, not of ${guestId}.`,
      );
    if ((options.bytesExpected ?? 0) > this.options.bytesMax)
      throw this.#tooLarge(options.bytesExpected ?? 0);
    return this.#exclusively(async () => {
      const name = historyName(guestId);
      if (this.#writers.has(name))
        throw new HistoryError('HISTORY_BUSY', `A history of guest ${guestId} is being written already.`);
      const folder = join(this.options.folder, partialName(guestId));
      try {
        await mkdir(folder, { mode: 0o700 });
        const writer = await HistoryWriter.start(description, folder, this.#hostFor(name));
        this.#writers.set(name, writer);
        return writer;
      } catch (error) {
        throw writingError(error);
      }
    });
  }

  /**
   * The guest's history, if there is one that can be read, was made in this scope and has not expired; else null, and
   * the reason goes to the log. The caller closes it. It stays readable when the history is replaced or removed.
   */
  async open(guestId: string, scope: string): Promise<HistoryReader | null> {
    // Not while it is replaced: the files must be of one history.
    return this.#exclusively(async () => {
      try {
        return await this.#openKept(guestId, scope);
      } catch (error) {
        this.#log(`The history of guest ${guestId} is passed over: ${(error as Error).message}`);
        return null;
      }
    });
  }

  /** Removes the guest's history, also one that is being written. False when there was none. */
  async remove(guestId: string): Promise<boolean> {
    const name = historyName(guestId);
    const writer = this.#writers.get(name);
    await writer?.abandon(
      new HistoryError(
        'HISTORY_REMOVED',
        `The history of guest ${guestId} was removed while it was written.`,
      ),
    );
    return this.#exclusively(async () => (await this.#remove(name)) || writer !== undefined);
  }

  /** The histories that can be read, the oldest first. */
  async list(): Promise<HistorySummary[]> {
    const summaries = await Promise.all([...this.#kept.keys()].map((name) => this.#summary(name)));
    return summaries
      .filter((summary) => summary !== null)
      .sort((a, b) => a.description.savedAtMs - b.description.savedAtMs);
  }

  /** Removes what has expired, and what cannot be read any more; returns how many. */
  async expire(nowMs = this.#nowMs()): Promise<number> {
    return this.#exclusively(async () => {
      let count = 0;
      for (const [name, { savedAtMs }] of [...this.#kept])
        if (savedAtMs === UNREADABLE || this.#isExpired(savedAtMs, nowMs)) {
          await this.#remove(name);
          count += 1;
        }
      return count;
    });
  }

  /** Of all histories, those being written included. */
  get bytes(): number {
    let bytes = 0;
    for (const kept of this.#kept.values()) bytes += kept.bytes;
    for (const writer of this.#writers.values()) bytes += writer.reservedBytes;
    return bytes;
  }

  async #openKept(guestId: string, scope: string): Promise<HistoryReader | null> {
    const name = historyName(guestId);
    if (!this.#kept.has(name)) return null;
    const folder = join(this.options.folder, name);
    const { manifest, seal } = await readManifest(folder, this.agentKey, this.#openFile);
    try {
      const { description } = manifest;
      if (description.guestId !== guestId) throw new Error('it is of another guest');
      if (description.scope !== scope) throw new Error('it was made in another scope');
      if (this.#isExpired(description.savedAtMs, this.#nowMs())) throw new Error('it has expired');
      const layout = new ChunkLayout(description.blocks);
      const index = await readIndex(folder, layout, seal, this.#openFile);
      const file = await this.#openFile(join(folder, FILE.pages), 'r');
      return new HistoryReader(manifest, layout, index, seal, file);
    } catch (error) {
      seal.destroy();
      throw error;
    }
  }

  #hostFor(name: string): WriterHost {
    return {
      agentKey: this.agentKey,
      openFile: this.#openFile,
      log: this.#log,
      reserve: (writer, bytes) => this.#reserve(name, writer, bytes),
      publish: (writer) => this.#exclusively(() => this.#publish(name, writer)),
      release: (writer) => {
        if (this.#writers.get(name) === writer) this.#writers.delete(name);
      },
    };
  }

  async #reserve(name: string, writer: HistoryWriter, bytes: number): Promise<void> {
    writer.reservedBytes += bytes;
    if (this.bytes <= this.options.bytesMax) return;
    if (writer.reservedBytes > this.options.bytesMax) throw this.#tooLarge(writer.reservedBytes);
    await this.#exclusively(async () => {
      while (this.bytes > this.options.bytesMax) {
        const victim = this.#nextToGo(name);
        if (victim === null) throw this.#tooLarge(writer.reservedBytes);
        this.#log('The oldest history is removed to make room for a new one.');
        await this.#remove(victim);
      }
    });
  }

  /** The guest's own, which is about to be replaced, then the oldest. */
  #nextToGo(name: string): string | null {
    if (this.#kept.has(name)) return name;
    let oldest: string | null = null;
    for (const [candidate, { savedAtMs }] of this.#kept)
      if (oldest === null || savedAtMs < this.#kept.get(oldest)!.savedAtMs) oldest = candidate;
    return oldest;
  }

  async #publish(name: string, writer: HistoryWriter): Promise<void> {
    await this.#remove(name);
    await rename(writer.folder, join(this.options.folder, name));
    await syncFolder(this.options.folder);
    const { reservedBytes: bytes, description } = writer;
    // In one step: the bytes must not count twice, nor not at all.
    this.#writers.delete(name);
    this.#kept.set(name, { bytes, savedAtMs: description.savedAtMs });
  }

  async #remove(name: string): Promise<boolean> {
    await removeHistory(this.options.folder, name);
    return this.#kept.delete(name);
  }

  async #summary(name: string): Promise<HistorySummary | null> {
    const folder = join(this.options.folder, name);
    try {
      const { manifest, seal } = await readManifest(folder, this.agentKey, this.#openFile);
      seal.destroy();
      const { description, heldPages, zeroPages } = manifest;
      return { description, heldPages, zeroPages, bytes: await sizeOf(folder) };
    } catch (error) {
      this.#log(`The history ${name} cannot be read: ${(error as Error).message}`);
      return null;
    }
  }

  /** A clock that was set back must not keep a history for ever. */
  #isExpired(savedAtMs: number, nowMs: number): boolean {
    return Math.abs(nowMs - savedAtMs) > this.options.expiresAfterMs;
  }

  #tooLarge(bytes: number): HistoryError {
    return new HistoryError(
      'HISTORY_TOO_LARGE',
      `The history takes ${bytes} bytes and more, and all together may take ${this.options.bytesMax}; it was dropped. ` +
        'Raise the byte budget to keep it.',
    );
  }

  /** What moves or removes folders, one at a time. */
  #exclusively<Result>(work: () => Promise<Result>): Promise<Result> {
    const run = this.#lastExclusive.then(work, work);
    this.#lastExclusive = run.catch(() => undefined);
    return run;
  }
}
