import { randomUUID } from 'node:crypto';

import { SlowLink } from './testing/slow-link';
import { counterPast, moveState, TestAgents, type TestAgent, until } from './testing/test-agents';

jest.setTimeout(180_000);

/** Long enough for a test to look and to kill in between two words of the agents. */
const DELAY_MS = 1_500;

describe('a move whose agents or link fail', () => {
  let agents: TestAgents;
  let a: TestAgent;
  let b: TestAgent;
  let link: SlowLink;

  beforeEach(async () => {
    // Nobody waits long for what will not come back, but longer than words are late, on a busy machine too.
    agents = await TestAgents.open(['--link-loss-seconds', '4']);
    [a, b] = await Promise.all([agents.start('a'), agents.start('b')]);
    link = await SlowLink.open(b.dataAddress);
  });
  afterEach(async () => {
    link.close();
    await agents.close();
  });

  /** A guest on a, in a move to b that is ready to be switched over. */
  async function readyMove(guestId = 'guest'): Promise<{ guestId: string; moveId: string; ticks: number }> {
    const spec = await agents.guest(guestId);
    await a.client.putGuest(spec);
    const { ticks } = await counterPast(a.client, spec.guestId, 20);
    const moveId = randomUUID();
    await a.client.startMove({
      moveId,
      guestId: spec.guestId,
      target: { apiUrl: b.apiUrl, dataAddress: link.address, agentId: 'b' },
      downtimeLimitMs: 300,
    });
    await moveState(a.client, moveId, ['ready-to-switch']);
    return { guestId, moveId, ticks };
  }

  /**
   * A move whose target has the guest, paused, while the word of that is on its way to the source for a while. On a busy
   * machine the word may come before the link is slow, or so late that the link counts as lost: then another guest is
   * moved.
   */
  async function receivedMove(): Promise<{ guestId: string; moveId: string; ticks: number }> {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const move = await readyMove(`guest-${attempt}`);
      await a.client.switchOver(move.moveId);
      link.toSourceMs = DELAY_MS;
      const state = await until(async () => {
        if ((await a.client.getMove(move.moveId)).state === 'failed') return 'failed';
        const guest = (await b.client.listGuests()).find(({ guestId }) => guestId === move.guestId);
        return guest?.state === 'paused' || guest?.state === 'running' ? guest.state : undefined;
      }, 'b to have received the guest');
      if (state === 'paused') return move;
      link.toSourceMs = 0;
      if (state === 'running') await moveState(a.client, move.moveId, ['completed']);
    }
    throw new Error('No guest of three was received while the word of it was late.');
  }

  async function standing(agent: TestAgent, moveId: string): Promise<string> {
    return (await agent.client.moveOwnership(moveId)).standing;
  }

  /** True once the agent has forgotten the guest and swears that it never ran it. */
  async function hasDiscarded(agent: TestAgent, guestId: string, moveId: string): Promise<true | undefined> {
    const ids = (await agent.client.listGuests()).map((guest) => guest.guestId);
    return !ids.includes(guestId) && (await standing(agent, moveId)) === 'discarded' ? true : undefined;
  }

  it('leaves the guest on the source when the target agent dies while copying', async () => {
    const { guestId, moveId, ticks } = await readyMove();
    const received = await agents.qemuOf('b', guestId);
    await b.end('SIGKILL');
    const failed = await until(async () => {
      const status = await a.client.getMove(moveId);
      return status.state === 'failed' ? status : undefined;
    }, 'the move to fail');
    expect(failed.code).toMatch(/^LINK_/);
    expect((await counterPast(a.client, guestId, ticks + 100)).badPages).toBe(0);
    b = await agents.start('b');
    await until(() => hasDiscarded(b, guestId, moveId), 'b to discard the guest');
    expect((await received?.isRunning()) ?? false).toBe(false);
    expect(await a.client.getGuest(guestId)).toMatchObject({ state: 'running' });
  });

  it('leaves the guest on the source when the source agent dies while copying', async () => {
    const { guestId, moveId, ticks } = await readyMove();
    await a.end('SIGKILL');
    await until(() => hasDiscarded(b, guestId, moveId), 'b to discard the guest');
    a = await agents.start('a');
    expect(await a.client.getMove(moveId)).toMatchObject({ state: 'failed', code: 'AGENT_RESTARTED' });
    expect((await counterPast(a.client, guestId, ticks + 100)).badPages).toBe(0);
  });

  it('leaves the guest on the source when the link is cut for longer than is waited', async () => {
    const { guestId, moveId, ticks } = await readyMove();
    link.block();
    await until(() => hasDiscarded(b, guestId, moveId), 'b to discard the guest');
    // The two ends notice each for itself.
    await until(async () => (await a.client.getMove(moveId)).state === 'failed', 'a to give the move up');
    expect((await counterPast(a.client, guestId, ticks + 100)).badPages).toBe(0);
  });

  it('takes the guest back when the source agent dies before it committed', async () => {
    const { guestId, moveId, ticks } = await receivedMove();
    expect(await standing(a, moveId)).toBe('undecided');
    await a.end('SIGKILL');
    // Asked in vain, the target waits, and does not run the guest.
    const waiting = await until(async () => {
      const guest = await b.client.getGuest(guestId);
      return guest.reason === undefined ? undefined : guest;
    }, 'b to say what it waits for');
    expect(waiting).toMatchObject({ state: 'paused', reason: expect.stringContaining('agent a') as string });
    a = await agents.start('a');
    expect((await counterPast(a.client, guestId, ticks + 50)).badPages).toBe(0);
    await until(() => hasDiscarded(b, guestId, moveId), 'b to discard the guest');
    expect(await a.client.getMove(moveId)).toMatchObject({ state: 'failed', code: 'AGENT_RESTARTED' });
  });

  it('takes the guest back when it is cancelled after it was paused', async () => {
    const { guestId, moveId, ticks } = await receivedMove();
    expect(await a.client.cancelMove(moveId)).toMatchObject({ state: 'cancelled' });
    expect((await counterPast(a.client, guestId, ticks + 50)).badPages).toBe(0);
    await until(() => hasDiscarded(b, guestId, moveId), 'b to discard the guest');
  });

  it('runs the guest on the target alone when the source agent dies right after it committed', async () => {
    const { guestId, moveId, ticks } = await readyMove();
    const former = await agents.qemuOf('a', guestId);
    await a.client.switchOver(moveId);
    link.toTargetMs = DELAY_MS;
    await until(
      async () => ((await standing(a, moveId)) === 'handed-over' ? true : undefined),
      'a to commit',
    );
    await expect(a.client.cancelMove(moveId)).rejects.toMatchObject({ code: 'MOVE_PAST_RETURN' });
    await a.end('SIGKILL');
    // The commit is lost on the way.
    link.cut();
    await until(async () => ((await b.client.getGuest(guestId)).reason ? true : undefined), 'b to wait');
    expect(await b.client.getGuest(guestId)).toMatchObject({ state: 'paused' });
    a = await agents.start('a');
    expect((await counterPast(b.client, guestId, ticks)).badPages).toBe(0);
    const done = await moveState(a.client, moveId, ['completed']);
    expect(done.downtimeMs).toBeGreaterThan(0);
    expect(await a.client.getGuest(guestId)).toMatchObject({ state: 'moved-away', movedTo: 'b' });
    expect(await former?.isRunning()).toBe(false);
  });

  it('runs the guest on the target alone when the target agent dies right before the commit', async () => {
    const { guestId, moveId, ticks } = await readyMove();
    await a.client.switchOver(moveId);
    link.toTargetMs = DELAY_MS;
    await until(
      async () => ((await standing(a, moveId)) === 'handed-over' ? true : undefined),
      'a to commit',
    );
    await b.end('SIGKILL');
    link.cut();
    const waiting = await until(async () => {
      const guest = await a.client.getGuest(guestId);
      return guest.reason === undefined ? undefined : guest;
    }, 'a to say what it waits for');
    expect(waiting.state).toBe('paused');
    expect(await a.client.getMove(moveId)).toMatchObject({ state: 'switching' });
    b = await agents.start('b');
    expect((await counterPast(b.client, guestId, ticks)).badPages).toBe(0);
    await moveState(a.client, moveId, ['completed']);
    expect(await a.client.getGuest(guestId)).toMatchObject({ state: 'moved-away' });
  });

  it('takes the guest back when the target lost it between the commit and its start', async () => {
    const { guestId, moveId, ticks } = await readyMove();
    await a.client.switchOver(moveId);
    link.toTargetMs = DELAY_MS;
    await until(
      async () => ((await standing(a, moveId)) === 'handed-over' ? true : undefined),
      'a to commit',
    );
    await (await agents.qemuOf('b', guestId))?.kill();
    await until(async () => {
      const status = await a.client.getMove(moveId);
      return status.state === 'failed' && status.code === 'TARGET_REFUSED' ? status : undefined;
    }, 'the move to fail');
    expect((await counterPast(a.client, guestId, ticks + 50)).badPages).toBe(0);
    expect(await standing(b, moveId)).toBe('discarded');
  });
});
