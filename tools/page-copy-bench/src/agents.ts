import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  CertificateAuthority,
  createHostAgentClient,
  type GuestEvent,
  type GuestSpec,
  type HostAgentClient,
  isMoveOver,
  type MoveStatus,
} from '@watari/host-agent-client';

import { cpuSeconds, forgetPeak, peakMiB } from './process-use';
import type { ShapedLink, Side } from './shaped-link';
import { nowMs, type Trip, type TripLimits } from './trip';

const POLL_MS = 100;
/** After the end of a move, until the last acknowledgements are counted. */
const SETTLE_MS = 500;

interface RunningAgent {
  readonly agentId: string;
  readonly child: ChildProcess;
  readonly client: HostAgentClient;
  readonly linkUrl: string;
  readonly dataAddress: { host: string; port: number };
  readonly stateFolder: string;
}

/** Two host agents, one in each namespace. */
export class Agents {
  private constructor(
    private readonly link: ShapedLink,
    private readonly agents: Readonly<Record<Side, RunningAgent>>,
  ) {}

  static async start(
    link: ShapedLink,
    folder: string,
    agentProgram: string,
    nodeOptions: readonly string[] = [],
  ): Promise<Agents> {
    const authority = await CertificateAuthority.open(join(folder, 'authority'));
    const tls = await authority.issue({ role: 'control-plane', id: 'bench' });
    const start = async (side: Side): Promise<RunningAgent> => {
      const agentId = `bench-${side}`;
      const tlsFolder = join(folder, `tls-${side}`);
      await authority.issueFiles(tlsFolder, { role: 'agent', id: agentId });
      const stateFolder = join(folder, agentId);
      await mkdir(stateFolder, { recursive: true });
      const child = spawn(
        'ip',
        [
          ...['netns', 'exec', link.namespace(side), process.execPath, ...nodeOptions, agentProgram],
          ...['--agent-id', agentId, '--state', stateFolder, '--tls', tlsFolder],
          ...['--listen', '0.0.0.0', '--advertise', link.address(side)],
          ...['--accelerator', 'tcg', '--stop-guests'],
          ...['--log-file', join(folder, `${agentId}.log`), '--log-level', 'debug'],
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      const [line] = (await Promise.race([
        once(createInterface({ input: child.stdout }), 'line'),
        once(child, 'exit').then(() => Promise.reject(new Error(`The agent ${agentId} did not start.`))),
      ])) as [string];
      const told = JSON.parse(line) as { apiUrl: string; dataAddress: RunningAgent['dataAddress'] };
      const controlUrl = new URL(told.apiUrl);
      controlUrl.hostname = link.controlAddress(side);
      const client = createHostAgentClient({ apiUrl: controlUrl.href, tls, agentId });
      return { agentId, child, client, linkUrl: told.apiUrl, dataAddress: told.dataAddress, stateFolder };
    };
    return new Agents(link, { a: await start('a'), b: await start('b') });
  }

  async startGuest(side: Side, spec: GuestSpec): Promise<void> {
    await this.agents[side].client.putGuest(spec);
  }

  async console(side: Side, guestId: string): Promise<string> {
    return (await this.agents[side].client.getGuest(guestId)).consoleTail;
  }

  async qemuPid(side: Side, guestId: string): Promise<number> {
    const path = join(this.agents[side].stateFolder, 'guests', guestId, 'qemu.pid');
    return Number((await readFile(path, 'utf8')).trim());
  }

  /** Ends the guest on both sides and forgets what it left there. */
  async removeGuest(guestId: string): Promise<void> {
    for (const { client } of Object.values(this.agents)) {
      await client.deleteGuest(guestId);
      await client.deleteHistory(guestId);
    }
  }

  async move(guestId: string, from: Side, limits: TripLimits): Promise<Trip> {
    const source = this.agents[from];
    const target = this.agents[from === 'a' ? 'b' : 'a'];
    const pids = [source.child.pid!, target.child.pid!];
    for (const pid of pids) await forgetPeak(pid);
    const cpuBefore = await this.#cpu(pids);
    const bytesBefore = await this.link.bytes();
    const beganMs = nowMs();
    const moveId = randomUUID();
    await source.client.startMove({
      moveId,
      guestId,
      target: { apiUrl: target.linkUrl, dataAddress: target.dataAddress, agentId: target.agentId },
      downtimeLimitMs: limits.downtimeLimitMs,
    });
    const seen: string[] = [];
    const status = await this.#follow(source.client, moveId, beganMs + limits.timeoutMs, seen);
    const cpuS = (await this.#cpu(pids)) - cpuBefore;
    const wireBytes = async (): Promise<number> => (await this.link.bytes()) - bytesBefore;
    if (status.state !== 'completed')
      return {
        hasConverged: false,
        wireBytes: await wireBytes(),
        totalS: status.totalMs / 1_000,
        cpuS,
        details: { ...status, seen },
      };
    const stopped = await lastEvent(source.client, guestId, 'STOP', beganMs);
    const resumed = await lastEvent(target.client, guestId, 'RESUME', beganMs);
    const began = await firstEvent(source.client, guestId, 'MIGRATION', beganMs);
    await sleep(SETTLE_MS);
    const peaks = await Promise.all(pids.map(peakMiB));
    const resumedMs = resumed ?? beganMs + status.totalMs;
    return {
      hasConverged: true,
      wireBytes: await wireBytes(),
      totalS: (resumedMs - beganMs) / 1_000,
      copyS: began === undefined ? undefined : (resumedMs - began) / 1_000,
      downtimeMs: stopped === undefined || resumed === undefined ? undefined : resumed - stopped,
      cpuS,
      agentMiB: Math.max(...peaks),
      details: { ...status, peaks, seen },
    };
  }

  async close(): Promise<void> {
    for (const { child, client } of Object.values(this.agents)) {
      client.close();
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await Promise.race([exited, sleep(20_000)]);
    }
  }

  /** Lets the move switch over as soon as it is ready, and gives it up after its time. */
  async #follow(
    client: HostAgentClient,
    moveId: string,
    deadlineMs: number,
    seen: string[],
  ): Promise<MoveStatus> {
    for (;;) {
      const status = await client.getMove(moveId);
      seen.push(lineOf(status));
      if (isMoveOver(status.state)) return status;
      if (status.state === 'ready-to-switch')
        // It may have become busier in between; then it is asked again.
        await client.switchOver(moveId).catch((error: unknown) => {
          if ((error as { code?: string }).code !== 'MOVE_NOT_READY') throw error;
        });
      else if (nowMs() > deadlineMs)
        return await client.cancelMove(moveId).catch(async () => await client.getMove(moveId));
      await sleep(POLL_MS);
    }
  }

  async #cpu(pids: readonly number[]): Promise<number> {
    const seconds = await Promise.all(pids.map((pid) => cpuSeconds(pid)));
    return seconds.reduce((sum, one) => sum + one, 0);
  }
}

/** One look at a move, short enough to read a hundred of them. */
function lineOf(status: MoveStatus): string {
  const megabytes = (bytes = 0): string => (bytes / 1e6).toFixed(1);
  return (
    `${(status.totalMs / 1_000).toFixed(1)} s ${status.state} round ${status.rounds}: stream ${megabytes(status.guestBytes)} ` +
    `wire ${megabytes(status.wireBytes)} MB, ${megabytes(status.bytesPerSecond)} MB/s, left ${megabytes(status.remainingBytes)} MB, ` +
    `dirty ${megabytes(status.dirtyBytesPerSecond)} MB/s, pages zero ${status.zeroPages} raw ${status.rawPages} same ${status.samePages} ` +
    `delta ${status.deltaPages} copied ${status.copiedPages}; ${status.decision ?? ''} | ${status.compression ?? ''}`
  );
}

async function eventsOf(client: HostAgentClient, guestId: string): Promise<GuestEvent[]> {
  const abort = new AbortController();
  const events: GuestEvent[] = [];
  const timer = setTimeout(() => abort.abort(), SETTLE_MS);
  try {
    for await (const event of client.guestEvents(guestId, { signal: abort.signal })) events.push(event);
  } catch (error) {
    if (!abort.signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
  return events;
}

async function lastEvent(
  client: HostAgentClient,
  guestId: string,
  name: string,
  sinceMs: number,
): Promise<number | undefined> {
  const times = (await eventsOf(client, guestId)).filter(({ event }) => event === name).map(instantMs);
  return times.findLast((atMs) => atMs >= sinceMs);
}

async function firstEvent(
  client: HostAgentClient,
  guestId: string,
  name: string,
  sinceMs: number,
): Promise<number | undefined> {
  const times = (await eventsOf(client, guestId)).filter(({ event }) => event === name).map(instantMs);
  return times.find((atMs) => atMs >= sinceMs);
}

/** With the microseconds that Date cuts off. */
function instantMs({ at }: GuestEvent): number {
  const fraction = /\.(\d+)Z$/.exec(at)?.[1] ?? '0';
  return Date.parse(at.replace(/\.\d+Z$/, 'Z')) + Number(`0.${fraction}`) * 1_000;
}
