import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { cpuSeconds } from './process-use';
import { Qmp } from './qmp';
import type { ShapedLink, Side } from './shaped-link';
import { nowMs, type Trip, type TripLimits } from './trip';

const MIGRATION_PORT = 4_444;
const POLL_MS = 50;
const SETTLE_MS = 500;

/** How QEMU alone is told to migrate. */
export interface PeerSettings {
  readonly capabilities: readonly string[];
  readonly parameters: (memoryBytes: number) => Readonly<Record<string, unknown>>;
}

const multifd = (level: number, channels: number): PeerSettings => ({
  capabilities: ['multifd'],
  parameters: () => ({
    'multifd-channels': channels,
    'multifd-compression': 'zstd',
    'multifd-zstd-level': level,
  }),
});

export const PEERS: Readonly<Record<string, PeerSettings>> = {
  default: { capabilities: [], parameters: () => ({}) },
  xbzrle: {
    capabilities: ['xbzrle'],
    parameters: (memoryBytes) => ({ 'xbzrle-cache-size': memoryBytes }),
  },
  'multifd-zstd-1': multifd(1, 2),
  'multifd-zstd-3': multifd(3, 2),
  'multifd-zstd-1-4ch': multifd(1, 4),
  'multifd-zstd-3-4ch': multifd(3, 4),
};

/** How an agent runs QEMU for a guest; peers run theirs the same way. */
export interface QemuCommand {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export async function commandOf(pid: number): Promise<QemuCommand> {
  const [args, env] = await Promise.all(
    ['cmdline', 'environ'].map(async (name) =>
      (await readFile(`/proc/${pid}/${name}`, 'utf8')).split('\0').filter((text) => text !== ''),
    ),
  );
  return {
    args: args!,
    env: Object.fromEntries(
      env!.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    ),
  };
}

interface PeerQemu {
  readonly child: ChildProcess;
  readonly qmp: Qmp;
}

/** A guest in a QEMU of its own, moved by QEMU's own means. */
export class PeerGuest {
  #qemu: PeerQemu | null = null;
  #starts = 0;

  constructor(
    private readonly link: ShapedLink,
    private readonly folder: string,
    private readonly command: QemuCommand,
    private readonly settings: PeerSettings,
    private readonly memoryBytes: number,
  ) {}

  async start(side: Side): Promise<void> {
    this.#qemu = await this.#launch(side, false);
    await this.#qemu.qmp.execute('cont');
  }

  async console(): Promise<string> {
    const text = await this.#running.qmp.execute('ringbuf-read', { device: 'console', size: 65_536 });
    return String(text);
  }

  async move(from: Side, limits: TripLimits): Promise<Trip> {
    const to = from === 'a' ? 'b' : 'a';
    const source = this.#running;
    const sourceVcpu = await vcpuThread(source.qmp);
    const cpuBefore = await cpuSeconds(source.child.pid!, sourceVcpu);
    const bytesBefore = await this.link.bytes();
    const eventsBefore = source.qmp.events.length;
    const beganMs = nowMs();
    const target = await this.#launch(to, true);
    const targetVcpu = await vcpuThread(target.qmp);
    const targetCpuBefore = await cpuSeconds(target.child.pid!, targetVcpu);
    for (const { qmp } of [source, target]) await this.#set(qmp, limits);
    const address = `tcp:${this.link.address(to)}:${MIGRATION_PORT}`;
    await target.qmp.execute('migrate-incoming', { uri: address });
    await source.qmp.execute('migrate', { uri: address });
    const status = await this.#follow(source.qmp, target.qmp, beganMs + limits.timeoutMs);
    const events = source.qmp.events.slice(eventsBefore);
    const copyBeganMs = events.find(({ event }) => event === 'MIGRATION')?.atMs;
    const stopMs = events.findLast(({ event }) => event === 'STOP')?.atMs;
    const resumeMs = target.qmp.find('RESUME')?.atMs;
    await sleep(SETTLE_MS);
    const wireBytes = (await this.link.bytes()) - bytesBefore;
    if (status['status'] !== 'completed' || resumeMs === undefined || stopMs === undefined) {
      await end(target);
      return { hasConverged: false, wireBytes, totalS: (nowMs() - beganMs) / 1_000, details: status };
    }
    const cpuS =
      (await cpuSeconds(source.child.pid!, sourceVcpu)) -
      cpuBefore +
      (await cpuSeconds(target.child.pid!, targetVcpu)) -
      targetCpuBefore;
    await end(source);
    this.#qemu = target;
    return {
      hasConverged: true,
      wireBytes,
      totalS: (resumeMs - beganMs) / 1_000,
      copyS: copyBeganMs === undefined ? undefined : (resumeMs - copyBeganMs) / 1_000,
      downtimeMs: resumeMs - stopMs,
      cpuS,
      details: status,
    };
  }

