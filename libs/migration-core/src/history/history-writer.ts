import { type FileHandle, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ChunkIndex } from './chunk-index';
import type { HistoryDescription } from './description';
import { HistoryError, type HistoryErrorCode, writingError } from './errors';
import { type OpenFile, syncFolder, writeAllAt } from './files';
import { ChunkLayout } from './layout';
import { FILE, writeManifest } from './manifest';
import { countPresence, packPresence } from './presence';
import { HistorySeal } from './sealing';
import { PAGE_BYTES } from '../qemu-stream';

/** Sealed chunks that wait for the disk: 8 MiB. */
const IN_FLIGHT_MAX = 4;

export type HistoryOutcome =
  | { readonly isKept: true; readonly bytes: number; readonly heldPages: number; readonly zeroPages: number }
  | { readonly isKept: false; readonly code: HistoryErrorCode; readonly reason: string };

/** What the writer needs of the store it writes for. */
export interface WriterHost {
  readonly agentKey: Uint8Array;
  readonly openFile: OpenFile;
  /** Rejects with HISTORY_TOO_LARGE when the budget does not give so many bytes more. */
  reserve(writer: HistoryWriter, bytes: number): Promise<void>;
  /** Puts the folder in place. Rejects when the writer has failed meanwhile. */
  publish(writer: HistoryWriter): Promise<void>;
  /** The writer is done, and its folder is gone or in place. */
  release(writer: HistoryWriter): void;
  log(text: string): void;
}

/**
 * Writes one history into a folder of its own, which nobody sees before `commit`. Whatever goes wrong with the disk or
 * the budget drops the history and is told as an outcome, never thrown: the move goes on without.
 */
export class HistoryWriter {
  readonly layout: ChunkLayout;
  /** Bytes reserved; the store counts with them. */
  reservedBytes = 0;
  readonly #seal: HistorySeal;
  readonly #index: ChunkIndex;
  readonly #taken: Uint8Array;
  readonly #underWay = new Set<Promise<void>>();
  #pagesBytes = 0;
  #heldPages = 0;
  #zeroPages = 0;
  #failure: HistoryError | null = null;
  #cleaning: Promise<void> | null = null;
  #isFinished = false;
  #isPublishing = false;

  private constructor(
    readonly description: HistoryDescription,
    readonly folder: string,
    private readonly file: FileHandle,
    private readonly host: WriterHost,
  ) {
    this.layout = new ChunkLayout(description.blocks);
    this.#seal = HistorySeal.withNewKey(description);
    this.#index = ChunkIndex.empty(this.layout.chunkCount);
    this.#taken = new Uint8Array(this.layout.chunkCount);
  }

  /** `folder` is empty, and the writer's from now on. */
  static async start(
    description: HistoryDescription,
    folder: string,
    host: WriterHost,
  ): Promise<HistoryWriter> {
    const file = await host.openFile(join(folder, FILE.pages), 'wx', 0o600);
    return new HistoryWriter(description, folder, file, host);
  }

  /** Why the history was dropped; null while it is not. */
  get failure(): HistoryError | null {
    return this.#failure;
  }

