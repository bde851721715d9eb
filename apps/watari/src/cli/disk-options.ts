import { open } from 'node:fs/promises';
import { IMAGE_FORMATS, type ImageFormat } from '@watari/disk-image';
import { CliError, EXIT } from './errors';

/** Formats that disks are read from. */
export const SOURCE_FORMATS = IMAGE_FORMATS;
export type SourceFormat = ImageFormat;

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

const KEY_BYTES_MAX = 64 * 1024;
const KEY_FILES_MAX = 16;

export const KEY_FILE_HELP = [
  'Disks with XFS, btrfs, LVM or software RAID are opened by a small appliance under QEMU, which takes a while to',
  'start. For an encrypted (LUKS) disk, --key-file names a file that holds the passphrase byte for byte, without a',
  'line break at its end unless that is part of the key.',
].join('\n');

/** A key file; may be given several times. */
export function keyFileOption(path: string, before: readonly string[] = []): string[] {
  if (before.length >= KEY_FILES_MAX)
    throw new CliError('KEY_FILE_INVALID', `Give at most ${KEY_FILES_MAX} key files.`, EXIT.usage);
  return [...before, path];
}

/** Reads key files. Throws KEY_FILE_INVALID where one cannot be read, is empty, or is too long for a key. */
export async function readKeyFiles(paths: readonly string[] = []): Promise<Buffer[]> {
  const keys: Buffer[] = [];
  for (const path of paths) keys.push(await readKeyFile(path));
  return keys;
}

async function readKeyFile(path: string): Promise<Buffer> {
  const key = Buffer.alloc(KEY_BYTES_MAX + 1);
  let keyBytes = 0;
  try {
    const file = await open(path, 'r');
    try {
      for (let read = -1; read !== 0 && keyBytes < key.length; keyBytes += read)
        read = (await file.read(key, keyBytes, key.length - keyBytes)).bytesRead;
    } finally {
      await file.close();
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError(
      'KEY_FILE_INVALID',
      `The key file ${path} cannot be read: ${why}. Give a file that you may read.`,
      EXIT.usage,
    );
  }
  if (keyBytes === 0 || keyBytes > KEY_BYTES_MAX)
    throw new CliError(
      'KEY_FILE_INVALID',
      `The key file ${path} is ${keyBytes === 0 ? 'empty' : `longer than ${KEY_BYTES_MAX} bytes`}. Give the file that unlocks the disk.`,
      EXIT.usage,
    );
  return key.subarray(0, keyBytes);
}
