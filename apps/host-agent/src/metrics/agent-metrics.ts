import type { Attributes, ObservableResult } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  MeterProvider,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
} from '@opentelemetry/sdk-metrics';
import type { MoveStatus } from '@watari/host-agent-client';

const PAGE_KINDS = ['zero', 'same', 'delta', 'copied', 'raw'] as const;
/** Seconds; around the pauses that are asked for, from 50 ms. */
const DOWNTIME_BUCKETS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30];

export interface MetricsOptions {
  readonly agentId: string;
  readonly version: string;
  /** Moves from here that are under way. */
  readonly activeMoves: () => readonly MoveStatus[];
  /** Bytes that the histories of this host take. */
  readonly historyBytes: () => Promise<number>;
  /** Where to push, besides being read; default: `collectorOf` the environment. */
  readonly pushTo?: PushMetricExporter | null;
}

type Totals = Record<(typeof PAGE_KINDS)[number] | 'guestBytes' | 'wireBytes', number>;

/**
 * What the agent's moves cost, as OpenTelemetry metrics: read as Prometheus text, and pushed by OTLP over HTTP where
 * the standard environment variables name a collector. Units: bytes, seconds, bytes per second.
 */
export class AgentMetrics {
  readonly #pull = new PrometheusExporter({ preventServerStart: true });
  readonly #provider: MeterProvider;
  readonly #ended: Totals = emptyTotals();
  readonly #moves;
  readonly #downtime;
  readonly #predicted;

  constructor(private readonly options: MetricsOptions) {
    const { agentId, version, pushTo: exporter = collectorOf(process.env) } = options;
    this.#provider = new MeterProvider({
      resource: resourceFromAttributes({
        'service.name': 'watari-host-agent',
        'service.version': version,
        'service.instance.id': agentId,
      }),
      readers: [this.#pull, ...(exporter ? [new PeriodicExportingMetricReader({ exporter })] : [])],
    });
    const meter = this.#provider.getMeter('watari.host-agent', version);
    const advice = { explicitBucketBoundaries: DOWNTIME_BUCKETS };
    this.#moves = meter.createCounter('watari.moves', { description: 'Moves from this host that ended.' });
    this.#downtime = meter.createHistogram('watari.move.downtime', {
      description: 'Pause of the guest, from STOP on the source to RESUME on the target.',
      unit: 's',
      advice,
    });
    this.#predicted = meter.createHistogram('watari.move.downtime.predicted', {
      description: 'The same as the planner expected it at switch-over.',
      unit: 's',
      advice,
    });
    this.#observe();
  }

  /** A move from here is over. */
  moveEnded(status: MoveStatus): void {
    addTo(this.#ended, status);
    const { state, downtimeMs, expectedDowntimeMs } = status;
    this.#moves.add(1, { state });
    if (state !== 'completed' || downtimeMs === undefined) return;
    this.#downtime.record(downtimeMs / 1_000);
    if (expectedDowntimeMs !== undefined) this.#predicted.record(expectedDowntimeMs / 1_000);
  }

  /** All of it in the Prometheus text format. */
  async asText(): Promise<string> {
    const { resourceMetrics } = await this.#pull.collect();
    return new PrometheusSerializer().serialize(resourceMetrics);
  }

  /** Pushes what is left. A collector that does not answer keeps nobody waiting. */
  async close(): Promise<void> {
    await this.#provider.shutdown({ timeoutMillis: 2_000 }).catch(() => undefined);
  }

  #observe(): void {
    const meter = this.#provider.getMeter('watari.host-agent', this.options.version);
    const total = (
      name: string,
      unit: string,
      description: string,
      read: (t: Totals) => [number, Attributes][],
    ) =>
      meter.createObservableCounter(name, { unit, description }).addCallback((result) => {
        for (const [value, attributes] of read(this.#totals())) result.observe(value, attributes);
      });
    total('watari.move.pages', '{page}', 'Pages of moves from here, by how they crossed.', (totals) =>
      PAGE_KINDS.map((kind) => [totals[kind], { kind }]),
    );
    total('watari.move.guest', 'By', "Migration stream read from guests' QEMU.", ({ guestBytes }) => [
      [guestBytes, {}],
    ]);
    total('watari.move.wire', 'By', 'Frames sent to other hosts.', ({ wireBytes }) => [[wireBytes, {}]]);
    const gauge = (
      name: string,
      unit: string,
      description: string,
      read: (moves: readonly MoveStatus[]) => number,
    ) =>
      meter
        .createObservableGauge(name, { unit, description })
        .addCallback((result) => result.observe(read(this.options.activeMoves())));
    // Of the host as a whole: what is told of one guest would be told of it for ever after its move.
    gauge('watari.move.active', '{move}', 'Moves from here that are under way.', (moves) => moves.length);
    gauge('watari.move.remaining', 'By', 'Memory that targets lack.', sumOf('remainingBytes'));
    gauge('watari.move.dirty.rate', 'By/s', 'Pages that moving guests write.', sumOf('dirtyBytesPerSecond'));
    gauge('watari.move.link.rate', 'By/s', 'What the links of moves carry.', sumOf('bytesPerSecond'));
    gauge(
      'watari.move.downtime.expected',
      's',
      'The longest pause that a moving guest would have if it stopped now.',
      (moves) => Math.max(0, ...moves.map(({ expectedDowntimeMs = 0 }) => expectedDowntimeMs)) / 1_000,
    );
    meter
      .createObservableGauge('watari.history', { unit: 'By', description: 'What histories take on disk.' })
      .addCallback(async (result: ObservableResult) => result.observe(await this.options.historyBytes()));
  }

  #totals(): Totals {
    const totals = { ...this.#ended };
    for (const move of this.options.activeMoves()) addTo(totals, move);
    return totals;
  }
}

function emptyTotals(): Totals {
  return { zero: 0, same: 0, delta: 0, copied: 0, raw: 0, guestBytes: 0, wireBytes: 0 };
}

function sumOf(figure: 'remainingBytes' | 'dirtyBytesPerSecond' | 'bytesPerSecond') {
  return (moves: readonly MoveStatus[]): number => moves.reduce((sum, move) => sum + (move[figure] ?? 0), 0);
}

function addTo(totals: Totals, move: MoveStatus): void {
  totals.zero += move.zeroPages;
  totals.same += move.samePages ?? 0;
  totals.delta += move.deltaPages ?? 0;
  totals.copied += move.copiedPages ?? 0;
  totals.raw += move.rawPages ?? 0;
  totals.guestBytes += move.guestBytes;
  totals.wireBytes += move.wireBytes;
}

/** The collector that OpenTelemetry's own variables name; null when they name none. */
export function collectorOf(env: NodeJS.ProcessEnv): PushMetricExporter | null {
  const isNamed = Boolean(env['OTEL_EXPORTER_OTLP_ENDPOINT'] || env['OTEL_EXPORTER_OTLP_METRICS_ENDPOINT']);
  // It reads the variables by itself, with headers, timeouts and certificates.
  return isNamed ? new OTLPMetricExporter() : null;
}
