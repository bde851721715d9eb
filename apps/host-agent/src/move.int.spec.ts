import { randomUUID } from 'node:crypto';

import type { MoveRequest } from '@watari/host-agent-client';

import { QUIET_GUEST, readCounter } from './testing/counter-guest';
import { counterPast, moveState, TestAgents, type TestAgent, until } from './testing/test-agents';

jest.setTimeout(180_000);

describe('moving a running guest', () => {
  let agents: TestAgents;
  let a: TestAgent;
  let b: TestAgent;

  beforeAll(async () => {
    agents = await TestAgents.open();
    [a, b] = await Promise.all([agents.start('a'), agents.start('b')]);
  });
  afterAll(() => agents.close());

  function request(guestId: string, target: TestAgent, change: Partial<MoveRequest> = {}): MoveRequest {
    const { apiUrl, dataAddress, agentId } = target;
    return {
      moveId: randomUUID(),
      guestId,
      target: { apiUrl, dataAddress, agentId },
      downtimeLimitMs: 300,
      ...change,
    };
  }

  it('takes it there and back while its counter goes on and no page is lost', async () => {
    const spec = await agents.guest('there-and-back');
    await a.client.putGuest(spec);
    await counterPast(a.client, spec.guestId, 50);

    for (const [source, target] of [
      [a, b],
      [b, a],
    ] as const) {
      const before = await counterPast(source.client, spec.guestId, 0);
      const move = request(spec.guestId, target);
      await source.client.startMove(move);
      const ready = await moveState(source.client, move.moveId, ['ready-to-switch']);
      expect(ready.rounds).toBeGreaterThanOrEqual(2);
      expect(await source.client.getGuest(spec.guestId)).toMatchObject({ state: 'running' });
      expect(await target.client.getGuest(spec.guestId)).toMatchObject({ state: 'incoming' });
      await source.client.switchOver(move.moveId);
      const done = await moveState(source.client, move.moveId, ['completed']);

      expect(done.downtimeMs).toBeGreaterThan(0);
      expect(done.downtimeUncertaintyMs).toBe(0);
      expect(done.zeroPages).toBeGreaterThan(4_000);
      expect(done.guestBytes).toBeGreaterThan(1024 * 1024);
      expect(done.streamSha256).toMatch(/^[0-9a-f]{64}$/);
      expect(done.forwards).toEqual([{ guestPort: 80, hostPort: expect.any(Number) as number }]);
      expect(await source.client.getGuest(spec.guestId)).toMatchObject({
        state: 'moved-away',
        movedTo: target.agentId,
      });
      const after = await counterPast(target.client, spec.guestId, before.ticks + 50);
      expect(after.badPages).toBe(0);
      const { consoleTail, state } = await target.client.getGuest(spec.guestId);
      expect(state).toBe('running');
      // The console came along: one line after the other, from before the move to now.
      const ticks = readCounter(consoleTail).map((line) => line.ticks);
      expect(ticks).toEqual(ticks.map((_, index) => ticks[0]! + 8 * index));
      expect(ticks[0]).toBeLessThan(before.ticks);
    }
  });

  it('cancels a move, whether copying or ready, and the guest runs on at its source', async () => {
    const spec = await agents.guest('stays');
    await a.client.putGuest(spec);
    const before = await counterPast(a.client, spec.guestId, 20);
    const move = request(spec.guestId, b);
    await a.client.startMove(move);
    // Repeating the request finds the move; another move of the guest is refused.
    expect((await a.client.startMove(move)).moveId).toBe(move.moveId);
    await expect(a.client.startMove(request(spec.guestId, b))).rejects.toMatchObject({
      code: 'GUEST_MOVING',
    });
    await moveState(a.client, move.moveId, ['ready-to-switch']);
    const status = await a.client.cancelMove(move.moveId);
    expect(status).toMatchObject({ state: 'cancelled', code: 'MOVE_CANCELLED' });
    expect(await a.client.cancelMove(move.moveId)).toEqual(status);
    await expect(a.client.switchOver(move.moveId)).rejects.toMatchObject({ code: 'MOVE_OVER' });
    expect((await counterPast(a.client, spec.guestId, before.ticks + 50)).badPages).toBe(0);
    expect(await a.client.getGuest(spec.guestId)).toMatchObject({ state: 'running' });
    await until(async () => ((await isUnknown(b, spec.guestId)) ? true : undefined), 'b to forget the guest');

    // And it can still be moved, then not be cancelled any more.
    const again = request(spec.guestId, b);
    await a.client.startMove(again);
    await moveState(a.client, again.moveId, ['ready-to-switch']);
    await a.client.switchOver(again.moveId);
    await moveState(a.client, again.moveId, ['completed']);
    await expect(a.client.cancelMove(again.moveId)).rejects.toMatchObject({ code: 'MOVE_PAST_RETURN' });
    expect((await counterPast(b.client, spec.guestId, before.ticks + 100)).badPages).toBe(0);
  });

  it('does not switch over a guest that writes faster than the link takes', async () => {
    // Two thousand pages, each written anew 25 times a second; what changed in them is far more than 400 kB.
    const spec = await agents.guest('busy', { ringPages: 2_048, writesPerTick: 512 });
    await a.client.putGuest(spec);
    await counterPast(a.client, spec.guestId, 10);
    const move = request(spec.guestId, b, { bandwidthBytesPerSecondMax: 400_000, downtimeLimitMs: 50 });
    await a.client.startMove(move);
    await until(
      async () => ((await a.client.getMove(move.moveId)).rounds >= 2 ? true : undefined),
      'a second round',
    );
    await expect(a.client.switchOver(move.moveId)).rejects.toMatchObject({
      code: 'MOVE_NOT_READY',
      canRetry: true,
    });
    expect((await a.client.getMove(move.moveId)).decision).toMatch(/\w/);
    await a.client.cancelMove(move.moveId);
    await a.client.deleteGuest(spec.guestId);
  });

  it('moves a guest that rewrites more than the link takes, because little changes in its pages', async () => {
    // 200 MB of pages a second over 20 MB/s: it would never end if pages crossed whole.
    const spec = await agents.guest('rewriting', { ringPages: 2_048, writesPerTick: 512 });
    await a.client.putGuest(spec);
    const before = await counterPast(a.client, spec.guestId, 10);
    const move = request(spec.guestId, b, { bandwidthBytesPerSecondMax: 20_000_000, downtimeLimitMs: 400 });
    await a.client.startMove(move);
    await moveState(a.client, move.moveId, ['ready-to-switch']);
    await a.client.switchOver(move.moveId);
    const done = await moveState(a.client, move.moveId, ['completed']);
    expect(done.deltaPages).toBeGreaterThan(2_048);
    expect(done.wireBytes).toBeLessThan(done.guestBytes / 10);
    expect((await counterPast(b.client, spec.guestId, before.ticks + 50)).badPages).toBe(0);
    await b.client.deleteGuest(spec.guestId);
  });

  it('takes a q35 guest with virtio disks and several NICs', async () => {
    const spec = await agents.guest('virtio', QUIET_GUEST, { machine: 'q35' });
    spec.disks[0]!.bus = 'virtio-blk';
    const more = await agents.guest('virtio-data');
    spec.disks.push({ ...more.disks[0]!, bus: 'virtio-scsi' });
    spec.nics.push({
      model: 'e1000e',
      mac: '52:54:00:12:34:57',
      isolated: false,
      forwards: [{ guestPort: 22 }, { guestPort: 443 }],
    });
    await a.client.putGuest(spec);
    const before = await counterPast(a.client, spec.guestId, 20);
    const move = request(spec.guestId, b);
    await a.client.startMove(move);
    await moveState(a.client, move.moveId, ['ready-to-switch']);
    await a.client.switchOver(move.moveId);
    const { forwards } = await moveState(a.client, move.moveId, ['completed']);
    expect(forwards?.map(({ guestPort }) => guestPort).sort((x, y) => x - y)).toEqual([22, 80, 443]);
    expect((await counterPast(b.client, spec.guestId, before.ticks + 50)).badPages).toBe(0);
  });

  it('refuses a target that has the guest already, and a guest with a throw-away disk', async () => {
    const spec = await agents.guest('twice');
    await a.client.putGuest(spec);
    const elsewhere = await agents.guest('twice-on-b');
    await b.client.putGuest({ ...elsewhere, guestId: spec.guestId });
    const move = request(spec.guestId, b);
    await a.client.startMove(move);
    await expect(moveState(a.client, move.moveId, ['ready-to-switch'])).rejects.toThrow(/GUEST_EXISTS/);
    expect(await a.client.getGuest(spec.guestId)).toMatchObject({ state: 'running' });
    expect(await b.client.getGuest(spec.guestId)).toMatchObject({ state: 'running' });

    const thrown = await agents.guest('throw-away');
    thrown.disks[0]!.snapshot = true;
    await a.client.putGuest(thrown);
    await counterPast(a.client, thrown.guestId, 0);
    await expect(a.client.startMove(request(thrown.guestId, b))).rejects.toMatchObject({
      code: 'GUEST_NOT_MOVABLE',
    });
  });
});

async function isUnknown(agent: TestAgent, guestId: string): Promise<boolean> {
  return agent.client.getGuest(guestId).then(
    () => false,
    (error: unknown) => (error as { code?: string }).code === 'GUEST_UNKNOWN',
  );
}
