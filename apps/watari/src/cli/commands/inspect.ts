import { type DiskInspection, inspectDisk } from '@watari/disk-image';
import { createHostTools } from '@watari/host-tools';
import { type Command, Option } from 'commander';
import { contextOf } from '../context';
import { bytesInWords, table } from '../output';
import {
  KEY_FILE_HELP,
  SOURCE_FORMATS,
  SOURCE_FORMAT_HELP,
  type SourceFormat,
  keyFileOption,
  readKeyFiles,
} from '../disk-options';

interface InspectFlags {
  readonly format?: SourceFormat;
  readonly keyFile?: readonly string[];
}

export function addInspect(program: Command, signal: AbortSignal): void {
  program
    .command('inspect <disk>')
    .description('Look at a server disk and say what is on it; nothing is changed, mounted or run')
    .addOption(
      new Option('--format <format>', 'format of the disk image; default: told by the image').choices(
        SOURCE_FORMATS,
      ),
    )
    .option('--key-file <file>', 'key of an encrypted (LUKS) disk; may be given several times', keyFileOption)
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  watari inspect disk.raw',
        '  watari inspect disk.qcow2 --format qcow2 --json',
        '  watari inspect disk.raw --key-file passphrase',
        '',
        SOURCE_FORMAT_HELP,
        '',
        KEY_FILE_HELP,
        '',
        'Exit code 3 when the disk cannot be read, or holds nothing that could be moved; the message says why.',
      ].join('\n'),
    )
    .action(async (path: string, { format, keyFile }: InspectFlags, command: Command) => {
      const { output } = contextOf(command, signal);
      const keys = await readKeyFiles(keyFile);
      const progress = output.progress();
      try {
        const found = await inspectDisk({
          path,
          ...(format && { format }),
          tools: createHostTools(),
          appliance: { keys },
          onProgress: (text, fraction) => progress.update(text, fraction),
          signal,
        });
        progress.end();
        output.result(found, describeInspection(path, found));
      } finally {
        progress.end();
      }
    });
}

export function describeInspection(path: string, found: DiskInspection): string {
  const { operatingSystem, fileSystemDirty, nicRules, configuredNics, mounts, applications } = found;
  const row = (name: string, text: string): string => `  ${name.padEnd(13)}${text}`;
  const rows = (name: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : lines.map((line, index) => row(index === 0 ? name : '', line));
  const partitions = table(
    found.partitions.map(({ number, sizeBytes, content }) => [
      number === 0 ? 'whole disk' : `${number}`,
      bytesInWords(sizeBytes),
      content,
    ]),
  );
  return [
    path,
    row('system', operatingSystem.name),
    ...rows('host name', found.hostname ? [found.hostname] : []),
    row('firmware', found.firmware),
    row(
      'image',
      `${found.format}, ${bytesInWords(found.virtualSizeBytes)}, of which ${bytesInWords(found.allocatedBytes)} are stored`,
    ),
    ...rows(`table ${found.partitionTable}`, partitions.split('\n')),
    row('root', `${found.rootFileSystem}${fileSystemDirty ? ', not unmounted cleanly' : ''}`),
    ...rows('kernel root', found.kernelRoots),
    ...rows(
      'mounts',
      mounts.map(({ spec, mountPoint, type }) => `${mountPoint} from ${spec} (${type})`),
    ),
    ...rows(
      'kernels',
      found.kernels.map(
        ({ version, hasVirtio, initramfsMaker = 'no initramfs' }) =>
          `${version}, ${initramfsMaker}${hasVirtio ? '' : ', no virtio drivers at boot'}`,
      ),
    ),
    ...rows(
      'network',
      nicRules.map(({ name, mac }) => `${name} by ${mac}`),
    ),
    ...rows('set up', configuredNics.length > 0 ? [configuredNics.join(', ')] : []),
    ...rows(
      'applications',
      applications.map(({ name, version }) => `${name} ${version}`),
    ),
  ].join('\n');
}
