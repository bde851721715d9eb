import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { processStartTime } from './process-identity';

interface Holder {
  readonly pid: number;
  readonly startTime: string;
  readonly token: string;
}

/** Another process works with the folder; the message names it and says what to do. */
export class FolderInUse extends Error {
  readonly code = 'DATA_FOLDER_IN_USE';
  constructor(
    message: string,
    readonly pid?: number,
  ) {
    super(message);
    this.name = 'FolderInUse';
  }
}

/**
 * One process at a time works with a data folder. The lock is a file that names its holder by pid and start
 * time; a holder that no longer runs (kill -9, power cut) holds nothing. It appears by link(2), whole or not
 * at all, and an abandoned one is taken away by rename(2), so that of two newcomers one wins.
 */
export class FolderLock {
  private constructor(
    private readonly path: string,
    private readonly token: string,
  ) {}

  /** Throws FolderInUse, naming the process. */
  static async take(dir: string): Promise<FolderLock> {
    const path = join(dir, 'owner.json');
    const mine: Holder = {
      pid: process.pid,
      startTime: (await processStartTime(process.pid)) ?? '',
      token: randomUUID(),
    };
    const draft = join(dir, `.owner-${mine.token}`);
    await writeFile(draft, JSON.stringify(mine), { mode: 0o600, flag: 'wx' });
    try {
      for (let attempt = 1; attempt <= 50; attempt += 1) {
        if (await tryLink(draft, path)) return new FolderLock(path, mine.token);
        await removeIfAbandoned(dir, path);
      }
    } finally {
      await rm(draft, { force: true });
    }
    throw new FolderInUse(`${dir} is being taken by other processes; try again.`);
  }

  async release(): Promise<void> {
    const holder = await readHolder(this.path);
    if (holder?.token === this.token) await rm(this.path, { force: true });
  }
}

async function removeIfAbandoned(dir: string, path: string): Promise<void> {
  const holder = await readHolder(path);
  if (holder && (await isRunning(holder))) {
    throw new FolderInUse(
      `${dir} is in use by the process with pid ${holder.pid}. Stop that one first, or choose another data folder.`,
      holder.pid,
    );
  }
  const aside = join(dir, `.owner-abandoned-${randomUUID()}`);
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const removed = await readHolder(aside);
  // Somebody else was quicker and this is their lock: back it goes.
  if (removed && removed.token !== holder?.token) await tryLink(aside, path);
  await rm(aside, { force: true });
}

async function isRunning({ pid, startTime }: Holder): Promise<boolean> {
  return (await processStartTime(pid)) === startTime;
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    const parsed = JSON.parse(await readFile(path, 'utf8')) as Partial<Holder>;
    if (!Number.isInteger(parsed.pid) || !parsed.startTime || !parsed.token) return undefined;
    return parsed as Holder;
  } catch (error) {
    const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (isGone || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
