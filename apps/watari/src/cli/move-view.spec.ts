import type { MoveStatus } from '@watari/host-agent-client';
import { describeMove, moveFraction } from './move-view';

const MIB = 1024 * 1024;
const begun: MoveStatus = {
  moveId: 'm',
  guestId: 'g',
  state: 'pre-copy',
  rounds: 0,
  guestBytes: 0,
  wireBytes: 0,
  pages: 0,
  zeroPages: 0,
  totalMs: 3,
};

describe('where a move stands', () => {
  it('is said in one line while nothing was measured', () => {
    expect(describeMove(begun)).toEqual(['pre-copy, round 0: 0 B read, 0 B sent']);
    expect(moveFraction(begun)).toBeUndefined();
  });

  it('is said with every figure that is known', () => {
    const move: MoveStatus = {
      ...begun,
      state: 'ready-to-switch',
      rounds: 4,
      guestBytes: 300 * MIB,
      wireBytes: 75 * MIB,
      remainingBytes: 100 * MIB,
      pages: 200,
      zeroPages: 100,
      samePages: 0,
      deltaPages: 60,
      copiedPages: 10,
      rawPages: 30,
      bytesPerSecond: 50 * MIB,
      dirtyBytesPerSecond: 8 * MIB,
      expectedDowntimeMs: 37.4,
      downtimeLimitMs: 50,
      decision: 'ready: 37 ms of 50',
    };
    expect(describeMove(move)).toEqual([
      'ready-to-switch, round 4: 300 MiB read, 75.0 MiB sent (25 %), 100 MiB left',
      'pages     zero 50 %, delta 30 %, copied 5 %, whole 15 %',
      'rates     link 50.0 MiB/s, guest writes 8.0 MiB/s',
      'pause     would be 37 ms now, 50 ms allowed',
      'decision  ready: 37 ms of 50',
    ]);
    expect(moveFraction(move)).toBe(0.75);
    expect(describeMove({ ...move, downtimeMs: 41.6 })).toContain('pause     was 42 ms');
  });
});
