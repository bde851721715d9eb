import { randomBytes } from 'node:crypto';
import { chown, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PostgresUnavailable } from './errors';
import { type Identity, giveTo, makeOwnedFolder } from './identity';
import { runProgram } from './program';

export const SUPERUSER = 'watari';

/**
 * A data folder:
 *   cluster/       what initdb made, owned by the user that the server runs as
 *   password       the superuser's, mode 0600
 *   owner.json     who works with the folder now
 *   postgres.log   what the server wrote
 */
export function clusterDir(dataDir: string): string {
  return join(dataDir, 'cluster');
}

/** Major version that made the cluster, or undefined where there is none yet. */
export async function clusterMajor(dataDir: string): Promise<number | undefined> {
  const text = await readIfThere(join(clusterDir(dataDir), 'PG_VERSION'));
  if (text === undefined) return undefined;
  const major = Number(text.trim());
  if (Number.isInteger(major)) return major;
  throw new PostgresUnavailable(
    'DATA_FOLDER_UNUSABLE',
    `${clusterDir(dataDir)} holds no Postgres cluster that can be read. Choose another data folder.`,
  );
}

/** Makes the cluster where there is none; afterwards it belongs to the identity's user. Returns the password. */
export async function prepareCluster(dataDir: string, identity: Identity): Promise<string> {
  const password = await keptPassword(dataDir);
  if ((await clusterMajor(dataDir)) === undefined) await initialise(dataDir, identity, password);
  await giveTo(identity, clusterDir(dataDir));
  return password;
}

async function keptPassword(dataDir: string): Promise<string> {
  const path = join(dataDir, 'password');
  const kept = await readIfThere(path);
  if (kept) return kept.trim();
  if ((await clusterMajor(dataDir)) !== undefined) {
    throw new PostgresUnavailable(
      'DATA_FOLDER_UNUSABLE',
      `${path} is missing, so nobody can log in to the cluster beside it. Put the file back, or choose another data folder.`,
    );
  }
  const password = randomBytes(24).toString('base64url');
  const draft = `${path}.new`;
  await writeFile(draft, `${password}\n`, { mode: 0o600 });
  await rename(draft, path);
  return password;
}

/** In a folder beside, renamed when whole: a crash in between leaves nothing that looks like a cluster. */
async function initialise(dataDir: string, identity: Identity, password: string): Promise<void> {
  const staging = join(dataDir, 'cluster.new');
  await rm(staging, { recursive: true, force: true });
  await makeOwnedFolder(identity, staging);
  const passwordFile = join(staging, 'password');
  await makeOwnedFolder(identity, join(staging, 'cluster'));
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  await chown(passwordFile, identity.owner.uid, identity.owner.gid);
  const folder = await open(staging, 'r');
  try {
    const base = identity.passesDataByDescriptor ? '/proc/self/fd/3' : staging;
    await runProgram(identity, 'initdb', folder.fd, [
      `--pgdata=${base}/cluster`,
      `--username=${SUPERUSER}`,
      `--pwfile=${base}/password`,
      '--auth=scram-sha-256',
      '--locale=C',
      '--encoding=UTF8',
    ]);
  } finally {
    await folder.close();
  }
  await rename(join(staging, 'cluster'), clusterDir(dataDir));
  await rm(staging, { recursive: true });
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
