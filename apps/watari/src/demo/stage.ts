import { mkdir, rm } from 'node:fs/promises';
import { type HostAgentClient, createHostAgentClient } from '@watari/host-agent-client';
import { ApiClient } from '../cli/api-client';
import { CliError } from '../cli/errors';
import type { Output } from '../cli/output';
import { openDataFolder } from '../embedded/data-folder';
import { type ReadyChild, startChild } from './child';

export const HOSTS = ['host-a', 'host-b'] as const;

export interface StageOptions {
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly bus: 'postgres' | 'kafka';
}

/** Everything that runs for the demonstration: Watari itself and two host agents, each a process of its own. */
export class Stage<Options extends StageOptions = StageOptions> {
  private readonly children: ReadyChild<unknown>[] = [];
  private readonly agents = new Map<string, HostAgentClient>();
  private connected: ApiClient | undefined;
  private isClosing = false;

  constructor(
    readonly folder: string,
    readonly options: Options,
  ) {}

  async open(): Promise<void> {
    const { output, signal, bus } = this.options;
    await mkdir(this.folder, { recursive: true, mode: 0o711 });
    output.note('Starting Watari and two host agents on this machine');
    const data = ['--data', this.folder, '--json'];
    const up = await startChild<{ url: string }>(
      'watari up',
      ['up', '--port', '0', '--bus', bus, ...data],
      signal,
    );
    this.children.push(up);
    const dataFolder = await openDataFolder(this.folder);
    this.connected = new ApiClient({ url: up.announcement.url, token: await dataFolder.token() });
    const tls = await (await dataFolder.authority()).issue({ role: 'control-plane', id: 'watari' });
    for (const id of HOSTS) {
      const agent = await startChild<{ apiUrl: string }>(
        `watari agent ${id}`,
        ['agent', '--id', id, '--stop-guests', ...data],
        signal,
      );
      this.children.push(agent);
      this.agents.set(id, createHostAgentClient({ apiUrl: agent.announcement.apiUrl, tls, agentId: id }));
    }
  }

  /** Rejects when a process of the stage ends by itself. */
  async broken(): Promise<never> {
    const how = await Promise.race(
      this.children.map(({ name, ended }) => ended.then((end) => `${name} ended by itself (${end})`)),
    );
    // While the stage is being closed everything ends.
    if (this.isClosing) return new Promise<never>(() => undefined);
    throw new CliError('CHILD_FAILED', how);
  }

  get api(): ApiClient {
    if (!this.connected) throw new Error('The stage is not open.');
    return this.connected;
  }

  agent(id: string): HostAgentClient {
    const agent = this.agents.get(id);
    if (!agent) throw new Error(`No agent is called ${id}.`);
    return agent;
  }

  /** Agents first, and their guests with them; then Watari; then the folder. Goes on whatever fails. */
  async close(): Promise<void> {
    this.isClosing = true;
    for (const agent of this.agents.values()) agent.close();
    const failures: unknown[] = [];
    for (const child of this.children.splice(0).reverse())
      await child.stop().catch((error: unknown) => failures.push(error));
    await rm(this.folder, { recursive: true, force: true }).catch((error: unknown) => failures.push(error));
    for (const failure of failures)
      this.options.output.note(`  could not clean up everything: ${String(failure)}`);
  }
}
