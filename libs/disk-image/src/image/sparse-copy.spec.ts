import { writeFileSync } from 'node:fs';
import { mkdtemp, open, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copySparse, refuseTooSmall } from './sparse-copy';

const MIB = 1024 * 1024;
let folder: string;
let source: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparse-copy-spec-'));
  source = join(folder, 'source');
  const file = await open(source, 'w');
  await file.truncate(64 * MIB + 5);
  await file.write(Buffer.alloc(100_000, 7), 0, 100_000, 3 * MIB - 50_000);
  await file.write('end', 64 * MIB + 2);
  await file.close();
});

afterEach(() => rm(folder, { recursive: true, force: true }));

describe('copying a disk', () => {
  it('copies every byte and leaves the holes out', async () => {
    const target = join(folder, 'target');
    const fractions: number[] = [];
    await copySparse(source, target, { onProgress: (fraction) => fractions.push(fraction) });
    expect((await readFile(target)).equals(await readFile(source))).toBe(true);
    expect((await stat(target)).blocks * 512).toBeLessThan(2 * MIB);
    expect(fractions.every((fraction) => fraction > 0 && fraction <= 1)).toBe(true);
  });

  it('leaves a file alone that is there already', async () => {
    const target = join(folder, 'target');
    await writeFile(target, 'mine');
    await expect(copySparse(source, target)).rejects.toMatchObject({ code: 'TARGET_DISK_EXISTS' });
    expect(await readFile(target, 'utf8')).toBe('mine');
  });

  it('says so when there is no room, and that another try may help', () =>
    expect(refuseTooSmall(folder, Number.MAX_SAFE_INTEGER)).rejects.toMatchObject({
      code: 'TARGET_DISK_FULL',
      canRetry: true,
    }));

  it('leaves nothing behind when it is aborted', async () => {
    const running = copySparse(source, join(folder, 'target'), {
      signal: AbortSignal.abort(new Error('enough')),
    });
    await expect(running).rejects.toThrow('enough');
    expect(await readdir(folder)).toEqual(['source']);
  });

  it('refuses a source that is written to meanwhile', async () => {
    let isWritten = false;
    const onProgress = () => {
      if (isWritten) return;
      isWritten = true;
      writeFileSync(source, 'x', { flag: 'a' });
    };
    const running = copySparse(source, join(folder, 'target'), { onProgress });
    await expect(running).rejects.toMatchObject({ code: 'DISK_CHANGED', canRetry: true });
    expect(await readdir(folder)).toEqual(['source']);
  });
});
