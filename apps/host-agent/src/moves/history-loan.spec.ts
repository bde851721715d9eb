import type { GuestSpec } from '@watari/host-agent-client';

import type { DataPlane } from '../data-plane/data-plane';
import type { LoadedHistory } from '../data-plane/messages';
import { HistoryLoan } from './history-loan';

const SPEC: GuestSpec = { guestId: 'web-1', memoryMiB: 32, vcpus: 1, machine: 'pc', disks: [], nics: [] };
const LOADED: LoadedHistory = { loadedId: 7, chunks: '/w==' };

/** A plane that holds histories of these names, and loads one when it is told to go on. */
function planeWith(...historyIds: string[]) {
  const asked: unknown[] = [];
  const dropped: (LoadedHistory | null)[] = [];
  let goOn: (loaded: LoadedHistory | null) => void = () => undefined;
  const plane = {
    findHistories: async () => historyIds,
    loadHistory: (...given: unknown[]) => {
      asked.push(given);
      return new Promise<LoadedHistory | null>((resolve) => (goOn = resolve));
    },
    dropHistory: (loaded: LoadedHistory | null) => dropped.push(loaded),
  };
  return {
    plane: plane as unknown as DataPlane,
    asked,
    dropped,
    goOn: (loaded: LoadedHistory | null) => goOn(loaded),
  };
}

describe('a history on loan', () => {
  it('is the one that the source likes best of those that are here, and is being loaded by then', async () => {
    const { plane, asked, goOn } = planeWith('c', 'b');
    const loan = new HistoryLoan(plane, { ...SPEC, tenant: 'shop' });
    expect(await loan.choose(['a', 'b', 'c'], 100)).toBe('b');
    expect(asked).toEqual([[{ guestId: 'web-1', tenant: 'shop', memoryMiB: 32 }, 'b', 100]]);
    goOn(LOADED);
    expect(await loan.loaded()).toBe(LOADED);
  });

  it('is none where both sides have others', async () => {
    const { plane, asked } = planeWith('c');
    const loan = new HistoryLoan(plane, SPEC);
    expect(await loan.choose(['a', 'b'], 100)).toBeNull();
    expect(await loan.choose([], 100)).toBeNull();
    expect(await loan.loaded()).toBeNull();
    expect(asked).toEqual([]);
  });

  it('is let go when the move ends, also one that is loaded only then', async () => {
    const { plane, dropped, goOn } = planeWith('a');
    const loan = new HistoryLoan(plane, SPEC);
    loan.load('a', 100);
    loan.end();
    expect(dropped).toEqual([]);
    goOn(LOADED);
    await loan.loaded();
    expect(dropped).toEqual([LOADED]);
  });

  it('is not loaded any more once the move has ended', () => {
    const { plane, asked } = planeWith('a');
    const loan = new HistoryLoan(plane, SPEC);
    loan.end();
    loan.load('a', 100);
    expect(asked).toEqual([]);
  });
});
