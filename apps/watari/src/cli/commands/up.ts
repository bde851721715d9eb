import type { Command } from 'commander';
import { openDataFolder } from '../../embedded/data-folder';
import { startEmbedded } from '../../embedded/embedded';
import { contextOf, untilAborted } from '../context';
import { CliError, EXIT } from '../errors';
import { portOption } from '../options';

export function addUp(program: Command, signal: AbortSignal): void {
  program
    .command('up')
    .description('Start Watari on this machine: all services in one process, with a database of its own')
    .option('--port <port>', 'loopback port of the API; 0 takes a free one', portOption, 7373)
    .option('--bus <kind>', 'what carries events: postgres (needs nothing) or kafka', 'postgres')
    .option('--brokers <host:port,...>', 'Kafka brokers; default: KAFKA_BROKERS')
    .addHelpText(
      'after',
      '\nRuns until Ctrl-C, and goes on where it was at the next start.\nThe API needs the token in the file "token" of the data folder.',
    )
    .action(async (options: { port: number; bus: string; brokers?: string }, command: Command) => {
      const { dataFolder, output } = contextOf(command, signal);
      const lost = new AbortController();
      let detail = '';
      const folder = await openDataFolder(dataFolder);
      const watari = await startEmbedded({
        folder,
        port: options.port,
        bus: busOf(options),
        onProgress: (step) => output.note(`  ${step}`),
        onDatabaseLost: (how) => {
          detail = how;
          lost.abort();
        },
      });
      const { url, database } = watari;
      output.result(
        { url, tokenFile: folder.inside('token'), dataFolder: folder.path, database, pid: process.pid },
        [
          `Watari is up: ${url}`,
          `  data    ${folder.path}`,
          `  events  ${options.bus}, database ${database}`,
          `  log     ${folder.inside('log', 'watari.log')}`,
          '',
          'In another terminal: watari agent --id host-a, watari servers add DISK, watari plan …',
          'Ctrl-C stops it.',
        ].join('\n'),
      );
      await untilAborted(AbortSignal.any([signal, lost.signal]));
      output.note('stopping');
      await watari.close();
      if (lost.signal.aborted)
        throw new CliError(
          'DATABASE_LOST',
          `The database ended by itself: ${detail} Start Watari again; it goes on where it was.`,
        );
      output.note('stopped; nothing is left running');
    });
}

function busOf({ bus, brokers }: { bus: string; brokers?: string }) {
  if (bus === 'postgres') return { kind: 'postgres' as const };
  const named = brokers ?? process.env['KAFKA_BROKERS'];
  if (bus !== 'kafka')
    throw new CliError('BUS_UNKNOWN', `--bus ${bus} is unknown; it is postgres or kafka.`, EXIT.usage);
  if (!named)
    throw new CliError(
      'BROKERS_MISSING',
      'Name the Kafka brokers: --brokers host:port,host:port or KAFKA_BROKERS. For a try, "npm run kafka" starts one.',
      EXIT.usage,
    );
  return { kind: 'kafka' as const, brokers: named.split(',') };
}
