import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { type HostAgent, startHostAgent } from '@watari/host-agent';
import { createLogger } from '@watari/service-kit';
import type { Command } from 'commander';
import { type DataFolder, openDataFolder } from '../../embedded/data-folder';
import { contextOf, untilAborted } from '../context';
import { hoursOption, portOption, sizeOption } from '../options';

interface Options {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly register: boolean;
  readonly stopGuests?: boolean;
  readonly historyBytes?: number;
  readonly historyHours?: number;
  readonly shareHistories?: boolean;
  readonly mirrorBytes?: number;
}

export function addAgent(program: Command, signal: AbortSignal): void {
  program
    .command('agent')
    .description('Make this machine a host: run the agent that starts and moves guests here')
    .requiredOption('--id <name>', 'name of the host')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port of its API; 0 takes a free one', portOption, 0)
    .option('--no-register', 'do not tell the running Watari about it')
    .option('--stop-guests', 'power its guests off when it stops; else they run on and are found again')
    .option(
      '--history-bytes <size>',
      'disk space for what moved guests leave, as 16G; 0 keeps nothing (default 16G)',
      sizeOption,
    )
    .option('--history-hours <hours>', 'how long that is kept (default 24)', hoursOption)
    .option(
      '--mirror-bytes <size>',
      "memory of each move for what is held of the guest's, as 2G; 0 holds nothing (default 4G)",
      sizeOption,
    )
    .option('--share-histories', 'a guest may begin with what another guest of its tenant left here')
    .addHelpText(
      'after',
      "\nUses the certificate authority of the data folder, so it runs where Watari's data are.",
    )
    .action(async (options: Options, command: Command) => {
      const { dataFolder, output, api } = contextOf(command, signal);
      const folder = await openDataFolder(dataFolder);
      const { id, host, port } = options;
      const ports = await lastPorts(folder, id);
      const tls = await (await folder.authority()).issue({ role: 'agent', id });
      const agent = await startHostAgent({
        agentId: id,
        stateFolder: folder.inside('agents', id),
        listenHost: host,
        // After a restart others look for it where it was: at the same ports, unless others are asked for.
        apiPort: port || ports.apiPort,
        dataPort: ports.dataPort,
        tls,
        history: {
          ...(options.historyBytes !== undefined && { bytesMax: options.historyBytes }),
          ...(options.historyHours !== undefined && { expiresAfterMs: options.historyHours * 3_600_000 }),
          ...(options.shareHistories === true && { isSharedWithinTenant: true }),
        },
        ...(options.mirrorBytes !== undefined && { mirrorBytesMax: options.mirrorBytes }),
        logger: createLogger({ file: folder.inside('log', `agent-${id}.log`) }),
      });
      try {
        await keepPorts(folder, id, agent);
        if (options.register) await (await api()).post('/hosts', { agentUrl: agent.apiUrl });
        const { apiUrl, dataAddress } = agent;
        output.result(
          { agentId: id, apiUrl, dataAddress, pid: process.pid },
          `Host ${id} is ready: ${apiUrl}. Ctrl-C stops the agent.`,
        );
        await untilAborted(signal);
      } finally {
        await agent.stop({ stopGuests: options.stopGuests === true });
      }
    });
}

interface Ports {
  readonly apiPort: number;
  readonly dataPort: number;
}

async function lastPorts(folder: DataFolder, id: string): Promise<Ports> {
  try {
    const { apiPort, dataPort } = JSON.parse(
      await readFile(folder.inside('agents', `${id}.json`), 'utf8'),
    ) as Ports;
    const areFree = (await Promise.all([apiPort, dataPort].map(isFree))).every(Boolean);
    return areFree ? { apiPort, dataPort } : { apiPort: 0, dataPort: 0 };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError)
      return { apiPort: 0, dataPort: 0 };
    throw error;
  }
}

async function keepPorts(folder: DataFolder, id: string, { apiUrl, dataAddress }: HostAgent): Promise<void> {
  const ports: Ports = { apiPort: Number(new URL(apiUrl).port), dataPort: dataAddress.port };
  await writeFile(folder.inside('agents', `${id}.json`), JSON.stringify(ports), { mode: 0o600 });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
