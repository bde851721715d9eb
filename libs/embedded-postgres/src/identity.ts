import { execFile } from 'node:child_process';
import { chmod, chown, cp, lstat, mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { PostgresBinaries } from './binaries';
import { PostgresUnavailable } from './errors';

/**
 * Postgres refuses to run as root. The ways to run it all the same, in the order they are tried:
 *
 *   direct          we are not root
 *   nobody          as uid 65534; needs programs and data that this user can reach
 *   user-namespace  still root outside, uid 65534 inside; works below a 0700 folder, but containers may forbid it
 *   nobody-by-fd    as uid 65534 with the programs copied to /var/tmp where they cannot be reached, and the data
 *                   folder passed as an open descriptor, so that no folder above it is walked through
 */
export type IdentityKind = 'direct' | 'nobody' | 'user-namespace' | 'nobody-by-fd';

export interface Identity {
  readonly kind: IdentityKind;
  readonly binDir: string;
  /** Owner that the data folder must have. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Set when the child is to be spawned as this user. */
  readonly spawnAs?: { readonly uid: number; readonly gid: number };
  /** Put before the program's argv. */
  readonly prefix: readonly string[];
  readonly passesDataByDescriptor: boolean;
}

const NOBODY = { uid: 65534, gid: 65534 };
const COPIES_ROOT = '/var/tmp';

export async function chooseIdentity(
  binaries: PostgresBinaries,
  dataDir: string,
  kinds: readonly IdentityKind[] = ['direct', 'nobody', 'user-namespace', 'nobody-by-fd'],
): Promise<Identity> {
  const uid = process.getuid?.() ?? -1;
  const gid = process.getgid?.() ?? -1;
  const base = { binDir: binaries.binDir, prefix: [], passesDataByDescriptor: false };
  if (uid !== 0) {
    return { ...base, kind: 'direct', owner: { uid, gid } };
  }
  const reasons: string[] = [];
  const attempts: Record<Exclude<IdentityKind, 'direct'>, () => Promise<Identity>> = {
    nobody: async () => {
      await assertReachable(binaries.binDir);
      await assertReachable(dataDir);
      return { ...base, kind: 'nobody', owner: NOBODY, spawnAs: NOBODY };
    },
    'user-namespace': async () => ({
      ...base,
      kind: 'user-namespace',
      owner: { uid, gid },
      prefix: ['unshare', '--user', '--map-user=65534', '--map-group=65534', '--'],
    }),
    'nobody-by-fd': async () => ({
      ...base,
      kind: 'nobody-by-fd',
      owner: NOBODY,
      spawnAs: NOBODY,
      binDir: await reachableBinDir(binaries),
      passesDataByDescriptor: true,
    }),
  };
  for (const kind of kinds) {
    if (kind === 'direct') continue;
    try {
      const identity = await attempts[kind]();
      await assertRuns(identity);
      return identity;
    } catch (error) {
      reasons.push(`${kind}: ${(error as Error).message.trim().split('\n').at(-1)}`);
    }
  }
  throw new PostgresUnavailable(
    'POSTGRES_NEEDS_USER',
    `Postgres cannot run as root, and no other identity could be taken here (${reasons.join('; ')}). ` +
      'Run Watari as an ordinary user, or set DATABASE_URL to a running server.',
  );
}

async function assertRuns(identity: Identity): Promise<void> {
  const [file = '', ...args] = [...identity.prefix, join(identity.binDir, 'postgres'), '--version'];
  await promisify(execFile)(file, args, { ...identity.spawnAs, cwd: '/', timeout: 20_000 });
}

/** Every folder on the way must let others through; ACLs are not looked at, the next way is tried then. */
async function assertReachable(path: string): Promise<void> {
  for (let at = path; ; at = dirname(at)) {
    const { mode, uid } = await stat(at);
    const isOpen = uid === NOBODY.uid ? (mode & 0o100) !== 0 : (mode & 0o001) !== 0;
    if (!isOpen) throw new Error(`user nobody cannot pass through ${at}`);
    if (at === dirname(at)) return;
  }
}

async function reachableBinDir(binaries: PostgresBinaries): Promise<string> {
  try {
    await assertReachable(binaries.binDir);
    return binaries.binDir;
  } catch (error) {
    if (!binaries.installationDir) throw error;
    return join(await copyForNobody(binaries.installationDir, binaries.version), 'bin');
  }
}

/** A copy is trusted only when root owns it: anybody may make a folder of that name in /var/tmp first. */
async function copyForNobody(installationDir: string, version: string): Promise<string> {
  const home = join(COPIES_ROOT, `watari-postgres-${version}`);
  if (await isTrusted(home)) return home;
  const fresh = await mkdtemp(`${home}-`);
  await chmod(fresh, 0o755);
  const copy = join(fresh, 'postgres');
  await cp(installationDir, copy, { recursive: true, verbatimSymlinks: true });
  try {
    await rename(copy, home);
    await rm(fresh, { recursive: true });
    return home;
  } catch {
    // Another process of ours was quicker; or the name is taken by a stranger, and the copy is used where it is.
    if (!(await isTrusted(home))) return copy;
    await rm(fresh, { recursive: true });
    return home;
  }
}

async function isTrusted(dir: string): Promise<boolean> {
  try {
    const info = await lstat(dir);
    return info.isDirectory() && info.uid === 0 && (info.mode & 0o022) === 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Gives a folder and everything in it to the identity's user; needed when the identity changed since last time. */
export async function giveTo(identity: Identity, dir: string): Promise<void> {
  const { uid, gid } = identity.owner;
  const current = await stat(dir);
  if (current.uid === uid && current.gid === gid) return;
  if (identity.kind === 'direct') {
    throw new PostgresUnavailable(
      'DATA_FOLDER_UNUSABLE',
      `${dir} belongs to another user (uid ${current.uid}). Start as that user, or choose another data folder.`,
    );
  }
  await promisify(execFile)('chown', ['-R', '-h', `${uid}:${gid}`, '--', dir]);
}

export async function makeOwnedFolder(identity: Identity, dir: string): Promise<void> {
  await mkdir(dir, { mode: 0o700 });
  if (identity.kind !== 'direct') await chown(dir, identity.owner.uid, identity.owner.gid);
}