  /**
   * Takes a chunk: a value of PRESENCE for each of its pages, and the held pages end to end, which must stay as they
   * are until the promise settles. Resolves once a few chunks at most wait for the disk; false when the history was
   * dropped, so that the rest may be spared. A chunk never written is unknown. Throws RangeError for a chunk that there
   * is not, that was written before, or that has more or fewer bytes than its pages.
   */
  async writeChunk(chunkIndex: number, presence: Uint8Array, pages: Uint8Array): Promise<boolean> {
    const { pageCount } = this.layout.placeOf(chunkIndex);
    const { held, zero } = countPresence(presence);
    if (presence.length !== pageCount || pages.length !== held * PAGE_BYTES)
      throw new RangeError(
        `Chunk ${chunkIndex} has ${pageCount} pages; ${presence.length} were described, ${pages.length} bytes given for ${held} held.`,
      );
    if (this.#isFinished) throw new Error('A history was written to after it was committed.');
    // A nonce stands for a chunk, so writing one twice would use it twice.
    if (this.#taken[chunkIndex]) throw new RangeError(`Chunk ${chunkIndex} was written before.`);
    this.#taken[chunkIndex] = 1;
    if (held + zero === 0) return this.#failure === null;
    while (this.#failure === null && this.#underWay.size >= IN_FLIGHT_MAX) await Promise.race(this.#underWay);
    if (this.#failure !== null) return false;
    const sealed = this.#seal.seal('chunk', chunkIndex, [packPresence(presence), pages]);
    const length = sealed.reduce((bytes, piece) => bytes + piece.length, 0);
    const offset = this.#pagesBytes;
    this.#index.set(chunkIndex, offset, length);
    this.#pagesBytes += length;
    this.#heldPages += held;
    this.#zeroPages += zero;
    void this.#track(async () => {
      await this.host.reserve(this, length);
      await writeAllAt(this.file, sealed, offset);
    });
    return true;
  }

  /** Makes the history the guest's, in place of the one before. Once it resolves, it survives a power cut. */
  async commit(): Promise<HistoryOutcome> {
    if (this.#isFinished) throw new Error('A history was committed twice.');
    this.#isFinished = true;
    await Promise.all(this.#underWay);
    await this.#track(async () => {
      await this.file.sync();
      await this.#writeFile(FILE.index, this.#seal.seal('index', 0, [this.#index.bytes]));
      const manifest = {
        description: this.description,
        pagesBytes: this.#pagesBytes,
        heldPages: this.#heldPages,
        zeroPages: this.#zeroPages,
      };
      await this.#writeFile(FILE.manifest, [writeManifest(manifest, this.#seal, this.host.agentKey)]);
      await syncFolder(this.folder);
      await this.file.close();
      if (this.#failure) return;
      this.#isPublishing = true;
      await this.host.publish(this);
    });
    if (this.#failure) return this.#dropped(this.#failure);
    this.#seal.destroy();
    this.host.release(this);
    return {
      isKept: true,
      bytes: this.reservedBytes,
      heldPages: this.#heldPages,
      zeroPages: this.#zeroPages,
    };
  }

  /** Drops the history; its files are gone once this resolves. Does nothing to one that is being put in place. */
  async abandon(
    cause = new HistoryError('HISTORY_ABANDONED', 'The history was given up before it was whole.'),
  ): Promise<void> {
    if (!this.#isPublishing) this.#drop(cause);
    await Promise.all(this.#underWay);
    await this.#cleaning;
  }

  async #dropped({ code, message }: HistoryError): Promise<HistoryOutcome> {
    await this.#cleaning;
    return { isKept: false, code, reason: message };
  }

  async #writeFile(name: string, pieces: readonly Uint8Array[]): Promise<void> {
    await this.host.reserve(
      this,
      pieces.reduce((bytes, piece) => bytes + piece.length, 0),
    );
    const file = await this.host.openFile(join(this.folder, name), 'wx', 0o600);
    try {
      await writeAllAt(file, pieces, 0);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Runs the work, unless the history has failed; a failure of the work is the history's. Never rejects. */
  #track(work: () => Promise<void>): Promise<void> {
    if (this.#failure) return Promise.resolve();
    const task = work()
      .catch((error: unknown) => this.#drop(writingError(error)))
      .finally(() => this.#underWay.delete(task));
    this.#underWay.add(task);
    return task;
  }

  #drop(failure: HistoryError): void {
    if (this.#failure) return;
    this.#failure = failure;
    this.#cleaning = this.#cleanUp();
  }

  async #cleanUp(): Promise<void> {
    await Promise.all(this.#underWay);
    this.#seal.destroy();
    try {
      await this.file.close();
      await rm(this.folder, { recursive: true, force: true });
    } catch (error) {
      this.host.log(`What is left of a dropped history goes at the next start: ${(error as Error).message}`);
    }
    this.host.release(this);
  }
}
