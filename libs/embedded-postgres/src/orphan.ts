import { readFile, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PostgresUnavailable } from './errors';
import { isAlive, processStartTime, processesIn } from '@watari/process-identity';

const FAST_SHUTDOWN_MS = 20_000;
const IMMEDIATE_SHUTDOWN_MS = 10_000;

/**
 * Ends a server that an earlier owner of this folder left behind (it was killed), and clears a postmaster.pid
 * of which the pid now belongs to somebody else. A process counts as ours only when its working folder is the
 * cluster. Call it with the folder's lock held.
 */
export async function stopOrphan(cluster: string, onProgress: (step: string) => void): Promise<void> {
  const pidFile = join(cluster, 'postmaster.pid');
  const postmaster = await readPid(pidFile);
  if (postmaster === undefined) return;
  const dir = await realpath(cluster);
  const left = await processesIn(dir);
  if (left.includes(postmaster)) {
    onProgress(`stopping the Postgres server left behind (pid ${postmaster})`);
    await stopPostmaster(postmaster);
  }
  // After a kill -9 of the server its backends notice within moments; shared memory is free when they are gone.
  const deadline = Date.now() + IMMEDIATE_SHUTDOWN_MS;
  for (let rest = await processesIn(dir); rest.length > 0; rest = await processesIn(dir)) {
    if (Date.now() > deadline) {
      throw new PostgresUnavailable(
        'DATA_FOLDER_IN_USE',
        `${cluster} is still used by processes of an earlier server (pid ${rest.join(', ')}). End them, then start again.`,
      );
    }
    await sleep(50);
  }
  // Gone, so whoever has that pid now is a stranger: the server would take it for another server and refuse.
  if (isAlive(postmaster)) await rm(pidFile, { force: true });
}

/** Fast shutdown, then immediate, then kill; each bounded. */
export async function stopPostmaster(pid: number): Promise<void> {
  for (const [signal, patienceMs] of [
    ['SIGINT', FAST_SHUTDOWN_MS],
    ['SIGQUIT', IMMEDIATE_SHUTDOWN_MS],
    ['SIGKILL', IMMEDIATE_SHUTDOWN_MS],
  ] as const) {
    if (!send(pid, signal)) return;
    const deadline = Date.now() + patienceMs;
    while (Date.now() < deadline) {
      // A zombie that nobody reaps is gone too.
      if ((await processStartTime(pid)) === undefined) return;
      await sleep(20);
    }
  }
}

function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

async function readPid(pidFile: string): Promise<number | undefined> {
  try {
    const pid = Number((await readFile(pidFile, 'utf8')).split('\n')[0]);
    return Number.isInteger(pid) && pid > 1 ? pid : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
