import { type Command, Option } from 'commander';
import { parseProbe } from '@watari/host-agent-client';
import { describeReport, runDemo } from '../../demo/demo';
import { contextOf } from '../context';
import { CliError, EXIT } from '../errors';
import { downtimeOption, memoryOption } from '../options';

interface Options {
  readonly disk?: string;
  readonly probe?: string;
  readonly format?: 'raw' | 'qcow2';
  readonly memory: number;
  readonly bus: 'postgres' | 'kafka';
  readonly downtimeLimit: number;
}

export function addDemo(program: Command, signal: AbortSignal): void {
  program
    .command('demo')
    .description(
      'Take a real server through a whole crossing on this machine: convert, boot, move live, and back',
    )
    .option('--disk <file>', 'a disk of your own (Debian or Ubuntu on ext4), never changed; needs --probe')
    .option('--probe <probe>', 'how its service answers: tcp:PORT, http:PORT/PATH or console:TEXT')
    .addOption(
      new Option('--format <format>', 'format of --disk; default: told by the disk').choices([
        'raw',
        'qcow2',
      ]),
    )
    .option('--memory <MiB>', 'memory of the guest', memoryOption, 512)
    .option('--downtime-limit <ms>', 'longest pause of the guest, in milliseconds', downtimeOption, 300)
    .addOption(
      new Option('--bus <kind>', 'what carries events').choices(['postgres', 'kafka']).default('postgres'),
    )
    .addHelpText('after', '\nWorks in a folder of its own in the cache, and leaves nothing running.')
    .action(async (options: Options, command: Command) => {
      const { output } = contextOf(command, signal);
      const { disk, probe, format } = options;
      if ((disk === undefined) !== (probe === undefined))
        throw new CliError(
          'PROBE_MISSING',
          '--disk and --probe go together: what answers when your server is up?',
          EXIT.usage,
        );
      if (probe !== undefined) parseProbe(probe);
      const report = await runDemo({
        output,
        signal,
        bus: options.bus,
        memoryMiB: options.memory,
        downtimeLimitMs: options.downtimeLimit,
        ...(disk !== undefined && probe !== undefined && { own: { disk, probe, ...(format && { format }) } }),
      });
      output.result(report, describeReport(report));
      if (report.complaints.length > 0 || !report.sourceUnchanged)
        throw new CliError(
          'DEMO_FAILED',
          'The server did not come through unharmed; the report says how.',
          EXIT.failed,
        );
    });
}
