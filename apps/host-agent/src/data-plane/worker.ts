import { randomInt } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';

import { emptyMirror, type PageMirror } from '@watari/migration-core';

import { answerCalls } from './calls';
import { type HeldHistory, Histories, type HistoryGuest } from './histories';
import { encodeChunks, HistoryBase } from './history-base';
import { IncomingStream } from './incoming-stream';
import type { DataPlaneService, DataPlaneSettings, PlaneMessage } from './messages';
import { OutgoingStream } from './outgoing-stream';

const main = parentPort;
if (!main) throw new Error('The data plane is a thread of the agent and does not run by itself.');

const tell = (message: PlaneMessage): void => main.postMessage(message);
const opened = Histories.open((workerData as DataPlaneSettings).histories, (level, text, fields) =>
  tell({ kind: 'log', level, text, fields }),
);
/** Histories that wait for the stream that they were loaded for. */
const loaded = new Map<number, HeldHistory>();
let lastLoadedId = 0;

/** A loaded history becomes a stream's. */
function take(loadedId: number | undefined | null): HistoryBase {
  const held = loaded.get(loadedId ?? 0) ?? null;
  loaded.delete(loadedId ?? 0);
  return new HistoryBase(held);
}

function keepIn(histories: Histories) {
  return (mirror: PageMirror | null, guest: HistoryGuest, historyId: string): void =>
    histories.keep(guest, mirror, historyId);
}

const service: DataPlaneService = {
  async findHistories(guest) {
    return (await opened).find(guest);
  },

  async loadHistory(guest, historyId, pagesMax) {
    const held = await (await opened).load(guest, historyId, pagesMax);
    if (!held) return null;
    const loadedId = (lastLoadedId += 1);
    loaded.set(loadedId, held);
    return { loadedId, chunks: encodeChunks(held.chunks) };
  },

  async dropHistory(loadedId) {
    loaded.delete(loadedId);
  },

  async listHistories() {
    return (await opened).list();
  },

  async removeHistory(guestId) {
    return (await opened).remove(guestId);
  },

  async openOutgoing(options, port) {
    const histories = await opened;
    const base = take(options.history?.loadedId);
    const chunks = base.agree(options.history?.theirChunks ?? null);
    new OutgoingStream(
      port,
      options,
      {
        startMirror: (layout) =>
          base.startMirror(layout) ?? { mirror: emptyMirror(layout, options.mirrorPagesMax), generation: 0 },
        seed: { low: randomInt(2 ** 32), high: randomInt(2 ** 32) },
      },
      keepIn(histories),
    );
    return { chunks };
  },

  async openIncoming(options, port) {
    const histories = await opened;
    await IncomingStream.open(port, options, take(options.loadedId), keepIn(histories));
  },

  async close() {
    await (await opened).close();
  },
};

// The first call says what was wrong.
opened.then(
  () => tell({ kind: 'ready' }),
  () => undefined,
);
answerCalls<DataPlaneService>(main, service);
