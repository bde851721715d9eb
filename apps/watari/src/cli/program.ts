import { Command, CommanderError } from 'commander';
import { defaultDataFolder } from '../embedded/data-folder';
import { addAgent } from './commands/agent';
import { addAssess } from './commands/assess';
import { addConvert } from './commands/convert';
import { addDeadLetters } from './commands/dead-letters';
import { addDemo } from './commands/demo';
import { addDoctor } from './commands/doctor';
import { addHistories } from './commands/histories';
import { addInspect } from './commands/inspect';
import { addInventory } from './commands/inventory';
import { addMigrations } from './commands/migrate';
import { addRevert } from './commands/revert';
import { addUp } from './commands/up';
import { EXIT, describeError } from './errors';

export function createProgram(signal: AbortSignal): Command {
  const program = new Command('watari')
    .description('Moves servers between physical hardware and virtualization, and back, with the service up.')
    .version('0.1.0')
    .option('--data <folder>', 'data folder of the installation', defaultDataFolder())
    .option('--json', 'answer in JSON, for programs')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .addHelpText(
      'after',
      [
        '',
        'A first crossing:',
        '  watari demo                                      all of it, by itself',
        '  watari up                                        start Watari; the rest goes in another terminal',
        '  watari agent --id host-a                         make this machine a host',
        '  watari servers add disk.raw --name web-1 --probe http:80/',
        '  watari assess web-1 --to host-a',
        '  watari migrate web-1 --to host-a',
        '',
        'A disk alone, with nothing running:',
        '  watari inspect disk.raw',
        '  watari convert disk.raw --target kvm-virtio --out guest.qcow2 --format qcow2',
        '  watari revert guest.qcow2 --manifest guest.qcow2.manifest.json --out back.raw',
        '',
        'Exit codes: 0 done, 1 failed, 2 used wrongly, 3 refused, 4 nothing answers, 5 migration not completed.',
      ].join('\n'),
    );
  addDemo(program, signal);
  addUp(program, signal);
  addDoctor(program, signal);
  addAgent(program, signal);
  addInventory(program, signal);
  addAssess(program, signal);
  addMigrations(program, signal);
  addHistories(program, signal);
  addDeadLetters(program, signal);
  addInspect(program, signal);
  addConvert(program, signal);
  addRevert(program, signal);
  return program;
}

/** Runs one command; resolves with the exit code. */
export async function runCli(argv: readonly string[], signal: AbortSignal): Promise<number> {
  const program = createProgram(signal);
  try {
    await program.parseAsync([...argv]);
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.usage;
    if (signal.aborted) return EXIT.interrupted;
    const { exitCode, ...told } = describeError(error);
    const isJson = program.opts<{ json?: boolean }>().json === true;
    process.stderr.write(
      isJson ? `${JSON.stringify({ error: told })}\n` : `\n${told.code}: ${told.message}\n`,
    );
    return exitCode;
  }
}
