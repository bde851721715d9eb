import type { Command } from 'commander';
import { type Finding, createHostTools, ensureHostTools, examine } from '@watari/host-tools';
import { contextOf } from '../context';
import { EXIT } from '../errors';

const MARKS = { ok: '✓', warning: '!', error: '✗' } as const;

export function addDoctor(program: Command, signal: AbortSignal): void {
  program
    .command('doctor')
    .description(
      'Look whether this machine can run guests and convert disks, and say what to do where it cannot',
    )
    .option('--fetch', 'fetch missing programs into the cache first; the system is not changed')
    .addHelpText('after', '\nExit code 3 when something stands in the way.')
    .action(async ({ fetch }: { fetch?: boolean }, command: Command) => {
      const { output } = contextOf(command, signal);
      if (fetch) {
        const progress = output.progress();
        await ensureHostTools(
          ['qemu-system-x86_64', 'qemu-img', 'debugfs', 'e2fsck', 'mke2fs', 'dumpe2fs', 'xz', 'zstd'],
          {
            signal,
            onProgress: (step, fraction) => progress.update(step, fraction),
          },
        );
        progress.end();
      }
      const findings = await examine(createHostTools());
      output.result(findings, describeFindings(findings));
      if (findings.some(({ level }) => level === 'error')) process.exitCode = EXIT.refused;
    });
}

export function describeFindings(findings: readonly Finding[]): string {
  return findings
    .map(
      ({ level, summary, remedy }) =>
        `${MARKS[level]} ${summary}${remedy ? `\n    ${remedy.replace(/\n/g, '\n    ')}` : ''}`,
    )
    .join('\n');
}
