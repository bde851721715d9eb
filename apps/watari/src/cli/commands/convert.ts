import {
  type ImageConversion,
  MACHINE_TARGET_NAMES,
  type MachineTargetName,
  OUTPUT_FORMATS,
  WRITTEN_KINDS,
  type OutputFormat,
  convertImage,
  examineImage,
  TARGETS,
} from '@watari/disk-image';
import { createHostTools } from '@watari/host-tools';
import { type Command, Option } from 'commander';
import { contextOf } from '../context';
import { memoryOption, vcpusOption } from '../options';
import {
  KEY_FILE_HELP,
  SOURCE_FORMATS,
  SOURCE_FORMAT_HELP,
  type SourceFormat,
  keyFileOption,
  nicOption,
  readKeyFiles,
} from '../disk-options';

interface Options {
  readonly target: MachineTargetName;
  readonly agent: boolean;
  readonly memory: number;
  readonly vcpus: number;
  readonly out: string;
  readonly format?: OutputFormat;
  readonly sourceFormat?: SourceFormat;
  readonly manifest?: string;
  readonly nic?: { oldMac: string; newMac: string }[];
  readonly keyFile?: readonly string[];
  readonly force?: boolean;
}

export function addConvert(program: Command, signal: AbortSignal): void {
  program
    .command('convert <disk>')
    .description(
      'Make a copy of a server disk that boots on virtual hardware; the disk itself is never changed',
    )
    .addOption(
      new Option('--target <hardware>', 'the virtual hardware that it will run on')
        .choices(MACHINE_TARGET_NAMES)
        .makeOptionMandatory(),
    )
    .requiredOption('--out <file>', 'the image to write; a new file')
    .addOption(
      new Option(
        '--format <format>',
        'format of the image to write; default: raw where the target takes it, else what it usually has',
      ).choices(OUTPUT_FORMATS),
    )
    .option('--manifest <file>', 'where to keep how to undo it; default: <out>.manifest.json')
    .addOption(
      new Option('--source-format <format>', 'format of the disk; default: told by the image').choices(
        SOURCE_FORMATS,
      ),
    )
    .option('--nic <old=new>', 'address of a NIC on the server and on the target; may be repeated', nicOption)
    .option('--no-agent', "do not have the guest install the target's agent once it runs there")
    .option('--memory <MiB>', 'memory of the machine that an OVA describes', memoryOption, 2048)
    .option('--vcpus <count>', 'its processors', vcpusOption, 2)
    .option('--key-file <file>', 'key of an encrypted (LUKS) disk; may be given several times', keyFileOption)
    .option('--force', 'replace files that are there, once the new ones are whole')
    .addHelpText('after', helpText())
    .action(async (path: string, options: Options, command: Command) => {
      const { output } = contextOf(command, signal);
      const keys = await readKeyFiles(options.keyFile);
      const progress = output.progress();
      try {
        const converted = await convertImage({
          sourcePath: path,
          sourceFormat: options.sourceFormat ?? (await examineImage(path)).format,
          targetPath: options.out,
          target: options.target,
          installAgent: options.agent,
          machine: { cpuCount: options.vcpus, memoryMib: options.memory },
          outputFormat: options.format ?? usualFormat(options.target),
          ...(options.manifest !== undefined && { manifestPath: options.manifest }),
          ...(options.nic && { nics: options.nic }),
          mayReplace: options.force === true,
          appliance: { keys },
          tools: createHostTools(),
          onProgress: (text, fraction) => progress.update(text, fraction),
          signal,
        });
        progress.end();
        const { manifest, ...told } = converted;
        output.result({ ...told, leftUndone: manifest.leftUndone }, describeConversion(converted));
      } finally {
        progress.end();
      }
    });
}

/** Raw needs no further step; platforms that do not take it have a format of their own. */
function usualFormat(target: MachineTargetName): OutputFormat {
  const { imageKinds } = TARGETS[target];
  if (imageKinds.includes('raw')) return 'raw';
  return imageKinds.flatMap((kind) => OUTPUT_FORMATS.find((name) => name === kind) ?? [])[0] ?? 'raw';
}

function helpText(): string {
  const formats = OUTPUT_FORMATS.map((name) => `  ${name.padEnd(17)}${WRITTEN_KINDS[name].summary}`);
  return [
    '',
    'Example: a disk of a physical server becomes a guest of KVM, and can be taken back later',
    '  watari convert server.raw --target kvm-virtio --out guest.qcow2 --format qcow2',
    '  watari revert guest.qcow2 --manifest guest.qcow2.manifest.json --out back.raw',
    '',
    'Targets:',
    ...MACHINE_TARGET_NAMES.map((name) => `  ${name.padEnd(21)}${TARGETS[name].title}`),
    '',
    'Formats to write:',
    ...formats,
    '',
    SOURCE_FORMAT_HELP,
    '',
    KEY_FILE_HELP,
    '',
    'Nothing appears under the name of --out before all of it is whole; after a failure or Ctrl-C nothing is left.',
    'Exit code 3 when the disk cannot be converted; the message says why and what to do.',
  ].join('\n');
}

export function describeConversion({ disk, files, manifestPath, steps, mac }: ImageConversion): string {
  return [
    `Wrote ${disk.path} (${disk.format})${files.length > 1 ? ` and ${files.slice(1).join(', ')}` : ''}`,
    ...steps.map(({ name, summary }) => `  ${name.padEnd(17)}${summary}`),
    `Its first NIC should have the address ${mac}.`,
    `How to undo it: watari revert ${disk.path} --manifest ${manifestPath}`,
  ].join('\n');
}
