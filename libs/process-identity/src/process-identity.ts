import { readFile, readlink, readdir } from 'node:fs/promises';

/** Start time in clock ticks since boot: with the pid it names one process for ever (until a reboot). */
export async function processStartTime(pid: number): Promise<string | undefined> {
  const stat = await readProc(readFile(`/proc/${pid}/stat`, 'utf8'));
  if (stat === undefined) return undefined;
  // Field 2 is the program's name in parentheses and may hold spaces; count from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  return state === 'Z' || state === 'X' ? undefined : fields[19];
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Processes whose working folder is `dir`: a Postgres server and its backends sit in their data folder. */
export async function processesIn(dir: string): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => Number.isInteger(pid) && pid > 0);
  const inside = await Promise.all(
    pids.map(async (pid) => (await readProc(readlink(`/proc/${pid}/cwd`))) === dir),
  );
  return pids.filter((_, index) => inside[index]);
}

/** Undefined when the process is gone, or is another user's. */
async function readProc(reading: Promise<string>): Promise<string | undefined> {
  try {
    return await reading;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return undefined;
    throw error;
  }
}
