import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderInUse, FolderLock, processStartTime } from './index';

describe('a folder lock', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'watari-lock-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it('is refused while its holder runs, naming the process', async () => {
    const lock = await FolderLock.take(dir);
    await expect(FolderLock.take(dir)).rejects.toMatchObject({
      code: 'DATA_FOLDER_IN_USE',
      pid: process.pid,
    });
    await lock.release();
    await (await FolderLock.take(dir)).release();
  });

  it('goes to one of many that take it at once', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => FolderLock.take(dir)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(FolderInUse);
    }
  });

  it('is taken over from a holder that was killed', async () => {
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    const startTime = await processStartTime(child.pid as number);
    await writeFile(join(dir, 'owner.json'), JSON.stringify({ pid: child.pid, startTime, token: 'theirs' }));
    await expect(FolderLock.take(dir)).rejects.toMatchObject({ pid: child.pid });
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await FolderLock.take(dir)).release();
  });

  it('is not held by another process that got the same pid later', async () => {
    await writeFile(
      join(dir, 'owner.json'),
      JSON.stringify({ pid: process.pid, startTime: '1', token: 'old' }),
    );
    await FolderLock.take(dir);
    expect(JSON.parse(await readFile(join(dir, 'owner.json'), 'utf8'))).toMatchObject({ pid: process.pid });
  });
});
