import { access, constants } from 'node:fs/promises';
import { type RunOptions, type RunResult, runProgram } from '@watari/host-tools';
import { PhysicalServerError } from './errors';

/**
 * A place where a program is root over files and mounts of its own and can harm nothing else: namespaces that end,
 * with all mounts and processes in them, when the program does.
 */
export interface Chamber {
  /** False where the files' owners have to be remembered beside them, as this user can give files to nobody else. */
  readonly canGiveFilesAway: boolean;
  run(path: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
}

const UNSHARE = '/usr/bin/unshare';
const SETPRIV = '/usr/bin/setpriv';
/** Should we be killed, so is what we started. */
const ENDING_WITH_US = ['--pdeathsig', 'KILL', UNSHARE];
/** Message queues too: fakeroot has some, and they would outlive their processes. */
const OWN_WORLD = [
  '--mount',
  '--propagation',
  'private',
  '--pid',
  '--fork',
  '--kill-child=SIGKILL',
  '--ipc',
  '--',
];
/** We alone are in it, as its root: more users would take a helper that is rarely installed. */
const OWN_USERS = ['--user', '--map-root-user'];

/** Rejects with PHYSICAL_SERVER_PRIVILEGES_MISSING when this machine allows no such place. */
export async function openChamber(signal?: AbortSignal): Promise<Chamber> {
  await access(UNSHARE, constants.X_OK).catch((cause: unknown) => {
    throw missing('there is no /usr/bin/unshare, of the package util-linux', cause);
  });
  const options = signal ? { signal } : {};
  // Root of a container may have lost the right to mount, and get it back in a user namespace.
  const ways = process.geteuid?.() === 0 ? [[], OWN_USERS] : [OWN_USERS];
  const reasons: unknown[] = [];
  for (const users of ways) {
    const before = [...ENDING_WITH_US, ...users, ...OWN_WORLD];
    try {
      await runProgram(SETPRIV, [...before, '/usr/bin/true'], options);
    } catch (error) {
      signal?.throwIfAborted();
      reasons.push(error);
      continue;
    }
    return {
      canGiveFilesAway: users !== OWN_USERS,
      run: (path, args, more = {}) =>
        runProgram(SETPRIV, [...before, path, ...args], { ...options, ...more }),
    };
  }
  const [reason] = reasons;
  throw missing((reason as Error).message, reason);
}

function missing(why: string, cause: unknown): PhysicalServerError {
  const remedy =
    process.geteuid?.() === 0
      ? 'Root has no right to make namespaces here: run it outside of the container, or give the container the capability SYS_ADMIN'
      : 'This system lets ordinary users make no user namespaces (see sysctl kernel.unprivileged_userns_clone and user.max_user_namespaces). Run it once as root with the same cache folder (WATARI_CACHE)';
  return new PhysicalServerError(
    'PHYSICAL_SERVER_PRIVILEGES_MISSING',
    `The demo's server cannot be installed by this user: ${why.trim()}\n${remedy}; or give the demo a disk of your own with --disk.`,
    { cause },
  );
}
