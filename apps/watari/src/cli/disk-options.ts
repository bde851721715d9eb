import { CliError, EXIT } from './errors';

/** Formats that disks are read from. */
export const SOURCE_FORMATS = ['raw', 'qcow2'] as const;
export type SourceFormat = (typeof SOURCE_FORMATS)[number];

export const SOURCE_FORMAT_HELP = [
  'Format of the source: without being told, the first bytes of the file decide. A raw disk whose owner is not',
  'trusted may begin like an image of another kind: say raw for it. An image that names other files (a backing',
  'file, a data file) is refused in any case.',
].join('\n');

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

/** `OLD=NEW`, or one address that stays; may be given several times. */
export function nicOption(
  text: string,
  before: readonly { oldMac: string; newMac: string }[] = [],
): { oldMac: string; newMac: string }[] {
  const [oldMac = '', newMac = oldMac] = text.split('=');
  if (!MAC.test(oldMac) || !MAC.test(newMac))
    throw new CliError(
      'NIC_INVALID',
      `"${text}" is no address of a NIC. Give --nic OLD=NEW, such as 00:25:90:00:00:01=52:54:00:00:00:01.`,
      EXIT.usage,
    );
  return [...before, { oldMac, newMac }];
}
