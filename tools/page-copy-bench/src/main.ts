import { access, appendFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import type { GuestSpec } from '@watari/host-agent-client';
import { defaultCacheDir } from '@watari/host-tools';

import { Agents } from './agents';
import { readReports } from './guest-program';
import { commandOf, PeerGuest, PEERS, type QemuCommand } from './peers';
import { ShapedLink } from './shaped-link';
import { type Measured, writeTable } from './table';
import type { Trip, TripLimits } from './trip';
import { type Workload, workloads, writeGuestDisk } from './workloads';

const USAGE = `Moves guests over shaped links, by host agents and by QEMU alone. Needs root, for network namespaces.

  --runs N            of each (default 5)
  --quick             one run, a guest of 512 MiB, one rate, return after 5 s
  --memory MIB        of the guest (default 1024)
  --rates A,B         of the link in Mbit/s (default 500,100)
  --workloads A,B     server, idle, noise (default all)
  --contenders A,B    watari, ${Object.keys(PEERS).join(', ')}
  --dwell SECONDS     before the return trip (default 30)
  --budget MS         downtime limit (default 50)
  --timeout SECONDS   after which a move is given up (default 90)
  --disk FILE         raw disk whose blocks fill the file cache
  --agent FILE        the agent's main.js (default: that of this checkout)
  --out FILE          the table (default docs/page-copy.bench)
  --raw FILE          every trip as a line of JSON
  --profile FOLDER    the agents' processor profiles, for Chrome's developer tools
`;
const USAGE_STATUS = 64;
const OURS = 'watari';
const DEFAULT_CONTENDERS = [OURS, 'default', 'xbzrle', 'multifd-zstd-1', 'multifd-zstd-3'];
const WARM_TIMEOUT_MS = 180_000;

interface Settings {
  readonly runs: number;
  readonly memoryMiB: number;
  readonly rates: readonly number[];
  readonly workloads: readonly Workload[];
  readonly contenders: readonly string[];
  readonly dwellMs: number;
  readonly limits: TripLimits;
  readonly disk: string;
  readonly out: string;
  readonly raw: string | undefined;
  readonly agent: string;
  readonly profile: string | undefined;
}

async function readSettings(): Promise<Settings | null> {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string' },
      quick: { type: 'boolean' },
      memory: { type: 'string' },
      rates: { type: 'string' },
      workloads: { type: 'string' },
      contenders: { type: 'string' },
      dwell: { type: 'string' },
      budget: { type: 'string' },
      timeout: { type: 'string' },
      disk: { type: 'string' },
      out: { type: 'string' },
      raw: { type: 'string' },
      agent: { type: 'string' },
      profile: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return null;
  const isQuick = values.quick === true;
  const memoryMiB = count(values.memory, isQuick ? 512 : 1_024, 'memory');
  const all = workloads(memoryMiB);
  const wanted = list(
    values.workloads,
    all.map(({ name }) => name),
    all.map(({ name }) => name),
  );
  return {
    runs: count(values.runs, isQuick ? 1 : 5, 'runs'),
    memoryMiB,
    rates: (values.rates ?? (isQuick ? '500' : '500,100')).split(',').map((text) => count(text, 0, 'rates')),
    workloads: all.filter(({ name }) => wanted.includes(name)),
    contenders: list(values.contenders, [OURS, ...Object.keys(PEERS)], DEFAULT_CONTENDERS),
    dwellMs: count(values.dwell, isQuick ? 5 : 30, 'dwell') * 1_000,
    limits: {
      downtimeLimitMs: count(values.budget, 50, 'budget'),
      timeoutMs: count(values.timeout, 90, 'timeout') * 1_000,
    },
    disk: values.disk ?? (await findDisk()),
    out: resolve(values.out ?? join(__dirname, '../../../docs/page-copy.bench')),
    agent: resolve(values.agent ?? join(__dirname, '../../../apps/host-agent/dist/main.js')),
    raw: values.raw === undefined ? undefined : resolve(values.raw),
    profile: values.profile === undefined ? undefined : resolve(values.profile),
  };
}

function count(text: string | undefined, otherwise: number, name: string): number {
  if (text === undefined) return otherwise;
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text);
  throw new RangeError(`--${name} takes whole numbers above 0, not "${text}".`);
}

