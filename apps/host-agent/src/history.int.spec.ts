import { randomUUID } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { MoveStatus } from '@watari/host-agent-client';

import { counterPast, moveState, type TestAgent, TestAgents, until } from './testing/test-agents';

jest.setTimeout(180_000);

describe('what a guest left behind', () => {
  let agents: TestAgents;
  let a: TestAgent;
  let b: TestAgent;

  beforeAll(async () => {
    agents = await TestAgents.open();
    [a, b] = await Promise.all([agents.start('a'), agents.start('b')]);
  });
  afterAll(() => agents.close());

  /** Moves the guest, waits until both hosts have written down what they hold, and gives the move's figures. */
  async function move(guestId: string, source: TestAgent, target: TestAgent): Promise<MoveStatus> {
    const moveId = randomUUID();
    const { apiUrl, dataAddress, agentId } = target;
    await target.client.deleteGuest(guestId);
    const before = await counterPast(source.client, guestId, 0);
    await source.client.startMove({
      moveId,
      guestId,
      target: { apiUrl, dataAddress, agentId },
      downtimeLimitMs: 300,
    });
    await moveState(source.client, moveId, ['ready-to-switch']);
    await source.client.switchOver(moveId);
    const done = await moveState(source.client, moveId, ['completed']);
    expect((await counterPast(target.client, guestId, before.ticks + 30)).badPages).toBe(0);
    for (const { client } of [source, target])
      await until(async () => {
        const histories = await client.listHistories();
        return histories.find((one) => one.guestId === guestId && one.historyId === done.streamSha256);
      }, 'the history to be written');
    return done;
  }

  async function start(name: string): Promise<string> {
    // A ring of 8 MiB, and few pages of it written a second.
    const spec = await agents.guest(name, { ringPages: 2_048, writesPerTick: 2 });
    await a.client.putGuest(spec);
    await counterPast(a.client, spec.guestId, 2_100 / 2);
    return spec.guestId;
  }

  /** The files of the guest's history; there is no other guest's when this is asked. */
  async function filesOf(agent: TestAgent): Promise<string[]> {
    const folder = join(agents.folder, agent.agentId, 'histories');
    const names = await readdir(folder, { recursive: true });
    const paths = names.map((name) => join(folder, name));
    const kinds = await Promise.all(paths.map((path) => stat(path)));
    return paths.filter((_, index) => kinds[index]!.isFile());
  }

  it('makes its way back nearly free', async () => {
    const guestId = await start('returning');
    const there = await move(guestId, a, b);
    const back = await move(guestId, b, a);
    expect(there.samePages! + there.deltaPages!).toBeLessThan(back.samePages! + back.deltaPages!);
    // Nearly all of what is not zero is there already, and so it is on a third way.
    expect(back.samePages! + back.deltaPages! + back.copiedPages!).toBeGreaterThan(
      0.95 * (back.pages - back.zeroPages),
    );
    const again = await move(guestId, a, b);
    expect(again.samePages! + again.deltaPages! + again.copiedPages!).toBeGreaterThan(
      0.95 * (again.pages - again.zeroPages),
    );
    await b.client.deleteGuest(guestId);
    expect(await b.client.listHistories()).toEqual([]);
    // Where it moved away from, it goes by its own time, or by command.
    expect(await a.client.listHistories()).toHaveLength(1);
    await a.client.deleteHistory(guestId);
    expect(await a.client.listHistories()).toEqual([]);
  });

  it('cannot be read on the disk', async () => {
    const guestId = await start('secret');
    await move(guestId, a, b);
    for (const agent of [a, b]) {
      const files = await filesOf(agent);
      expect(files.length).toBeGreaterThan(1);
      for (const path of files) {
        // Pages of the ring begin with a running number and zeros.
        expect((await readFile(path)).indexOf(Buffer.alloc(64))).toBe(-1);
        expect((await stat(path)).mode & 0o77).toBe(0);
      }
    }
    await b.client.deleteGuest(guestId);
    await a.client.deleteHistory(guestId);
  });

  it('costs only speed when it is damaged on one side, and when it is gone', async () => {
    const guestId = await start('unlucky');
    await move(guestId, a, b);
    for (const path of await filesOf(a)) {
      const bytes = await readFile(path);
      // Every second MiB has a byte that is another.
      for (let at = 500_000; at < bytes.length; at += 2 * 1024 * 1024) bytes[at]! ^= 1;
      await writeFile(path, bytes);
    }
    await move(guestId, b, a);
    await b.client.deleteHistory(guestId);
    const bare = await move(guestId, a, b);
    expect(bare.rounds).toBeGreaterThanOrEqual(2);
    await b.client.deleteGuest(guestId);
    await a.client.deleteHistory(guestId);
  });
});
