import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  CertificateAuthority,
  createHostAgentClient,
  type GuestSpec,
  type HostAgentClient,
  type MoveStatus,
  type TlsMaterial,
} from '@watari/host-agent-client';
import { ensureHostTools } from '@watari/host-tools';

import { QemuProcess } from '../qemu/qemu-process';
import { type CounterGuest, type CounterLine, readCounter, writeCounterDisk } from './counter-guest';

/** One agent in a process of its own, as on a host. */
export interface TestAgent {
  readonly agentId: string;
  readonly apiUrl: string;
  readonly dataAddress: { host: string; port: number };
  readonly client: HostAgentClient;
  readonly child: ChildProcess;
  /** kill -9, or an orderly end. */
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>;
}

/** Agents of one authority in a folder of their own. `close` ends agents and guests. */
export class TestAgents {
  readonly #agents = new Map<string, TestAgent>();

  private constructor(
    readonly folder: string,
    readonly authority: CertificateAuthority,
    readonly tls: TlsMaterial,
    private readonly options: readonly string[],
  ) {}

  /** `options` are more of the agents' command line. */
  static async open(options: readonly string[] = []): Promise<TestAgents> {
    await ensureHostTools(['qemu-system-x86_64', 'qemu-img']);
    const folder = await mkdtemp(join(tmpdir(), 'watari-agents-'));
    const authority = await CertificateAuthority.open(join(folder, 'authority'));
    const tls = await authority.issue({ role: 'control-plane', id: 'test' });
    await mkdir(join(folder, 'shared'));
    return new TestAgents(folder, authority, tls, options);
  }

  agent(agentId: string): TestAgent {
    const agent = this.#agents.get(agentId);
    if (!agent) throw new Error(`No agent ${agentId} was started.`);
    return agent;
  }

  /** Starts the agent, or starts it again on its ports and state. */
  async start(agentId: string): Promise<TestAgent> {
    const before = this.#agents.get(agentId);
    await this.authority.issueFiles(join(this.folder, `tls-${agentId}`), { role: 'agent', id: agentId });
    const child = spawn(
      process.execPath,
      [
        '--conditions=@watari/source',
        '--require',
        join(__dirname, '../../../../tools/workspace/run-typescript.cjs'),
        join(__dirname, '../main.ts'),
        ...[
          '--agent-id',
          agentId,
          '--state',
          join(this.folder, agentId),
          '--tls',
          join(this.folder, `tls-${agentId}`),
        ],
        ...['--api-port', before ? new URL(before.apiUrl).port : '0'],
        ...['--data-port', `${before?.dataAddress.port ?? 0}`],
        ...['--log-file', join(this.folder, `${agentId}.log`), '--log-level', 'debug'],
        ...['--accelerator', 'tcg'],
        ...this.options,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const lines = createInterface({ input: child.stdout });
    const [line] = (await Promise.race([
      once(lines, 'line'),
      once(child, 'exit').then(() => Promise.reject(new Error(`Agent ${agentId} did not start.`))),
    ])) as [string];
    const told = JSON.parse(line) as Pick<TestAgent, 'agentId' | 'apiUrl' | 'dataAddress'>;
    const client = createHostAgentClient({ apiUrl: told.apiUrl, tls: this.tls, agentId });
    const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> => {
      client.close();
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    };
    const agent: TestAgent = { ...told, client, child, end };
    this.#agents.set(agentId, agent);
    return agent;
  }

  /** A disk with the counting guest, and what to start it with. */
  async guest(guestId: string, counter?: CounterGuest, change: Partial<GuestSpec> = {}): Promise<GuestSpec> {
    const path = join(this.folder, 'shared', `${guestId}.raw`);
    await writeCounterDisk(path, counter);
    return {
      guestId,
      memoryMiB: 32,
      vcpus: 1,
      machine: 'pc',
      disks: [{ path, format: 'raw', bus: 'ahci' }],
      nics: [
        { model: 'virtio-net', mac: '52:54:00:12:34:56', isolated: true, forwards: [{ guestPort: 80 }] },
      ],
      ...change,
    };
  }

  /** Ends agents and guests, whatever state a failed test left them in. Throws when an agent logged a fault. */
  async close(): Promise<void> {
    const faults: string[] = [];
    for (const { end } of this.#agents.values()) await end('SIGKILL');
    for (const agentId of this.#agents.keys()) {
      const guests = join(this.folder, agentId, 'guests');
      for (const guestId of await readdir(guests)) await (await this.qemuOf(agentId, guestId))?.kill();
      const log = await readFile(join(this.folder, `${agentId}.log`), 'utf8');
      faults.push(...log.split('\n').filter((line) => line.includes('"level":50')));
    }
    await rm(this.folder, { recursive: true, force: true });
    if (faults.length > 0) throw new Error(`The agents logged faults:\n${faults.join('\n')}`);
  }

  /** The QEMU that the agent's state folder names, or null when it is gone. */
  qemuOf(agentId: string, guestId: string): Promise<QemuProcess | null> {
    const folder = join(this.folder, agentId, 'guests', guestId);
    const files = { pidFile: join(folder, 'qemu.pid'), logFile: join(folder, 'qemu.log') };
    return QemuProcess.adopt(files, () => undefined);
  }
}

/** The newest complete line of the counter, once it is past `ticks`. */
export async function counterPast(
  client: HostAgentClient,
  guestId: string,
  ticks: number,
  timeoutMs = 30_000,
): Promise<CounterLine> {
  return await until(
    async () => {
      const { consoleTail } = await client.getGuest(guestId);
      const last = readCounter(consoleTail).at(-1);
      return last && last.ticks > ticks ? last : undefined;
    },
    `the counter of ${guestId} to pass ${ticks}`,
    timeoutMs,
  );
}

export async function moveState(
  client: HostAgentClient,
  moveId: string,
  states: readonly MoveStatus['state'][],
  timeoutMs = 60_000,
): Promise<MoveStatus> {
  let status: MoveStatus | undefined;
  return await until(
    async () => {
      status = await client.getMove(moveId);
      if (states.includes(status.state)) return status;
      if (status.state === 'failed') throw new Error(`The move failed: ${status.code} ${status.reason}`);
      return undefined;
    },
    () => `the move to be ${states.join(' or ')}; it is ${JSON.stringify(status)}`,
    timeoutMs,
  );
}

export async function until<Value>(
  look: () => Promise<Value | undefined>,
  what: string | (() => string),
  timeoutMs = 30_000,
): Promise<Value> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await look();
    if (value !== undefined) return value;
    if (Date.now() > deadline)
      throw new Error(`Waited ${timeoutMs} ms in vain for ${typeof what === 'string' ? what : what()}.`);
    await sleep(50);
  }
}
