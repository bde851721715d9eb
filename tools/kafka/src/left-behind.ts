import { readFile, readdir, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FolderInUse, FolderLock, processStartTime, processesIn } from '@watari/process-identity';

/** Folders of brokers that were started without a data folder of their own. */
export const TEMPORARY_PREFIX = 'watari-kafka-';
const CLEAN_STOP_MS = 15_000;
const KILL_MS = 5000;

/** Asks a broker to stop, then makes it. Returns when the process is gone. */
export async function stopBroker(pid: number): Promise<void> {
  for (const [signal, patienceMs] of [
    ['SIGTERM', CLEAN_STOP_MS],
    ['SIGKILL', KILL_MS],
  ] as const) {
    if (!send(pid, signal)) return;
    for (const until = Date.now() + patienceMs; Date.now() < until;) {
      // A zombie that nobody reaps is gone too.
      if ((await processStartTime(pid)) === undefined) return;
      await sleep(20);
    }
  }
}

/** Ends a broker whose owner was killed: a process that sits in this folder. Call it with the folder's lock held. */
export async function stopLeftBehind(dataDir: string): Promise<void> {
  for (const pid of await processesIn(await realpath(dataDir))) {
    if (pid !== process.pid) await stopBroker(pid);
  }
}

/** Ends brokers in temporary folders whose owner was killed, and removes the folders. Others are left alone. */
export async function removeLeftBehind(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(TEMPORARY_PREFIX)) continue;
    const dir = join(tmpdir(), name);
    if (!(await isOurs(dir))) continue;
    try {
      await FolderLock.take(dir);
      await stopLeftBehind(dir);
      await rm(dir, { recursive: true, force: true });
    } catch (error) {
      if (!(error instanceof FolderInUse)) throw error;
    }
  }
}

/** A folder without an owner is being made at this moment. */
async function isOurs(dir: string): Promise<boolean> {
  const info = await stat(dir).catch(() => undefined);
  if (!info?.isDirectory() || info.uid !== process.getuid?.()) return false;
  return readFile(join(dir, 'owner.json')).then(
    () => true,
    () => false,
  );
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
