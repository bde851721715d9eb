import { createHash } from 'node:crypto';
import { appendFile, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readManifest, writeManifest } from './manifest';

const PACKAGES = {
  codename: 'bookworm',
  aptSources: '',
  base: ['/a/libc6_1.deb'],
  more: ['/a/apt_2.deb'],
  aside: [],
};

describe("a disk's manifest", () => {
  let folder: string;
  let disk: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'watari-manifest-'));
    disk = join(folder, 'disk.raw');
    await writeFile(disk, 'a disk');
    await writeManifest(folder, { packages: PACKAGES });
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('tells size, checksum, release and packages', async () => {
    expect(await readManifest(folder)).toMatchObject({
      sizeBytes: 6,
      sha256: createHash('sha256').update('a disk').digest('hex'),
      codename: 'bookworm',
      packages: ['apt_2.deb', 'libc6_1.deb'],
    });
  });

  it('does not vouch for a disk of another size', async () => {
    await appendFile(disk, '!');
    expect(await readManifest(folder)).toBeUndefined();
  });

  it('does not vouch for a disk that was written to later', async () => {
    const later = new Date(Date.now() + 5000);
    await utimes(disk, later, later);
    expect(await readManifest(folder)).toBeUndefined();
  });

  it.each(['', '{', '{"version":2}'])('takes "%s" for no manifest', async (text) => {
    await writeFile(join(folder, 'manifest.json'), text);
    expect(await readManifest(folder)).toBeUndefined();
  });

  it('is not there without its disk', async () => {
    await rm(disk);
    expect(await readManifest(folder)).toBeUndefined();
  });
});
