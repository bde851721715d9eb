import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { CertificateAuthority } from '@watari/host-agent-client';
import { CliError, EXIT } from '../cli/errors';

/**
 * What one embedded installation keeps on disk.
 *
 *     owner.json      the process that works with the folder now
 *     instance.json   where that process listens
 *     token           bearer token of the API, readable by the owner alone
 *     tls/            our certificate authority, and certificates of agents started on this machine
 *     postgres/       the database
 *     services/       disks under conversion, one folder a service
 *     agents/         state of agents started on this machine
 *     log/            what everything logs
 */
export interface DataFolder {
  readonly path: string;
  inside(...names: string[]): string;
  /** Made at the first call. */
  token(): Promise<string>;
  authority(): Promise<CertificateAuthority>;
}

export function defaultDataFolder(env: NodeJS.ProcessEnv = process.env): string {
  return env['WATARI_DATA'] ?? join(env['XDG_DATA_HOME'] ?? join(homedir(), '.local', 'share'), 'watari');
}

/** Makes the folder when it is missing. Throws DATA_FOLDER_UNUSABLE. */
export async function openDataFolder(given: string): Promise<DataFolder> {
  const path = resolve(given);
  try {
    // Others may pass through: the database runs as another user when we are root. They can read nothing.
    await mkdir(path, { recursive: true, mode: 0o711 });
    await chmod(path, 0o711);
    for (const name of ['tls', 'services', 'agents', 'log'])
      await mkdir(join(path, name), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new CliError(
      'DATA_FOLDER_UNUSABLE',
      `The data folder ${path} cannot be made or written: ${(error as Error).message}. Choose another one with --data.`,
      EXIT.refused,
    );
  }
  const inside = (...names: string[]) => join(path, ...names);
  return {
    path,
    inside,
    token: () => readOrMakeToken(inside('token')),
    authority: () => CertificateAuthority.open(inside('tls')),
  };
}

async function readOrMakeToken(path: string): Promise<string> {
  const existing = await readIfThere(path);
  if (existing !== undefined) return existing.trim();
  const token = randomBytes(32).toString('base64url');
  await writeWhole(path, `${token}\n`);
  return token;
}

export interface Instance {
  readonly url: string;
  readonly pid: number;
}

export async function announceInstance(folder: DataFolder, instance: Instance): Promise<() => Promise<void>> {
  const path = folder.inside('instance.json');
  await writeWhole(path, JSON.stringify(instance));
  return () => rm(path, { force: true });
}

/** How to reach the installation: WATARI_URL and WATARI_TOKEN where they are set, else the folder's running process. */
export async function findInstallation(
  given: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ url: string; token: string }> {
  const url = env['WATARI_URL'];
  const token = env['WATARI_TOKEN'];
  if (url && token) return { url, token };
  if (url)
    throw new CliError('TOKEN_MISSING', 'WATARI_URL is set, WATARI_TOKEN is not. Set both.', EXIT.usage);
  const path = resolve(given);
  const announced = await readIfThere(join(path, 'instance.json'));
  const kept = await readIfThere(join(path, 'token'));
  if (announced === undefined || kept === undefined)
    throw new CliError(
      'WATARI_NOT_RUNNING',
      `No Watari runs on the data folder ${path}. Start it with "watari up" in another terminal, or set WATARI_URL and WATARI_TOKEN.`,
      EXIT.unreachable,
    );
  const { url: ours } = JSON.parse(announced) as Instance;
  return { url: ours, token: kept.trim() };
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whole or not at all, and never readable by others. */
async function writeWhole(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}.partial`;
  await writeFile(draft, text, { mode: 0o600 });
  await rename(draft, path);
}
