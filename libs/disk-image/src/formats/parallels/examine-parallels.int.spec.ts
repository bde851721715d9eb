import { link, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { examineImage } from '../examine-image';
import { SampleSet, u32le, u64le } from '../testing/sample-images';
import { describePloop } from './describe-ploop';

let samples: SampleSet;

beforeAll(async () => {
  samples = await SampleSet.make(['parallels']);
}, 120_000);

afterAll(() => samples.close());

describe('a parallels image that would lead astray', () => {
  it.each([
    ['is in use', 44, u32le(0x746f6e59), 'DISK_DAMAGED'],
    ['is of another version', 16, u32le(3), 'DISK_FORMAT_UNSUPPORTED'],
    ['has odd clusters', 28, u32le(777), 'DISK_DAMAGED'],
    ['has no clusters', 28, u32le(0), 'DISK_DAMAGED'],
    ['has too small a table', 32, u32le(1), 'DISK_DAMAGED'],
    ['has a huge table', 32, u32le(0xffffffff), 'DISK_DAMAGED'],
    ['has a table past the end', 32, u32le(60_000_000), 'DISK_TRUNCATED'],
    ['has no size', 36, u64le(0n), 'DISK_DAMAGED'],
    ['is huge', 36, u64le(1n << 50n), 'DISK_TOO_LARGE'],
    ['has an extension', 56, u64le(1n), 'DISK_FORMAT_UNSUPPORTED'],
    ['has a cluster past the end', 64, u32le(60_000), 'DISK_TRUNCATED'],
    ['shares a cluster', 68, u32le(1), 'DISK_DAMAGED'],
  ])('refuses one that %s', async (_what, at, bytes, code) => {
    const path = await samples.spoilt('parallels', at, bytes);
    await expect(examineImage(path)).rejects.toMatchObject({ code });
  });
});

describe('a ploop bundle', () => {
  const bundle = async (change: (text: string) => string = (text) => text): Promise<string> => {
    const target = samples.newPath();
    await mkdir(target);
    await link(samples.pathOf('parallels'), join(target, 'root.hdd'));
    await writeFile(
      join(target, 'DiskDescriptor.xml'),
      change(describePloop('root.hdd', samples.disk.sizeBytes, 1 << 20)),
    );
    return target;
  };

  it('is known by its folder and by its descriptor', async () => {
    const target = await bundle();
    for (const path of [target, join(target, 'DiskDescriptor.xml')])
      expect(await examineImage(path)).toMatchObject({
        format: 'ploop',
        subformat: 'expanded',
        virtualBytes: samples.disk.sizeBytes,
        files: [{ role: 'descriptor' }, { role: 'disk', path: join(target, 'root.hdd') }],
      });
  });

  it.each([
    ['names a path', 'DISK_HAS_BACKING_FILE', (text: string) => text.replace('>root.hdd<', '>../root.hdd<')],
    [
      'names a host file',
      'DISK_HAS_BACKING_FILE',
      (text: string) => text.replace('>root.hdd<', '>/etc/passwd<'),
    ],
    ['names nothing', 'DISK_HAS_BACKING_FILE', (text: string) => text.replace('>root.hdd<', '><')],
    [
      'names itself',
      'DISK_HAS_BACKING_FILE',
      (text: string) => text.replace('>root.hdd<', '>DiskDescriptor.xml<'),
    ],
    [
      'names a file that is not there',
      'DISK_TRUNCATED',
      (text: string) => text.replace('>root.hdd<', '>gone.hdd<'),
    ],
    [
      'has snapshots',
      'DISK_HAS_BACKING_FILE',
      (text: string) => text.replace('</Snapshots>', '<Shot><GUID>{2}</GUID></Shot></Snapshots>'),
    ],
    ['is encrypted', 'DISK_ENCRYPTED', (text: string) => text.replace('<Padding>', '<Encryption/><Padding>')],
    [
      'tells another size',
      'DISK_DAMAGED',
      (text: string) => text.replaceAll(`${samples.disk.sizeBytes / 512}`, '4096'),
    ],
    [
      'is huge',
      'DISK_TOO_LARGE',
      (text: string) => text.replaceAll(`${samples.disk.sizeBytes / 512}`, '999999999999999'),
    ],
    ['is no XML', 'DISK_DAMAGED', (text: string) => text.slice(0, 200)],
    [
      'has entities',
      'DISK_DAMAGED',
      (text: string) => text.replace('<Parallels', '<!DOCTYPE x [<!ENTITY a "b">]><Parallels'),
    ],
    [
      'is of another version',
      'DISK_FORMAT_UNSUPPORTED',
      (text: string) => text.replace('Version="1.0"', 'Version="2.0"'),
    ],
  ])('is refused when it %s', async (_what, code, change) =>
    expect(examineImage(await bundle(change))).rejects.toMatchObject({ code }),
  );

  it('is refused without its descriptor', async () => {
    const target = await bundle();
    await rm(join(target, 'DiskDescriptor.xml'));
    await expect(examineImage(target)).rejects.toMatchObject({ code: 'DISK_NOT_AN_IMAGE' });
  });
});
