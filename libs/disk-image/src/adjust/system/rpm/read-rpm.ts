import type { GuestReader } from '../../../guest/guest-files';
import { readBerkeleyHash } from './berkeley-hash';
import { type RpmPackage, readRpmHeader } from './rpm-header';
import { readSqliteTable } from './sqlite-table';

const FOLDERS = ['/var/lib/rpm', '/usr/lib/sysimage/rpm'];
/** 1000 packages have about 100 MB. */
const DATABASE_BYTES_MAX = 512 * 1024 * 1024;

/**
 * Installed packages by RPM's database: SQLite (Fedora 33, Red Hat 9), or Berkeley DB before. Undefined where there is
 * none, it is damaged, or of another kind, such as SUSE's `ndb`. What a write-ahead log still holds is not seen.
 */
export async function readRpmPackages(files: GuestReader): Promise<RpmPackage[] | undefined> {
  for (const folder of FOLDERS) {
    const sqlite = await files.read(`${folder}/rpmdb.sqlite`, DATABASE_BYTES_MAX);
    const rows = sqlite && readSqliteTable(sqlite, 'Packages');
    const blobs = rows?.flatMap(([, blob]) => (Buffer.isBuffer(blob) ? [blob] : []));
    const berkeley = blobs ? undefined : await files.read(`${folder}/Packages`, DATABASE_BYTES_MAX);
    const found = blobs ?? (berkeley && readBerkeleyHash(berkeley));
    if (found) return found.flatMap((blob) => readRpmHeader(blob) ?? []);
  }
  return undefined;
}
