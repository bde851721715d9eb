import { createHash, randomUUID } from 'node:crypto';
import { cp, open, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { formatProbe, parseProbe } from '@watari/host-agent-client';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { buildPhysicalServer } from '@watari/physical-server';
import { assess, describeAssessment } from '../cli/commands/assess';
import { type ServerView, describeServer } from '../cli/commands/inventory';
import { plan } from '../cli/commands/migrate';
import { CliError } from '../cli/errors';
import {
  type JournalView,
  type MigrationView,
  describeJournal,
  expectCompleted,
  watchMigration,
} from '../cli/migrations';
import type { Output } from '../cli/output';
import { FrontRelay } from './front-relay';
import { type DemoReport, type Leg, describeReport } from './report';
import { ServiceClient } from './service-client';
import { HOSTS, Stage as AnyStage, type StageOptions } from './stage';
import { type UnconvertedOutcome, bootUnconverted } from './unconverted';

export interface DemoOptions extends StageOptions {
  /** The user's own server instead of the demonstration's. */
  readonly own?: { readonly disk: string; readonly probe: string; readonly format?: 'raw' | 'qcow2' };
  readonly memoryMiB: number;
  readonly downtimeLimitMs: number;
}

type Stage = AnyStage<DemoOptions>;

interface Subject {
  readonly name: string;
  readonly disk: string;
  readonly format?: 'raw' | 'qcow2';
  readonly probe: string;
  readonly mac: string;
}

/** What inspecting and converting disks needs. */
export const DISK_TOOLS = ['qemu-img', 'debugfs', 'e2fsck', 'mke2fs', 'dumpe2fs', 'xz', 'zstd'] as const;
const TOOLS = ['qemu-system-x86_64', ...DISK_TOOLS] as const;
/** The client watches the service so long before and after each move. */
const CALM_MS = 3000;
const WHOLE_PASS_TIMEOUT_MS = 120_000;
const RELAY_POLL_MS = 20;

/** The main job, end to end and for real, in a folder of its own that is gone afterwards. Returns its report. */
export async function runDemo(options: DemoOptions): Promise<DemoReport> {
  const began = performance.now();
  const { output, signal } = options;
  const tools = createHostTools();
  const progress = output.progress();
  const onProgress = (step: string, fraction?: number) => progress.update(step, fraction);
  output.note('Getting what is needed');
  await ensureHostTools(TOOLS, { onProgress, signal });
  const subject = await findSubject(options, onProgress);
  progress.end();
  const before = await fingerprint(subject.disk);
  const folder = join(tools.cacheDir, 'demo', randomUUID());
  const stage = new AnyStage(folder, options);
  try {
    await stage.open();
    const report = await Promise.race([play(stage, subject, began), stage.broken()]);
    const sourceUnchanged = (await fingerprint(subject.disk)) === before;
    return { ...report, sourceUnchanged, tookMs: Math.round(performance.now() - began) };
  } catch (error) {
    if (!signal.aborted) await keepLogs(folder, join(tools.cacheDir, 'demo-failure'), output);
    throw error;
  } finally {
    output.note('Cleaning up');
    await stage.close();
  }
}

/** What was logged outlives the folder of a demonstration that failed; the next failure takes its place. */
async function keepLogs(folder: string, kept: string, output: Output): Promise<void> {
  await rm(kept, { recursive: true, force: true });
  await cp(join(folder, 'log'), kept, { recursive: true });
  output.note(`  The logs are kept in ${kept}`);
}

async function findSubject(
  { own, signal }: DemoOptions,
  onProgress: (step: string, fraction?: number) => void,
): Promise<Subject> {
  if (own) {
    const disk = resolve(own.disk);
    // A locally administered address: what the server had is read from its disk where its system names it.
    const mac = `52:54:00:${createHash('sha256')
      .update(disk)
      .digest('hex')
      .slice(0, 6)
      .replace(/(..)(..)(..)/, '$1:$2:$3')}`;
    return { name: 'your-server', disk, probe: own.probe, mac, ...(own.format && { format: own.format }) };
  }
  const { diskPath, format, probe, hardware } = await buildPhysicalServer({
    tools: createHostTools(),
    onProgress,
    signal,
  });
  return { name: 'depot', disk: diskPath, format, probe: formatProbe(probe), mac: hardware.mac };
}

async function play(
  stage: Stage,
  subject: Subject,
  began: number,
): Promise<Omit<DemoReport, 'sourceUnchanged'>> {
  const { api, options } = stage;
  const { output } = options;
  output.note(`Registering the server from what is on its disk`);
  const server = await api.post<ServerView>('/servers', {
    name: subject.name,
    probe: subject.probe,
    disk: { path: subject.disk, ...(subject.format && { format: subject.format }) },
    memoryMiB: options.memoryMiB,
    vcpus: 1,
  });
  output.note(indent(describeServer(server)));
  output.note('Asking support matrix and licensing');
  output.note(indent(describeAssessment(await assess(api, server.name, HOSTS[0]))));

  const unconverted = stageUnconverted(stage, server, subject);
  const coldBegan = performance.now();
  const cold = await migrate(stage, server.name, HOSTS[0], 'Converting it and starting it as a guest');
  const coldMs = Math.round(performance.now() - coldBegan);
  output.note('Waiting for the unconverted disk to boot on virtio, or not');
  const outcome = await unconverted;

  const relay = await FrontRelay.listen();
  const legs: Leg[] = [];
  const complaints: string[] = [];
  const probe = parseProbe(subject.probe);
  const client = probe.kind === 'http' ? new ServiceClient(relay.port, probe.path) : undefined;
  try {
    relay.pointTo(await forwardOf(stage, server.serverId, HOSTS[0]));
    client?.start();
    for (const [from, to] of [HOSTS, [...HOSTS].reverse()] as [string, string][])
      legs.push(await moveLive(stage, server, from, to, relay, client));
    if (client) complaints.push(...client.take().complaints);
  } finally {
    await client?.stop();
    await relay.close();
  }
  const journal = await api.get<JournalView[]>(`/migrations/${cold.migrationId}/events`);
  output.note(`\nEvents of the first migration (watari events ${cold.migrationId}):`);
  output.note(indent(describeJournal(journal)));
  const { accelerator } = await stage.agent(HOSTS[0]).health();
  return {
    server: { name: server.name, system: server.facts.operatingSystem.name, disk: subject.disk },
    accelerator: accelerator === 'kvm' ? 'KVM' : 'software emulation (TCG)',
    bus: options.bus === 'kafka' ? 'Kafka' : "Watari's own log in Postgres",
    unconverted: outcome,
    cold: {
      migrationId: cold.migrationId,
      steps: stepsOf(cold),
      bootProofMs: Number(cold.results['boot-proof']?.['afterMs'] ?? 0),
      totalMs: coldMs,
    },
    legs,
    complaints,
    tookMs: Math.round(performance.now() - began),
  };
}

/** Runs beside the conversion on the second host; its failure is told where its outcome is awaited. */
function stageUnconverted(
  stage: Stage,
  { facts }: ServerView,
  { mac, probe }: Subject,
): Promise<UnconvertedOutcome> {
  // As inventory read it: not everybody who gives a disk says its format.
  const [disk] = facts.disks;
  if (!disk) throw new Error('Inventory registered a server without a disk.');
  const outcome = bootUnconverted(
    stage.agent(HOSTS[1]),
    { path: disk.path, format: disk.format },
    mac,
    parseProbe(probe),
    stage.options.signal,
  );
  outcome.catch(() => undefined);
  return outcome;
}

async function migrate(
  { api, options }: Stage,
  serverName: string,
  to: string,
  title: string,
): Promise<MigrationView> {
  const { output, signal, downtimeLimitMs } = options;
  output.note(title);
  const planned = await plan(api, serverName, { to, downtimeLimit: downtimeLimitMs });
  await api.post(`/migrations/${planned.migrationId}/start`);
  const end = await watchMigration(api, planned.migrationId, output, signal);
  expectCompleted(end);
  return end;
}

async function moveLive(
  stage: Stage,
  server: ServerView,
  from: string,
  to: string,
  relay: FrontRelay,
  client: ServiceClient | undefined,
): Promise<Leg> {
  await calm(CALM_MS);
  client?.take();
  const following = new AbortController();
  const followed = followGuest(stage, server.serverId, to, relay, following.signal);
  const began = performance.now();
  let end: MigrationView;
  try {
    end = await migrate(
      stage,
      server.name,
      to,
      `Moving it live from ${from} to ${to}, while a client keeps asking`,
    );
  } finally {
    following.abort();
    await followed;
  }
  const totalMs = Math.round(performance.now() - began);
  await calm(CALM_MS);
  const observed = client?.take();
  if (client) await wholePass(client);
  const figures = end.results['switch-over'] ?? {};
  const number = (name: string) => Number(figures[name] ?? 0);
  const { downtimeMs } = figures;
  return {
    from,
    to,
    migrationId: end.migrationId,
    totalMs,
    downtimeMs: typeof downtimeMs === 'number' ? downtimeMs : null,
    guestBytes: number('guestBytes'),
    wireBytes: number('wireBytes'),
    samePages: number('samePages'),
    deltaPages: number('deltaPages'),
    copiedPages: number('copiedPages'),
    pages: number('pages'),
    zeroPages: number('zeroPages'),
    rounds: number('rounds'),
    ...(observed && { observed }),
  };
}

/** Points the relay to the target as soon as the guest runs there. */
async function followGuest(
  stage: Stage,
  guestId: string,
  to: string,
  relay: FrontRelay,
  signal: AbortSignal,
): Promise<void> {
  const agent = stage.agent(to);
  while (!signal.aborted) {
    const guest = (await agent.listGuests()).find((each) => each.guestId === guestId);
    const [forward] = guest?.forwards ?? [];
    if (guest?.state === 'running' && forward) {
      relay.pointTo(forward.hostPort);
      return;
    }
    await calm(RELAY_POLL_MS);
  }
}

/** The whole memory block has been compared once more after the move. */
async function wholePass(client: ServiceClient): Promise<void> {
  const at = client.stock?.passes;
  if (at === undefined) return;
  const until = performance.now() + WHOLE_PASS_TIMEOUT_MS;
  while ((client.stock?.passes ?? 0) < at + 2) {
    if (performance.now() > until)
      throw new CliError(
        'SERVICE_SILENT',
        'After the move the service did not compare its memory block to the end.',
      );
    await calm(100);
  }
}

async function forwardOf(stage: Stage, guestId: string, host: string): Promise<number> {
  const { forwards } = await stage.agent(host).getGuest(guestId);
  const [forward] = forwards;
  // A probe of the console needs no port; the relay then leads nowhere and nobody asks it.
  return forward?.hostPort ?? 0;
}

function stepsOf({ results }: MigrationView): string[] {
  const steps = results['convert-guest']?.['steps'];
  return Array.isArray(steps) ? (steps as { summary: string }[]).map(({ summary }) => summary) : [];
}

/** A hash over the whole disk, read as a stream; holes read as zeroes. */
async function fingerprint(path: string): Promise<string> {
  const hash = createHash('sha1');
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw new CliError('DISK_NOT_FOUND', `The disk ${path} cannot be read: ${error.message}`, 3);
  });
  try {
    for await (const chunk of file.createReadStream({ highWaterMark: 4 * 1024 * 1024, autoClose: false }))
      hash.update(chunk as Buffer);
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

function indent(text: string): string {
  return text.replace(/^/gm, '  ');
}

function calm(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export { describeReport };