  async close(): Promise<void> {
    if (this.#qemu) await end(this.#qemu);
    this.#qemu = null;
  }

  get #running(): PeerQemu {
    if (!this.#qemu) throw new Error('This guest was not started.');
    return this.#qemu;
  }

  /** With the agent's arguments, but for its sockets and files; a target runs its guest as soon as it has it. */
  async #launch(side: Side, isIncoming: boolean): Promise<PeerQemu> {
    this.#starts += 1;
    const socket = join(this.folder, `peer-${this.#starts}.qmp`);
    await rm(socket, { force: true });
    const [program, ...given] = this.command.args;
    const args = replaceOption(
      replaceOption(given, '-qmp', `unix:${socket},server=on,wait=off`),
      '-pidfile',
      join(this.folder, `peer-${this.#starts}.pid`),
    ).filter((arg) => !(isIncoming && arg === '-S'));
    const child = spawn(
      'ip',
      [
        ...['netns', 'exec', this.link.namespace(side), program!, ...args],
        ...(isIncoming ? ['-incoming', 'defer'] : []),
      ],
      { stdio: ['ignore', 'ignore', 'inherit'], env: { ...this.command.env } },
    );
    try {
      return { child, qmp: await Qmp.open(socket) };
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  /** Every capability by name: QEMU keeps them from one migration to the next. */
  async #set(qmp: Qmp, limits: TripLimits): Promise<void> {
    const on = new Set(['events', ...this.settings.capabilities]);
    const known = (await qmp.execute('query-migrate-capabilities')) as unknown as { capability: string }[];
    await qmp.execute('migrate-set-capabilities', {
      capabilities: known.map(({ capability }) => ({ capability, state: on.has(capability) })),
    });
    await qmp.execute('migrate-set-parameters', {
      'downtime-limit': limits.downtimeLimitMs,
      'max-bandwidth': 1e12,
      ...this.settings.parameters(this.memoryBytes),
    });
  }

  async #follow(source: Qmp, target: Qmp, deadlineMs: number): Promise<Record<string, unknown>> {
    for (;;) {
      const status = await source.execute('query-migrate');
      const state = status['status'];
      if (state === 'failed' || state === 'cancelled') return status;
      if (state === 'completed' && target.find('RESUME')) return status;
      if (nowMs() > deadlineMs) {
        await source.execute('migrate_cancel');
        await sleep(SETTLE_MS);
        return await source.execute('query-migrate');
      }
      await sleep(POLL_MS);
    }
  }
}

function replaceOption(args: readonly string[], name: string, value: string): string[] {
  const at = args.indexOf(name);
  if (at < 0) throw new Error(`The agent's QEMU was started without ${name}.`);
  return args.map((arg, index) => (index === at + 1 ? value : arg));
}

async function vcpuThread(qmp: Qmp): Promise<number> {
  const cpus = (await qmp.execute('query-cpus-fast')) as unknown as { 'thread-id': number }[];
  return cpus[0]!['thread-id'];
}

async function end({ child, qmp }: PeerQemu): Promise<void> {
  qmp.close();
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
