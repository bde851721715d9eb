import { access, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetchPackageRoot } from './package-root';

jest.setTimeout(180_000);

describe('a root of packages', () => {
  let cacheDir: string;
  beforeAll(async () => {
    cacheDir = await mkdtemp(join(tmpdir(), 'watari-package-root-'));
  });
  afterAll(() => rm(cacheDir, { recursive: true, force: true }));

  it('has what they depend on too, also what this system has installed', async () => {
    const steps: string[] = [];
    const request = { name: 'spec', packages: ['libzstd1'], cacheDir };
    const first = await fetchPackageRoot({ ...request, onProgress: (step) => steps.push(step) });
    expect(first.archives.join()).toMatch(/libc6_.*libzstd1_/);
    await access(join(first.root, 'usr/share/doc/libc6/copyright'));
    expect(steps.length).toBeGreaterThan(2);
    expect(
      await fetchPackageRoot({ ...request, onProgress: (step) => steps.push(`again: ${step}`) }),
    ).toEqual(first);
    expect(steps.join()).not.toContain('again');
  });

  it('is refused for a package that there is not, and leaves nothing behind', async () => {
    const before = await readdir(join(cacheDir, 'tools'));
    await expect(
      fetchPackageRoot({ name: 'spec', packages: ['watari-no-such-package'], cacheDir }),
    ).rejects.toMatchObject({ code: 'PACKAGES_UNAVAILABLE', canRetry: true });
    expect(await readdir(join(cacheDir, 'tools'))).toEqual(before);
  });
});
