import { randomUUID } from 'node:crypto';

import type { MoveStatus } from '@watari/host-agent-client';

import { counterPast, moveState, TestAgents, type TestAgent } from './testing/test-agents';

jest.setTimeout(120_000);

/** Pages are written again as fast as this, each some twenty bytes on the link: twice what the link may take. */
const BUSY_GUEST = { ringPages: 4_096, writesPerTick: 256 };
const BANDWIDTH = 65_536;
const DOWNTIME_LIMIT_MS = 60;

describe('a guest that writes more than its link may carry', () => {
  let agents: TestAgents;
  let a: TestAgent;
  let b: TestAgent;

  beforeAll(async () => {
    agents = await TestAgents.open();
    [a, b] = await Promise.all([agents.start('a'), agents.start('b')]);
  });
  afterAll(() => agents.close());

  async function move(guestId: string, throttlePercentMax?: number) {
    const spec = await agents.guest(guestId, BUSY_GUEST);
    await a.client.putGuest(spec);
    await counterPast(a.client, guestId, 10);
    const moveId = randomUUID();
    const seen: MoveStatus[] = [];
    await a.client.startMove({
      moveId,
      guestId,
      target: { apiUrl: b.apiUrl, dataAddress: b.dataAddress, agentId: b.agentId },
      downtimeLimitMs: DOWNTIME_LIMIT_MS,
      bandwidthBytesPerSecondMax: BANDWIDTH,
      ...(throttlePercentMax !== undefined && { throttlePercentMax }),
    });
    const watching = (async () => {
      for await (const status of a.client.watchMove(moveId)) seen.push(status);
    })();
    return { moveId, seen, watching };
  }

  it('is slowed step by step as far as is allowed, moves, and runs at full speed again', async () => {
    const { moveId, seen, watching } = await move('slowed', 90);
    await moveState(a.client, moveId, ['ready-to-switch'], 90_000);
    await a.client.switchOver(moveId);
    await watching;
    expect(seen.at(-1)).toMatchObject({ state: 'completed' });
    const percents = [...new Set(seen.map(({ throttlePercent = 0 }) => throttlePercent))];
    expect(Math.max(...percents)).toBeGreaterThanOrEqual(20);
    expect(Math.max(...percents)).toBeLessThanOrEqual(90);
    expect(percents).toEqual([...percents].sort((x, y) => x - y));
    expect(seen.some(({ decision = '' }) => /kept from running for \d+ %/.test(decision))).toBe(true);
    const line = await counterPast(b.client, 'slowed', 10);
    expect(line.badPages).toBe(0);
  });

  it('is never slowed where that was not allowed', async () => {
    const { moveId, seen, watching } = await move('unslowed');
    // Long enough for a planner that may to have slowed it.
    await new Promise((resolve) => setTimeout(resolve, 8_000));
    await a.client.cancelMove(moveId);
    await watching;
    expect(seen.at(-1)).toMatchObject({ state: 'cancelled' });
    expect(seen.every(({ throttlePercent = 0 }) => throttlePercent === 0)).toBe(true);
    expect(seen.every(({ state }) => state !== 'ready-to-switch')).toBe(true);
  });
});
