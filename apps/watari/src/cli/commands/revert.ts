import {
  type ImageReversion,
  OUTPUT_FORMATS,
  type OutputFormat,
  examineImage,
  readManifest,
  revertImage,
} from '@watari/disk-image';
import { createHostTools } from '@watari/host-tools';
import { type Command, Option } from 'commander';
import { contextOf } from '../context';
import {
  KEY_FILE_HELP,
  SOURCE_FORMATS,
  SOURCE_FORMAT_HELP,
  type SourceFormat,
  keyFileOption,
  readKeyFiles,
} from '../disk-options';

interface Options {
  readonly manifest: string;
  readonly out?: string;
  readonly format: OutputFormat;
  readonly sourceFormat?: SourceFormat;
  readonly keyFile?: readonly string[];
  readonly force?: boolean;
}

export function addRevert(program: Command, signal: AbortSignal): void {
  program
    .command('revert <file>')
    .description(
      'Make a copy of a converted disk that boots on the physical server again, with what changed since',
    )
    .requiredOption('--manifest <file>', 'what the conversion kept: <out>.manifest.json')
    .option('--out <file>', 'the image to write; default: <file>.physical')
    .addOption(
      new Option('--format <format>', 'format of the image to write').choices(OUTPUT_FORMATS).default('raw'),
    )
    .addOption(
      new Option(
        '--source-format <format>',
        'format of the converted disk; default: told by the image',
      ).choices(SOURCE_FORMATS),
    )
    .option('--key-file <file>', 'key of an encrypted (LUKS) disk; may be given several times', keyFileOption)
    .option('--force', 'replace a file that is there, once the new one is whole')
    .addHelpText(
      'after',
      [
        '',
        'Example: the guest was shut down; its disk goes back to the physical server',
        '  watari revert guest.qcow2 --manifest guest.qcow2.manifest.json --out back.raw',
        '',
        'Files that were changed since the conversion keep their changes; only our own are taken back.',
        'To replace the converted disk itself, name it for --out and give --force.',
        '',
        SOURCE_FORMAT_HELP,
        '',
        KEY_FILE_HELP,
        '',
        'Exit code 3 when disk and manifest do not belong together, or the disk cannot be read.',
      ].join('\n'),
    )
    .action(async (path: string, options: Options, command: Command) => {
      const { output } = contextOf(command, signal);
      const manifest = await readManifest(options.manifest);
      const keys = await readKeyFiles(options.keyFile);
      const progress = output.progress();
      try {
        const reverted = await revertImage({
          diskPath: path,
          diskFormat: options.sourceFormat ?? (await examineImage(path)).format,
          manifest,
          targetPath: options.out ?? `${path}.physical`,
          outputFormat: options.format,
          mayReplace: options.force === true,
          appliance: { keys },
          tools: createHostTools(),
          onProgress: (text, fraction) => progress.update(text, fraction),
          signal,
        });
        progress.end();
        output.result(reverted, describeReversion(reverted));
      } finally {
        progress.end();
      }
    });
}

export function describeReversion({ disk, files, restored, merged, remarks }: ImageReversion): string {
  const lines = (title: string, paths: readonly string[]): string[] =>
    paths.length > 0 ? [title, ...paths.map((path) => `  ${path}`)] : [];
  return [
    `Wrote ${disk.path} (${disk.format})${files.length > 1 ? ` and ${files.slice(1).join(', ')}` : ''}`,
    `${restored.length} files are as they were on the physical server.`,
    ...lines('Changed since, and merged line by line:', merged),
    ...lines('Left as they are; look at them yourself:', remarks),
  ].join('\n');
}
