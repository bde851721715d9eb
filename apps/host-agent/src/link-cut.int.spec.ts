import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import type { MoveStatus } from '@watari/host-agent-client';

import { SlowLink } from './testing/slow-link';
import { counterPast, moveState, TestAgents, type TestAgent, until } from './testing/test-agents';

jest.setTimeout(180_000);

describe('a move whose link is cut and comes back', () => {
  let agents: TestAgents;
  let a: TestAgent;
  let b: TestAgent;
  let toA: SlowLink;
  let toB: SlowLink;

  beforeAll(async () => {
    agents = await TestAgents.open();
    [a, b] = await Promise.all([agents.start('a'), agents.start('b')]);
    [toA, toB] = await Promise.all([SlowLink.open(a.dataAddress), SlowLink.open(b.dataAddress)]);
  });
  afterAll(async () => {
    toA.close();
    toB.close();
    await agents.close();
  });

  async function begin(
    guestId: string,
    bandwidthBytesPerSecondMax?: number,
    isBack = false,
  ): Promise<string> {
    const [source, target, link] = isBack ? [b, a, toA] : [a, b, toB];
    const moveId = randomUUID();
    await source.client.startMove({
      moveId,
      guestId,
      target: { apiUrl: target.apiUrl, dataAddress: link.address, agentId: target.agentId },
      downtimeLimitMs: 300,
      ...(bandwidthBytesPerSecondMax && { bandwidthBytesPerSecondMax }),
    });
    return moveId;
  }

  async function sentPast(moveId: string, wireBytes: number): Promise<MoveStatus> {
    return until(async () => {
      const status = await a.client.getMove(moveId);
      return status.wireBytes > wireBytes ? status : undefined;
    }, `${wireBytes} bytes to be sent`);
  }

  it('goes on after cuts in the first round, and sends again no more than was on its way', async () => {
    const spec = await agents.guest('first-round', { ringPages: 2_048, writesPerTick: 16 });
    await a.client.putGuest(spec);
    const before = await counterPast(a.client, spec.guestId, 150);
    const moveId = await begin(spec.guestId, 100_000);
    let wireBytes = 0;
    for (let cut = 0; cut < 3; cut += 1) {
      // Frames cross again: there is a connection to be lost.
      ({ wireBytes } = await sentPast(moveId, wireBytes + 40_000));
      toB.cut();
    }
    await moveState(a.client, moveId, ['ready-to-switch']);
    await a.client.switchOver(moveId);
    const done = await moveState(a.client, moveId, ['completed']);
    expect(done.lostConnections).toBeGreaterThanOrEqual(3);
    // At this speed 64 KiB may be on their way, and a frame more.
    expect(done.resentBytes).toBeLessThanOrEqual(3 * 128 * 1024);
    expect((await counterPast(b.client, spec.guestId, before.ticks + 100)).badPages).toBe(0);
    await b.client.deleteGuest(spec.guestId);
  });

  it('waits for a link that is away for seconds, while the guest runs on', async () => {
    const spec = await agents.guest('away', { ringPages: 1_024, writesPerTick: 8 });
    await a.client.putGuest(spec);
    await counterPast(a.client, spec.guestId, 50);
    const moveId = await begin(spec.guestId);
    await moveState(a.client, moveId, ['ready-to-switch']);
    toB.block();
    const { ticks } = await counterPast(a.client, spec.guestId, 0);
    await until(
      async () => ((await a.client.getMove(moveId)).decision?.includes('lost') ? true : undefined),
      'the loss to be told',
    );
    await sleep(3_000);
    await counterPast(a.client, spec.guestId, ticks + 100);
    // Asked for meanwhile, and done once it can be.
    await a.client.switchOver(moveId);
    toB.unblock();
    const done = await moveState(a.client, moveId, ['completed']);
    expect(done.lostConnections).toBeGreaterThanOrEqual(2);
    expect((await counterPast(b.client, spec.guestId, ticks + 150)).badPages).toBe(0);
    await b.client.deleteGuest(spec.guestId);
  });

  it('hands the guest over once, whenever around the switch-over the link is cut', async () => {
    const spec = await agents.guest('switching', { ringPages: 1_024, writesPerTick: 32 });
    await a.client.putGuest(spec);
    let { ticks } = await counterPast(a.client, spec.guestId, 50);
    const cutAfterMs = [0, 20, 60, 100, 150, 200, 300, 400];
    for (const [index, ms] of cutAfterMs.entries()) {
      const isBack = index % 2 === 1;
      const [source, target, link] = isBack ? [b, a, toA] : [a, b, toB];
      const moveId = await begin(spec.guestId, undefined, isBack);
      await moveState(source.client, moveId, ['ready-to-switch']);
      await source.client.switchOver(moveId);
      await sleep(ms);
      link.cut();
      await sleep(10);
      link.cut();
      await moveState(source.client, moveId, ['completed']);
      const after = await counterPast(target.client, spec.guestId, ticks + 20);
      expect({ ms, badPages: after.badPages }).toEqual({ ms, badPages: 0 });
      expect((await source.client.getGuest(spec.guestId)).state).toBe('moved-away');
      ticks = after.ticks;
    }
  });
});
