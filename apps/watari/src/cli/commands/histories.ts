import type { AgentHistory } from '@watari/host-agent-client';
import type { Command } from 'commander';
import type { ApiClient } from '../api-client';
import { contextOf } from '../context';
import { bytesInWords, table } from '../output';
import type { ServerView } from './inventory';

const PAGE_BYTES = 4096;

export function addHistories(program: Command, signal: AbortSignal): void {
  const histories = program
    .command('histories')
    .description('What servers that moved left on a host, so that they come back cheaply');
  histories
    .command('list <host>')
    .description('What is kept on a host, encrypted, and how much of it')
    .action(async (host: string, _options: object, command: Command) => {
      const { api, output } = contextOf(command, signal);
      const client = await api();
      const found = await client.get<AgentHistory[]>(`/histories/${encodeURIComponent(host)}`);
      output.result(found, await describe(client, host, found));
    });
  histories
    .command('delete <host> <server>')
    .description("Delete it; the server's next move from or to the host begins with nothing")
    .action(async (host: string, serverName: string, _options: object, command: Command) => {
      const { api, output } = contextOf(command, signal);
      const client = await api();
      const { serverId } = await client.get<ServerView>(`/servers/${encodeURIComponent(serverName)}`);
      await client.delete(`/histories/${encodeURIComponent(host)}/${serverId}`);
      output.result({ host, serverId }, `${host} keeps nothing of ${serverName} any more.`);
    });
}

async function describe(api: ApiClient, host: string, histories: readonly AgentHistory[]): Promise<string> {
  if (histories.length === 0) return `${host} keeps nothing of servers that moved.`;
  const servers = await api.get<ServerView[]>('/servers');
  const names = new Map(servers.map(({ serverId, name }) => [serverId, name]));
  return table([
    ['SERVER', 'SINCE', 'ON DISK', 'MEMORY HELD'],
    ...histories.map(({ guestId, savedAt, bytes, heldPages }) => [
      names.get(guestId) ?? guestId,
      savedAt,
      bytesInWords(bytes),
      bytesInWords(heldPages * PAGE_BYTES),
    ]),
  ]);
}
