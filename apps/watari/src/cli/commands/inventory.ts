import { resolve } from 'node:path';
import type { Command } from 'commander';
import { contextOf } from '../context';
import { memoryOption, vcpusOption } from '../options';
import { bytesInWords, table } from '../output';

export interface ServerView {
  readonly serverId: string;
  readonly name: string;
  readonly probe: string;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly facts: {
    readonly operatingSystem: { readonly name: string };
    readonly firmware: string;
    readonly partitionTable: string;
    readonly rootFileSystem: string;
    readonly disks: readonly {
      readonly path: string;
      readonly format: 'raw' | 'qcow2';
      readonly virtualSizeBytes: number;
    }[];
    readonly kernels: readonly { readonly version: string; readonly hasVirtio: boolean }[];
    readonly nics: readonly { readonly mac: string; readonly name: string }[];
    readonly applications: readonly { readonly name: string; readonly version: string }[];
  };
}

export interface HostView {
  readonly hostId: string;
  readonly facts?: HostFactsView;
}
interface HostFactsView {
  readonly agentUrl: string;
  readonly hypervisorVersion: string;
  readonly accelerator: string;
  readonly cpuCores: number;
  readonly memoryMiB: number;
}

export function addInventory(program: Command, signal: AbortSignal): void {
  const servers = program.command('servers').description('List the known servers, or add one');
  servers
    .command('list', { isDefault: true })
    .description('All registered servers')
    .action(async (_options: object, command: Command) => {
      const { api, output } = contextOf(command, signal);
      const found = await (await api()).get<ServerView[]>('/servers');
      output.result(
        found,
        found.length === 0 ? 'No server is registered yet: watari servers add DISK' : listServers(found),
      );
    });
  servers
    .command('add <disk>')
    .description('Look at a server disk (read-only) and register the server with what is on it')
    .requiredOption('--name <name>', 'name of the server')
    .requiredOption(
      '--probe <probe>',
      'how to tell that its service answers: tcp:PORT, http:PORT/PATH or console:TEXT',
    )
    .option('--format <format>', 'raw or qcow2; default: told by the disk itself')
    .option('--memory <MiB>', 'memory of the guest', memoryOption, 1024)
    .option('--vcpus <count>', 'processors of the guest', vcpusOption, 1)
    .action(async (disk: string, options: AddServer, command: Command) => {
      const { api, output } = contextOf(command, signal);
      const server = await (
        await api()
      ).post<ServerView>('/servers', {
        name: options.name,
        probe: options.probe,
        disk: { path: resolve(disk), ...(options.format && { format: options.format }) },
        memoryMiB: options.memory,
        vcpus: options.vcpus,
      });
      output.result(server, describeServer(server));
    });

  const hosts = program.command('hosts').description('List the hosts that can run guests, or add one');
  hosts
    .command('list', { isDefault: true })
    .description('All registered hosts')
    .action(async (_options: object, command: Command) => {
      const { api, output } = contextOf(command, signal);
      const found = await (await api()).get<HostView[]>('/hosts');
      output.result(
        found,
        found.length === 0 ? 'No host is registered yet: watari agent --id NAME' : listHosts(found),
      );
    });
  hosts
    .command('add <agentUrl>')
    .description('Ask the agent at this address what its host is, and register the host')
    .action(async (agentUrl: string, _options: object, command: Command) => {
      const { api, output } = contextOf(command, signal);
      const host = await (await api()).post<{ hostId: string } & HostFactsView>('/hosts', { agentUrl });
      output.result(host, `${host.hostId}: QEMU ${host.hypervisorVersion}, ${host.accelerator}`);
    });
}

interface AddServer {
  readonly name: string;
  readonly probe: string;
  readonly format?: string;
  readonly memory: number;
  readonly vcpus: number;
}

function listServers(servers: readonly ServerView[]): string {
  return table([
    ['NAME', 'SYSTEM', 'DISK', 'PROBE', 'ID'],
    ...servers.map(({ name, facts, probe, serverId }) => [
      name,
      facts.operatingSystem.name,
      bytesInWords(facts.disks[0]?.virtualSizeBytes ?? 0),
      probe,
      serverId,
    ]),
  ]);
}

function listHosts(hosts: readonly HostView[]): string {
  return table([
    ['HOST', 'QEMU', 'BY', 'CORES', 'MEMORY', 'AGENT'],
    ...hosts.map(({ hostId, facts }) => [
      hostId,
      facts?.hypervisorVersion ?? '',
      facts?.accelerator ?? '',
      String(facts?.cpuCores ?? ''),
      `${facts?.memoryMiB ?? ''} MiB`,
      facts?.agentUrl ?? '',
    ]),
  ]);
}

export function describeServer({ name, serverId, facts, probe }: ServerView): string {
  const [disk] = facts.disks;
  return [
    `${name} (${serverId})`,
    `  system       ${facts.operatingSystem.name}, ${facts.firmware}, ${facts.partitionTable}, root on ${facts.rootFileSystem}`,
    `  disk         ${disk?.path ?? ''} (${bytesInWords(disk?.virtualSizeBytes ?? 0)})`,
    `  kernels      ${facts.kernels.map(({ version, hasVirtio }) => `${version}${hasVirtio ? '' : ' (no virtio in its initramfs)'}`).join(', ')}`,
    `  network      ${facts.nics.map(({ name: nic, mac }) => `${nic} by ${mac}`).join(', ') || 'no names by MAC'}`,
    `  applications ${facts.applications.map((each) => `${each.name} ${each.version}`).join(', ') || 'none recognised'}`,
    `  probe        ${probe}`,
  ].join('\n');
}
