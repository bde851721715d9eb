import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { MoveStatus } from '@watari/host-agent-client';

import { counterPast, moveState, type TestAgent, TestAgents, until } from './testing/test-agents';

jest.setTimeout(180_000);

const execute = promisify(execFile);
const RING_PAGES = 4_096;
/** Only root can make a disk that is full. */
const itAsRoot = process.getuid?.() === 0 ? it : it.skip;

describe('a history that cannot be kept, or is another one, under a real move', () => {
  let agents: TestAgents;
  let a: TestAgent;
  let b: TestAgent;
  let mounted: string[];

  beforeEach(async () => {
    agents = await TestAgents.open();
    mounted = [];
  });
  afterEach(async () => {
    for (const agent of [a, b]) await agent.end('SIGTERM');
    for (const path of mounted) await execute('umount', [path]);
    await agents.close();
  });

  function historiesOf(agentId: string): string {
    return join(agents.folder, agentId, 'histories');
  }

  /** The agent's histories get a disk of their own, of so many MiB. */
  async function mountSmallDisk(agentId: string, mib: number): Promise<void> {
    const path = historiesOf(agentId);
    await mkdir(path, { recursive: true });
    await execute('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', path]);
    mounted.push(path);
  }

  async function startAgents(): Promise<void> {
    [a, b] = await Promise.all([agents.start('a'), agents.start('b')]);
  }

  async function startGuest(guestId: string): Promise<void> {
    await a.client.putGuest(await agents.guest(guestId, { ringPages: RING_PAGES, writesPerTick: 8 }));
    await counterPast(a.client, guestId, (RING_PAGES + 100) / 8);
  }

  async function move(guestId: string, source: TestAgent, target: TestAgent): Promise<MoveStatus> {
    const moveId = randomUUID();
    const { apiUrl, dataAddress, agentId } = target;
    await target.client.deleteGuest(guestId);
    const before = await counterPast(source.client, guestId, 0);
    await source.client.startMove({
      moveId,
      guestId,
      target: { apiUrl, dataAddress, agentId },
      downtimeLimitMs: 500,
    });
    await moveState(source.client, moveId, ['ready-to-switch']);
    await source.client.switchOver(moveId);
    const done = await moveState(source.client, moveId, ['completed']);
    // The guest itself has looked at each page of its ring.
    expect((await counterPast(target.client, guestId, before.ticks + 30)).badPages).toBe(0);
    return done;
  }

  async function kept(agent: TestAgent, guestId: string, historyId: string): Promise<void> {
    await until(
      async () =>
        (await agent.client.listHistories()).find(
          (each) => each.guestId === guestId && each.historyId === historyId,
        ),
      'the history to be written',
    );
  }

  function logOf(agentId: string): Promise<string> {
    return readFile(join(agents.folder, `${agentId}.log`), 'utf8');
  }

  itAsRoot('is dropped with its reason by a full disk, and the next trip is a first one', async () => {
    await mountSmallDisk('b', 4);
    await startAgents();
    await startGuest('cramped');
    const there = await move('cramped', a, b);
    expect(there.rawPages).toBeGreaterThan(RING_PAGES);
    const line = await until(
      async () => (await logOf('b')).split('\n').find((each) => each.includes('a history was dropped')),
      'the history to be dropped',
    );
    expect(JSON.parse(line)).toMatchObject({
      guestId: 'cramped',
      code: 'HISTORY_DISK_FULL',
      reason: expect.stringContaining('no room for the history') as string,
    });
    expect(await readdir(historiesOf('b'))).toEqual([]);
    expect(await b.client.listHistories()).toEqual([]);
    await kept(a, 'cramped', there.streamSha256!);
    const back = await move('cramped', b, a);
    expect(back.rawPages).toBeGreaterThan(RING_PAGES);
  });

  it('is passed over where the other side has another one of the guest', async () => {
    await startAgents();
    await startGuest('stale');
    const first = await move('stale', a, b);
    for (const agent of [a, b]) await kept(agent, 'stale', first.streamSha256!);
    const older = join(agents.folder, 'older');
    await cp(historiesOf('a'), older, { recursive: true });
    const second = await move('stale', b, a);
    expect(second.rawPages).toBeLessThan(0.25 * first.rawPages!);
    for (const agent of [a, b]) await kept(agent, 'stale', second.streamSha256!);
    // As from a backup of the host.
    await rm(historiesOf('a'), { recursive: true });
    await cp(older, historiesOf('a'), { recursive: true });
    await kept(a, 'stale', first.streamSha256!);
    const third = await move('stale', a, b);
    expect(third.rawPages).toBeGreaterThan(RING_PAGES);
    // And both have the same again.
    for (const agent of [a, b]) await kept(agent, 'stale', third.streamSha256!);
  });
});
