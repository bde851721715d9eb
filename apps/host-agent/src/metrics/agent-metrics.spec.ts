import {
  AggregationTemporality,
  InMemoryMetricExporter,
  type PushMetricExporter,
} from '@opentelemetry/sdk-metrics';
import type { MoveStatus } from '@watari/host-agent-client';

import { AgentMetrics, collectorOf } from './agent-metrics';

function status(change: Partial<MoveStatus> = {}): MoveStatus {
  return {
    moveId: 'move',
    guestId: 'web-1',
    state: 'pre-copy',
    rounds: 2,
    guestBytes: 8_000,
    wireBytes: 1_000,
    pages: 10,
    zeroPages: 4,
    samePages: 1,
    deltaPages: 2,
    copiedPages: 1,
    rawPages: 2,
    totalMs: 100,
    dirtyBytesPerSecond: 4_096,
    expectedDowntimeMs: 40,
    ...change,
  };
}

describe('the metrics of an agent', () => {
  let active: MoveStatus[];
  let metrics: AgentMetrics;
  const open = (pushTo: PushMetricExporter | null) =>
    new AgentMetrics({
      agentId: 'host-a',
      version: '1',
      activeMoves: () => active,
      historyBytes: () => Promise.resolve(77),
      pushTo,
    });

  beforeEach(() => {
    active = [];
    metrics = open(null);
  });
  afterEach(() => metrics.close());

  const valueOf = async (name: string) => {
    const lines = (await metrics.asText()).split('\n').filter((line) => line.startsWith(name));
    return lines.map((line) => Number(line.split(' ')[1]));
  };

  it('shows the moves that are under way together', async () => {
    active = [status(), status({ guestId: 'db-1', expectedDowntimeMs: 250 })];
    expect(await valueOf('watari_move_active')).toEqual([2]);
    expect(await valueOf('watari_move_dirty_rate')).toEqual([8_192]);
    expect(await valueOf('watari_move_downtime_expected')).toEqual([0.25]);
    active = [];
    expect(await valueOf('watari_move_dirty_rate')).toEqual([0]);
  });

  it('adds up pages of all moves, those that are over and those under way, and never goes back', async () => {
    active = [status()];
    expect(await valueOf('watari_move_pages_total{kind="zero"')).toEqual([4]);
    metrics.moveEnded(status({ state: 'completed', downtimeMs: 45 }));
    active = [status({ moveId: 'next', zeroPages: 1 })];
    expect(await valueOf('watari_move_pages_total{kind="zero"')).toEqual([5]);
    expect(await valueOf('watari_move_wire')).toEqual([2_000]);
  });

  it('keeps the pauses of completed moves in seconds, with what was expected, and counts the others', async () => {
    metrics.moveEnded(status({ state: 'completed', downtimeMs: 45 }));
    metrics.moveEnded(status({ state: 'failed' }));
    expect(await valueOf('watari_move_downtime_sum')).toEqual([0.045]);
    expect(await valueOf('watari_move_downtime_predicted_sum')).toEqual([0.04]);
    expect(await valueOf('watari_moves_total{state="failed"')).toEqual([1]);
    expect(await valueOf('watari_history')).toEqual([77]);
  });

  it('pushes what there is when it ends', async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const exported = jest.spyOn(exporter, 'export');
    const pushing = open(exporter);
    pushing.moveEnded(status({ state: 'completed', downtimeMs: 45 }));
    await pushing.close();
    const names = exported.mock.calls.flatMap(([{ scopeMetrics }]) =>
      scopeMetrics.flatMap(({ metrics: all }) => all.map(({ descriptor }) => descriptor.name)),
    );
    expect(names).toEqual(expect.arrayContaining(['watari.move.downtime', 'watari.moves']));
  });

  it('pushes to a collector where the environment names one', () => {
    expect(collectorOf({})).toBeNull();
    expect(collectorOf({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' })).not.toBeNull();
  });
});
