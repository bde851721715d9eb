import { randomUUID } from 'node:crypto';

import type { MoveStatus } from '@watari/host-agent-client';
import { parseTrace, predictionError, replayTrace } from '@watari/migration-core';

import { counterPast, moveState, TestAgents, type TestAgent, until } from './testing/test-agents';

jest.setTimeout(120_000);

describe('watching a move', () => {
  let agents: TestAgents;
  let a: TestAgent;
  let b: TestAgent;
  const moveId = randomUUID();
  const seen: MoveStatus[] = [];
  let watchedMs = 0;

  beforeAll(async () => {
    agents = await TestAgents.open();
    [a, b] = await Promise.all([agents.start('a'), agents.start('b')]);
    const spec = await agents.guest('watched', { ringPages: 512, writesPerTick: 64 });
    await a.client.putGuest(spec);
    await counterPast(a.client, spec.guestId, 10);
    const { apiUrl, dataAddress, agentId } = b;
    await a.client.startMove({
      moveId,
      guestId: spec.guestId,
      target: { apiUrl, dataAddress, agentId },
      downtimeLimitMs: 300,
    });
    const beganMs = performance.now();
    const watching = (async () => {
      for await (const status of a.client.watchMove(moveId)) seen.push(status);
      watchedMs = performance.now() - beganMs;
    })();
    await moveState(a.client, moveId, ['ready-to-switch']);
    // QEMU takes the rate of writes once a second.
    await until(
      async () => ((await a.client.getMove(moveId)).dirtyBytesPerSecond ? true : undefined),
      'the rate of writes to be known',
    );
    await a.client.switchOver(moveId);
    await watching;
  });
  afterAll(() => agents.close());

  it('tells where it stands several times a second, until it is over', () => {
    expect(seen.at(-1)).toMatchObject({ state: 'completed', downtimeLimitMs: 300 });
    // Ten times a second; a busy machine may let some of them fall out.
    expect(seen.length).toBeGreaterThan((watchedMs / 1_000) * 3);
    const ready = seen.findLast(({ state }) => state === 'ready-to-switch')!;
    expect(ready.decision).toMatch(/\w/);
    expect(ready.expectedDowntimeMs).toBeGreaterThan(0);
    expect(Math.max(...seen.map(({ dirtyBytesPerSecond = 0 }) => dirtyBytesPerSecond))).toBeGreaterThan(0);
    const { zeroPages, samePages = 0, deltaPages = 0, copiedPages = 0, rawPages = 0, pages } = seen.at(-1)!;
    expect(zeroPages + samePages + deltaPages + copiedPages + rawPages).toBe(pages);
  });

  it('tells an ended move once, and refuses one that it does not know', async () => {
    const again: MoveStatus[] = [];
    for await (const status of a.client.watchMove(moveId)) again.push(status);
    expect(again).toEqual([await a.client.getMove(moveId)]);
    const unknown = a.client.watchMove('stranger')[Symbol.asyncIterator]();
    await expect(unknown.next()).rejects.toMatchObject({ code: 'MOVE_UNKNOWN' });
  });

  it('keeps what the planner saw and decided, and deciding again from it gives the same', async () => {
    const text = await a.client.moveTrace(moveId);
    expect(replayTrace(text).differingLines).toEqual([]);
    const trace = parseTrace(text);
    expect(trace.records.length).toBeGreaterThan(5);
    expect(trace.downtimeMs).toBe(seen.at(-1)!.downtimeMs);
    expect(predictionError(trace)!.predictedDowntimeMs).toBeGreaterThan(0);
    await expect(b.client.moveTrace(moveId)).rejects.toMatchObject({ code: 'MOVE_UNKNOWN' });
  });

  it('counts it in the metrics of its source', async () => {
    const metrics = await a.client.metrics();
    expect(metrics).toMatch(/watari_moves_total\{state="completed"[^}]*\} 1\n/);
    expect(metrics).toMatch(/watari_move_downtime_count\S* 1\n/);
    const { deltaPages } = seen.at(-1)!;
    expect(metrics).toMatch(new RegExp(`watari_move_pages_total\\{kind="delta"[^}]*\\} ${deltaPages}\n`));
    expect(await b.client.metrics()).not.toMatch(/watari_moves_total\{/);
  });
});
