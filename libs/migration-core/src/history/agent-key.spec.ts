import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadAgentKey } from './agent-key';
import { HistoryFixture } from './testing/sample-history';

const fixture = new HistoryFixture();
beforeEach(() => fixture.make());
afterEach(() => fixture.remove());
const path = () => join(fixture.root, 'key');

describe('the key of the agent', () => {
  it('is made once, for its owner alone, and stays the same', async () => {
    const key = await loadAgentKey(path());
    expect(key).toHaveLength(32);
    expect(await loadAgentKey(path())).toEqual(key);
    expect(await readFile(path())).toEqual(key);
    expect((await stat(path())).mode & 0o777).toBe(0o600);
    expect(await readdir(fixture.root)).toEqual(['key']);
  });

  it('is one key when many ask for it at once', async () => {
    const keys = await Promise.all(Array.from({ length: 8 }, () => loadAgentKey(path())));
    expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(1);
    expect(await readdir(fixture.root)).toEqual(['key']);
  });

  it('differs from agent to agent', async () => {
    expect(await loadAgentKey(path())).not.toEqual(await loadAgentKey(`${path()}-2`));
  });

  it('is refused when others may read it or it has another length', async () => {
    await loadAgentKey(path());
    await chmod(path(), 0o640);
    await expect(loadAgentKey(path())).rejects.toMatchObject({ code: 'HISTORY_KEY_UNUSABLE' });
    await chmod(path(), 0o600);
    await writeFile(path(), Buffer.alloc(31));
    await expect(loadAgentKey(path())).rejects.toThrow('it holds 31 bytes, not 32');
  });

  it('is refused where no file can be', async () => {
    await expect(loadAgentKey(join(fixture.root, 'no', 'folder', 'key'))).rejects.toMatchObject({
      code: 'HISTORY_KEY_UNUSABLE',
    });
    await expect(loadAgentKey(fixture.root)).rejects.toMatchObject({ code: 'HISTORY_KEY_UNUSABLE' });
  });
});