function list(text: string | undefined, known: readonly string[], otherwise: readonly string[]): string[] {
  const names = text?.split(',') ?? [...otherwise];
  const stranger = names.find((name) => !known.includes(name));
  if (stranger === undefined) return names;
  throw new RangeError(`"${stranger}" is none of ${known.join(', ')}.`);
}

async function findDisk(): Promise<string> {
  const folder = join(defaultCacheDir(), 'physical-server');
  for (const name of await readdir(folder).catch((): string[] => [])) {
    const disk = join(folder, name, 'disk.raw');
    const isThere = await access(disk).then(
      () => true,
      () => false,
    );
    if (isThere) return disk;
  }
  throw new RangeError(
    `No disk in ${folder.replace(homedir(), '~')}: run the demo once, or name one with --disk.`,
  );
}

/** Everything that must go when the benchmark ends, in whatever way. */
class Bench {
  readonly measured: Measured[] = [];
  #qemu: QemuCommand | null = null;
  #guests = 0;

  private constructor(
    private readonly settings: Settings,
    private readonly folder: string,
    private readonly link: ShapedLink,
    private readonly agents: Agents,
  ) {}

  static async open(settings: Settings, closers: (() => Promise<void>)[]): Promise<Bench> {
    const folder = await mkdtemp(join(tmpdir(), 'watari-bench-'));
    closers.push(() => rm(folder, { recursive: true, force: true }));
    const link = await ShapedLink.open();
    closers.push(() => link.close());
    const agents = await Agents.start(
      link,
      folder,
      settings.agent,
      settings.profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', settings.profile],
    );
    closers.push(() => agents.close());
    return new Bench(settings, folder, link, agents);
  }

  async run(): Promise<void> {
    const { settings } = this;
    for (const workload of settings.workloads) {
      const disk = join(this.folder, `${workload.name}.raw`);
      const sum = await writeGuestDisk(disk, settings.disk, workload);
      for (const rate of settings.rates) {
        await this.link.setRate(rate);
        for (let run = 1; run <= settings.runs; run += 1)
          for (const contender of settings.contenders) {
            await this.#measure({ workload, rate, run, contender }, disk, sum);
            // What was measured is kept, whatever comes after it.
            await writeFile(settings.out, await writeTable(settings, this.measured));
          }
      }
      await rm(disk);
    }
  }

