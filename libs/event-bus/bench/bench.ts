import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPostgres } from '@watari/embedded-postgres';
import { startKafkaProcess, whyNoKafka } from '../src/testing/kafka-process';
import {
  type Contender,
  appendToHandler,
  busAndConsumer,
  busSettings,
  kafkajsAlone,
  plainInserts,
} from './contenders';
import { type Sample, paced, percentile, tableOf } from './measure';

/**
 * Both buses and their peers in turn, round after round in one run, so that a machine that grows slow grows slow
 * for all of them:
 *
 *   node --conditions=@watari/source --require ./tools/workspace/run-typescript.cjs \
 *     libs/event-bus/bench/bench.ts --rounds 5 --out libs/event-bus/bench/event-bus.bench
 */
const BATCH = 100;
const WRITERS = 8;
const WARM_EVENTS = 200;
const PACE_PER_SECOND = 100;
const ARRIVAL_MS = 60_000;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      events: { type: 'string', default: '4000' },
      seconds: { type: 'string', default: '4' },
      out: { type: 'string' },
    },
  });
  const [rounds, events, seconds] = [values.rounds, values.events, values.seconds].map(Number) as [
    number,
    number,
    number,
  ];
  const why = whyNoKafka();
  if (why !== undefined) process.stderr.write(`Without Kafka: ${why}\n`);
  const folder = await mkdtemp(join(tmpdir(), 'watari-bench-'));
  // As in operation: every commit is flushed to disk. Kafka by default leaves flushing to the kernel.
  const postgres = await startPostgres({
    dataDir: join(folder, 'postgres'),
    env: { ...process.env, DATABASE_URL: undefined },
  });
  const kafka = why === undefined ? await startKafkaProcess([]) : undefined;
  const samples: Sample[] = [];
  try {
    for (let round = 1; round <= rounds; round += 1) {
      for (const open of contenders(postgres.url, kafka?.brokers)) {
        const contender = await open();
        process.stderr.write(`round ${round} of ${rounds}: ${contender.name}\n`);
        samples.push(...(await measure(contender, events, seconds)));
        await contender.close();
      }
    }
  } finally {
    await kafka?.stop();
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  }
  const text = `${headOf(postgres.version, events, seconds)}\n${tableOf(samples)}\n`;
  process.stdout.write(text);
  if (values.out) await writeFile(values.out, text);
}

function contenders(
  databaseUrl: string,
  brokers: readonly string[] | undefined,
): (() => Promise<Contender>)[] {
  const inPostgres = busSettings({ databaseUrl });
  return [
    () => plainInserts(databaseUrl),
    () => busAndConsumer(inPostgres, databaseUrl),
    () => appendToHandler(inPostgres, databaseUrl),
    ...(brokers
      ? [
          () => kafkajsAlone(brokers),
          () => busAndConsumer(busSettings({ brokers }), databaseUrl),
          () => appendToHandler(busSettings({ brokers }), databaseUrl),
        ]
      : []),
  ];
}

async function measure(contender: Contender, events: number, seconds: number): Promise<Sample[]> {
  const arrivals = new Arrivals(contender);
  await arrivals.of(ids(WARM_EVENTS), (all) => sendByWriters(contender, all));
  const burst = ids(events);
  const startedAt = performance.now();
  await arrivals.of(burst, (all) => sendByWriters(contender, all));
  const perSecond = (events * 1000) / (performance.now() - startedAt);

  const slow = ids(PACE_PER_SECOND * seconds);
  const sentAt = new Map<string, number>();
  const arrivedAt = await arrivals.of(slow, (all) =>
    paced(PACE_PER_SECOND, seconds, async (index) => {
      const id = all[index] ?? '';
      sentAt.set(id, performance.now());
      await contender.send([id]);
    }),
  );
  const latencies = slow.map((id) => (arrivedAt.get(id) ?? Number.NaN) - (sentAt.get(id) ?? Number.NaN));
  const { name } = contender;
  return [
    {
      contender: name,
      figure: `${WRITERS} writers, batches of ${BATCH}`,
      unit: 'events/s',
      value: perSecond,
    },
    {
      contender: name,
      figure: `latency p50 at ${PACE_PER_SECOND}/s`,
      unit: 'ms',
      value: percentile(latencies, 0.5),
    },
    {
      contender: name,
      figure: `latency p99 at ${PACE_PER_SECOND}/s`,
      unit: 'ms',
      value: percentile(latencies, 0.99),
    },
  ];
}

/** Waits for events at the far end. One set at a time. */
class Arrivals {
  private arrived: (id: string) => void = () => undefined;

  constructor(contender: Contender) {
    contender.onArrival((id) => this.arrived(id));
  }

  async of(
    wanted: readonly string[],
    send: (ids: readonly string[]) => Promise<void>,
  ): Promise<Map<string, number>> {
    const missing = new Set(wanted);
    const arrivedAt = new Map<string, number>();
    let timer: NodeJS.Timeout | undefined;
    const all = new Promise<void>((done, fail) => {
      timer = setTimeout(
        () => fail(new Error(`${missing.size} of ${wanted.length} events did not arrive.`)),
        ARRIVAL_MS,
      );
      this.arrived = (id) => {
        if (!missing.delete(id)) return;
        arrivedAt.set(id, performance.now());
        if (missing.size === 0) done();
      };
    });
    try {
      await Promise.all([all, send(wanted)]);
    } finally {
      clearTimeout(timer);
    }
    return arrivedAt;
  }
}

async function sendByWriters(contender: Contender, all: readonly string[]): Promise<void> {
  let next = 0;
  const write = async (): Promise<void> => {
    while (next < all.length) {
      const batch = all.slice(next, next + BATCH);
      next += BATCH;
      await contender.send(batch);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, write));
}

function ids(count: number): string[] {
  return Array.from({ length: count }, () => randomUUID());
}

function headOf(postgresVersion: string, events: number, seconds: number): string {
  const [cpu] = cpus();
  return [
    `# ${cpu?.model ?? 'unknown processor'}, ${cpus().length} processors, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}, Postgres ${postgresVersion}, Kafka 4.1.1`,
    `# Clients, servers and handlers share the machine. Values of 200 bytes, 6 partitions; Postgres flushes each commit.`,
    `# Throughput: ${events} events from ${WRITERS} writers at once until the last was handled; the way from the store appends one by one.`,
    `# Latency: ${PACE_PER_SECOND} events a second for ${seconds} s, one by one, from before the send to within the handler.`,
    `# Peers do less: plain inserts end at the commit, kafkajs alone keeps no view, inbox or offset.`,
  ].join('\n');
}

main().catch((error: unknown) => {
  process.stderr.write(`${(error as Error).stack ?? String(error)}\n`);
  process.exit(1);
});
