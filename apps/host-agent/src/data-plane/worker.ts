import { randomInt } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';

import { emptyMirror, type PageMirror } from '@watari/migration-core';

import { answerCalls } from './calls';
import { type HeldHistory, Histories, offerOf, share, type SharedHistory } from './histories';
import { IncomingStream } from './incoming-stream';
import type { DataPlaneService, DataPlaneSettings, PlaneMessage, StreamHistory } from './messages';
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

/** Takes a loaded history, cut down to what both sides hold; null when they share none. */
function take(history: StreamHistory | null): SharedHistory | null {
  if (!history) return null;
  const held = loaded.get(history.loadedId) ?? null;
  loaded.delete(history.loadedId);
  return share(held, history.theirs);
}

function keepIn(histories: Histories) {
  return (mirror: PageMirror | null, guestId: string, historyId: string): void =>
    histories.keep(guestId, mirror, historyId);
}

const service: DataPlaneService = {
  async loadHistory(guestId, pagesMax) {
    const held = await (await opened).load(guestId, pagesMax);
    if (!held) return null;
    const loadedId = (lastLoadedId += 1);
    loaded.set(loadedId, held);
    return { loadedId, offer: offerOf(held) };
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
    const shared = take(options.history);
    new OutgoingStream(
      port,
      options,
      {
        startMirror: (layout) =>
          shared?.mirror.layout.equals(layout)
            ? shared
            : { mirror: emptyMirror(layout, options.mirrorPagesMax), generation: 0 },
        seed: { low: randomInt(2 ** 32), high: randomInt(2 ** 32) },
      },
      keepIn(histories),
    );
  },

  async openIncoming(options, port) {
    const histories = await opened;
    const shared = take(options.history);
    await IncomingStream.open(
      port,
      options,
      ({ generation }) => (generation === shared?.generation ? shared.mirror : null),
      keepIn(histories),
    );
    return { isHistoryShared: shared !== null };
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