  async #measure(
    what: { workload: Workload; rate: number; run: number; contender: string },
    disk: string,
    sum: number,
  ): Promise<void> {
    const guest =
      what.contender === OURS ? await this.#ownGuest(disk) : await this.#peerGuest(disk, what.contender);
    try {
      const before = await this.#warm(guest, sum);
      const there = await guest.move('a');
      await this.#note(what, 'there', there, before);
      if (!there.hasConverged) return;
      await sleep(this.settings.dwellMs);
      const between = await this.#warm(guest, sum);
      const back = await guest.move('b');
      await this.#note(what, 'back', back, between);
      if (back.hasConverged) await this.#warm(guest, sum);
    } finally {
      await guest.close();
    }
  }

  async #note(
    { workload, rate, run, contender }: { workload: Workload; rate: number; run: number; contender: string },
    direction: Measured['direction'],
    trip: Trip,
    writesPerSecond: number,
  ): Promise<void> {
    this.measured.push({ workload: workload.name, rate, run, contender, direction, trip });
    const mb = (trip.wireBytes / 1e6).toFixed(1);
    process.stderr.write(
      `${workload.name} ${rate} Mbit/s run ${run} ${contender} ${direction}: ${trip.hasConverged ? '' : 'not finished, '}` +
        `${mb} MB, ${trip.totalS.toFixed(2)} s (copy ${trip.copyS?.toFixed(2) ?? '-'}), downtime ${trip.downtimeMs?.toFixed(1) ?? '-'} ms, ` +
        `cpu ${trip.cpuS?.toFixed(2) ?? '-'} s, agent ${trip.agentMiB?.toFixed(0) ?? '-'} MiB, guest ${writesPerSecond} writes/s\n`,
    );
    if (this.settings.raw !== undefined)
      await appendFile(
        this.settings.raw,
        `${JSON.stringify({ workload: workload.name, rate, run, contender, direction, writesPerSecond, ...trip })}\n`,
      );
  }

  /**
   * Waits until the guest has gone over its static memory twice more, and checks what it found there. Answers how many
   * writes a second it got done meanwhile.
   */
  async #warm(guest: MovableGuest, sum: number): Promise<number> {
    const deadline = performance.now() + WARM_TIMEOUT_MS;
    let first: { readonly passes: number; readonly writes: number; readonly atMs: number } | undefined;
    for (;;) {
      const last = readReports(await guest.console()).at(-1);
      if (last) {
        first ??= { ...last, atMs: performance.now() };
        if (last.passes >= first.passes + 2) {
          const seconds = (performance.now() - first.atMs) / 1_000;
          if (last.sum === sum) return Math.round((last.writes - first.writes) / seconds);
          throw new Error(`The guest's memory is not what it was: sum ${last.sum}, not ${sum}.`);
        }
      }
      if (performance.now() > deadline) throw new Error(`The guest did not report in ${WARM_TIMEOUT_MS} ms.`);
      await sleep(200);
    }
  }

  #spec(disk: string): GuestSpec {
    this.#guests += 1;
    return {
      guestId: `bench-${this.#guests}`,
      memoryMiB: this.settings.memoryMiB,
      vcpus: 1,
      machine: 'pc',
      disks: [{ path: disk, format: 'raw', bus: 'ahci' }],
      nics: [],
    };
  }

  async #ownGuest(disk: string): Promise<MovableGuest> {
    const spec = this.#spec(disk);
    let side: 'a' | 'b' = 'a';
    await this.agents.startGuest(side, spec);
    return {
      console: () => this.agents.console(side, spec.guestId),
      move: async (from) => {
        const trip = await this.agents.move(spec.guestId, from, this.settings.limits);
        if (trip.hasConverged) side = from === 'a' ? 'b' : 'a';
        return trip;
      },
      close: () => this.agents.removeGuest(spec.guestId),
    };
  }

  async #peerGuest(disk: string, contender: string): Promise<MovableGuest> {
    const command = await this.#agentsCommand(disk);
    const { memoryMiB, limits } = this.settings;
    const guest = new PeerGuest(this.link, this.folder, command, PEERS[contender]!, memoryMiB * 1024 * 1024);
    await guest.start('a');
    let text = '';
    return {
      // QEMU forgets what was read.
      console: async () => (text = (text + (await guest.console())).slice(-4_096)),
      move: (from) => guest.move(from, limits),
      close: () => guest.close(),
    };
  }

  /** How the agent starts QEMU for this disk. */
  async #agentsCommand(disk: string): Promise<QemuCommand> {
    if (this.#qemu?.args.some((arg) => arg.includes(disk))) return this.#qemu;
    const spec = this.#spec(disk);
    await this.agents.startGuest('a', spec);
    this.#qemu = await commandOf(await this.agents.qemuPid('a', spec.guestId));
    await this.agents.removeGuest(spec.guestId);
    return this.#qemu;
  }
}

interface MovableGuest {
  console(): Promise<string>;
  move(from: 'a' | 'b'): Promise<Trip>;
  close(): Promise<void>;
}

async function main(): Promise<number> {
  let settings: Settings | null;
  try {
    settings = await readSettings();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return USAGE_STATUS;
  }
  if (!settings) {
    process.stdout.write(USAGE);
    return 0;
  }
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse())
      await closer().catch((error: unknown) => process.stderr.write(`${String(error)}\n`));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => void close().then(() => process.exit(130)));
  try {
    const bench = await Bench.open(settings, closers);
    await bench.run();
    process.stdout.write(`${settings.out}\n`);
    return 0;
  } finally {
    await close();
  }
}

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stderr.write(`${(error as Error).stack ?? String(error)}\n`);
    process.exit(1);
  },
);
