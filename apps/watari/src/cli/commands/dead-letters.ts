import type { Command } from 'commander';
import { contextOf } from '../context';
import { CliError, EXIT } from '../errors';
import { table } from '../output';

interface DeadLetterView {
  readonly id: string;
  readonly group: string;
  readonly topic: string;
  readonly code: string;
  readonly reason: string;
  readonly attempts: number;
  readonly at: string;
}

export function addDeadLetters(program: Command, signal: AbortSignal): void {
  const letters = program.command('dead-letters').description('Events that a service could not handle');
  letters
    .command('list', { isDefault: true })
    .description('Those that were not replayed yet, with the reason')
    .action(async (_options: object, command: Command) => {
      const { api, output } = contextOf(command, signal);
      const found = await (await api()).get<DeadLetterView[]>('/dead-letters');
      output.result(found, found.length === 0 ? 'There are no dead letters.' : list(found));
    });
  letters
    .command('replay [ids...]')
    .description('Publish dead letters again, once their cause is mended')
    .option('--all', 'all that were not replayed yet')
    .action(async (ids: string[], { all }: { all?: boolean }, command: Command) => {
      const { api, output } = contextOf(command, signal);
      if (ids.length === 0 && !all)
        throw new CliError('IDS_MISSING', 'Name the dead letters by their ids, or say --all.', EXIT.usage);
      const replayed = await (
        await api()
      ).post<{ replayed: number }>('/dead-letters/replay', all ? {} : { ids });
      output.result(replayed, `${replayed.replayed} replayed.`);
    });
}

function list(letters: readonly DeadLetterView[]): string {
  return table([
    ['ID', 'WHEN', 'CODE', 'ATTEMPTS', 'REASON'],
    ...letters.map(({ id, at, code, attempts, reason }) => [id, at, code, String(attempts), reason]),
  ]);
}
