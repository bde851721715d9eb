import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readManifest } from './manifest';

const MANIFEST = {
  kind: 'watari-conversion',
  version: 1,
  target: 'kvm-virtio',
  convertedAt: '2026-01-02T03:04:05.000Z',
  rootFileSystemUuid: 'abc',
  steps: [],
  nics: [],
  changes: [],
};

describe('a manifest', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'manifest-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function read(content: unknown) {
    const path = join(folder, 'manifest.json');
    await writeFile(path, JSON.stringify(content));
    return readManifest(path);
  }

  it('tells what was left to a person', async () => {
    const leftUndone = [{ step: 'boot-drivers', subject: 'the kernel 4.0', reason: 'It has no modules.' }];
    expect((await read({ ...MANIFEST, leftUndone })).leftUndone).toEqual(leftUndone);
  });

  it('from before that was kept is read like any other', async () => {
    expect(await read(MANIFEST)).toEqual({ ...MANIFEST, leftUndone: [] });
  });

  it('that is something else is refused with what is wrong with it', async () => {
    for (const wrong of [{}, { ...MANIFEST, version: 2 }, { ...MANIFEST, leftUndone: [{ step: 1 }] }])
      await expect(read(wrong)).rejects.toMatchObject({ code: 'DISK_MANIFEST_INVALID' });
  });
});
