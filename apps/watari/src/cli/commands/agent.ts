import { startHostAgent } from '@watari/host-agent';
import { createLogger } from '@watari/service-kit';
import type { Command } from 'commander';
import { openDataFolder } from '../../embedded/data-folder';
import { contextOf, untilAborted } from '../context';
import { portOption } from '../options';

interface Options {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly register: boolean;
  readonly stopGuests?: boolean;
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
    .addHelpText(
      'after',
      "\nUses the certificate authority of the data folder, so it runs where Watari's data are.",
    )
    .action(async (options: Options, command: Command) => {
      const { dataFolder, output, api } = contextOf(command, signal);
      const folder = await openDataFolder(dataFolder);
      const { id, host, port } = options;
      const tls = await (await folder.authority()).issue({ role: 'agent', id });
      const agent = await startHostAgent({
        agentId: id,
        stateFolder: folder.inside('agents', id),
        listenHost: host,
        apiPort: port,
        tls,
        logger: createLogger({ file: folder.inside('log', `agent-${id}.log`) }),
      });
      try {
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
