import { join } from 'node:path';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';

import type { HistorySummary } from '@watari/migration-core';
import type { Logger } from 'pino';

import { AgentError } from '../errors';
import type { StateFolders } from '../state/folders';
import { Calls } from './calls';
import { HISTORY_DEFAULTS, type HistoryGuest, type HistorySettings } from './histories';
import type {
  DataPlaneService,
  DataPlaneSettings,
  IncomingOptions,
  LoadedHistory,
  OutgoingOptions,
  PlaneMessage,
} from './messages';

interface Thread {
  readonly worker: Worker;
  readonly calls: Calls<DataPlaneService>;
}

/**
 * The thread through which the memory of all moves passes, and in which histories are kept. Its heap is small, so that
 * collecting garbage, which the rate of a migration makes plenty of, costs little there; and what steers moves answers
 * while it works.
 *
 * When the thread ends, as by a memory that cannot grow, the moves under way fail, and a new one is started with the next
 * call. Calls reject with DATA_PLANE_ENDED then.
 */
export class DataPlane {
  readonly #settings: DataPlaneSettings;
  #thread: Thread | null = null;
  #isClosed = false;

  private constructor(
    folders: Pick<StateFolders, 'root'>,
    histories: Partial<HistorySettings>,
    private readonly logger: Logger,
    private readonly startWorker: (settings: DataPlaneSettings) => Worker,
  ) {
    this.#settings = {
      histories: {
        ...HISTORY_DEFAULTS,
        ...histories,
        folder: join(folders.root, 'histories'),
        keyPath: join(folders.root, 'history.key'),
      },
    };
  }

  /** Rejects when histories cannot be kept where they should be. */
  static async start(
    folders: Pick<StateFolders, 'root'>,
    histories: Partial<HistorySettings>,
    logger: Logger,
    startWorker: (settings: DataPlaneSettings) => Worker = startThread,
  ): Promise<DataPlane> {
    const plane = new DataPlane(folders, histories, logger, startWorker);
    try {
      await plane.listHistories();
    } catch (error) {
      await plane.#thread?.worker.terminate();
      throw error;
    }
    return plane;
  }

  /** Never rejects: without a history a move costs more, and nothing else. */
  async findHistories(guest: HistoryGuest): Promise<string[]> {
    try {
      return await this.#calls.call('findHistories', [guest]);
    } catch (error) {
      this.logger.warn({ ...guest, error }, 'histories could not be looked for');
      return [];
    }
  }

  /** Never rejects, as before. */
  async loadHistory(guest: HistoryGuest, historyId: string, pagesMax: number): Promise<LoadedHistory | null> {
    try {
      return await this.#calls.call('loadHistory', [guest, historyId, pagesMax]);
    } catch (error) {
      this.logger.warn({ ...guest, historyId, error }, 'a history could not be loaded');
      return null;
    }
  }

  /** For one that became no stream's; of others nothing happens. */
  dropHistory(loaded: LoadedHistory | null): void {
    // Gone with its thread, if that is gone.
    if (loaded) this.#thread?.calls.call('dropHistory', [loaded.loadedId]).catch(() => undefined);
  }

  async listHistories(): Promise<HistorySummary[]> {
    return this.#calls.call('listHistories', []);
  }

  /** False when there was none. */
  async removeHistory(guestId: string): Promise<boolean> {
    return this.#calls.call('removeHistory', [guestId]);
  }

  /** What the stream is told and tells goes over the port. */
  async openOutgoing(
    options: OutgoingOptions,
  ): Promise<{ readonly port: MessagePort; readonly chunks: string | null }> {
    const { port1, port2 } = new MessageChannel();
    const { chunks } = await this.#calls.call('openOutgoing', [options, port2], [port2]);
    return { port: port1, chunks };
  }

  async openIncoming(options: IncomingOptions): Promise<MessagePort> {
    const { port1, port2 } = new MessageChannel();
    await this.#calls.call('openIncoming', [options, port2], [port2]);
    return port1;
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const thread = this.#thread;
    if (!thread) return;
    await thread.calls.call('close', []).catch(() => undefined);
    await thread.worker.terminate();
  }

  get #calls(): Calls<DataPlaneService> {
    this.#thread ??= this.#startThread();
    return this.#thread.calls;
  }

  #startThread(): Thread {
    if (this.#isClosed) throw ended('the agent stops');
    const worker = this.startWorker(this.#settings);
    const thread: Thread = { worker, calls: new Calls<DataPlaneService>(worker) };
    const onEnd = (why: string): void => {
      if (this.#thread === thread) this.#thread = null;
      thread.calls.end(ended(why));
    };
    worker.on('message', (message: PlaneMessage) => {
      if (message.kind === 'log') this.logger[message.level](message.fields, message.text);
    });
    worker.on('error', (error) => {
      this.logger.error({ error }, 'the data plane ended by an error');
      onEnd(error.message);
    });
    worker.on('exit', () => onEnd('its thread is over'));
    return thread;
  }
}

function startThread(settings: DataPlaneSettings): Worker {
  return new Worker(require.resolve('./worker'), { workerData: settings });
}

export function ended(why: string): AgentError {
  return new AgentError('DATA_PLANE_ENDED', `What copies memory on this host has ended: ${why}.`, {
    canRetry: true,
  });
}
