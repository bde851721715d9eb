import { randomUUID } from 'node:crypto';

import type { MoveStatus } from '@watari/host-agent-client';

import { counterPast, moveState, type TestAgent, TestAgents, until } from './testing/test-agents';

jest.setTimeout(180_000);

describe('guests of one image', () => {
  let agents: TestAgents;
  let a: TestAgent;
  let b: TestAgent;

  beforeAll(async () => {
    agents = await TestAgents.open(['--share-histories']);
    [a, b] = await Promise.all([agents.start('a'), agents.start('b')]);
  });
  afterAll(() => agents.close());

  /** Starts a guest with a ring of 16 MiB, moves it once the ring is written, and gives the move's figures. */
  async function firstTrip(guestId: string, tenant?: string): Promise<MoveStatus> {
    const spec = await agents.guest(
      guestId,
      { ringPages: 4_096, writesPerTick: 8 },
      tenant === undefined ? {} : { tenant },
    );
    await a.client.putGuest(spec);
    const before = await counterPast(a.client, guestId, 4_200 / 8);
    const moveId = randomUUID();
    const { apiUrl, dataAddress, agentId } = b;
    await a.client.startMove({
      moveId,
      guestId,
      target: { apiUrl, dataAddress, agentId },
      downtimeLimitMs: 500,
    });
    await moveState(a.client, moveId, ['ready-to-switch']);
    await a.client.switchOver(moveId);
    const done = await moveState(a.client, moveId, ['completed']);
    // The guest itself has looked at each page of its ring.
    expect((await counterPast(b.client, guestId, before.ticks + 30)).badPages).toBe(0);
    for (const { client } of [a, b])
      await until(
        async () => (await client.listHistories()).find((one) => one.guestId === guestId),
        'the history to be written',
      );
    return done;
  }

  it('cross by reference to one that went before, within a tenant and never beyond', async () => {
    const first = await firstTrip('one', 'shop');
    expect(first.rawPages).toBeGreaterThan(4_096);
    const sibling = await firstTrip('two', 'shop');
    expect(sibling.rawPages).toBeLessThan(0.25 * first.rawPages!);
    expect(sibling.samePages! + sibling.deltaPages! + sibling.copiedPages!).toBeGreaterThan(
      0.75 * (sibling.pages - sibling.zeroPages),
    );
    for (const stranger of [await firstTrip('three', 'bank'), await firstTrip('four')])
      expect(stranger.rawPages).toBeGreaterThan(0.9 * first.rawPages!);
  });
});
