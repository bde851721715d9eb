import type { GuestReader } from '../guest/guest-files';

/** Far more than a file of settings has; what is longer costs time, and is left to a person. */
export const SETTINGS_BYTES_MAX = 256 * 1024;
/** More files than that in one folder of settings are a trap, not a set-up. */
export const FOLDER_FILES_MAX = 200;

/** One letter per byte (latin1): what is not understood goes back as it came, whatever its encoding. */
export async function readSettings(
  files: GuestReader,
  path: string,
  bytesMax = SETTINGS_BYTES_MAX,
): Promise<string | undefined> {
  return (await files.read(path, bytesMax))?.toString('latin1');
}
